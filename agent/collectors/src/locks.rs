//! Locks that processes hold on files, from `/proc/locks`.
//!
//! Those who wait for a lock are not counted, and of those who hold one only what they hold, not who they are.

use std::collections::BTreeMap;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "locks",
    summary: "Locks that processes hold on files.",
    metrics: &[&names::LOCK_COUNT],
    interval: None,
    open: |_, _| Ok(Box::new(Locks)),
};

/// Kinds of locks that are told, each of which is a series; beyond it the collector fails after telling so many.
const MOST_KINDS: usize = 1000;

struct Locks;

impl Collector for Locks {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let Some(file) = host.read_optional("proc/locks")? else {
            return Err(CollectError::Absent { what: "/proc/locks" });
        };
        let kinds = parse(&file)?;
        for (kind, count) in kinds.iter().take(MOST_KINDS) {
            let (mechanism, mode) = (kind.mechanism.to_ascii_lowercase(), kind.mode.to_ascii_lowercase());
            let attributes = [kind.device, kind.access, &mechanism, &mode].map(Value::Str);
            out.int(&names::LOCK_COUNT, &attributes, *count);
        }
        at_most(MOST_KINDS, kinds.len(), &file.path(), "kinds of locks")
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind<'a> {
    device: &'a str,
    access: &'static str,
    mechanism: &'a str,
    mode: &'a str,
}

/// Parses `1: FLOCK  ADVISORY  WRITE 28800 fe:00:10715877 0 EOF` (`proc_locks(5)`). The line of one who waits has `->`
/// after the number; a lock that neither reads nor writes has no name in the conventions; both are left out.
pub(crate) fn parse<'a>(file: &'a HostFile<'_>) -> Result<BTreeMap<Kind<'a>, i64>, CollectError> {
    let mut kinds = BTreeMap::new();
    for line in file.lines() {
        let malformed = || file.malformed("a number, mechanism, mode, access, process and file", line);
        let mut fields = line.split_ascii_whitespace().skip(1).peekable();
        if fields.next_if_eq(&"->").is_some() {
            continue;
        }
        let mut next = || fields.next().ok_or_else(malformed);
        let (mechanism, mode, access, _process, inode) = (next()?, next()?, next()?, next()?, next()?);
        let access = match access {
            "READ" => "read",
            "WRITE" => "write",
            _ => continue,
        };
        // `<none>` where the file is gone.
        let device = inode.rsplit_once(':').map_or(inode, |(device, _)| device);
        *kinds.entry(Kind { device, access, mechanism, mode }).or_insert(0) += 1;
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_a_kind_are_counted_and_those_who_wait_are_not() {
        let text = "1: FLOCK  ADVISORY  WRITE 28800 fe:00:10715877 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 28650 fe:00:10715870 0 EOF\n\
            2: -> FLOCK  ADVISORY  WRITE 99 fe:00:10715870 0 EOF\n\
            3: POSIX  ADVISORY  READ  28650 08:11:7 128 128\n\
            4: LEASE  ACTIVE    UNLCK 28650 08:11:7 0 EOF\n\
            5: OFDLCK ADVISORY  READ  -1 08:11:7 0 EOF\n";
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("proc")).unwrap();
        std::fs::write(directory.path().join("proc/locks"), text).unwrap();
        let mut out = SampleBuffer::default();
        Locks.collect(&HostRoot::at(directory.path()), &mut out).unwrap();
        let line = |device: &str, access: &str, mechanism: &str, count: i64| {
            format!(
                "system.filesystem.lock.count{{system.device=\"{device}\",file.lock.type=\"{access}\",\
                 file.lock.mechanism=\"{mechanism}\",file.lock.mode=\"advisory\"}} {count}\n"
            )
        };
        let expected = [
            line("08:11", "read", "ofdlck", 1),
            line("08:11", "read", "posix", 1),
            line("fe:00", "write", "flock", 2),
        ];
        assert_eq!(out.to_text(), expected.concat());
    }

    #[test]
    fn a_short_line_is_named() {
        let error = parse(&HostFile::new("/proc/locks", "1: FLOCK ADVISORY")).unwrap_err().to_string();
        assert!(error.ends_with("access, process and file, found \"1: FLOCK ADVISORY\""), "{error}");
    }
}
