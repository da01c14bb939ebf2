//! Which components there are and where their values stand.

use std::collections::BTreeSet;

use telemetry::MetricSpec;

use crate::error::CollectError;
use crate::host::HostRoot;
use crate::sysfs::{self, entries};

/// The longest text that is kept of a label, in characters.
const LONGEST_TEXT: usize = 100;

/// Directories in which a component appears when it comes.
const CLASSES: [&str; 7] = [
    "sys/class/hwmon",
    "sys/class/power_supply",
    "sys/class/powercap",
    "sys/class/net",
    "sys/class/drm",
    "sys/block",
    "sys/devices/system/edac/mc",
];

/// The names of all components, to see whether one came or went, and how many the largest directory has.
pub(super) fn what_is_there(host: &HostRoot) -> (String, usize) {
    let mut all = String::new();
    let mut most = 0;
    for class in CLASSES {
        let names = entries(host, class);
        most = most.max(names.len());
        for name in names {
            all.push_str(&name);
            all.push('/');
        }
        all.push('\n');
    }
    (all, most)
}

/// The names in `directory` that begin with `prefix`.
pub(super) fn entries_named(host: &HostRoot, directory: &str, prefix: &str) -> Vec<String> {
    let mut names = entries(host, directory);
    names.retain(|name| name.starts_with(prefix));
    names
}

pub(super) fn exists(host: &HostRoot, path: &str) -> bool {
    host.path(path).exists()
}

/// The text of a file without the blanks around it and what firmware leaves behind it; `None` when it cannot be read or is empty.
pub(super) fn text(host: &HostRoot, path: &str) -> Option<String> {
    let file = host.read(path).ok()?;
    let text: String = file
        .text()
        .trim_matches(|c: char| c.is_whitespace() || c == '\0' || c == '\u{fffd}')
        .chars()
        .take(LONGEST_TEXT)
        .collect();
    (!text.is_empty()).then_some(text)
}

/// The directory of the device that an entry of a class leads to: of `../../devices/platform/coretemp.0/hwmon/hwmon0`
/// it is `coretemp.0`, whose name holds from boot to boot as that of `hwmon0` does not. `None` when it is no link or
/// the device is not a real one.
pub(super) fn device(host: &HostRoot, path: &str, class: &str) -> Option<String> {
    let target = std::fs::read_link(host.path(path)).ok()?;
    let target = target.to_str()?;
    if target.contains("/virtual/") && class != "hwmon" {
        return None;
    }
    let mut parts = target.rsplit('/').filter(|part| !part.is_empty()).skip(1);
    parts.find(|part| *part != class && *part != "..").map(str::to_owned)
}

/// Whether it is this metric.
pub(super) fn is(metric: &'static MetricSpec, this: &'static MetricSpec) -> bool {
    std::ptr::eq(metric, this)
}

/// A physical component.
#[derive(Debug, Default)]
pub(super) struct Component {
    /// `hw.id`, unique on this host.
    pub(super) id: String,
    /// `hw.type`.
    pub(super) kind: &'static str,
    /// `hw.name`.
    pub(super) name: String,
    /// `hw.parent`, the `hw.id` of another component or of none that is told of.
    pub(super) parent: String,
    /// Further attributes by their keys.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The temperature that it should stay below.
    pub(super) limit: Option<f64>,
}

/// A value of a component.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) metric: &'static MetricSpec,
    /// Where the component stands among the components.
    pub(super) component: usize,
    /// Attributes that tell this value from others of the component.
    pub(super) says: &'static [(&'static str, &'static str)],
    pub(super) cpu: Option<i64>,
    pub(super) source: Source,
}

/// Says which state a text of the kernel means, if any.
pub(super) type Says = fn(&str) -> Option<State>;

/// Says in which state a component is whose parts are in these.
pub(super) type Combined = fn(&mut dyn Iterator<Item = State>) -> Option<State>;

/// Where a value comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Does not change while the component is there.
    Fixed(f64),
    /// A number in a file, divided; of several what `fold` makes of them.
    Files { paths: Vec<String>, divisor: f64, fold: fn(f64, f64) -> f64 },
    /// A counter of energy that wraps.
    Energy(Energy),
    /// Files that say in which state the component or its parts are.
    Status { parts: Vec<(String, Says)>, combined: Combined },
}

impl Source {
    pub(super) fn file(path: String, divisor: f64) -> Self {
        Self::Files { paths: vec![path], divisor, fold: f64::max }
    }

    /// `None` where there is a file but no number, as the speed of a link that is down.
    pub(super) fn read(&mut self, host: &HostRoot) -> Result<Option<f64>, CollectError> {
        match self {
            Self::Fixed(value) => Ok(Some(*value)),
            Self::Files { paths, divisor, fold } => {
                let mut folded = None;
                for path in paths {
                    let Some(number) = sysfs::parse(host.read(&*path)?.text()) else { continue };
                    folded = Some(folded.map_or(number, |so_far| fold(so_far, number)));
                }
                Ok(folded.map(|number| number / *divisor))
            }
            Self::Energy(energy) => {
                let number = sysfs::parse(host.read(&energy.path)?.text());
                Ok(number.map(|microjoules| energy.joules(microjoules)))
            }
            Self::Status { .. } => Ok(None),
        }
    }
}

/// A counter of microjoules that begins again at 0 when it reaches its range: every hour or so under load.
#[derive(Clone, Debug, Default)]
pub(super) struct Energy {
    pub(super) path: String,
    pub(super) range: f64,
    pub(super) last: f64,
    pub(super) wrapped: f64,
}

impl Energy {
    pub(super) fn joules(&mut self, microjoules: f64) -> f64 {
        if microjoules < self.last {
            self.wrapped += self.range;
        }
        self.last = microjoules;
        (self.wrapped + microjoules) / 1e6
    }
}

/// `hw.state`, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Ok,
    Degraded,
    Failed,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }

    /// A component is as bad as its worst part.
    pub(super) fn worst(parts: &mut dyn Iterator<Item = Self>) -> Option<Self> {
        parts.max()
    }

    /// A component of which each part can stand in for the others.
    pub(super) fn shared(parts: &mut dyn Iterator<Item = Self>) -> Option<Self> {
        let (mut best, mut worst) = (Self::Failed, None);
        for state in parts {
            best = best.min(state);
            worst = worst.max(Some(state));
        }
        worst.map(|worst| if best == Self::Ok && worst > Self::Ok { Self::Degraded } else { worst })
    }
}

/// What the kernel's words for the state of an array, a disk, a link or a battery mean.
pub(crate) fn state_of(word: &str) -> Option<State> {
    Some(match word {
        // md/array_state; SCSI and NVMe state; MII status; health of a power supply.
        "clean" | "active" | "active-idle" | "write-pending" | "readonly" | "read-auto" | "running"
        | "live" | "up" | "Good" => State::Ok,
        "suspended"
        | "blocked"
        | "created-blocked"
        | "quiesce"
        | "created"
        | "new"
        | "resetting"
        | "connecting"
        | "going down"
        | "going back"
        | "Warm"
        | "Cool"
        | "Hot"
        | "Cold"
        | "Overheat"
        | "Calibration required" => State::Degraded,
        "inactive"
        | "broken"
        | "clear"
        | "offline"
        | "transport-offline"
        | "cancel"
        | "deleted"
        | "deleting"
        | "deleting (no IO)"
        | "dead"
        | "down"
        | "Dead"
        | "Over voltage"
        | "Unspecified failure"
        | "Watchdog timer expire"
        | "Safety timer expire"
        | "Over current"
        | "No battery" => State::Failed,
        _ => return None,
    })
}

/// The components of a host.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) seen: String,
    pub(super) components: Vec<Component>,
    pub(super) readings: Vec<Reading>,
    ids: BTreeSet<String>,
}

impl Inventory {
    pub(super) fn new(seen: String) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Adds a component and says where it stands. An `hw.id` that there is already is told apart by `otherwise`.
    pub(super) fn add(&mut self, mut component: Component, otherwise: &str) -> usize {
        while self.ids.contains(&component.id) {
            component.id = format!("{otherwise}/{}", component.id);
        }
        self.ids.insert(component.id.clone());
        self.components.push(component);
        self.components.len() - 1
    }

    pub(super) fn reads(
        &mut self,
        metric: &'static MetricSpec,
        component: usize,
        says: &'static [(&'static str, &'static str)],
        source: Source,
    ) {
        self.readings.push(Reading { metric, component, says, cpu: None, source });
    }

    /// The same when the file is there.
    pub(super) fn reads_file(
        &mut self,
        host: &HostRoot,
        metric: &'static MetricSpec,
        component: usize,
        says: &'static [(&'static str, &'static str)],
        (path, divisor): (String, f64),
    ) {
        if exists(host, &path) {
            self.reads(metric, component, says, Source::file(path, divisor));
        }
    }

    /// What was counted of each counter of energy.
    pub(super) fn into_energies(self) -> Vec<Energy> {
        let energy = |reading: Reading| match reading.source {
            Source::Energy(energy) => Some(energy),
            _ => None,
        };
        self.readings.into_iter().filter_map(energy).collect()
    }

    /// Goes on counting where another inventory ended.
    pub(super) fn keep_energies(&mut self, before: &[Energy]) {
        for reading in &mut self.readings {
            if let Source::Energy(energy) = &mut reading.source
                && let Some(known) = before.iter().find(|known| known.path == energy.path)
            {
                *energy = known.clone();
            }
        }
    }
}
