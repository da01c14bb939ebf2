#!/usr/bin/env bash
# Builds the root file system of a Debian release for the machines of the tests, once, and prints where it lies.
#
#   tests/machine/root.sh bookworm|trixie
#
# What is installed is what the stories need: systemd and D-Bus, and the services that are broken and repaired. The
# directory's name holds a checksum of this file, so a change here builds anew.
set -euo pipefail

release=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/../../target/machines
packages=systemd,systemd-sysv,dbus,procps,iproute2,logrotate,nginx,perl-base,rsyslog

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
root=$cache/$release-$(sha256sum "$here/root.sh" | cut -c 1-12)

exec 9>"$cache/$release.lock"
flock 9
if [ ! -d "$root" ]; then
  building=$cache/building-$release
  rm -rf "$building" "$cache/$release"-*
  mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$release" "$building" http://deb.debian.org/debian >&2
  # Each boot is a first boot of a machine that has a name, no consoles and no terminal to ask at.
  : > "$building/etc/machine-id"
  echo machine > "$building/etc/hostname"
  echo '127.0.0.1 localhost machine' > "$building/etc/hosts"
  for unit in getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-firstboot.service systemd-resolved.service; do
    ln -sf /dev/null "$building/etc/systemd/system/$unit"
  done
  # Services are started by the stories.
  rm -f "$building"/etc/systemd/system/multi-user.target.wants/{nginx,rsyslog}.service
  mv "$building" "$root"
fi
echo "$root"
