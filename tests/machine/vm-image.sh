#!/usr/bin/env bash
# Builds what the emulated machines of a Debian release start from, once, and prints the directory in which it lies.
#
#   tests/machine/vm-image.sh [bookworm|trixie]
#
#   vmlinux, initrd   Debian's cloud kernel; what loads the disk's drivers and mounts the disk
#   disk.img          the root file system of root.sh, the kernel's modules, the agent and a few tools for disks
#   empty.qcow2       the layer of a machine that has written nothing yet
#   ready.state       the machine a moment after its first boot had ended
#
# The directory's name holds a checksum of these scripts and of qemu's version, since a state is read only by the
# qemu that wrote it. Needs root, mmdebstrap, qemu-system-x86 and e2fsprogs.
set -euo pipefail

release=${1:-trixie}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$("$here/root.sh" "$release")
cache=$(dirname "$root")
checksum=$({ basename "$root"; cat "$here/vm-image.sh" "$here/vm.sh" "$here/guest-agent.pl"; qemu-system-x86_64 --version; } |
  sha256sum | cut -c 1-12)
image=$cache/vm-$release-$checksum

exec 9>"$cache/vm-$release.lock"
flock 9
if [ -d "$image" ]; then
  echo "$image"
  exit
fi
building=$cache/building-vm-$release
rm -rf "$building" "$cache/vm-$release"-*
mkdir "$building"
disk=$building/root
cp -a "$root" "$disk"

# Unpacked, not installed: a kernel that is installed would build itself an initrd. Without udev, which would take ten
# seconds of each boot.
mmdebstrap --quiet --mode=root --variant=extract --format=tar \
  --include=linux-image-cloud-amd64,kmod,busybox-static,dmsetup,e2fsprogs,stress-ng,lz4,xz-utils,zstd \
  "$release" - http://deb.debian.org/debian |
  tar -x -C "$disk" --keep-directory-symlink --skip-old-files \
    --exclude='./usr/share/*' --exclude='./etc/*' --exclude='./dev/*' --exclude='*udev*' --exclude='*initramfs*'
version=$(ls "$disk/lib/modules")
chroot "$disk" depmod "$version"

# Linux boot protocol: the compressed ELF file lies at payload_offset behind the setup sectors. Booted as such by qemu
# it spares the guest to unpack itself, which is slow when emulated.
perl -e '
  open my $file, "<:raw", $ARGV[0] or die "$ARGV[0]: $!";
  local $/; my $kernel = <$file>;
  my $sectors = unpack "C", substr $kernel, 0x1f1, 1;
  my ($offset, $length) = unpack "VV", substr $kernel, 0x248, 8;
  print substr $kernel, ($sectors + 1) * 512 + $offset, $length;
' "$disk/boot/vmlinuz-$version" > "$building/payload"
case $(head -c 4 "$building/payload" | od -An -tx1 | tr -d ' ') in
  28b52ffd) unpack='zstd -dc' ;;
  fd377a58) unpack='xz -dc' ;;
  02214c18) unpack='lz4 -dc' ;;
  *) echo "the kernel is packed in a way not known here" >&2; exit 1 ;;
esac
# The last four bytes of the payload are the unpacked length, not a part of the stream.
head -c -4 "$building/payload" | chroot "$disk" $unpack > "$building/vmlinux"
rm -rf "$building/payload" "$disk"/boot/*

initrd=$building/initrd-files
mkdir -p "$initrd"/{bin,dev,modules,root}
cp "$disk/usr/bin/busybox" "$initrd/bin/busybox"
# Which of these are modules differs between releases.
number=10
for module in virtio_pci virtio_blk ext4; do
  chroot "$disk" modprobe --set-version "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
  case $module in
    *.xz) chroot "$disk" xz -dc <"$disk/$module" >"$initrd/modules/$((number++)).ko" ;;
    *) cp "$disk/$module" "$initrd/modules/$((number++)).ko" ;;
  esac
done
cat > "$initrd/init" <<'INIT'
#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
for module in /modules/*; do busybox insmod $module; done
until [ -b /dev/vda ]; do busybox usleep 10000; done
busybox mount -t ext4 /dev/vda /root
busybox mount -o move /dev /root/dev
exec busybox switch_root /root /lib/systemd/systemd
INIT
chmod +x "$initrd/init"
mkdir "$disk/initrd-files"
cp -a "$initrd/." "$disk/initrd-files"
chroot "$disk" sh -c 'cd /initrd-files && busybox find . | busybox cpio -o -H newc' > "$building/initrd" 2>/dev/null
rm -rf "$disk/initrd-files" "$initrd"

units=$disk/etc/systemd/system
install -m 755 "$here/guest-agent.pl" "$disk/usr/lib/guest-agent.pl"
printf '%s\n' virtio_console virtio_net sch_netem loop dm_mod dm_flakey > "$disk/etc/modules-load.d/machine.conf"
# Runs what a test asks for while the story starves, freezes or isolates everything else.
cat > "$units/guest-agent.service" <<'UNIT'
[Unit]
Description=Agent of the tests
DefaultDependencies=no
IgnoreOnIsolate=yes

[Service]
ExecStart=/usr/bin/perl /usr/lib/guest-agent.pl
Restart=always
OOMScoreAdjust=-1000
OOMPolicy=continue
KillMode=process
TasksMax=infinity
Slice=-.slice
CPUWeight=10000
IOWeight=10000
LimitMEMLOCK=infinity
UNIT
# The addresses that qemu's own network gives out; the host's loopback is 10.0.2.2.
cat > "$units/machine-network.service" <<'UNIT'
[Unit]
Description=Network of the tests
DefaultDependencies=no
Before=network.target
Wants=network.target
After=systemd-modules-load.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set lo up
ExecStart=ip link set eth0 up
ExecStart=ip address add 10.0.2.15/24 dev eth0
ExecStart=ip route add default via 10.0.2.2
UNIT
echo 'nameserver 10.0.2.3' > "$disk/etc/resolv.conf"
cat > "$units/machine-save.service" <<'UNIT'
[Unit]
Description=Says when the machine may be saved
ConditionKernelCommandLine=machine.save

[Service]
Type=exec
ExecStart=sh -c 'systemctl is-system-running --wait; systemctl --failed; sync; sleep 2; (echo; echo ready) > /dev/ttyS0'
UNIT
mkdir -p "$units/multi-user.target.wants" "$units/sysinit.target.wants"
ln -s ../machine-save.service "$units/multi-user.target.wants/"
ln -s ../machine-network.service ../guest-agent.service "$units/sysinit.target.wants/"

mke2fs -q -t ext4 -d "$disk" "$building/disk.img" 2G >&2
rm -rf "$disk"
"$here/vm.sh" save "$building" "$building"
printf '%s\n' "snapshot_blkdev disk $building/empty.qcow2 qcow2" quit |
  qemu-system-x86_64 -nodefaults -no-user-config -display none -machine none -monitor stdio \
    -drive "if=none,id=disk,format=raw,file=$building/disk.img" >/dev/null
rm -f "$building/agent"
chmod 444 "$building/disk.img" "$building/ready.state"
mv "$building" "$image"
echo "$image"
