//! CPU time, scheduling and the time of boot, from `/proc/stat`.
//!
//! The line `cpu` is used rather than the sum of the lines `cpuN`: it keeps the time of CPUs that went offline, so the
//! counters never fall.

use telemetry::{SampleBuffer, Timestamp, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "cpu",
    summary: "CPU time by mode, context switches, run queue and blocked tasks.",
    metrics: &[
        &names::CPU_TIME,
        &names::CPU_LOGICAL_COUNT,
        &names::CONTEXT_SWITCHES,
        &names::RUN_QUEUE_LENGTH,
        &names::BLOCKED_COUNT,
        &names::PROCESS_CREATED,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Cpu)),
};

struct Cpu;

impl Collector for Cpu {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let stat = parse(&host.read("proc/stat")?)?;
        for (mode, ticks) in stat.ticks {
            out.double(&names::CPU_TIME, &[Value::Str(mode)], ticks as f64 / host.ticks_per_second());
        }
        out.int(&names::CPU_LOGICAL_COUNT, &[], stat.cpus);
        out.int(&names::CONTEXT_SWITCHES, &[], stat.context_switches);
        out.int(&names::RUN_QUEUE_LENGTH, &[], stat.running);
        out.int(&names::BLOCKED_COUNT, &[], stat.blocked);
        out.int(&names::PROCESS_CREATED, &[], stat.created);
        Ok(())
    }
}

/// When the host was booted, to the second.
///
/// # Errors
///
/// `/proc/stat` cannot be read or has no `btime`.
pub fn boot_time(host: &HostRoot) -> Result<Timestamp, CollectError> {
    Ok(parse(&host.read("proc/stat")?)?.boot)
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stat {
    ticks: [(&'static str, u64); 7],
    cpus: i64,
    context_switches: i64,
    boot: Timestamp,
    created: i64,
    running: i64,
    blocked: i64,
}

/// Parses the lines `cpu`, `cpuN`, `ctxt`, `btime`, `processes`, `procs_running` and `procs_blocked`; others are left.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<Stat, CollectError> {
    let mut stat = Stat::default();
    let mut seen = 0;
    for line in file.lines() {
        let (key, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut fields = rest.split_ascii_whitespace();
        let mut number = || file.number(&mut fields, "a number after the name", line);
        match key {
            "cpu" => stat.ticks = modes(file, line, rest)?,
            "ctxt" => stat.context_switches = number()?,
            "btime" => stat.boot = Timestamp::from_secs(number()?),
            "processes" => stat.created = number()?,
            "procs_running" => stat.running = number()?,
            "procs_blocked" => stat.blocked = number()?,
            _ => {
                stat.cpus += i64::from(key.starts_with("cpu"));
                continue;
            }
        }
        seen += 1;
    }
    if seen == 6 {
        Ok(stat)
    } else {
        Err(file
            .malformed("the lines cpu, ctxt, btime, processes, procs_running and procs_blocked", file.text()))
    }
}

/// `proc_stat(5)`: user nice system idle iowait irq softirq steal and the guests, which are within user and nice.
fn modes(file: &HostFile<'_>, line: &str, fields: &str) -> Result<[(&'static str, u64); 7], CollectError> {
    let mut fields = fields.split_ascii_whitespace();
    let mut next = || file.number::<u64>(&mut fields, "eight counts of ticks after cpu", line);
    Ok([
        ("user", next()?),
        ("nice", next()?),
        ("system", next()?),
        ("idle", next()?),
        ("iowait", next()?),
        ("interrupt", next()?.saturating_add(next()?)),
        ("steal", next()?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  10 20 30 40 50 60 7 80 5 5\ncpu0 5 10 15 20 25 30 3 40 2 2\ncpu1 5 10 15 20 25 30 4 40 3 3\n\
        intr 212047 0 0\nctxt 329643\nbtime 1795248288\nprocesses 7958\nprocs_running 3\nprocs_blocked 1\n";

    #[test]
    fn both_kinds_of_interrupts_are_one_mode_and_guests_are_not_counted_twice() {
        let stat = parse(&HostFile::new("/proc/stat", STAT)).unwrap();
        assert_eq!(
            stat.ticks,
            [
                ("user", 10),
                ("nice", 20),
                ("system", 30),
                ("idle", 40),
                ("iowait", 50),
                ("interrupt", 67),
                ("steal", 80)
            ]
        );
        assert_eq!((stat.cpus, stat.boot), (2, Timestamp::from_secs(1_795_248_288)));
    }

    #[test]
    fn a_missing_or_broken_line_is_named() {
        for (good, bad, expected) in [
            ("btime 1795248288\n", "", "the lines cpu, ctxt, btime,"),
            ("ctxt 329643", "ctxt many", "expected a number after the name, found \"ctxt many\""),
            (
                "cpu  10 20 30 40 50 60 7 80 5 5",
                "cpu  10 20",
                "eight counts of ticks after cpu, found \"cpu  10 20\"",
            ),
        ] {
            let error = parse(&HostFile::new("/proc/stat", STAT.replace(good, bad))).unwrap_err().to_string();
            assert!(error.starts_with("/proc/stat: expected ") && error.contains(expected), "{error}");
        }
    }
}
