//! Memory of the host, from `/proc/meminfo`.
//!
//! The states of `system.memory.usage` overlap (used includes cache that cannot be reclaimed), so they do not add up
//! to the limit; the conventions accept it.

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "memory",
    summary: "Memory in use, available, in slabs and waiting to be written.",
    metrics: &[
        &names::MEMORY_LIMIT,
        &names::MEMORY_USAGE,
        &names::MEMORY_UTILIZATION,
        &names::MEMORY_AVAILABLE,
        &names::MEMORY_SLAB_USAGE,
        &names::MEMORY_DIRTY,
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
        if memory.available > 0 {
            out.int(&names::MEMORY_AVAILABLE, &[], memory.available);
        }
        out.int(&names::MEMORY_SLAB_USAGE, &[Value::Str("reclaimable")], memory.slab_reclaimable);
        out.int(&names::MEMORY_SLAB_USAGE, &[Value::Str("unreclaimable")], memory.slab_unreclaimable);
        out.int(&names::MEMORY_DIRTY, &[], memory.dirty);
        Ok(())
    }
}

/// Bytes each.
#[derive(Debug, Default)]
pub(crate) struct Meminfo {
    total: i64,
    free: i64,
    available: i64,
    buffers: i64,
    cached: i64,
    slab_reclaimable: i64,
    slab_unreclaimable: i64,
    dirty: i64,
}

impl Meminfo {
    /// What can be had without swapping; before Linux 3.14, which does not say, what is free or easily made so.
    fn available(&self) -> i64 {
        match self.available {
            0 => self.free.saturating_add(self.buffers).saturating_add(self.cached),
            available => available,
        }
    }
}

/// Parses lines like `MemTotal:       24684084 kB`; `MemAvailable` may be missing.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Meminfo, CollectError> {
    let mut memory = Meminfo::default();
    let mut seen = 0;
    for line in file.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let field = match key {
            "MemTotal" => &mut memory.total,
            "MemFree" => &mut memory.free,
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "SReclaimable" => &mut memory.slab_reclaimable,
            "SUnreclaim" => &mut memory.slab_unreclaimable,
            "Dirty" => &mut memory.dirty,
            "MemAvailable" => &mut memory.available,
            _ => continue,
        };
        let kibibytes: i64 = file.number(&mut rest.split_ascii_whitespace(), "a number of kB", line)?;
        *field = kibibytes.saturating_mul(1024);
        seen += usize::from(key != "MemAvailable");
    }
    if seen == 7 && memory.total > 0 {
        Ok(memory)
    } else {
        let expected = "MemTotal above 0, MemFree, Buffers, Cached, SReclaimable, SUnreclaim and Dirty";
        Err(file.malformed(expected, file.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 24684084 kB\nMemFree: 1 kB\nMemAvailable: 2 kB\nBuffers: 3 kB\nCached: 4 kB\n\
        SwapCached: 9 kB\nDirty: 5 kB\nSReclaimable: 6 kB\nSUnreclaim: 7 kB\nHugePages_Total: 0\n";

    #[test]
    fn kilobytes_become_bytes() {
        let memory = parse(&HostFile::new("/proc/meminfo", MEMINFO)).unwrap();
        assert_eq!((memory.total, memory.cached, memory.dirty), (24_684_084 * 1024, 4096, 5120));
    }

    #[test]
    fn an_old_kernel_does_not_say_what_is_available() {
        let text = MEMINFO.replace("MemAvailable: 2 kB\n", "");
        let memory = parse(&HostFile::new("/proc/meminfo", text)).unwrap();
        assert_eq!((memory.available, memory.available()), (0, 8 * 1024));
    }

    #[test]
    fn a_host_without_memory_is_not_believed() {
        for (good, bad, expected) in [
            ("24684084", "0", "MemTotal above 0"),
            ("MemFree: 1 kB", "MemFree: much", "a number of kB, found \"MemFree: much\""),
            ("Dirty: 5 kB\n", "", "SUnreclaim and Dirty"),
        ] {
            let error =
                parse(&HostFile::new("/proc/meminfo", MEMINFO.replace(good, bad))).unwrap_err().to_string();
            assert!(error.starts_with("/proc/meminfo: expected ") && error.contains(expected), "{error}");
        }
    }
}
