#!/usr/bin/env bash
# Builds the Debian package and prints its path.
#
#   packaging/build.sh               compiles what has changed and packages it
#   packaging/build.sh --no-build    packages target/release/hostmend as it is
#
# What else is given goes to `cargo deb`, such as --deb-version 0.2.0-1. Build on the oldest Debian that the package is
# for: it will ask for the C library of this one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v cargo-deb >/dev/null || {
  echo "cargo-deb is missing: cargo install --locked cargo-deb@3.8.0" >&2
  exit 1
}

# cargo-deb looks here for what is named target/release/… in agent/daemon/Cargo.toml.
release=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$release/packaging"
packaging/installed-config.sh >"$release/packaging/hostmend.yaml"
cargo deb --package daemon --locked "$@" | tail -n 1
