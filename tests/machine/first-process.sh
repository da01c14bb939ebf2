#!/usr/bin/env bash
# Turns fresh namespaces into a machine and becomes its systemd; started by namespaces.sh.
#
# /proc/sys and the clock are the host's: the one is read-only here, but for the network's part, and the other cannot be
# set.
set -euo pipefail

root=$1

mount -t tmpfs -o mode=755,size=2g machine /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" machine /mnt/root
cd /mnt/root

mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
if [ -e proc/sysrq-trigger ]; then
  mount --bind proc/sysrq-trigger proc/sysrq-trigger
  mount -o remount,bind,ro proc/sysrq-trigger
fi

mount -t sysfs -o nosuid,nodev,noexec,ro sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup

mount -t tmpfs -o nosuid,mode=755,size=4m devices dev
mkdir dev/pts dev/shm
for node in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o nosuid,nodev shm dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run run

hostname machine
mkdir -p mnt/host
pivot_root . mnt/host
umount -l /mnt/host
# As on a host, where systemd does it: services see what is mounted while they run. In a container it leaves that to others.
mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  setpriv --bounding-set -sys_time,-sys_module,-sys_rawio,-syslog,-mac_admin,-mac_override \
  /lib/systemd/systemd --show-status=false
