//! Whom a request to the loopback address means.
//!
//! A web page may have its own name resolve to 127.0.0.1 and then ask by it, and the browser takes the answer for the
//! page's own. Such a request carries the page's name; who asks by address or by a loopback name is no such page.

use std::net::IpAddr;

/// Whether a request with this header `Host` may be answered. Without one it comes from no browser.
pub(super) fn may_be_meant(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let name = without_port(host);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    lower == "localhost" || lower.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_has_its_name_resolve_to_this_host_reads_nothing() {
        for (host, answered) in [
            (None, true),
            (Some("127.0.0.1:4320"), true),
            (Some("127.0.0.1"), true),
            (Some("[::1]:4320"), true),
            (Some("[::1]"), true),
            (Some("LOCALHOST:4320"), true),
            (Some("localhost."), true),
            (Some("agent.localhost:4320"), true),
            (Some("10.0.0.7:80"), true),
            (Some(""), false),
            (Some(":4320"), false),
            (Some("evil.example"), false),
            (Some("evil.example:4320"), false),
            (Some("127.0.0.1.evil.example"), false),
            (Some("localhost.evil.example:80"), false),
            (Some("evillocalhost"), false),
            (Some("?"), false),
        ] {
            assert_eq!(may_be_meant(host), answered, "{host:?}");
        }
    }
}
