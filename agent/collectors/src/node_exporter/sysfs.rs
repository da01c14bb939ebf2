//! Small files of one value, and directories of them.
//!
//! A file that is absent, refuses to be read or says something else has no value; drivers do all three.

use crate::host::HostRoot;

/// Entries looked at in a directory of devices; what is beyond is left out.
const MOST_ENTRIES: usize = 4_096;

/// The names in a directory, in order; none where it is not there.
pub(super) fn names(host: &HostRoot, path: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(host.path(path)) else { return Vec::new() };
    let entries = entries.take(MOST_ENTRIES).filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// The names in a directory that are `prefix` and a number, with the number as text, in order of the numbers.
pub(super) fn numbered(host: &HostRoot, path: &str, prefix: &str) -> Vec<(String, String)> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut found: Vec<(u32, String)> =
        names(host, path).into_iter().filter_map(|name| Some((number(&name)?, name))).collect();
    found.sort_unstable();
    found.into_iter().map(|(number, name)| (name, number.to_string())).collect()
}

/// What a file says, without the space around it.
pub(super) fn text(host: &HostRoot, path: &str) -> Option<String> {
    host.read(path).ok().map(|file| file.text().trim().to_owned())
}

/// The number that a file says, decimal or, after `0x`, hexadecimal.
pub(super) fn number(host: &HostRoot, path: &str) -> Option<f64> {
    parse(host.read(path).ok()?.text().trim())
}

pub(super) fn parse(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}
