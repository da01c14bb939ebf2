//! Open files of the whole host, from `/proc/sys/fs/file-nr`.

use telemetry::SampleBuffer;

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "open_files",
    summary: "Open files of the whole host, and how many there may be.",
    metrics: &[&names::FILE_DESCRIPTOR_COUNT, &names::FILE_DESCRIPTOR_LIMIT],
    interval: None,
    open: |_, _| Ok(Box::new(OpenFiles)),
};

struct OpenFiles;

impl Collector for OpenFiles {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let Some(file) = host.read_optional("proc/sys/fs/file-nr")? else {
            return Err(CollectError::Absent { what: "/proc/sys/fs/file-nr" });
        };
        let (open, limit) = parse(&file)?;
        out.int(&names::FILE_DESCRIPTOR_COUNT, &[], open);
        if let Some(limit) = limit {
            out.int(&names::FILE_DESCRIPTOR_LIMIT, &[], limit);
        }
        Ok(())
    }
}

/// Parses `707 0 2466170`: allocated, of which free (always 0 since Linux 2.6), and the limit; 2^63 - 1 is none.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<(i64, Option<i64>), CollectError> {
    let mut fields = file.text().split_ascii_whitespace();
    let mut next = || file.number::<u64>(&mut fields, "three numbers", file.text());
    let (allocated, free, limit) = (next()?, next()?, next()?);
    let open = i64::try_from(allocated.saturating_sub(free)).unwrap_or(i64::MAX);
    Ok((open, i64::try_from(limit).ok().filter(|limit| *limit != i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_not_told_as_a_large_one() {
        for (text, expected) in [
            ("707\t0\t2466170\n", Some((707, Some(2_466_170)))),
            ("707\t7\t9223372036854775807\n", Some((700, None))),
            ("1 0 18446744073709551615\n", Some((1, None))),
            ("707\t0\n", None),
            ("", None),
        ] {
            assert_eq!(parse(&HostFile::new("/proc/sys/fs/file-nr", text)).ok(), expected, "{text:?}");
        }
    }
}
