//! Small files of one value, and directories of them, as below `/sys`.
//!
//! A file that is absent, refuses to be read or says something else has no value; drivers do all three.

use crate::host::HostRoot;

/// Entries of a directory that are looked at; a host with many containers has thousands of interfaces.
pub(crate) const MOST_ENTRIES: usize = 20_000;

/// The names in a directory, in order; none where it is not there. One more than [`MOST_ENTRIES`] says that there are others.
pub(crate) fn entries(host: &HostRoot, path: &str) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(host.path(path)) else { return Vec::new() };
    let mut names: Vec<String> =
        found.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(MOST_ENTRIES + 1).collect();
    names.sort_unstable();
    names
}

/// The names in a directory that are `prefix` and a number, with the number as text, in order of the numbers.
pub(crate) fn numbered(host: &HostRoot, path: &str, prefix: &str) -> Vec<(String, String)> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<(u32, String)> =
        entries(host, path).into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    found.sort_unstable();
    found.into_iter().map(|(number, name)| (name, number.to_string())).collect()
}

/// What a file says, without the space around it.
pub(crate) fn text(host: &HostRoot, path: &str) -> Option<String> {
    host.read(path).ok().map(|file| file.text().trim().to_owned())
}

/// The number that a file says, decimal or, after `0x`, hexadecimal.
pub(crate) fn number(host: &HostRoot, path: &str) -> Option<f64> {
    parse(host.read(path).ok()?.text())
}

/// A number as the kernel or a driver writes it, with or without a newline.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them() {
        for (text, expected) in [
            ("42\n", Some(42.0)),
            ("-5", Some(-5.0)),
            ("1.5", Some(1.5)),
            ("0x1f", Some(31.0)),
            ("", None),
            ("0x", None),
            ("nan", None),
            ("inf", None),
            ("<unknown>", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
