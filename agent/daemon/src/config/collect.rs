//! The section about what of the host is collected, and how often.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use collectors::names::COLLECTOR_SPELLINGS;
use collectors::{
    Budget, COLLECTORS, EventSource, Intervals, LONGEST_SEEN, LONGEST_WINDOW, Lanes, MIN_TICK, Options,
    PressureThresholds, WINDOW_STEP, Watch, WatchTarget,
};
use documents::{Review, Severity, Spanned, nearest};
use serde::Deserialize;
use telemetry::Spelling;

use super::{Base, Collect, DEFAULT_INTERVAL, DEFAULT_PROCESSES_TOP, NodeExporter};

/// Less than this the agent never takes, in bytes: 32 MiB.
const LEAST_MEMORY: u64 = 33_554_432;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CollectSection {
    /// Default `10s`.
    pub(super) interval: Option<Spanned<String>>,
    /// Of collectors that are asked more or less often than the others, by name.
    pub(super) intervals: BTreeMap<String, Spanned<String>>,
    pub(super) pressure_triggers: TriggersSection,
    /// How the metrics are spelled that are sent. Rules know them by their current names.
    pub(super) names: Names,
    pub(super) budget: BudgetSection,
    /// Tell of every CPU apart what is told of all together.
    pub(super) per_cpu: bool,
    /// Metrics to collect though they are off by default (`true`), or not to collect (`false`), by name;
    /// `hostmend list metrics` has them all.
    pub(super) metrics: BTreeMap<String, Spanned<bool>>,
    /// Names of collectors to leave out; `hostmend list collectors` has them all.
    pub(super) disable: Vec<Spanned<String>>,
    pub(super) processes: ProcessesSection,
    /// Directories whose size is watched.
    pub(super) directories: Vec<Spanned<String>>,
    /// The directory of text files, `*.prom`, in which others tell metrics. Default: none.
    pub(super) textfile: Option<Spanned<String>>,
    /// Processes that are counted by name, so that rules can see them missing.
    pub(super) watch: Vec<WatchSection>,
}

/// What the agent may take from the host; before it takes more, intervals become longer.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BudgetSection {
    /// Of one CPU; default `5%`.
    pub(super) cpu: Option<Spanned<String>>,
    /// Resident, in bytes; default 100663296 (96 MiB).
    pub(super) memory: Option<Spanned<u64>>,
}

/// Pressure that is judged at once: tasks waited for so long within a window. `0s` is never.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TriggersSection {
    /// Default `2s`.
    pub(super) window: Option<Spanned<String>>,
    /// Default `1s`.
    pub(super) cpu: Option<Spanned<String>>,
    /// Default `200ms`.
    pub(super) memory: Option<Spanned<String>>,
    /// Default `1s`.
    pub(super) io: Option<Spanned<String>>,
}

/// How metrics are spelled for the destinations.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Names {
    /// As the semantic conventions have it now.
    #[default]
    Current,
    /// As the hostmetrics receiver of the OpenTelemetry Collector sends them.
    Collector,
}

impl Names {
    /// What is spelled otherwise than it is named here.
    pub(crate) fn spellings(self) -> &'static [Spelling] {
        match self {
            Self::Current => &[],
            Self::Collector => COLLECTOR_SPELLINGS,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProcessesSection {
    /// How many processes are reported by CPU, and as many each by memory, disk I/O and descriptors; `0` reports all.
    /// Default 20.
    pub(super) top: Option<Spanned<usize>>,
    /// Tell the command lines of those that are reported, with secrets masked.
    pub(super) command_lines: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchSection {
    /// The name in the series' label `hostmend_watch_name`.
    pub(super) name: Spanned<String>,
    /// The file that the process writes its id to. Either this or `command`.
    pub(super) pid_file: Option<Spanned<String>>,
    /// The command's name, as `ps -o comm` prints it, or the name of its executable.
    pub(super) command: Option<Spanned<String>>,
}

pub(super) fn collect(section: &CollectSection, base: &Base, review: &mut Review) -> Collect {
    for name in &section.disable {
        is_collector(&name.value, name, review);
    }
    for (at, watch) in section.watch.iter().enumerate() {
        if section.watch.iter().take(at).any(|earlier| earlier.name.value == watch.name.value) {
            review
                .error(&watch.name, format!("two watches are named {:?}; name them apart", watch.name.value));
        }
    }
    let top = section.processes.top.as_ref().map_or(DEFAULT_PROCESSES_TOP, |top| top.value);
    let disabled = section.disable.iter().map(|name| name.value.clone()).collect();
    Collect {
        names: section.names,
        intervals: intervals(section, &disabled, review),
        disabled,
        pressure: triggers(&section.pressure_triggers, review),
        budget: budget(&section.budget, review),
        options: Options {
            directories: section.directories.iter().map(|path| base.path(&path.value)).collect(),
            watches: section.watch.iter().filter_map(|section| watch(section, base, review)).collect(),
            processes_top: (top > 0).then_some(top),
            // Rules are read later.
            named_processes: Vec::new(),
            command_lines: section.processes.command_lines,
            switched: switched(section, review),
            per_cpu: section.per_cpu,
        },
        node_exporter: NodeExporter::default(),
        textfile: section.textfile.as_ref().map(|path| base.path(&path.value)),
    }
}

fn is_collector<T>(name: &str, place: &Spanned<T>, review: &mut Review) {
    if !COLLECTORS.iter().any(|row| row.name == name) {
        let near = nearest(name, COLLECTORS.iter().map(|row| row.name));
        review.error(place, format!("there is no collector {name:?}")).hint = Some(near.map_or_else(
            || "`hostmend list collectors` names them all".to_owned(),
            |near| format!("did you mean `{near}`?"),
        ));
    }
}

fn intervals(section: &CollectSection, disabled: &BTreeSet<String>, review: &mut Review) -> Intervals {
    let mut by_name = BTreeMap::new();
    for (name, value) in &section.intervals {
        is_collector(name, value, review);
        by_name.extend(interval(value, review).map(|interval| (name.clone(), interval)));
    }
    let default = section.interval.as_ref().and_then(|value| interval(value, review));
    let intervals = Intervals { default: default.unwrap_or(DEFAULT_INTERVAL), by_name };
    let place = section.intervals.values().next().or(section.interval.as_ref());
    if !review.has_errors()
        && let (Err(error), Some(place)) = (Lanes::new(&intervals, &|name| !disabled.contains(name)), place)
    {
        review.error(place, error.to_string());
    }
    intervals
}

fn interval(value: &Spanned<String>, review: &mut Review) -> Option<Duration> {
    let interval = review.duration(value)?;
    if interval < MIN_TICK {
        review.error(value, "the interval is too short; 100ms is the shortest");
    } else if interval > LONGEST_SEEN {
        let problem = review.error(value, "rules may not see what is collected so seldom");
        problem.severity = Severity::Warning;
        problem.hint = Some(
            "they look back 5m for the newest sample of a series; with 2m or less one may be missed"
                .to_owned(),
        );
    }
    Some(interval)
}

fn budget(section: &BudgetSection, review: &mut Review) -> Budget {
    let default = Budget::default();
    let cpu = section.cpu.as_ref().and_then(|value| {
        review.read(value, |text| {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            percent
                .filter(|percent| *percent >= 0.1 && percent.is_finite())
                .map(|percent| percent / 100.0)
                .ok_or_else(|| format!("{text:?} is no share of a CPU; write it as in 5%, at least 0.1%"))
        })
    });
    if let Some(value) = &section.memory
        && value.value < LEAST_MEMORY
    {
        review.error(
            value,
            format!("{} bytes are too few: the agent itself takes {LEAST_MEMORY}", value.value),
        );
    }
    let memory = section.memory.as_ref().map_or(default.memory, |value| value.value);
    Budget { cpu: cpu.unwrap_or(default.cpu), memory }
}

fn triggers(section: &TriggersSection, review: &mut Review) -> PressureThresholds {
    let PressureThresholds { window, mut stalls } = PressureThresholds::default();
    let window = review.duration_or(section.window.as_ref(), window);
    let steps = window.as_nanos() / WINDOW_STEP.as_nanos();
    if let Some(value) = &section.window
        && (steps == 0 || WINDOW_STEP * steps as u32 != window || window > LONGEST_WINDOW)
    {
        review.error(value, "the kernel takes windows of 2s, 4s, 6s, 8s or 10s");
    }
    for (source, stall) in &mut stalls {
        let value = match source {
            EventSource::CpuPressure => &section.cpu,
            EventSource::MemoryPressure => &section.memory,
            EventSource::IoPressure => &section.io,
            EventSource::Exit | EventSource::UnitState => continue,
        };
        *stall = review.duration_or(value.as_ref(), *stall);
        if let Some(value) = value
            && *stall >= window
        {
            review.error(value, "nothing waits longer than the window; name less than it, or 0s for never");
        }
    }
    stalls.retain(|(_, stall)| !stall.is_zero());
    PressureThresholds { window, stalls }
}

fn watch(section: &WatchSection, base: &Base, review: &mut Review) -> Option<Watch> {
    let target = match (&section.pid_file, &section.command) {
        (Some(path), None) => WatchTarget::PidFile(base.path(&path.value)),
        (None, Some(command)) => WatchTarget::Command(command.value.clone()),
        _ => {
            let message = format!("watch {:?} needs either pid_file or command", section.name.value);
            review.error(&section.name, message);
            return None;
        }
    };
    Some(Watch { name: section.name.value.clone(), target })
}

/// The metrics that are switched against their default, of those that collectors have.
fn switched(section: &CollectSection, review: &mut Review) -> BTreeMap<String, bool> {
    let all = || COLLECTORS.iter().flat_map(|row| row.metrics).map(|metric| metric.name);
    for (name, on) in &section.metrics {
        if all().all(|known| known != name) {
            let hint = nearest(name, all()).map_or_else(
                || "`hostmend list metrics` names them all".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            review.error(on, format!("no collector has the metric {name:?}")).hint = Some(hint);
        }
    }
    section.metrics.iter().map(|(name, on)| (name.clone(), on.value)).collect()
}
