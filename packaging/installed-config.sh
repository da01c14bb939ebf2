#!/usr/bin/env bash
# Prints hostmend.yaml as it is installed: config/hostmend.yaml with the lines that differ between a clone and a host.
# Each must be found, so neither file can drift from the other unnoticed.
set -euo pipefail
config=$(<"$(dirname "${BASH_SOURCE[0]}")/../config/hostmend.yaml")

replace() { # replace LINE BY
  if [ "$(grep -cFx -- "$1" <<<"$config")" != 1 ]; then
    echo "config/hostmend.yaml has no line \"$1\", or several: mend packaging/installed-config.sh" >&2
    exit 1
  fi
  config=$(awk -v line="$1" -v by="$2" '{ print $0 == line ? by : $0 }' <<<"$config")
}

replace '# executor: { socket: /run/hostmend/executor.sock }' 'executor: { socket: /run/hostmend/executor.sock }'
replace 'scripts: ../remediation-scripts' 'scripts: scripts'
printf '%s\n' "$config"
