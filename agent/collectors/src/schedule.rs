//! Runs the collectors, one after the other, and says how each fared.
//!
//! A collector that fails costs only itself. When to collect is the caller's business; so is time, which comes in as
//! an argument and a stopwatch.

use std::time::Duration;

use telemetry::{LeftOut, MetricSpec, SampleBuffer, Timestamp, Value};

use crate::collector::{COLLECTORS, Collector, CollectorSpec, Options};
use crate::cpu::boot_time;
use crate::error::CollectError;
use crate::events::{self, Exits, PressureThresholds, PressureTrigger, WatchedExits};
use crate::host::HostRoot;
use crate::lane::Lane;
use crate::names;
use crate::unit_states::UnitSignals;

/// The metrics that the schedule adds about the collectors.
pub static SCHEDULE_METRICS: &[&MetricSpec] = &[&names::COLLECTOR_SUCCESS, &names::COLLECTOR_DURATION];

/// A boot time that moved by more than this is believed: somebody set the clock. The kernel's value itself is rounded
/// to seconds.
const BOOT_TIME_SLACK: Duration = Duration::from_secs(1);

/// The enabled collectors of a host.
pub struct Collection {
    host: HostRoot,
    options: Options,
    boot: Timestamp,
    left_out: LeftOut,
    slots: Vec<Slot>,
    exits: Exits,
}

struct Slot {
    spec: &'static CollectorSpec,
    /// None until it could be opened.
    collector: Option<Box<dyn Collector>>,
}

/// One collector's failure in one cycle. Equal to that of another cycle when nothing changed, so that it need be
/// logged only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorFailure {
    /// The collector's name.
    pub collector: &'static str,
    /// What went wrong.
    pub error: CollectError,
}

impl Collection {
    /// Opens the collectors of [`COLLECTORS`] whose name is `enabled`. One that cannot be opened is tried again in
    /// every cycle.
    ///
    /// # Errors
    ///
    /// The time of boot, at which all counters of the host began, cannot be read.
    pub fn open(
        host: HostRoot,
        options: Options,
        enabled: &dyn Fn(&str) -> bool,
    ) -> Result<Self, CollectError> {
        let slots = COLLECTORS
            .iter()
            .filter(|spec| enabled(spec.name))
            .map(|spec| Slot { spec, collector: (spec.open)(&host, &options).ok() })
            .collect();
        let metrics = COLLECTORS.iter().flat_map(|spec| spec.metrics.iter().copied());
        let left_out = LeftOut::new(metrics.filter(|metric| !options.wants(metric)));
        Ok(Self { boot: boot_time(&host)?, host, options, left_out, slots, exits: Exits::default() })
    }

    /// The host that is collected.
    pub fn host(&self) -> &HostRoot {
        &self.host
    }

    /// Empties `out`, runs every collector at the time `at` and returns those that failed. `elapsed` says how long ago
    /// an arbitrary moment was; it is read before and after each collector.
    pub fn collect(
        &mut self,
        at: Timestamp,
        elapsed: &mut dyn FnMut() -> Duration,
        out: &mut SampleBuffer,
    ) -> Vec<CollectorFailure> {
        self.collect_those(&|_| true, at, elapsed, out)
    }

    /// Like [`Collection::collect`], but runs only the collectors of `lane`.
    pub fn collect_lane(
        &mut self,
        lane: &Lane,
        at: Timestamp,
        elapsed: &mut dyn FnMut() -> Duration,
        out: &mut SampleBuffer,
    ) -> Vec<CollectorFailure> {
        self.collect_those(&|name| lane.has(name), at, elapsed, out)
    }

    fn collect_those(
        &mut self,
        wanted: &dyn Fn(&str) -> bool,
        at: Timestamp,
        elapsed: &mut dyn FnMut() -> Duration,
        out: &mut SampleBuffer,
    ) -> Vec<CollectorFailure> {
        self.begin(at, out);
        let mut failures = Vec::new();
        let mut runs = Vec::with_capacity(self.slots.len());
        for slot in self.slots.iter_mut().filter(|slot| wanted(slot.spec.name)) {
            out.host();
            let before = elapsed();
            let result = slot.run(&self.host, &self.options, out);
            let took = elapsed().saturating_sub(before);
            if matches!(result, Err(CollectError::Absent { .. })) {
                continue;
            }
            runs.push((slot.spec.name, result.is_ok(), took));
            if let Err(error) = result {
                failures.push(CollectorFailure { collector: slot.spec.name, error });
            }
        }
        out.host();
        for (name, success, _) in &runs {
            out.int(&names::COLLECTOR_SUCCESS, &[Value::Str(name)], i64::from(*success));
        }
        for (name, _, took) in &runs {
            out.double(&names::COLLECTOR_DURATION, &[Value::Str(name)], took.as_secs_f64());
        }
        failures
    }

    /// Empties `out` and runs only the collector of this name, between its collections: nothing is said of how it fared.
    pub fn collect_between(&mut self, name: &str, at: Timestamp, out: &mut SampleBuffer) {
        self.begin(at, out);
        for slot in self.slots.iter_mut().filter(|slot| slot.spec.name == name) {
            // What fails is told when its turn comes.
            let _ = slot.run(&self.host, &self.options, out);
        }
        out.host();
    }

    /// Opens what tells of pressure, as far as this host has it.
    pub fn pressure_triggers(&self, thresholds: &PressureThresholds) -> Vec<PressureTrigger> {
        events::pressure_triggers(&self.host, thresholds)
    }

    /// What tells of the end of the processes that are watched, if they are others than when it was last asked.
    pub fn watched_exits(&mut self) -> Option<WatchedExits> {
        let collectors = self.slots.iter().filter_map(|slot| slot.collector.as_ref());
        let watched = collectors.flat_map(|collector| collector.watched().iter().copied());
        self.exits.change(&self.host, watched)
    }

    /// What tells of changes of units, if it was made since it was last asked for.
    pub fn unit_signals(&mut self) -> Option<UnitSignals> {
        self.slots.iter_mut().find_map(|slot| slot.collector.as_mut()?.signals())
    }

    /// Empties `out` for a collection at `at`.
    fn begin(&mut self, at: Timestamp, out: &mut SampleBuffer) {
        if let Ok(boot) = boot_time(&self.host)
            && boot.since(self.boot).max(self.boot.since(boot)) > BOOT_TIME_SLACK
        {
            self.boot = boot;
        }
        out.reset(at, self.boot);
        out.leave_out(&self.left_out);
    }
}

impl Slot {
    fn run(
        &mut self,
        host: &HostRoot,
        options: &Options,
        out: &mut SampleBuffer,
    ) -> Result<(), CollectError> {
        let collector = match &mut self.collector {
            Some(collector) => collector,
            none => none.insert((self.spec.open)(host, options)?),
        };
        collector.collect(host, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture_copy() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        for name in ["stat", "loadavg", "uptime"] {
            let file = HostRoot::fixture("firecracker-6.18").path(format!("proc/{name}"));
            std::fs::copy(file, dir.path().join("proc").join(name)).unwrap();
        }
        dir
    }

    fn open(dir: &tempfile::TempDir) -> Collection {
        let enabled = |name: &str| ["load", "uptime", "pressure", "watch"].contains(&name);
        Collection::open(HostRoot::at(dir.path()), Options::default(), &enabled).unwrap()
    }

    fn collect(collection: &mut Collection, out: &mut SampleBuffer) -> Vec<CollectorFailure> {
        let mut clock = Duration::ZERO;
        let mut elapsed = || {
            clock += Duration::from_millis(250);
            clock
        };
        collection.collect(Timestamp::from_secs(1_800_000_000), &mut elapsed, out)
    }

    #[test]
    fn a_collector_that_fails_costs_only_itself_and_is_the_same_failure_next_time() {
        let dir = fixture_copy();
        let mut collection = open(&dir);
        let mut out = SampleBuffer::default();
        let mut failures_with = |text: &str| {
            std::fs::write(dir.path().join("proc/uptime"), text).unwrap();
            (collect(&mut collection, &mut out), out.to_text())
        };
        let (first, text) = failures_with("long");
        assert_eq!(first.iter().map(|failure| failure.collector).collect::<Vec<_>>(), ["uptime"]);
        assert!(text.contains("system.cpu.load_average.1m "), "{text}");
        assert!(!text.contains("system.uptime "), "{text}");
        assert!(
            text.ends_with(
                "hostmend.collector.success{hostmend.collector.name=\"uptime\"} 0\n\
                 hostmend.collector.success{hostmend.collector.name=\"load\"} 1\n\
                 hostmend.collector.duration{hostmend.collector.name=\"uptime\"} 0.25\n\
                 hostmend.collector.duration{hostmend.collector.name=\"load\"} 0.25\n"
            ),
            "{text}"
        );
        assert_eq!(failures_with("longer").0, first);
        assert_eq!(failures_with("7.5 1").0, []);
    }

    #[test]
    fn counters_of_the_host_begin_at_boot_even_when_the_clock_was_set() {
        let dir = fixture_copy();
        let mut collection = open(&dir);
        let mut out = SampleBuffer::default();
        let mut start_with = |boot: i64| {
            let stat = HostRoot::fixture("firecracker-6.18").read("proc/stat").unwrap().text().to_owned();
            let old = boot_time(&HostRoot::fixture("firecracker-6.18")).unwrap().as_millis() / 1000;
            let stat = stat.replace(&format!("btime {old}"), &format!("btime {boot}"));
            std::fs::write(dir.path().join("proc/stat"), stat).unwrap();
            collect(&mut collection, &mut out);
            out.entities().next().unwrap().start
        };
        assert_eq!(start_with(1_790_000_000), Timestamp::from_secs(1_790_000_000));
        assert_eq!(start_with(1_790_000_001), Timestamp::from_secs(1_790_000_000), "rounding");
        assert_eq!(start_with(1_790_000_900), Timestamp::from_secs(1_790_000_900));
    }

    #[test]
    fn without_a_boot_time_nothing_can_be_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = Collection::open(HostRoot::at(dir.path()), Options::default(), &|_| true).err().unwrap();
        assert!(error.to_string().ends_with("proc/stat"), "{error}");
    }

    #[test]
    fn collectors_and_their_metrics_are_named_once() {
        let mut names: Vec<&str> = COLLECTORS.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLLECTORS.len());
        let mut metrics: Vec<&str> =
            COLLECTORS.iter().flat_map(|spec| spec.metrics).chain(SCHEDULE_METRICS).map(|m| m.name).collect();
        let listed = metrics.len();
        metrics.sort_unstable();
        metrics.dedup();
        assert_eq!(metrics.len(), listed);
    }
}
