//! Memory of the host, from `/proc/meminfo`.
//!
//! The states of `system.memory.usage` overlap (used includes cache that cannot be reclaimed), so they do not add up
//! to the limit; the conventions accept it.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "memory",
    summary: "Memory in use, available, promised, in slabs, in huge pages and waiting to be written.",
    metrics: &[
        &names::MEMORY_LIMIT,
        &names::MEMORY_USAGE,
        &names::MEMORY_UTILIZATION,
        &names::MEMORY_AVAILABLE,
        &names::MEMORY_SLAB_USAGE,
        &names::MEMORY_DIRTY,
        &names::MEMORY_SHARED,
        &names::MEMORY_COMMITTED,
        &names::MEMORY_COMMITTED_LIMIT,
        &names::HUGEPAGES_LIMIT,
        &names::HUGEPAGES_PAGE_SIZE,
        &names::HUGEPAGES_RESERVED,
        &names::HUGEPAGES_SURPLUS,
        &names::HUGEPAGES_USAGE,
        &names::HUGEPAGES_UTILIZATION,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Memory)),
};

struct Memory;

impl Collector for Memory {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let memory = parse(&host.read("proc/meminfo")?)?;
        let states = [
            ("used", memory.total.saturating_sub(memory.available())),
            ("free", memory.free),
            ("buffers", memory.buffers),
            ("cached", memory.cached),
        ];
        out.int(&names::MEMORY_LIMIT, &[], memory.total);
        for (state, bytes) in states {
            out.int(&names::MEMORY_USAGE, &[Value::Str(state)], bytes);
        }
        for (state, bytes) in states {
            let share = bytes as f64 / memory.total as f64;
            out.double(&names::MEMORY_UTILIZATION, &[Value::Str(state)], share);
        }
        let level = |out: &mut SampleBuffer, metric: &'static MetricSpec, bytes: Option<i64>| {
            if let Some(bytes) = bytes {
                out.int(metric, &[], bytes);
            }
        };
        level(out, &names::MEMORY_AVAILABLE, memory.available);
        out.int(&names::MEMORY_SLAB_USAGE, &[Value::Str("reclaimable")], memory.slab_reclaimable);
        out.int(&names::MEMORY_SLAB_USAGE, &[Value::Str("unreclaimable")], memory.slab_unreclaimable);
        out.int(&names::MEMORY_DIRTY, &[], memory.dirty);
        level(out, &names::MEMORY_SHARED, memory.shared);
        level(out, &names::MEMORY_COMMITTED, memory.committed);
        level(out, &names::MEMORY_COMMITTED_LIMIT, memory.committed_limit);
        if let Some(pages) = memory.huge.complete() {
            huge_pages(&pages, out);
        }
        Ok(())
    }
}

/// Huge pages of the default size, counted in pages.
#[derive(Debug, Default)]
struct HugePages<N> {
    total: N,
    free: N,
    reserved: N,
    surplus: N,
    /// Bytes.
    size: N,
}

impl HugePages<Option<i64>> {
    /// A kernel built without huge pages says nothing of them.
    fn complete(&self) -> Option<HugePages<i64>> {
        Some(HugePages {
            total: self.total?,
            free: self.free?,
            reserved: self.reserved?,
            surplus: self.surplus?,
            size: self.size?,
        })
    }
}

fn huge_pages(pages: &HugePages<i64>, out: &mut SampleBuffer) {
    out.int(&names::HUGEPAGES_LIMIT, &[], pages.total);
    out.int(&names::HUGEPAGES_PAGE_SIZE, &[], pages.size);
    out.int(&names::HUGEPAGES_RESERVED, &[], pages.reserved);
    out.int(&names::HUGEPAGES_SURPLUS, &[], pages.surplus);
    let states = [("used", pages.total.saturating_sub(pages.free)), ("free", pages.free)];
    for (state, count) in states {
        out.int(&names::HUGEPAGES_USAGE, &[Value::Str(state)], count);
    }
    for (state, count) in states.into_iter().filter(|_| pages.total > 0) {
        out.double(&names::HUGEPAGES_UTILIZATION, &[Value::Str(state)], count as f64 / pages.total as f64);
    }
}

/// Bytes each.
#[derive(Debug, Default)]
pub(crate) struct Meminfo {
    total: i64,
    free: i64,
    available: Option<i64>,
    buffers: i64,
    cached: i64,
    slab_reclaimable: i64,
    slab_unreclaimable: i64,
    dirty: i64,
    shared: Option<i64>,
    committed: Option<i64>,
    committed_limit: Option<i64>,
    huge: HugePages<Option<i64>>,
}

impl Meminfo {
    /// What can be had without swapping; before Linux 3.14, which does not say, what is free or easily made so.
    fn available(&self) -> i64 {
        self.available.unwrap_or_else(|| self.free.saturating_add(self.buffers).saturating_add(self.cached))
    }
}

/// Parses lines like `MemTotal:       24684084 kB`; `MemAvailable` may be missing.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Meminfo, CollectError> {
    let mut memory = Meminfo::default();
    let mut seen = 0;
    for line in file.lines() {
        let Some((key, _)) = line.split_once(':') else { continue };
        let field = match key {
            "MemTotal" => &mut memory.total,
            "MemFree" => &mut memory.free,
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "SReclaimable" => &mut memory.slab_reclaimable,
            "SUnreclaim" => &mut memory.slab_unreclaimable,
            "Dirty" => &mut memory.dirty,
            _ => {
                optional_line(file, &mut memory, key, line)?;
                continue;
            }
        };
        *field = number(file, line)?.saturating_mul(1024);
        seen += 1;
    }
    if seen == 7 && memory.total > 0 {
        Ok(memory)
    } else {
        let expected = "MemTotal above 0, MemFree, Buffers, Cached, SReclaimable, SUnreclaim and Dirty";
        Err(file.malformed(expected, file.text()))
    }
}

/// What not every kernel says. `HugePages_Total:       4` is in pages, all else in kB.
fn optional_line(
    file: &HostFile<'_>,
    memory: &mut Meminfo,
    key: &str,
    line: &str,
) -> Result<(), CollectError> {
    let pages = &mut memory.huge;
    let (field, unit) = match key {
        "MemAvailable" => (&mut memory.available, 1024),
        "Shmem" => (&mut memory.shared, 1024),
        "Committed_AS" => (&mut memory.committed, 1024),
        "CommitLimit" => (&mut memory.committed_limit, 1024),
        "HugePages_Total" => (&mut pages.total, 1),
        "HugePages_Free" => (&mut pages.free, 1),
        "HugePages_Rsvd" => (&mut pages.reserved, 1),
        "HugePages_Surp" => (&mut pages.surplus, 1),
        "Hugepagesize" => (&mut pages.size, 1024),
        _ => return Ok(()),
    };
    *field = Some(number(file, line)?.saturating_mul(unit));
    Ok(())
}

/// The number after the name.
fn number(file: &HostFile<'_>, line: &str) -> Result<i64, CollectError> {
    file.number(&mut line.split_ascii_whitespace().skip(1), "a number after the name", line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 24684084 kB\nMemFree: 1 kB\nMemAvailable: 2 kB\nBuffers: 3 kB\nCached: 4 kB\n\
        SwapCached: 9 kB\nDirty: 5 kB\nShmem: 8 kB\nSReclaimable: 6 kB\nSUnreclaim: 7 kB\nCommitLimit: 30 kB\n\
        Committed_AS: 20 kB\n";
    const HUGE: &str = "HugePages_Total:       4\nHugePages_Free:        1\nHugePages_Rsvd:        1\n\
        HugePages_Surp:        0\nHugepagesize:       2048 kB\n";

    #[test]
    fn kilobytes_become_bytes() {
        let memory = parse(&HostFile::new("/proc/meminfo", MEMINFO)).unwrap();
        assert_eq!((memory.total, memory.cached, memory.dirty), (24_684_084 * 1024, 4096, 5120));
    }

    #[test]
    fn an_old_kernel_does_not_say_what_is_available() {
        let text = MEMINFO.replace("MemAvailable: 2 kB\n", "");
        let memory = parse(&HostFile::new("/proc/meminfo", text)).unwrap();
        assert_eq!((memory.available, memory.available()), (None, 8 * 1024));
        let text = MEMINFO.replace("MemAvailable: 2", "MemAvailable: 0");
        let memory = parse(&HostFile::new("/proc/meminfo", text)).unwrap();
        assert_eq!(memory.available(), 0, "there is nothing left");
    }

    #[test]
    fn huge_pages_are_told_where_the_kernel_knows_them_and_shares_where_there_are_any() {
        let told = |text: &str| {
            let mut out = SampleBuffer::default();
            let memory = parse(&HostFile::new("/proc/meminfo", format!("{MEMINFO}{text}"))).unwrap();
            if let Some(pages) = memory.huge.complete() {
                huge_pages(&pages, &mut out);
            }
            out.to_text().replace("system.memory.linux.hugepages.", "").replace('\n', "; ")
        };
        assert_eq!(told(""), "");
        assert_eq!(
            told(HUGE),
            "limit 4; page_size 2097152; reserved 1; surplus 0; usage{state=\"used\"} 3; usage{state=\"free\"} 1; \
             utilization{state=\"used\"} 0.75; utilization{state=\"free\"} 0.25; "
        );
        assert!(!told(&HUGE.replace("      4", "      0")).contains("utilization"));
    }

    #[test]
    fn a_host_without_memory_is_not_believed() {
        for (good, bad, expected) in [
            ("24684084", "0", "MemTotal above 0"),
            ("MemFree: 1 kB", "MemFree: much", "a number after the name, found \"MemFree: much\""),
            ("Dirty: 5 kB\n", "", "SUnreclaim and Dirty"),
        ] {
            let error =
                parse(&HostFile::new("/proc/meminfo", MEMINFO.replace(good, bad))).unwrap_err().to_string();
            assert!(error.starts_with("/proc/meminfo: expected ") && error.contains(expected), "{error}");
        }
    }
}
