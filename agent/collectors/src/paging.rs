//! Swap space, from `/proc/swaps`, and what the kernel does to find memory, from `/proc/vmstat`.
//!
//! `/proc/vmstat` differs between kernels; a counter that this kernel does not have is left out.

use telemetry::{MetricSpec, SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "paging",
    summary: "Swap space, page faults, swapping, reclaim and out-of-memory kills.",
    metrics: &[
        &names::PAGING_USAGE,
        &names::PAGING_UTILIZATION,
        &names::PAGING_FAULTS,
        &names::PAGING_OPERATIONS,
        &names::OOM_KILLS,
        &names::WORKINGSET_REFAULTS,
        &names::RECLAIM_PAGES,
        &names::ALLOCATION_STALLS,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Paging)),
};

struct Paging;

impl Collector for Paging {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        // A kernel without swap support has no such file.
        if let Some(file) = host.read_optional("proc/swaps")? {
            swaps(&parse_swaps(&file)?, out);
        }
        vmstat(&parse_vmstat(&host.read("proc/vmstat")?)?, out);
        Ok(())
    }
}

pub(crate) struct Swap {
    device: String,
    size: i64,
    used: i64,
}

/// Parses `/dev/sda2  partition  2097148  1024  -2` after one line of titles; sizes are KiB.
pub(crate) fn parse_swaps(file: &HostFile<'_>) -> Result<Vec<Swap>, CollectError> {
    let expected = "a path, a type, a size and a use in KiB";
    file.lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let device = fields.next().ok_or_else(|| file.malformed(expected, line))?.to_owned();
            let mut sizes = fields.skip(1);
            let mut bytes = || -> Result<i64, CollectError> {
                Ok(file.number::<i64>(&mut sizes, expected, line)?.saturating_mul(1024))
            };
            Ok(Swap { device, size: bytes()?, used: bytes()? })
        })
        .collect()
}

fn swaps(swaps: &[Swap], out: &mut SampleBuffer) {
    let points = || {
        swaps.iter().flat_map(|swap| {
            [("used", swap.used), ("free", swap.size.saturating_sub(swap.used))]
                .map(|(state, bytes)| (swap, [Value::Str(state), Value::Str(&swap.device)], bytes))
        })
    };
    for (_, attributes, bytes) in points() {
        out.int(&names::PAGING_USAGE, &attributes, bytes);
    }
    for (swap, attributes, bytes) in points().filter(|(swap, ..)| swap.size > 0) {
        out.double(&names::PAGING_UTILIZATION, &attributes, bytes as f64 / swap.size as f64);
    }
}

/// The order in which reclaim is reported: as in `system.memory.linux.reclaim.source`.
const RECLAIMERS: [&str; 4] = ["kswapd", "direct", "khugepaged", "proactive"];

#[derive(Debug, Default)]
pub(crate) struct Vmstat {
    faults: i64,
    major_faults: i64,
    swapped_in: Option<i64>,
    swapped_out: Option<i64>,
    oom_kills: Option<i64>,
    refaults_anon: Option<i64>,
    refaults_file: Option<i64>,
    scanned: [Option<i64>; 4],
    stolen: [Option<i64>; 4],
    allocation_stalls: Option<i64>,
}

/// Parses lines `name value`.
pub(crate) fn parse_vmstat(file: &HostFile<'_>) -> Result<Vmstat, CollectError> {
    let mut stat = Vmstat::default();
    let (mut faults, mut major_faults) = (None, None);
    for line in file.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let field = match key {
            "pgfault" => &mut faults,
            "pgmajfault" => &mut major_faults,
            "pswpin" => &mut stat.swapped_in,
            "pswpout" => &mut stat.swapped_out,
            "oom_kill" => &mut stat.oom_kills,
            "workingset_refault_anon" => &mut stat.refaults_anon,
            // Before Linux 5.9 only file pages were counted, under the shorter name.
            "workingset_refault_file" | "workingset_refault" => &mut stat.refaults_file,
            _ => match split_vmstat(key, &mut stat) {
                Some(field) => field,
                None => continue,
            },
        };
        let value: i64 = value.parse().map_err(|_| file.malformed("a name and a number", line))?;
        *field = Some(field.unwrap_or(0).saturating_add(value));
    }
    let required = || file.malformed("the lines pgfault and pgmajfault", file.text());
    stat.faults = faults.ok_or_else(required)?;
    stat.major_faults = major_faults.ok_or_else(required)?;
    Ok(stat)
}

/// The counter that a name split by who reclaims, or by memory zone, belongs to.
fn split_vmstat<'a>(key: &str, stat: &'a mut Vmstat) -> Option<&'a mut Option<i64>> {
    if key.starts_with("allocstall_") {
        return Some(&mut stat.allocation_stalls);
    }
    let (by_reclaimer, suffix) = match key.strip_prefix("pgscan_") {
        Some(suffix) => (&mut stat.scanned, suffix),
        None => (&mut stat.stolen, key.strip_prefix("pgsteal_")?),
    };
    RECLAIMERS.iter().zip(by_reclaimer).find(|(name, _)| **name == suffix).map(|(_, field)| field)
}

fn vmstat(stat: &Vmstat, out: &mut SampleBuffer) {
    let mut counter = |metric: &'static MetricSpec, attributes: &[&'static str], value: Option<i64>| {
        let mut values = [Value::Absent; 2];
        for (slot, attribute) in values.iter_mut().zip(attributes) {
            *slot = Value::Str(attribute);
        }
        if let (Some(value), Some(values)) = (value, values.get(..attributes.len())) {
            out.int(metric, values, value);
        }
    };
    counter(&names::PAGING_FAULTS, &["major"], Some(stat.major_faults));
    counter(&names::PAGING_FAULTS, &["minor"], Some(stat.faults.saturating_sub(stat.major_faults)));
    counter(&names::PAGING_OPERATIONS, &["major", "in"], stat.swapped_in);
    counter(&names::PAGING_OPERATIONS, &["major", "out"], stat.swapped_out);
    counter(&names::OOM_KILLS, &[], stat.oom_kills);
    counter(&names::WORKINGSET_REFAULTS, &["anon"], stat.refaults_anon);
    counter(&names::WORKINGSET_REFAULTS, &["file"], stat.refaults_file);
    for (stage, by_reclaimer) in [("scan", stat.scanned), ("steal", stat.stolen)] {
        for (reclaimer, pages) in RECLAIMERS.into_iter().zip(by_reclaimer) {
            counter(&names::RECLAIM_PAGES, &[stage, reclaimer], pages);
        }
    }
    counter(&names::ALLOCATION_STALLS, &[], stat.allocation_stalls);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_in_use_and_free_add_up_to_its_size() {
        let text = "Filename Type Size Used Priority\n/dev/sda2 partition 2097148 1024 -2\n/swap\\040file file 8 8 -3\n";
        let mut out = SampleBuffer::default();
        swaps(&parse_swaps(&HostFile::new("/proc/swaps", text)).unwrap(), &mut out);
        let text = out.to_text();
        assert!(text.starts_with(
            "system.paging.usage{system.paging.state=\"used\",system.device=\"/dev/sda2\"} 1048576\n\
             system.paging.usage{system.paging.state=\"free\",system.device=\"/dev/sda2\"} 2146430976\n"
        ));
        assert!(text.ends_with("system.device=\"/swap\\\\040file\"} 0\n"), "{text}");
    }

    #[test]
    fn zones_add_up_and_what_is_no_reclaimer_is_left() {
        let text = "pgfault 10\npgmajfault 3\nallocstall_dma 1\nallocstall_normal 2\npgscan_direct 5\n\
            pgscan_direct_throttle 70\npgscan_anon 80\npgsteal_proactive 6\nworkingset_refault 9\n";
        let mut out = SampleBuffer::default();
        vmstat(&parse_vmstat(&HostFile::new("/proc/vmstat", text)).unwrap(), &mut out);
        assert_eq!(
            out.to_text(),
            "system.paging.faults{system.paging.fault.type=\"major\"} 3\n\
             system.paging.faults{system.paging.fault.type=\"minor\"} 7\n\
             system.memory.linux.workingset.refaults{system.memory.linux.workingset.type=\"file\"} 9\n\
             system.memory.linux.reclaim.pages{system.memory.linux.reclaim.stage=\"scan\",\
             system.memory.linux.reclaim.source=\"direct\"} 5\n\
             system.memory.linux.reclaim.pages{system.memory.linux.reclaim.stage=\"steal\",\
             system.memory.linux.reclaim.source=\"proactive\"} 6\n\
             system.memory.linux.allocation_stalls 3\n"
        );
    }

    #[test]
    fn malformed_lines_are_named() {
        let error =
            parse_swaps(&HostFile::new("/proc/swaps", "titles\n/dev/sda2 partition x\n")).err().unwrap();
        assert!(error.to_string().contains("/proc/swaps: expected a path, a type, a size"), "{error}");
        let error = parse_vmstat(&HostFile::new("/proc/vmstat", "pgfault ten\n")).unwrap_err();
        assert!(error.to_string().contains("/proc/vmstat: expected a name and a number"), "{error}");
    }
}
