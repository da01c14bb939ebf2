//! Names that rotation gives: `app.log.1`, `app.log-20261122`, `app-20261122.log`, `app.log.2.gz`.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// Endings of compressed copies.
const PACKED: [&[u8]; 6] = [b".gz", b".zst", b".xz", b".bz2", b".lz4", b".Z"];

/// What rotation added to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// `.1`: the higher, the older.
    Count(u32),
    /// `-20261122`: the higher, the younger.
    Date(Vec<u8>),
    /// `.old`, or nothing.
    Word,
}

/// A sibling of a followed file, with what tells its age.
#[derive(Clone, Debug)]
pub(crate) struct Age {
    mark: Mark,
    /// When it was written last, in nanoseconds since the epoch.
    modified: i64,
}

impl Age {
    /// The age of the file `name`, written last at `modified`, among those that were once called `home`.
    pub(crate) fn of(home: &OsStr, name: &OsStr, modified: i64) -> Self {
        Self { mark: mark(home.as_bytes(), name.as_bytes()).unwrap_or(Mark::Word), modified }
    }

    /// Whether it was rotated after `other` was.
    pub(crate) fn is_younger_than(&self, other: &Self) -> bool {
        match (&self.mark, &other.mark) {
            (Mark::Count(mine), Mark::Count(others)) if mine != others => mine < others,
            (Mark::Date(mine), Mark::Date(others)) if mine != others => mine > others,
            // A packed copy of the same beside it.
            (Mark::Count(_), Mark::Count(_)) | (Mark::Date(_), Mark::Date(_)) => false,
            _ => self.modified > other.modified,
        }
    }
}

/// Sorts siblings by age, the oldest first.
pub(crate) fn sort_by_age<T>(siblings: &mut [(Age, T)]) {
    // By their marks only if all have the same kind: an order of two kinds would not be one.
    let all_count = siblings.iter().all(|(age, _)| matches!(age.mark, Mark::Count(_)));
    let all_date = siblings.iter().all(|(age, _)| matches!(age.mark, Mark::Date(_)));
    siblings.sort_by(|(left, _), (right, _)| {
        let by_mark = match (&left.mark, &right.mark) {
            (Mark::Count(left), Mark::Count(right)) if all_count => right.cmp(left),
            (Mark::Date(left), Mark::Date(right)) if all_date => left.cmp(right),
            _ => Ordering::Equal,
        };
        by_mark.then(left.modified.cmp(&right.modified))
    });
}

/// Whether `name` is one that rotation gives to what was `home`.
pub(crate) fn is_sibling(home: &OsStr, name: &OsStr) -> bool {
    home != name && mark(home.as_bytes(), name.as_bytes()).is_some()
}

/// What `known` says of the longest name from which rotation may have made `name`.
pub(crate) fn origin<T>(name: &OsStr, mut known: impl FnMut(&OsStr) -> Option<T>) -> Option<T> {
    let mut known = |home: &OsStr| known(home).filter(|_| is_sibling(home, name));
    let bytes = unpacked(name.as_bytes());
    let stem_len = Path::new(OsStr::from_bytes(bytes)).file_stem().map_or(0, OsStr::len);
    let ending = bytes.get(stem_len..).unwrap_or_default();
    let separators = bytes.iter().enumerate().rev().filter(|(_, byte)| b".-_".contains(byte));
    known(OsStr::from_bytes(bytes)).or_else(|| {
        separators.map(|(at, _)| at).find_map(|at| {
            let stem = bytes.get(..at).unwrap_or_default();
            let dated = || OsString::from_vec([stem, ending].concat());
            known(OsStr::from_bytes(stem)).or_else(|| known(&dated()).filter(|_| at < stem_len))
        })
    })
}

/// The name without the ending that packing gave to it.
fn unpacked(name: &[u8]) -> &[u8] {
    PACKED.iter().find_map(|ending| name.strip_suffix(*ending)).unwrap_or(name)
}

/// The name of which packing may have made `name`.
pub(crate) fn before_packing(name: &OsStr) -> Option<&OsStr> {
    let plain = OsStr::from_bytes(unpacked(name.as_bytes()));
    (plain != name).then_some(plain)
}

fn mark(home: &[u8], name: &[u8]) -> Option<Mark> {
    let name = unpacked(name);
    if let Some(added) = name.strip_prefix(home) {
        return if added.is_empty() { Some(Mark::Word) } else { of_added(added, true) };
    }
    let dot = home.iter().rposition(|byte| *byte == b'.')?;
    let (stem, ending) = home.split_at_checked(dot)?;
    of_added(name.strip_prefix(stem)?.strip_suffix(ending)?, false)
}

/// What was added, with its separator. Words count only at the end: `app-error.log` is no rotated `app.log`.
fn of_added(added: &[u8], words: bool) -> Option<Mark> {
    let (separator, text) = added.split_first()?;
    if !b".-_".contains(separator) || text.is_empty() {
        return None;
    }
    if let Some(count) = std::str::from_utf8(text).ok().filter(|text| text.len() <= 4)
        && let Ok(count) = count.parse()
    {
        return Some(Mark::Count(count));
    }
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_digit).collect();
    let is_date =
        digits.len() >= 6 && text.iter().all(|byte| byte.is_ascii_digit() || b"-_.:TZ+".contains(byte));
    if is_date {
        Some(Mark::Date(digits))
    } else {
        (words && [&b"old"[..], b"bak", b"prev", b"last"].contains(&text)).then_some(Mark::Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_before_rotation_is_found_among_those_that_are_known() {
        let rows = [
            ("app.log.1", "app.log"),
            ("app.log-20261122.gz", "app.log"),
            ("app-20261122.log", "app.log"),
            ("app-2026-11-22.log.zst", "app.log"),
            ("app.log.gz", "app.log"),
            ("other-20261122.log", ""),
            ("syslog.2.gz", "syslog"),
            ("app-error.log", ""),
            ("app.log", ""),
        ];
        for (name, expected) in rows {
            let known = |home: &OsStr| (home == "app.log" || home == "syslog").then(|| home.to_owned());
            assert_eq!(origin(OsStr::new(name), known).unwrap_or_default(), expected, "{name}");
        }
    }

    #[test]
    fn names_that_rotation_gives_are_known() {
        let rows = [
            ("app.log", "app.log.1", true),
            ("app.log", "app.log.2.gz", true),
            ("app.log", "app.log-20261122", true),
            ("app.log", "app.log-20261122.zst", true),
            ("app.log", "app-20261122.log", true),
            ("app.log", "app-2026-11-22T10:00:00Z.log.gz", true),
            ("app.log", "app.1.log", true),
            ("app.log", "app.log.old", true),
            ("app.log", "app.log.gz", true),
            ("syslog", "syslog.1", true),
            ("app.log", "app.log", false),
            ("app.log", "app-error.log", false),
            ("app.log", "app.log.swp", false),
            ("app.log", "application.log", false),
            ("app", "app.log", false),
            ("app.log", "app.logs", false),
        ];
        for (home, name, expected) in rows {
            assert_eq!(is_sibling(OsStr::new(home), OsStr::new(name)), expected, "{home} {name}");
        }
    }

    #[test]
    fn the_oldest_comes_first() {
        let rows = [
            (["app.log.1", "app.log.10.gz", "app.log.2"], "app.log.10.gz app.log.2 app.log.1"),
            (
                ["app.log-20261122", "app.log-20261120.gz", "app.log-20261121"],
                "app.log-20261120.gz app.log-20261121 app.log-20261122",
            ),
            (["app.log.old", "app.log.1", "app-20261121.log"], "app.log.old app.log.1 app-20261121.log"),
        ];
        for (names, expected) in rows {
            let age = |name: &str, at: usize| Age::of(OsStr::new("app.log"), OsStr::new(name), at as i64);
            let mut siblings: Vec<(Age, &str)> =
                names.iter().enumerate().map(|(at, name)| (age(name, at), *name)).collect();
            sort_by_age(&mut siblings);
            let names: Vec<&str> = siblings.iter().map(|(_, name)| *name).collect();
            assert_eq!(names.join(" "), expected);
        }
    }

    #[test]
    fn what_was_rotated_later_is_younger() {
        let age = |name: &str, modified| Age::of(OsStr::new("a.log"), OsStr::new(name), modified);
        assert!(age("a.log.1", 5).is_younger_than(&age("a.log.2", 9)));
        assert!(!age("a.log.1.gz", 9).is_younger_than(&age("a.log.1", 5)));
        assert!(age("a.log-20261123", 5).is_younger_than(&age("a.log-20261122", 9)));
        assert!(age("a.log.old", 9).is_younger_than(&age("a.log.1", 5)));
    }
}
