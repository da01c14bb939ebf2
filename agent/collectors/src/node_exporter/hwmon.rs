//! `hwmon`: sensors of chips, whatever their kind.
//!
//! The kernel names a file `temp2_max`: kind, number, element; `node_exporter` makes of kind and element a name and of kind
//! and number the label `sensor`. The table holds the elements that drivers document; others are left out.

use std::collections::BTreeMap;

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::{CollectError, at_most};
use crate::host::HostRoot;
use crate::sysfs;

const SENSOR: &[&str] = &["chip", "sensor"];

/// Chips that are looked at, and files of each: beyond it the source fails after telling of so many.
const MOST_CHIPS: usize = 256;
const MOST_FILES: usize = 2_048;

macro_rules! sensors {
    ($($kind:literal $unit:literal: $($element:literal)*;)*) => {
        [$($(gauge(
            concat!("node_hwmon_", $kind, $element, $unit),
            SENSOR,
            concat!("What sensors of the kind ", $kind, " say: ", $kind, $element, $unit, "."),
        )),*),*]
    };
}

pub(super) static HWMON: [MetricSpec; 153] = from(
    "/sys/class/hwmon",
    sensors! {
        "temp" "_celsius": "" "_min" "_max" "_crit" "_lcrit" "_emergency" "_min_hyst" "_max_hyst" "_crit_hyst"
            "_lcrit_hyst" "_emergency_hyst" "_offset" "_lowest" "_highest" "_min_alarm" "_max_alarm"
            "_crit_alarm" "_lcrit_alarm" "_emergency_alarm" "_enable" "_rated_min" "_rated_max"
            "_auto_point1_temp" "_auto_point2_temp" "_auto_point3_temp" "_auto_point4_temp";
        "temp" "": "_alarm" "_fault" "_beep_enabled" "_type";
        "in" "_volts": "" "_min" "_max" "_crit" "_lcrit" "_average" "_lowest" "_highest" "_min_alarm" "_max_alarm"
            "_crit_alarm" "_lcrit_alarm" "_enable" "_rated_min" "_rated_max";
        "in" "": "_alarm" "_fault" "_beep_enabled";
        "cpu" "_volts": "_vid";
        "fan" "_rpm": "" "_min" "_max" "_target";
        "fan" "": "_alarm" "_fault" "_beep_enabled" "_div" "_pulses" "_manual" "_output" "_tolerance"
            "_min_alarm" "_max_alarm" "_enable" "_safe";
        "pwm" "": "" "_enable" "_mode" "_freq" "_auto_channels_temp" "_floor" "_start" "_stop_time"
            "_step_down_time" "_step_up_time" "_target_temp" "_temp_sel" "_temp_tolerance" "_tolerance"
            "_crit_temp_tolerance" "_weight_duty_base" "_weight_duty_step" "_weight_temp_sel"
            "_weight_temp_step" "_weight_temp_step_base" "_weight_temp_step_tol"
            "_auto_point1_pwm" "_auto_point2_pwm" "_auto_point3_pwm" "_auto_point4_pwm" "_auto_point5_pwm"
            "_auto_point6_pwm" "_auto_point7_pwm" "_auto_point1_temp" "_auto_point2_temp" "_auto_point3_temp"
            "_auto_point4_temp" "_auto_point5_temp" "_auto_point6_temp" "_auto_point7_temp";
        "curr" "_amps": "" "_min" "_max" "_crit" "_lcrit" "_average" "_lowest" "_highest" "_min_alarm"
            "_max_alarm" "_crit_alarm" "_lcrit_alarm" "_enable" "_rated_min" "_rated_max";
        "curr" "": "_alarm" "_fault" "_beep_enabled";
        "power" "_watt": "" "_average" "_average_highest" "_average_lowest" "_average_max" "_average_min"
            "_input_highest" "_input_lowest" "_cap" "_cap_hyst" "_cap_max" "_cap_min" "_max" "_min" "_crit"
            "_lcrit" "_cap_alarm" "_max_alarm" "_min_alarm" "_crit_alarm" "_lcrit_alarm" "_enable";
        "power" "": "_alarm" "_fault" "_accuracy" "_average_interval_seconds" "_average_interval_min_seconds"
            "_average_interval_max_seconds";
        "humidity" "": "" "_min" "_max" "_alarm" "_fault";
        "intrusion" "": "_alarm" "_beep_enabled";
    },
);

pub(super) static HWMON_OTHER: [MetricSpec; 7] = from(
    "/sys/class/hwmon",
    [
        gauge("node_hwmon_chip_names", &["chip", "chip_name"], "1 for each chip, with its name."),
        gauge("node_hwmon_sensor_label", &["chip", "sensor", "label"], "1 for each sensor that has a label."),
        gauge("node_hwmon_beep_enabled", SENSOR, "Whether a chip beeps."),
        gauge("node_hwmon_voltage_regulator_version", SENSOR, "Version of a voltage regulator."),
        gauge("node_hwmon_update_interval_seconds", SENSOR, "How often a chip measures."),
        gauge("node_hwmon_freq_freq_mhz", SENSOR, "Frequency of a graphics processor."),
        counter("node_hwmon_energy_joule_total", SENSOR, "Energy used, in joules."),
    ],
);

const KINDS: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// The elements of each sensor of a chip.
type Sensors = BTreeMap<String, BTreeMap<String, String>>;

pub(super) fn hwmon(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    const HWMON: &str = "sys/class/hwmon";
    let chips = sysfs::entries(host, HWMON);
    let mut named: Vec<(String, String, String)> = Vec::new();
    for chip in chips.iter().take(MOST_CHIPS) {
        let directory = format!("{HWMON}/{chip}");
        let own =
            sysfs::text(host, &format!("{directory}/name")).map(|name| clean(&name)).unwrap_or_default();
        if let Some(name) = chip_name(host, &directory, &own) {
            named.push((directory, name, own));
        }
    }
    for (directory, name, own) in &named {
        let name = told_apart(&named, directory, name, own);
        let mut sensors = Sensors::new();
        read(host, directory, &mut sensors);
        read(host, &format!("{directory}/device"), &mut sensors);
        if !own.is_empty() {
            out.put("node_hwmon_chip_names", &[Value::Str(&name), Value::Str(own)], 1.0);
        }
        for (sensor, elements) in &sensors {
            tell(out, &name, sensor, elements);
        }
    }
    at_most(MOST_CHIPS, chips.len(), HWMON, "chips")
}

/// Lower case, what is neither letter, digit, colon nor underscore as an underscore, none at the ends.
pub(super) fn clean(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' || c == '_';
    let lower = name.to_lowercase();
    let cleaned: String = lower.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    cleaned.trim_matches('_').to_owned()
}

/// Numbers of chips change from boot to boot, so a chip is named after its device, else after its own name.
fn chip_name(host: &HostRoot, directory: &str, own: &str) -> Option<String> {
    let device = std::fs::canonicalize(host.path(format!("{directory}/device"))).ok();
    let last = |path: &std::path::Path| Some(clean(path.file_name()?.to_str()?));
    if let Some(device) = device
        && let Some(name) = last(&device).filter(|name| !name.is_empty())
    {
        let bus = device.parent().and_then(last).filter(|bus| !bus.is_empty());
        return Some(bus.map_or_else(|| name.clone(), |bus| format!("{bus}_{name}")));
    }
    let number = || last(&std::fs::canonicalize(host.path(directory)).ok()?);
    Some(own.to_owned()).filter(|name| !name.is_empty()).or_else(number).filter(|name| !name.is_empty())
}

/// Chips of one device bear its name and their own, or their number where those are the same too. `node_exporter` 1.9 told
/// such chips as one, and failed.
fn told_apart(all: &[(String, String, String)], directory: &str, name: &str, own: &str) -> String {
    let same = || all.iter().filter(|(_, other, _)| other == name);
    if same().count() == 1 {
        return name.to_owned();
    }
    let is_own = !own.is_empty() && same().filter(|(.., other)| other == own).count() == 1;
    let number = directory.rsplit('/').next().unwrap_or_default();
    format!("{name}_{}", if is_own { own } else { number })
}

fn read(host: &HostRoot, directory: &str, sensors: &mut Sensors) {
    for file in sysfs::entries(host, directory).into_iter().take(MOST_FILES) {
        let Some((kind, number, element)) = explode(&file).filter(|(kind, ..)| KINDS.contains(kind)) else {
            continue;
        };
        if let Some(value) = sysfs::text(host, &format!("{directory}/{file}")) {
            sensors.entry(format!("{kind}{number}")).or_default().insert(element.to_owned(), value);
        }
    }
}

/// `temp2_max` is `temp`, 2, `max`; without a number it is 0.
pub(super) fn explode(file: &str) -> Option<(&str, u32, &str)> {
    let digits = file.find(|c: char| c.is_ascii_digit());
    let Some(at) = digits else {
        // A kind may hold an underscore, so what follows the first cannot be told from it without a number.
        let known = KINDS.iter().find(|kind| **kind == file);
        return match known {
            Some(kind) => Some((kind, 0, "")),
            None => file.split_once('_').map(|(kind, element)| (kind, 0, element)),
        };
    };
    let (kind, rest) = file.split_at_checked(at)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at_checked(end)?;
    let element =
        if rest.is_empty() { "" } else { rest.strip_prefix('_').filter(|rest| !rest.is_empty())? };
    (!kind.is_empty()).then_some((kind, number.parse().ok()?, element))
}

fn tell(out: &mut Out<'_>, chip: &str, sensor: &str, elements: &BTreeMap<String, String>) {
    let kind = sensor.trim_end_matches(|c: char| c.is_ascii_digit());
    let labels = [Value::Str(chip), Value::Str(sensor)];
    let label = elements.get("label");
    if let Some(label) = label {
        let [chip, sensor] = labels;
        out.put("node_hwmon_sensor_label", &[chip, sensor, Value::Str(label)], 1.0);
    }
    let own = |element: &str| elements.get(element).and_then(|value| sysfs::parse(value));
    match kind {
        "beep_enable" => {
            let on = elements.get("").is_some_and(|value| value == "1");
            out.put("node_hwmon_beep_enabled", &labels, f64::from(u8::from(on)));
        }
        "vrm" => own("").into_iter().for_each(|version| {
            out.put("node_hwmon_voltage_regulator_version", &labels, version);
        }),
        "update_interval" => own("").into_iter().for_each(|millis| {
            out.put("node_hwmon_update_interval_seconds", &labels, millis * 0.001);
        }),
        "freq" => {
            if let (Some(label), Some(hertz)) = (label, own("input")) {
                let labels = [Value::Str(chip), Value::Str(&clean(label))];
                out.put("node_hwmon_freq_freq_mhz", &labels, hertz / 1e6);
            }
        }
        _ => {
            for (element, value) in elements.iter().filter(|(element, _)| *element != "label") {
                let Some(value) = sysfs::parse(value) else { continue };
                // `input` is the value itself, unless the sensor has one without an element.
                let plain = element == "input" && !elements.contains_key("");
                let part = if plain { "" } else { element };
                let (unit, factor) = unit(kind, element);
                let joint = if part.is_empty() { "" } else { "_" };
                let name = format!("node_hwmon_{kind}{joint}{}{unit}", clean(part));
                out.put_known(&name, &labels, value * factor);
            }
        }
    }
}

/// The end of the name, and what makes the kernel's number one of that unit.
fn unit(kind: &str, element: &str) -> (&'static str, f64) {
    match (kind, element) {
        (_, "fault" | "alarm") => ("", 1.0),
        (_, "beep") => ("_enabled", 1.0),
        ("in" | "cpu", _) => ("_volts", 0.001),
        ("temp", element) if element != "type" => ("_celsius", 0.001),
        ("curr", _) => ("_amps", 0.001),
        ("energy", _) => ("_joule_total", 1e-6),
        ("power", "accuracy") | ("humidity", _) => ("", 1e-6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", 0.001)
        }
        ("power", _) => ("_watt", 1e-6),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", 1.0),
        _ => ("", 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_kind_number_and_element() {
        for (file, parts) in [
            ("temp2_max", Some(("temp", 2, "max"))),
            ("pwm1", Some(("pwm", 1, ""))),
            ("pwm1_auto_point3_temp", Some(("pwm", 1, "auto_point3_temp"))),
            ("update_interval", Some(("update_interval", 0, ""))),
            ("beep_enable", Some(("beep_enable", 0, ""))),
            ("temp99999999999_max", None),
            ("1temp", None),
            ("uevent", None),
            ("temp1_", None),
        ] {
            assert_eq!(explode(file), parts, "{file}");
        }
    }

    #[test]
    fn names_of_chips_hold_only_what_a_label_of_node_exporter_holds() {
        assert_eq!(clean("platform/CoreTemp.0"), "platform_coretemp_0");
        assert_eq!(clean("__x__"), "x");
    }
}
