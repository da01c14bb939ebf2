#!/usr/bin/env bash
# Installs the OpenTelemetry SDKs that the end-to-end tests send with, and prints where they are. Does nothing when that
# is up to date.
#
#   tests/sdk/build.sh python    needs python3 with venv, and PyPI
#   tests/sdk/build.sh node      needs node from 18.19 on and npm, and npm's registry
#
# Every package is pinned by python/requirements.txt and node/package-lock.json.
set -euo pipefail

language=$1
sources=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$sources/../.."
out="${CARGO_TARGET_DIR:-target}/sdk/$language"
mkdir -p "$out"
out=$(cd "$out" && pwd)

state=$(cat "$sources/build.sh" "$sources/$language"/* | sha256sum)
if [[ -f $out/built-from && $(<"$out/built-from") == "$state" ]]; then
    echo "$out"
    exit 0
fi

rm -rf "$out"
mkdir "$out"
cp "$sources/$language"/* "$out"
case $language in
python)
    python3 -m venv "$out/venv" >&2
    "$out/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$out/requirements.txt" >&2
    ;;
node) (cd "$out" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2) ;;
esac
echo "$state" >"$out/built-from"
echo "$out"
