//! The section about what of the host is collected, and how often.

use std::collections::BTreeMap;
use std::time::Duration;

use collectors::{COLLECTORS, Options, Watch, WatchTarget};
use documents::{Review, Spanned, nearest};
use serde::Deserialize;

use super::{Base, Collect, DEFAULT_INTERVAL, DEFAULT_PROCESSES_TOP};

/// Collecting more often than this would cost more than it shows.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CollectSection {
    /// Default `10s`.
    pub(super) interval: Option<Spanned<String>>,
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
    /// Processes that are counted by name, so that rules can see them missing.
    pub(super) watch: Vec<WatchSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProcessesSection {
    /// How many processes are reported by CPU and as many by memory; `0` reports all. Default 20.
    pub(super) top: Option<Spanned<usize>>,
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
    let interval = review.duration_or(section.interval.as_ref(), DEFAULT_INTERVAL);
    if let Some(value) = &section.interval
        && interval < MIN_INTERVAL
    {
        review.error(value, "the interval is too short; 100ms is the shortest");
    }
    for name in &section.disable {
        if !COLLECTORS.iter().any(|row| row.name == name.value) {
            let near = nearest(&name.value, COLLECTORS.iter().map(|row| row.name));
            review.error(name, format!("there is no collector {:?}", name.value)).hint =
                Some(near.map_or_else(
                    || "`hostmend list collectors` names them all".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ));
        }
    }
    for (at, watch) in section.watch.iter().enumerate() {
        if section.watch.iter().take(at).any(|earlier| earlier.name.value == watch.name.value) {
            review
                .error(&watch.name, format!("two watches are named {:?}; name them apart", watch.name.value));
        }
    }
    let top = section.processes.top.as_ref().map_or(DEFAULT_PROCESSES_TOP, |top| top.value);
    Collect {
        interval,
        disabled: section.disable.iter().map(|name| name.value.clone()).collect(),
        options: Options {
            directories: section.directories.iter().map(|path| base.path(&path.value)).collect(),
            watches: section.watch.iter().filter_map(|section| watch(section, base, review)).collect(),
            processes_top: (top > 0).then_some(top),
            switched: switched(section, review),
            per_cpu: section.per_cpu,
        },
    }
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
