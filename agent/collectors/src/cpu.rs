//! CPU time, scheduling and the time of boot, from `/proc/stat` and `/proc/schedstat`.
//!
//! For all CPUs together the line `cpu` is used rather than the sum of the lines `cpuN`: it keeps the time of CPUs that
//! went offline. The kernel lets idle and iowait go back by a little now and then; what is told of them never does.

mod stat;

use std::collections::BTreeMap;

use telemetry::{SampleBuffer, Timestamp, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::names;
use crate::rising::Rising;

use stat::{MODES, Ticks};
pub(crate) use stat::{parse, parse_cpus, parse_schedstat};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "cpu",
    summary: "CPU time by mode, interrupts, context switches, run queue and blocked tasks.",
    metrics: &[
        &names::CPU_TIME,
        &names::CPU_UTILIZATION,
        &names::CPU_LOGICAL_COUNT,
        &names::CONTEXT_SWITCHES,
        &names::INTERRUPTS,
        &names::RUN_QUEUE_LENGTH,
        &names::RUN_QUEUE_TIME,
        &names::BLOCKED_COUNT,
        &names::PROCESS_CREATED,
    ],
    interval: None,
    open: |_, options| Ok(Box::new(Cpu { each_apart: options.per_cpu, ..Cpu::default() })),
};

/// The number of a CPU, or `None` for all together.
type Which = Option<i64>;

#[derive(Default)]
struct Cpu {
    each_apart: bool,
    /// Of every CPU that was ever seen, or of all together. There are 8,192 at most, in Linux's largest configuration.
    times: BTreeMap<Which, Times>,
    /// Nanoseconds by CPU, those that are offline included.
    waited: BTreeMap<i64, Rising>,
}

impl Collector for Cpu {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let file = host.read("proc/stat")?;
        let stat = parse(&file)?;
        // node_exporter's measure: what falls by more than three seconds belongs to a CPU that was taken out.
        let slip = 3 * host.ticks_per_second() as u64;
        self.times.values_mut().for_each(|times| times.is_online = false);
        if self.each_apart {
            for cpu in parse_cpus(&file) {
                let (number, ticks) = cpu?;
                self.times.entry(Some(number)).or_default().read(ticks, slip);
            }
        } else {
            self.times.entry(None).or_default().read(stat.ticks, slip);
        }
        report_times(&self.times, host.ticks_per_second(), out);
        out.int(&names::CPU_LOGICAL_COUNT, &[], stat.cpus);
        out.int(&names::CONTEXT_SWITCHES, &[], stat.context_switches);
        if let Some(interrupts) = stat.interrupts {
            out.int(&names::INTERRUPTS, &[], interrupts);
        }
        out.int(&names::RUN_QUEUE_LENGTH, &[], stat.running);
        self.run_queue_time(host, out)?;
        out.int(&names::BLOCKED_COUNT, &[], stat.blocked);
        out.int(&names::PROCESS_CREATED, &[], stat.created);
        Ok(())
    }
}

impl Cpu {
    /// The file lists CPUs that are online; time waited for the others stays in the sum.
    fn run_queue_time(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        // Absent in kernels without CONFIG_SCHEDSTATS.
        let Some(file) = host.read_optional("proc/schedstat")? else { return Ok(()) };
        for cpu in parse_schedstat(&file) {
            let (number, nanos) = cpu?;
            let waited = self.waited.entry(number).or_default().at(nanos, 0);
            if self.each_apart {
                out.double(&names::RUN_QUEUE_TIME, &[Value::Int(number)], waited as f64 / 1e9);
            }
        }
        if !self.each_apart && !self.waited.is_empty() {
            let waited = self.waited.values().fold(0_u64, |sum, cpu| sum.saturating_add(cpu.last()));
            out.double(&names::RUN_QUEUE_TIME, &[Value::Absent], waited as f64 / 1e9);
        }
        Ok(())
    }
}

/// The time of a CPU by mode, in ticks.
#[derive(Default)]
struct Times {
    counters: [Rising; MODES.len()],
    now: Ticks,
    /// `None` until the second reading.
    grown: Option<Ticks>,
    is_online: bool,
}

impl Times {
    fn read(&mut self, ticks: Ticks, slip: u64) {
        let before = self.now;
        let is_first = self.counters.iter().all(|counter| counter.last() == 0);
        for ((counter, ticks), now) in self.counters.iter_mut().zip(ticks).zip(&mut self.now) {
            *now = counter.at(ticks, slip);
        }
        let mut grown = self.now;
        for (ticks, before) in grown.iter_mut().zip(before) {
            *ticks = ticks.saturating_sub(before);
        }
        self.grown = (!is_first).then_some(grown);
        self.is_online = true;
    }

    /// The share of each mode in the time since the reading before; `None` when there was none or no tick has passed.
    fn shares(&self) -> Option<[f64; MODES.len()]> {
        let grown = self.grown?;
        let all = grown.iter().fold(0_u64, |sum, ticks| sum.saturating_add(*ticks));
        (all > 0).then(|| grown.map(|ticks| ticks as f64 / all as f64))
    }
}

fn report_times(times: &BTreeMap<Which, Times>, ticks_per_second: f64, out: &mut SampleBuffer) {
    let online = || {
        times
            .iter()
            .filter(|(_, times)| times.is_online)
            .map(|(which, times)| (which.map_or(Value::Absent, Value::Int), times))
    };
    for (which, times) in online() {
        for (mode, ticks) in MODES.into_iter().zip(times.now) {
            out.double(&names::CPU_TIME, &[Value::Str(mode), which], ticks as f64 / ticks_per_second);
        }
    }
    for (which, shares) in online().filter_map(|(which, times)| Some((which, times.shares()?))) {
        for (mode, share) in MODES.into_iter().zip(shares) {
            out.double(&names::CPU_UTILIZATION, &[Value::Str(mode), which], share);
        }
    }
}

/// When the host was booted, to the second.
///
/// # Errors
///
/// `/proc/stat` cannot be read or has no `btime`.
pub(crate) fn boot_time(host: &HostRoot) -> Result<Timestamp, CollectError> {
    let file = host.read("proc/stat")?;
    // Its line comes after those of all CPUs and of all interrupts, which are long and of no interest here.
    let line = file.lines().find(|line| line.starts_with("btime ")).unwrap_or_default();
    Ok(Timestamp::from_secs(file.number(
        &mut line.split_ascii_whitespace().skip(1),
        "the line btime",
        line,
    )?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REST: &str = "intr 5\nctxt 1\nbtime 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";

    struct Machine {
        directory: tempfile::TempDir,
        cpu: Cpu,
    }

    impl Machine {
        fn new(each_apart: bool) -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("proc")).unwrap();
            Self { directory, cpu: Cpu { each_apart, ..Cpu::default() } }
        }

        /// The points whose line contains `what`, after the machine says `lines` in /proc/stat.
        fn told(&mut self, lines: &str, what: &str) -> String {
            std::fs::write(self.directory.path().join("proc/stat"), format!("{lines}{REST}")).unwrap();
            let mut out = SampleBuffer::default();
            let host = HostRoot::captured(self.directory.path().to_owned());
            self.cpu.collect(&host, &mut out).unwrap();
            out.to_text()
                .lines()
                .filter(|line| line.contains(what))
                .fold(String::new(), |text, line| text + line.rsplit_once(' ').unwrap().1 + " ")
        }

        fn schedstat(&self, text: &str) {
            std::fs::write(self.directory.path().join("proc/schedstat"), text).unwrap();
        }
    }

    #[test]
    fn idle_and_iowait_that_go_back_are_told_at_their_last_value() {
        let mut machine = Machine::new(false);
        let mut told =
            |idle: u64| machine.told(&format!("cpu  1 1 1 {idle} 900 1 1 1\n"), "cpu.time{cpu.mode=\"idle");
        assert_eq!([1000, 999, 800, 1100].map(&mut told), ["10 ", "10 ", "10 ", "11 "]);
    }

    #[test]
    fn a_cpu_that_comes_back_goes_on_from_where_it_stood() {
        let mut machine = Machine::new(true);
        let cpus =
            |ticks: u64| format!("cpu  1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1\ncpu1 {ticks} 1 1 1 1 1 1 1\n");
        let user = "cpu.time{cpu.mode=\"user";
        assert_eq!(machine.told(&cpus(5000), user), "0.01 50 ");
        assert_eq!(machine.told("cpu  1 1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1 1\n", user), "0.01 ");
        assert_eq!(machine.told(&cpus(0), user), "0.01 50 ");
        assert_eq!(machine.told(&cpus(100), user), "0.01 51 ");
    }

    #[test]
    fn shares_are_of_the_time_between_two_readings_and_add_up_to_1() {
        let mut machine = Machine::new(false);
        assert_eq!(machine.told("cpu  100 0 0 900 0 0 0 0\n", "utilization"), "");
        assert_eq!(machine.told("cpu  150 0 25 900 0 10 15 0\n", "utilization"), "0.5 0 0.25 0 0 0.25 0 ");
        assert_eq!(machine.told("cpu  150 0 25 900 0 10 15 0\n", "utilization"), "", "no tick has passed");
        assert_eq!(machine.told("cpu  150 0 25 950 0 10 15 50\n", "utilization"), "0 0 0 0.5 0 0 0.5 ");
    }

    #[test]
    fn each_cpu_is_told_instead_of_all_together() {
        let mut machine = Machine::new(true);
        let text =
            machine.told("cpu  3 0 0 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0 0\ncpu1 2 0 0 0 0 0 0 0\n", "\"user\"");
        assert_eq!(text, "0.01 0.02 ");
        machine.schedstat("cpu0 0 0 0 0 0 0 0 1000000000 1\ncpu1 0 0 0 0 0 0 0 500000000 1\n");
        assert_eq!(machine.told("cpu  3 0 0 0 0 0 0 0\n", "run_queue.time{cpu.logical_number=1}"), "0.5 ");
    }

    #[test]
    fn time_waited_for_a_cpu_stays_in_the_sum_when_it_goes_offline() {
        let mut machine = Machine::new(false);
        let mut told = |schedstat: &str| {
            machine.schedstat(schedstat);
            machine.told("cpu  3 0 0 0 0 0 0 0\n", "run_queue.time")
        };
        assert_eq!(told("cpu0 0 0 0 0 0 0 0 1000000000 1\ncpu1 0 0 0 0 0 0 0 500000000 1\n"), "1.5 ");
        assert_eq!(told("cpu0 0 0 0 0 0 0 0 2000000000 1\n"), "2.5 ");
        assert_eq!(told("cpu0 0 0 0 0 0 0 0 2000000000 1\ncpu1 0 0 0 0 0 0 0 7 1\n"), "2.5 ");
    }

    proptest! {
        #[test]
        fn no_counter_falls_and_shares_add_up_whatever_the_kernel_says(
            readings in prop::collection::vec((prop::collection::vec(0..2000_u64, 8), 0..3_usize), 2..8),
            each_apart in any::<bool>(),
        ) {
            let mut cpu = Cpu { each_apart, ..Cpu::default() };
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("proc")).unwrap();
            let host = HostRoot::captured(directory.path().to_owned());
            let mut before = BTreeMap::new();
            for (ticks, cpus) in readings {
                let ticks: Vec<String> = ticks.iter().map(u64::to_string).collect();
                let ticks = ticks.join(" ");
                let each: Vec<String> = (0..cpus).map(|number| format!("cpu{number} {ticks} 0\n")).collect();
                let each = each.concat();
                std::fs::write(directory.path().join("proc/stat"), format!("cpu  {ticks}\n{each}{REST}")).unwrap();
                std::fs::write(directory.path().join("proc/schedstat"), &each).unwrap();
                let mut out = SampleBuffer::default();
                cpu.collect(&host, &mut out).unwrap();
                let mut shares = BTreeMap::new();
                for line in out.to_text().lines() {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    let value: f64 = value.parse().unwrap();
                    if series.contains(".utilization") {
                        let number = series.split_once(',').map(|(_, number)| number.to_owned());
                        *shares.entry(number).or_insert(0.0) += value;
                    } else if series.contains(".time") {
                        let last = before.insert(series.to_owned(), value).unwrap_or(0.0);
                        prop_assert!(value >= last, "{series} fell from {last} to {value}");
                    }
                }
                for (number, sum) in shares {
                    prop_assert!((sum - 1.0).abs() < 1e-9, "{number:?}: {sum}");
                }
            }
        }
    }
}
