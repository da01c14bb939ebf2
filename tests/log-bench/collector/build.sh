#!/usr/bin/env bash
# Builds the Collector that log-bench measures and prints where it is. Does nothing when it is up to date.
# Needs Go and, the first time, the Go module proxy; every module is pinned by go.mod and go.sum.
set -euo pipefail

sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$sources/../../.."
out="${CARGO_TARGET_DIR:-target}/logcol"
mkdir -p "$out"
out=$(cd "$out" && pwd)

state=$(cat "$sources"/{go.mod,go.sum,main.go,build.sh} | sha256sum)
if [[ -x $out/logcol && -f $out/built-from && $(<"$out/built-from") == "$state" ]]; then
    echo "$out/logcol"
    exit 0
fi

cd "$sources"
rm -f "$out/built-from"
CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOWORK=off go build -mod=readonly -trimpath -ldflags='-s -w' -o "$out/logcol" . >&2
echo "$state" >"$out/built-from"
echo "$out/logcol"
