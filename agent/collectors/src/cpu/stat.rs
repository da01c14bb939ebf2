//! What `/proc/stat` and `/proc/schedstat` say.

use telemetry::Timestamp;

use crate::error::CollectError;
use crate::host::HostFile;

/// Values of `cpu.mode`, in the order of [`Ticks`].
pub(super) const MODES: [&str; 7] = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];

/// Time by mode, in clock ticks.
pub(crate) type Ticks = [u64; MODES.len()];

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stat {
    pub(super) ticks: Ticks,
    pub(super) cpus: i64,
    pub(super) context_switches: i64,
    pub(super) interrupts: Option<i64>,
    pub(super) boot: Timestamp,
    pub(super) created: i64,
    pub(super) running: i64,
    pub(super) blocked: i64,
}

/// Parses the lines `cpu`, `cpuN`, `intr`, `ctxt`, `btime`, `processes`, `procs_running` and `procs_blocked`; others are left.
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
            "intr" => {
                stat.interrupts = Some(number()?);
                continue;
            }
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

/// The times of each CPU, from the lines `cpuN`.
pub(crate) fn parse_cpus<'f>(
    file: &'f HostFile<'_>,
) -> impl Iterator<Item = Result<(i64, Ticks), CollectError>> + use<'f> {
    cpu_lines(file).map(move |(number, line, fields)| Ok((number, modes(file, line, fields)?)))
}

/// The nanoseconds that tasks waited for each CPU, from lines like `cpu0 0 0 0 0 0 0 68139826 53170914 1087`: the eighth
/// number in versions 15 to 17 (the kernel's Documentation/scheduler/sched-stats.rst).
pub(crate) fn parse_schedstat<'f>(
    file: &'f HostFile<'_>,
) -> impl Iterator<Item = Result<(i64, u64), CollectError>> + use<'f> {
    cpu_lines(file).map(move |(number, line, fields)| {
        let mut fields = fields.split_ascii_whitespace().skip(7);
        Ok((number, file.number(&mut fields, "at least eight numbers after cpuN", line)?))
    })
}

/// The number, the line and what follows the name, of each line `cpuN`.
fn cpu_lines<'f>(file: &'f HostFile<'_>) -> impl Iterator<Item = (i64, &'f str, &'f str)> + use<'f> {
    file.text().lines().filter_map(|line| {
        let (number, fields) = line.strip_prefix("cpu")?.split_once(' ')?;
        Some((i64::from(number.parse::<u32>().ok()?), line, fields))
    })
}

/// `proc_stat(5)`: user nice system idle iowait irq softirq steal and the guests, which are within user and nice.
fn modes(file: &HostFile<'_>, line: &str, fields: &str) -> Result<Ticks, CollectError> {
    let mut fields = fields.split_ascii_whitespace();
    let mut next = || file.number::<u64>(&mut fields, "eight counts of ticks after cpu", line);
    Ok([next()?, next()?, next()?, next()?, next()?, next()?.saturating_add(next()?), next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  10 20 30 40 50 60 7 80 5 5\ncpu0 5 10 15 20 25 30 3 40 2 2\ncpu1 5 10 15 20 25 30 4 40 3 3\n\
        intr 212047 0 0\nctxt 329643\nbtime 1795248288\nprocesses 7958\nprocs_running 3\nprocs_blocked 1\n";

    #[test]
    fn both_kinds_of_interrupts_are_one_mode_and_guests_are_not_counted_twice() {
        let stat = parse(&HostFile::new("/proc/stat", STAT)).unwrap();
        assert_eq!(stat.ticks, [10, 20, 30, 40, 50, 67, 80]);
        assert_eq!(stat.interrupts, Some(212_047));
        assert_eq!((stat.cpus, stat.boot), (2, Timestamp::from_secs(1_795_248_288)));
        let file = HostFile::new("/proc/stat", STAT);
        let each: Vec<_> = parse_cpus(&file).map(Result::unwrap).collect();
        assert_eq!(each, [(0, [5, 10, 15, 20, 25, 33, 40]), (1, [5, 10, 15, 20, 25, 34, 40])]);
    }

    #[test]
    fn time_waited_is_the_eighth_number_of_a_cpu_and_domains_are_left() {
        let text = "version 17\ntimestamp 4294937441\ncpu0 1 2 3 4 5 6 7 53170914 1087\n\
            domain0 SMT 03 1 2 3 4 5 6 7 8 9\ncpu11 1 2 3 4 5 6 7 9 1\n";
        let file = HostFile::new("/proc/schedstat", text);
        let waited: Vec<_> = parse_schedstat(&file).map(Result::unwrap).collect();
        assert_eq!(waited, [(0, 53_170_914), (11, 9)]);
        let file = HostFile::new("/proc/schedstat", "cpu0 1 2 3");
        let error = parse_schedstat(&file).next().unwrap().unwrap_err().to_string();
        assert!(error.ends_with("at least eight numbers after cpuN, found \"cpu0 1 2 3\""), "{error}");
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
