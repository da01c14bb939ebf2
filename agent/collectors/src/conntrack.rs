//! The table of tracked connections: how full it is and what was lost because of it.
//!
//! The files are there only while the module is loaded. Below `/proc/sys` the kernel tells of the reader's network
//! namespace, so the number of entries is taken from process 1's where it says one.

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "conntrack",
    summary: "Tracked connections, how many there may be and packets lost for want of an entry.",
    metrics: &[&names::CONNTRACK_USAGE, &names::CONNTRACK_LIMIT, &names::CONNTRACK_DROPS],
    interval: None,
    open: |_, _| Ok(Box::new(Conntrack)),
};

struct Conntrack;

impl Collector for Conntrack {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let Some(limit) = host.read_optional("proc/sys/net/netfilter/nf_conntrack_max")? else {
            return Err(CollectError::Absent { what: "tracked connections" });
        };
        let statistics = host.read_optional_of_init("net/stat/nf_conntrack")?;
        let statistics = statistics.map(|file| parse(&file)).transpose()?;
        let entries = match &statistics {
            Some(statistics) => statistics.entries,
            None => host.read("proc/sys/net/netfilter/nf_conntrack_count")?.first_number("a number")?,
        };
        out.int(&names::CONNTRACK_USAGE, &[], entries);
        out.int(&names::CONNTRACK_LIMIT, &[], limit.first_number("a number")?);
        for (reason, packets) in statistics.iter().flat_map(|statistics| statistics.drops) {
            out.int(&names::CONNTRACK_DROPS, &[Value::Str(reason)], packets);
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Statistics {
    entries: i64,
    drops: [(&'static str, i64); 3],
}

/// Parses a line of titles, then a line of hexadecimal numbers for each CPU. The entries are those of all CPUs, said
/// again on each line.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Statistics, CollectError> {
    let titles = file.lines().next().unwrap_or_default();
    let mut statistics =
        Statistics { entries: 0, drops: [("drop", 0), ("early_drop", 0), ("insert_failed", 0)] };
    for line in file.lines().skip(1) {
        let mut numbers = line.split_ascii_whitespace();
        for title in titles.split_ascii_whitespace() {
            let Some(number) = numbers.next().and_then(|number| i64::from_str_radix(number, 16).ok()) else {
                return Err(file.malformed("a hexadecimal number below each title", line));
            };
            if title == "entries" {
                statistics.entries = number;
            } else if let Some((_, sum)) = statistics.drops.iter_mut().find(|(name, _)| *name == title) {
                *sum = sum.saturating_add(number);
            }
        }
    }
    Ok(statistics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cpus_lost_is_added_up_and_entries_are_not() {
        let text = "entries  found insert_failed drop early_drop\n00000021 1 1 a 0\n00000021 1 2 10 3\n";
        assert_eq!(
            parse(&HostFile::new("/proc/1/net/stat/nf_conntrack", text)).unwrap(),
            Statistics { entries: 33, drops: [("drop", 26), ("early_drop", 3), ("insert_failed", 3)] }
        );
    }

    #[test]
    fn a_short_line_is_named() {
        let file = HostFile::new("/proc/1/net/stat/nf_conntrack", "entries drop\n1\n");
        assert!(parse(&file).unwrap_err().to_string().ends_with("below each title, found \"1\""));
    }

    #[test]
    fn a_host_that_tracks_no_connections_is_no_failure() {
        let mut out = SampleBuffer::default();
        let result = Conntrack.collect(&HostRoot::fixture("firecracker-6.18"), &mut out);
        assert_eq!(result, Err(CollectError::Absent { what: "tracked connections" }));
    }
}
