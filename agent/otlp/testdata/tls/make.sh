#!/usr/bin/env bash
# Makes the certificates that the TLS tests use, valid for a hundred years. The keys protect nothing.
set -euo pipefail
cd "$(dirname "$0")"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=hostmend test $1" -keyout "$1.key" "${@:2}"; }
sign() {
    new "$1" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA authority.pem -CAkey authority.key -set_serial "$2" -days 36500 -out "$1.pem" -extfile <(printf '%s\n' "${@:3}")
    rm "$1.csr"
}
new authority -x509 -days 36500 -out authority.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
new stranger -x509 -days 36500 -out stranger.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
sign server 2 subjectAltName=DNS:localhost,IP:127.0.0.1 extendedKeyUsage=serverAuth
sign client 3 subjectAltName=DNS:agent extendedKeyUsage=clientAuth
rm authority.key stranger.key
