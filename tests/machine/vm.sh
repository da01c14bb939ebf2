#!/usr/bin/env bash
# Runs one emulated machine until standard input ends; then the machine is gone at once, as by a loss of power.
#
#   tests/machine/vm.sh resume IMAGE LAYER [PORT]   goes on from the state that the image was saved in
#   tests/machine/vm.sh boot IMAGE LAYER [PORT]     boots what is on the disk
#   tests/machine/vm.sh save IMAGE LAYER            boots the image itself, writes its ready.state and ends
#
# IMAGE is a directory made by vm-image.sh. LAYER is a directory of this machine: `disk.qcow2` holds what it wrote over
# the image, `agent` is the socket to its agent (guest-agent.pl), `console` is what the kernel printed. PORT of the host's
# loopback leads to port 4318 of the machine.
#
# A line on standard input before its end keeps LAYER; without one it goes too. The kernel ends qemu when this shell is
# killed, so nothing outlives whoever holds the other end of standard input.
set -uo pipefail
trap '' INT TERM HUP

mode=$1
image=$2
layer=$3
forward=${4:+,hostfwd=tcp:127.0.0.1:$4-10.0.2.15:4318}
start=()
kernel_words=
case $mode in
  resume) start=(-incoming "exec:cat '$image/ready.state'") ;;
  boot) ;;
  save) kernel_words=machine.save ;;
esac

# What was flushed is in the file and so survives qemu; that it survives the host too is not worth an fsync.
cache=cache.direct=off,cache.no-flush=on
if [ "$mode" = save ]; then
  disk=(-blockdev "driver=raw,node-name=disk,$cache,file.driver=file,file.filename=$image/disk.img")
else
  disk=(-blockdev "driver=raw,node-name=image,read-only=on,file.driver=file,file.filename=$image/disk.img"
    -blockdev "driver=qcow2,node-name=disk,backing=image,$cache,file.driver=file,file.filename=$layer/disk.qcow2")
fi

# The emulator always: a /dev/kvm may be there and yet not run an unmodified kernel. Without cmpxchg16b, since qemu 7.2
# spoils the flags in it and the guest's kernel panics in its allocator, at some boots.
machine=(setpriv --pdeathsig KILL qemu-system-x86_64 -nodefaults -no-user-config -display none -machine pc
  -accel tcg -cpu Westmere,-cx16 -smp 1 -m 512
  -kernel "$image/vmlinux" -initrd "$image/initrd"
  -append "console=ttyS0 quiet mitigations=off psi=1 net.ifnames=0 $kernel_words"
  "${disk[@]}" -device virtio-blk-pci,drive=disk
  -netdev "user,id=net,ipv6=off$forward" -device virtio-net-pci,netdev=net,romfile=
  -chardev "socket,id=agent,path=$layer/agent,server=on,wait=off"
  -device virtio-serial-pci -device virtserialport,chardev=agent,name=agent
  -chardev "file,id=console,path=$layer/console" -serial chardev:console
  "${start[@]}")

if [ "$mode" = save ]; then
  {
    for ((i = 0; i < 900; i++)); do
      if grep -q '^ready' "$layer/console" 2>/dev/null; then
        echo 'migrate_set_parameter max-bandwidth 4G'
        # Not stopped before: what was stopped when it was saved does not go on by itself.
        echo "migrate \"exec:cat > '$image/ready.state'\""
        break
      fi
      ! grep -q 'Kernel panic' "$layer/console" 2>/dev/null || break
      sleep 0.2
    done
    echo quit
  } | "${machine[@]}" -monitor stdio >"$layer/monitor" 2>&1
  [ -s "$image/ready.state" ] && exit
  cat "$layer/monitor" "$layer/console" >&2
  exit 1
fi

"${machine[@]}" </dev/null &
qemu=$!
kept=
while read -r line; do kept=$line; done
kill -KILL $qemu
wait $qemu 2>/dev/null
[ -n "$kept" ] || rm -rf "$layer"
