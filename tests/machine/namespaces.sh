#!/usr/bin/env bash
# Boots systemd as the first process of namespaces of its own, over a root file system that stays as it is.
#
#   tests/machine/namespaces.sh ROOT
#
# Prints the process number of the machine's systemd and its control group as soon as they are known. The machine lives
# for as long as standard input stays open, so it ends with whoever holds the other end, however that ends. Everything
# written to its disk lies in a tmpfs of its own mount namespace and goes with it. Its console is standard error.
set -euo pipefail

root=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A pure v2 hierarchy, also where the host is hybrid: the controllers that the host binds to v1 are then missing.
hierarchy=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$hierarchy" ] || { echo "no cgroup2 hierarchy is mounted: mount -t cgroup2 none DIRECTORY" >&2; exit 1; }

remove_groups() { # remove_groups DIRECTORY
  # The kernel takes a moment to let go of groups whose last process was killed.
  for _ in $(seq 100); do
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ -d "$1" ] || return 0
    sleep 0.02
  done
  echo "cannot remove $1" >&2
}

# What machines left whose supervisor was killed itself.
for old in "$hierarchy"/hostmend-machine-*; do
  [ -d "$old" ] || continue
  owner=${old##*-}
  [ -e "/proc/$owner" ] || { echo 1 > "$old/cgroup.kill"; remove_groups "$old"; }
done

group=$hierarchy/hostmend-machine-$$
mkdir "$group" "$group/harness"
(
  echo "$BASHPID" > "$group/cgroup.procs"
  exec setpriv --pdeathsig KILL unshare --pid --mount --uts --ipc --cgroup --net --fork --kill-child=SIGKILL \
    --propagation private "$here/first-process.sh" "$root"
) </dev/null >&2 &
machine=$!
init=
end() {
  # The first process before who waits for it, so that it is not left as a zombie.
  kill -KILL ${init:-"$machine"} 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
  remove_groups "$group"
}
trap end EXIT
trap 'exit 1' TERM INT HUP

while [ -z "$init" ]; do
  kill -0 "$machine" 2>/dev/null || { echo "the machine's first process ended" >&2; exit 1; }
  init=$(cat "/proc/$machine/task/$machine/children" 2>/dev/null | tr -d ' ') || true
done
echo "$init $group"
cat > /dev/null
