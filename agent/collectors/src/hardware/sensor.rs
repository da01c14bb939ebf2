//! Sensors of `/sys/class/hwmon`: temperature, fans, voltage, power and energy with their limits and alarms.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::MetricSpec;

use super::inventory::{
    Component, Energy, Inventory, Source, State, device, entries_named, exists, is, text,
};
use crate::host::HostRoot;
use crate::names;
use crate::sysfs::{entries, number};

const CLASS: &str = "sys/class/hwmon";

/// A kind of sensor: how the kernel spells it and what its value and limits are called.
struct Kind {
    prefix: &'static str,
    /// `hw.type`; empty where the chip decides.
    component: &'static str,
    metric: &'static MetricSpec,
    /// Endings of the file with the value, the first that is there.
    values: &'static [&'static str],
    divisor: f64,
    limit: Option<&'static MetricSpec>,
    /// Ending of the file, `hw.limit_type`.
    limits: &'static [(&'static str, Says)],
}

type Says = &'static [(&'static str, &'static str)];

const LOW_CRITICAL: Says = &[("hw.limit_type", "low.critical")];
const LOW_DEGRADED: Says = &[("hw.limit_type", "low.degraded")];
const HIGH_DEGRADED: Says = &[("hw.limit_type", "high.degraded")];
const HIGH_CRITICAL: Says = &[("hw.limit_type", "high.critical")];
const MAXIMUM: Says = &[("hw.limit_type", "max")];

const AROUND: &[(&str, Says)] =
    &[("_lcrit", LOW_CRITICAL), ("_min", LOW_DEGRADED), ("_max", HIGH_DEGRADED), ("_crit", HIGH_CRITICAL)];

static KINDS: [Kind; 6] = [
    Kind {
        prefix: "temp",
        component: "temperature",
        metric: &names::HW_TEMPERATURE,
        values: &["_input"],
        divisor: 1e3,
        limit: Some(&names::HW_TEMPERATURE_LIMIT),
        limits: AROUND,
    },
    Kind {
        prefix: "fan",
        component: "fan",
        metric: &names::HW_FAN_SPEED,
        values: &["_input"],
        divisor: 1.0,
        limit: Some(&names::HW_FAN_SPEED_LIMIT),
        limits: &[("_min", LOW_DEGRADED), ("_max", MAXIMUM)],
    },
    Kind {
        prefix: "pwm",
        component: "fan",
        metric: &names::HW_FAN_SPEED_RATIO,
        values: &[""],
        divisor: 255.0,
        limit: None,
        limits: &[],
    },
    Kind {
        prefix: "in",
        component: "voltage",
        metric: &names::HW_VOLTAGE,
        values: &["_input"],
        divisor: 1e3,
        limit: Some(&names::HW_VOLTAGE_LIMIT),
        limits: AROUND,
    },
    Kind {
        prefix: "power",
        component: "",
        metric: &names::HW_POWER,
        values: &["_input", "_average"],
        divisor: 1e6,
        limit: None,
        limits: &[],
    },
    Kind {
        prefix: "energy",
        component: "",
        metric: &names::HW_ENERGY,
        values: &["_input"],
        divisor: 1e6,
        limit: None,
        limits: &[],
    },
];

pub(super) fn look(host: &HostRoot, inventory: &mut Inventory) {
    for entry in entries_named(host, CLASS, "hwmon") {
        let own = format!("{CLASS}/{entry}");
        // Drivers from before Linux 4 have their files beside the directory rather than in it.
        let directory =
            if exists(host, &format!("{own}/name")) { own.clone() } else { format!("{own}/device") };
        let directory = if exists(host, &directory) { directory } else { own.clone() };
        let name = text(host, &format!("{directory}/name"));
        let chip = device(host, &own, "hwmon").or_else(|| name.clone()).unwrap_or_else(|| entry.clone());
        let name = name.unwrap_or(entry);
        for ((kind, number), endings) in sensors(&entries(host, &directory)) {
            let Some(kind) = KINDS.get(kind) else { continue };
            let file = &format!("{}{number}", kind.prefix);
            let sensor = Sensor { chip: &chip, name: &name, directory: &directory, file, endings };
            add(host, kind, &sensor, inventory);
        }
    }
}

/// The sensors of a chip with the endings of their files, by kind and number.
fn sensors(files: &[String]) -> BTreeMap<(usize, u32), BTreeSet<&str>> {
    let mut found: BTreeMap<(usize, u32), BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        if let Some((kind, number, ending)) = parse_name(file) {
            found.entry((kind, number)).or_default().insert(ending);
        }
    }
    found
}

/// Parses `temp1_input` into the kind, the number and the ending.
fn parse_name(file: &str) -> Option<(usize, u32, &str)> {
    KINDS.iter().enumerate().find_map(|(at, kind)| {
        let rest = file.strip_prefix(kind.prefix)?;
        let ending = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = rest.strip_suffix(ending)?.parse().ok()?;
        (ending.is_empty() || ending.starts_with('_')).then_some((at, number, ending))
    })
}

struct Sensor<'a> {
    /// The device of the chip.
    chip: &'a str,
    /// The chip's own name.
    name: &'a str,
    directory: &'a str,
    file: &'a str,
    /// Of its files.
    endings: BTreeSet<&'a str>,
}

impl Sensor<'_> {
    fn path(&self, ending: &str) -> String {
        format!("{}/{}{ending}", self.directory, self.file)
    }

    fn has(&self, ending: &str) -> bool {
        self.endings.contains(ending)
    }
}

fn add(host: &HostRoot, kind: &Kind, of: &Sensor<'_>, inventory: &mut Inventory) {
    let Some(value) = kind.values.iter().find(|ending| of.has(ending)) else { return };
    let label = text(host, &of.path("_label"));
    let component = Component {
        id: format!("{}/{}", of.chip, of.file),
        kind: if kind.component.is_empty() { component_of(of.name) } else { kind.component },
        name: label.clone().unwrap_or_else(|| of.file.to_owned()),
        parent: of.chip.to_owned(),
        facts: label.iter().map(|label| ("hw.sensor_location", label.clone())).collect(),
        limit: None,
    };
    let at = inventory.add(component, of.name);
    let metric =
        if of.name == "power_meter" && kind.prefix == "power" { &names::HW_HOST_POWER } else { kind.metric };
    let source = if is(metric, &names::HW_ENERGY) {
        Source::Energy(Energy { path: of.path(value), ..Energy::default() })
    } else {
        Source::file(of.path(value), kind.divisor)
    };
    inventory.reads(metric, at, &[], source);
    if kind.prefix == "temp" && label.is_some_and(|label| is_ambient(&label)) {
        inventory.reads(&names::HW_HOST_AMBIENT, at, &[], Source::file(of.path(value), kind.divisor));
    }
    limits(host, kind, of, at, inventory);
    let parts: Vec<(String, super::inventory::Says)> =
        of.endings.iter().filter_map(|ending| Some((of.path(ending), says(ending)?))).collect();
    if !parts.is_empty() {
        inventory.reads(&names::HW_STATUS, at, &[], Source::Status { parts, combined: State::worst });
    }
}

fn limits(host: &HostRoot, kind: &Kind, of: &Sensor<'_>, at: usize, inventory: &mut Inventory) {
    for (ending, says) in kind.limits.iter().filter(|(ending, _)| of.has(ending)) {
        let (Some(metric), Some(number)) = (kind.limit, number(host, &of.path(ending))) else { continue };
        let limit = number / kind.divisor;
        // Of the two upper limits of a temperature the lower comes first. Drivers say 0 where there is none.
        let is_upper =
            kind.prefix == "temp" && limit > 0.0 && (*says == HIGH_DEGRADED || *says == HIGH_CRITICAL);
        if let Some(component) = inventory.components.get_mut(at).filter(|_| is_upper) {
            component.limit = Some(component.limit.map_or(limit, |least| least.min(limit)));
        }
        inventory.reads(metric, at, says, Source::Fixed(limit));
    }
}

/// What a file with this ending says, if it is an alarm or a fault.
fn says(ending: &str) -> Option<super::inventory::Says> {
    if ending.ends_with("_fault") {
        Some(|text| state(text, State::Failed))
    } else if ending.ends_with("_alarm") {
        Some(|text| state(text, State::Degraded))
    } else {
        None
    }
}

fn state(text: &str, raised: State) -> Option<State> {
    match text {
        "0" => Some(State::Ok),
        "1" => Some(raised),
        _ => None,
    }
}

/// `hw.type` of what a chip measures the power of. What stands on a board by itself mostly measures a supply.
fn component_of(chip: &str) -> &'static str {
    match chip {
        "amdgpu" | "nouveau" | "i915" | "xe" => "gpu",
        "coretemp" | "k10temp" | "zenpower" | "fam15h_power" | "amd_energy" => "cpu",
        "nvme" | "drivetemp" => "physical_disk",
        _ => "power_supply",
    }
}

fn is_ambient(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    label.contains("ambient") || label.contains("inlet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_sensor_that_its_name_says() {
        let of = |file| parse_name(file).map(|(kind, number, ending)| (KINDS[kind].prefix, number, ending));
        assert_eq!(of("temp1_input"), Some(("temp", 1, "_input")));
        assert_eq!(of("in10_crit_alarm"), Some(("in", 10, "_crit_alarm")));
        assert_eq!(of("pwm2"), Some(("pwm", 2, "")));
        for other in
            ["bogus1_input", "intrusion0_alarm", "temp_input", "temp1x", "in", "temp99999999999_input", "€"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_fault_is_worse_than_an_alarm() {
        for (ending, text, expected) in [
            ("_fault", "1", Some(State::Failed)),
            ("_crit_alarm", "1", Some(State::Degraded)),
            ("_alarm", "0", Some(State::Ok)),
            ("_alarm", "many", None),
        ] {
            assert_eq!(says(ending).unwrap()(text), expected);
        }
        assert!(says("_beep").is_none());
    }
}
