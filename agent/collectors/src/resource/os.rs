//! The operating system, from os-release(5).

use telemetry::AttributeValue;

use super::line;
use crate::host::{HostFile, HostRoot};

pub(super) fn attributes(host: &HostRoot) -> Vec<(&'static str, Option<AttributeValue>)> {
    let release = os_release(host);
    let of_release = |key: &str| release.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    let build = of_release("BUILD_ID").or_else(|| line(host, "proc/sys/kernel/osrelease"));
    [
        ("os.type", Some("linux".to_owned())),
        ("os.name", of_release("NAME")),
        ("os.description", of_release("PRETTY_NAME")),
        ("os.version", of_release("VERSION_ID")),
        ("os.build_id", build),
    ]
    .map(|(key, value)| (key, value.map(Into::into)))
    .into()
}

/// The file in `/etc` stands before that in `/usr/lib`.
fn os_release(host: &HostRoot) -> Vec<(String, String)> {
    ["etc/os-release", "usr/lib/os-release"]
        .into_iter()
        .find_map(|path| host.read(path).ok())
        .map(|file| parse_os_release(&file))
        .unwrap_or_default()
}

/// Parses lines `KEY=value`, the value quoted as a shell would.
pub(crate) fn parse_os_release(file: &HostFile<'_>) -> Vec<(String, String)> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.trim().split_once('='))
        .map(|(key, value)| (key.to_owned(), unquote(value)))
        .collect()
}

fn unquote(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(literal) = inside('\'') {
        return literal.to_owned();
    }
    let mut escaped = false;
    let mut plain = String::with_capacity(value.len());
    for character in inside('"').unwrap_or(value).chars() {
        escaped = !escaped && character == '\\';
        if !escaped {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_are_those_of_a_shell() {
        for (written, meant) in [
            ("debian", "debian"),
            ("\"Debian 12\"", "Debian 12"),
            ("'a b'", "a b"),
            (r#""a \"b\" \\ \$c""#, r#"a "b" \ $c"#),
            ("\"", "\""),
            ("", ""),
        ] {
            assert_eq!(unquote(written), meant, "{written}");
        }
    }
}
