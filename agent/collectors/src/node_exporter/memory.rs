//! `meminfo` and `vmstat`.
//!
//! The table knows the lines of all current kernels; a line that it does not know is left out.

use telemetry::MetricSpec;

use super::Out;
use super::rows::{from, gauge, untyped};
use crate::error::CollectError;
use crate::host::HostRoot;

macro_rules! lines {
    ($($name:literal $key:literal)*) => {
        [$(gauge(concat!("node_memory_", $name), &[], concat!("The line ", $key, " of /proc/meminfo."))),*]
    };
}

pub(super) static MEMINFO: [MetricSpec; 64] = from(
    "/proc/meminfo",
    lines! {
        "MemTotal_bytes" "MemTotal" "MemFree_bytes" "MemFree" "MemAvailable_bytes" "MemAvailable"
        "Buffers_bytes" "Buffers" "Cached_bytes" "Cached" "SwapCached_bytes" "SwapCached"
        "Active_bytes" "Active" "Inactive_bytes" "Inactive"
        "Active_anon_bytes" "Active(anon)" "Inactive_anon_bytes" "Inactive(anon)"
        "Active_file_bytes" "Active(file)" "Inactive_file_bytes" "Inactive(file)"
        "Unevictable_bytes" "Unevictable" "Mlocked_bytes" "Mlocked"
        "HighTotal_bytes" "HighTotal" "HighFree_bytes" "HighFree" "LowTotal_bytes" "LowTotal"
        "LowFree_bytes" "LowFree" "MmapCopy_bytes" "MmapCopy"
        "SwapTotal_bytes" "SwapTotal" "SwapFree_bytes" "SwapFree" "Zswap_bytes" "Zswap"
        "Zswapped_bytes" "Zswapped" "Dirty_bytes" "Dirty" "Writeback_bytes" "Writeback"
        "AnonPages_bytes" "AnonPages" "Mapped_bytes" "Mapped" "Shmem_bytes" "Shmem"
        "KReclaimable_bytes" "KReclaimable" "Slab_bytes" "Slab" "SReclaimable_bytes" "SReclaimable"
        "SUnreclaim_bytes" "SUnreclaim" "KernelStack_bytes" "KernelStack"
        "ShadowCallStack_bytes" "ShadowCallStack" "PageTables_bytes" "PageTables"
        "SecPageTables_bytes" "SecPageTables" "NFS_Unstable_bytes" "NFS_Unstable"
        "Bounce_bytes" "Bounce" "WritebackTmp_bytes" "WritebackTmp" "CommitLimit_bytes" "CommitLimit"
        "Committed_AS_bytes" "Committed_AS" "VmallocTotal_bytes" "VmallocTotal"
        "VmallocUsed_bytes" "VmallocUsed" "VmallocChunk_bytes" "VmallocChunk" "Percpu_bytes" "Percpu"
        "HardwareCorrupted_bytes" "HardwareCorrupted" "AnonHugePages_bytes" "AnonHugePages"
        "ShmemHugePages_bytes" "ShmemHugePages" "ShmemPmdMapped_bytes" "ShmemPmdMapped"
        "FileHugePages_bytes" "FileHugePages" "FilePmdMapped_bytes" "FilePmdMapped"
        "CmaTotal_bytes" "CmaTotal" "CmaFree_bytes" "CmaFree" "Unaccepted_bytes" "Unaccepted"
        "Balloon_bytes" "Balloon" "HugePages_Total" "HugePages_Total" "HugePages_Free" "HugePages_Free"
        "HugePages_Rsvd" "HugePages_Rsvd" "HugePages_Surp" "HugePages_Surp"
        "Hugepagesize_bytes" "Hugepagesize" "Hugetlb_bytes" "Hugetlb" "DirectMap4k_bytes" "DirectMap4k"
        "DirectMap2M_bytes" "DirectMap2M" "DirectMap1G_bytes" "DirectMap1G"
    },
);

pub(super) fn meminfo(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/meminfo")?;
    let mut name = String::new();
    for line in file.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut fields = rest.split_ascii_whitespace();
        let value: u64 = file.number(&mut fields, "a number after the name", line)?;
        let in_kilobytes = fields.next() == Some("kB");
        name.clear();
        name.push_str("node_memory_");
        name.extend(key.chars().filter(|c| *c != ')').map(|c| if c == '(' { '_' } else { c }));
        if in_kilobytes {
            name.push_str("_bytes");
        }
        out.put_known(&name, &[], value as f64 * if in_kilobytes { 1024.0 } else { 1.0 });
    }
    Ok(())
}

pub(super) static VMSTAT: [MetricSpec; 7] = from(
    "/proc/vmstat",
    [
        untyped("node_vmstat_pgpgin", "KiB read from block devices."),
        untyped("node_vmstat_pgpgout", "KiB written to block devices."),
        untyped("node_vmstat_pswpin", "Pages read from swap."),
        untyped("node_vmstat_pswpout", "Pages written to swap."),
        untyped("node_vmstat_pgfault", "Page faults of both kinds."),
        untyped("node_vmstat_pgmajfault", "Page faults that had to read from a device."),
        untyped("node_vmstat_oom_kill", "Processes that were killed because memory had run out."),
    ],
);

pub(super) fn vmstat(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/vmstat")?;
    for line in file.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let Some(metric) = VMSTAT.iter().find(|row| row.name.strip_prefix("node_vmstat_") == Some(key))
        else {
            continue;
        };
        let value: u64 = file.number(&mut std::iter::once(value.trim()), "a number after the name", line)?;
        out.put(metric.name, &[], value as f64);
    }
    Ok(())
}
