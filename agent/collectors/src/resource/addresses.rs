//! The addresses of the host's interfaces but loopback, from its own network namespace: `host.ip`, `host.mac`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use telemetry::AttributeValue;

use super::line;
use crate::host::HostRoot;

/// A resource stands in every request; a host of containers may have an interface for each of them.
const MOST: usize = 32;

pub(super) fn attributes(host: &HostRoot) -> Vec<(&'static str, Option<AttributeValue>)> {
    let read = |path| host.read_of_init(path).ok().map(|(file, _)| file);
    let four = read("net/fib_trie").map(|file| parse_fib_trie(file.text())).unwrap_or_default();
    let six = read("net/if_inet6").map(|file| parse_if_inet6(file.text())).unwrap_or_default();
    let addresses = four.iter().map(ToString::to_string).chain(six.iter().map(ToString::to_string));
    let addresses: Vec<String> = addresses.take(MOST).collect();
    [("host.ip", addresses), ("host.mac", cards(host))]
        .map(|(key, texts)| (key, Some(AttributeValue::Texts(texts))))
        .into()
}

/// The local addresses of `/proc/net/fib_trie`: a leaf `|-- 192.0.2.1` and below it `/32 host LOCAL`.
pub(crate) fn parse_fib_trie(text: &str) -> BTreeSet<Ipv4Addr> {
    let mut leaf = None;
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf.filter(|address| !address.is_loopback()));
        }
    }
    found
}

/// The addresses of `/proc/net/if_inet6`: 32 digits, then index, prefix, scope, flags, name of the interface.
pub(crate) fn parse_if_inet6(text: &str) -> BTreeSet<Ipv6Addr> {
    let digits = text.lines().filter_map(|line| line.split_ascii_whitespace().next());
    let digits = digits.filter(|digits| digits.len() == 32);
    let found = digits.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(Ipv6Addr::from);
    found.filter(|address| !address.is_loopback()).collect()
}

/// Physical cards before what is made of them.
fn cards(host: &HostRoot) -> Vec<String> {
    let entries = std::fs::read_dir(host.path("sys/class/net")).into_iter().flatten().flatten();
    let mut cards = BTreeSet::new();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let address = line(host, &format!("sys/class/net/{name}/address"));
        if let Some(card) = address.as_deref().and_then(card) {
            let made = !host.path(format!("sys/class/net/{name}/device")).exists();
            cards.insert((made, card));
        }
    }
    let mut seen = BTreeSet::new();
    cards.into_iter().map(|(_, card)| card).filter(|card| seen.insert(card.clone())).take(MOST).collect()
}

/// `ac:de:48:23:45:67` as `AC-DE-48-23-45-67`; nothing for loopback, whose digits are zeros.
pub(crate) fn card(address: &str) -> Option<String> {
    let octets: Vec<&str> = address.split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_one = matches!(octets.len(), 6 | 8) && octets.iter().all(is_octet);
    (is_one && octets.iter().any(|octet| *octet != "00")).then(|| octets.join("-").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_the_leaves_marked_so() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 192.0.2.0\n        /24 link UNICAST\n\
                    Local:\n  +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n           |-- 192.0.2.17\n              /32 host LOCAL\n           |-- 192.0.2.255\n              /32 link BROADCAST\n";
        assert_eq!(parse_fib_trie(trie).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(192, 0, 2, 17)]);
    }

    #[test]
    fn addresses_of_version_6_are_written_as_rfc_5952_wants_them() {
        let text = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe80000000000000000000fffe000001 02 40 20 80     eth0\n\
                    20010db8000000000000000000000002 02 40 00 80     eth0\nshort 02\n";
        let found: Vec<String> = parse_if_inet6(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["2001:db8::2", "fe80::ff:fe00:1"]);
    }

    #[test]
    fn hardware_addresses_are_written_as_the_conventions_want_them() {
        for (text, written) in [
            ("ac:de:48:23:45:67", Some("AC-DE-48-23-45-67")),
            ("00:00:00:00:00:00", None),
            ("", None),
            ("192.0.2.1", None),
        ] {
            assert_eq!(card(text).as_deref(), written, "{text}");
        }
    }
}
