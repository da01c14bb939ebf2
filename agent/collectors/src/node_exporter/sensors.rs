//! `edac`, `powersupplyclass`, `rapl`, `thermal_zone` and `watchdog`: what the hardware says of itself through sysfs.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::sysfs;

pub(super) static EDAC: [MetricSpec; 4] = from(
    "/sys/devices/system/edac/mc",
    [
        counter(
            "node_edac_correctable_errors_total",
            &["controller"],
            "Errors of memory that were corrected.",
        ),
        counter("node_edac_uncorrectable_errors_total", &["controller"], "Errors of memory that were not."),
        counter(
            "node_edac_csrow_correctable_errors_total",
            &["controller", "csrow"],
            "Errors of memory that were corrected, by row.",
        ),
        counter(
            "node_edac_csrow_uncorrectable_errors_total",
            &["controller", "csrow"],
            "Errors of memory that were not corrected, by row.",
        ),
    ],
);

const CORRECTED: &str = "node_edac_csrow_correctable_errors_total";
const UNCORRECTED: &str = "node_edac_csrow_uncorrectable_errors_total";

pub(super) fn edac(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    const MC: &str = "sys/devices/system/edac/mc";
    for (directory, number) in sysfs::numbered(host, MC, "mc") {
        let controller = Value::Str(&number);
        let mut put = |metric: &str, file: &str, row: Option<&str>| {
            let Some(count) = sysfs::number(host, &format!("{MC}/{directory}/{file}")) else { return };
            match row {
                None => out.put(metric, &[controller], count),
                Some(row) => out.put(metric, &[controller, Value::Str(row)], count),
            }
        };
        put("node_edac_correctable_errors_total", "ce_count", None);
        put("node_edac_uncorrectable_errors_total", "ue_count", None);
        put(CORRECTED, "ce_noinfo_count", Some("unknown"));
        put(UNCORRECTED, "ue_noinfo_count", Some("unknown"));
        for (name, row) in sysfs::numbered(host, &format!("{MC}/{directory}"), "csrow") {
            put(CORRECTED, &format!("{name}/ce_count"), Some(&row));
            put(UNCORRECTED, &format!("{name}/ue_count"), Some(&row));
        }
    }
    Ok(())
}

pub(super) static THERMAL_ZONE: [MetricSpec; 3] = from(
    "/sys/class/thermal",
    [
        gauge("node_thermal_zone_temp", &["zone", "type"], "Temperature of a zone, in degrees Celsius."),
        gauge("node_cooling_device_cur_state", &["name", "type"], "How much a cooling device is at work."),
        gauge(
            "node_cooling_device_max_state",
            &["name", "type"],
            "How much a cooling device can be at work.",
        ),
    ],
);

pub(super) fn thermal_zone(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    const THERMAL: &str = "sys/class/thermal";
    for (prefix, files) in [
        ("thermal_zone", &[("node_thermal_zone_temp", "temp", 1000.0)] as &[(&str, &str, f64)]),
        (
            "cooling_device",
            &[
                ("node_cooling_device_cur_state", "cur_state", 1.0),
                ("node_cooling_device_max_state", "max_state", 1.0),
            ],
        ),
    ] {
        for (directory, number) in sysfs::numbered(host, THERMAL, prefix) {
            let kind = sysfs::text(host, &format!("{THERMAL}/{directory}/type")).unwrap_or_default();
            for (metric, file, divisor) in files {
                if let Some(value) = sysfs::number(host, &format!("{THERMAL}/{directory}/{file}")) {
                    out.put(metric, &[Value::Str(&number), Value::Str(&kind)], value / divisor);
                }
            }
        }
    }
    Ok(())
}

macro_rules! energies {
    ($($zone:literal)*) => {
        [$(counter(
            concat!("node_rapl_", $zone, "_joules_total"),
            &["index", "path"],
            concat!("Energy that the zone ", $zone, " has used, in joules; begins anew at the kernel's limit."),
        )),*]
    };
}

pub(super) static RAPL: [MetricSpec; 5] =
    from("/sys/class/powercap", energies! { "package" "core" "dram" "uncore" "psys" });

/// The counters can be read by root alone.
pub(super) fn rapl(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    const POWERCAP: &str = "sys/class/powercap";
    let mut seen: Vec<String> = Vec::new();
    for zone in sysfs::entries(host, POWERCAP) {
        let Some(name) = sysfs::text(host, &format!("{POWERCAP}/{zone}/name")) else { continue };
        // `package-0` brings its number; others are counted.
        let (name, index) = match name.split_once('-') {
            Some((name, index)) if index.parse::<u32>().is_ok() => (name.to_owned(), index.to_owned()),
            _ => {
                let index = seen.iter().filter(|known| **known == name).count();
                seen.push(name.clone());
                (name.replace('-', "_"), index.to_string())
            }
        };
        let Some(joules) = sysfs::number(host, &format!("{POWERCAP}/{zone}/energy_uj")) else { continue };
        let path = format!("/{POWERCAP}/{zone}");
        let labels = [Value::Str(&index), Value::Str(&path)];
        out.put_known(&format!("node_rapl_{name}_joules_total"), &labels, joules / 1e6);
    }
    Ok(())
}

const WATCHDOG_FILES: [(&str, &str); 7] = [
    ("node_watchdog_bootstatus", "bootstatus"),
    ("node_watchdog_fw_version", "fw_version"),
    ("node_watchdog_nowayout", "nowayout"),
    ("node_watchdog_timeleft_seconds", "timeleft"),
    ("node_watchdog_timeout_seconds", "timeout"),
    ("node_watchdog_pretimeout_seconds", "pretimeout"),
    ("node_watchdog_access_cs0", "access_cs0"),
];

pub(super) static WATCHDOG: [MetricSpec; 8] = from(
    "/sys/class/watchdog",
    [
        gauge("node_watchdog_bootstatus", &["name"], "Why the host was booted, as the watchdog has it."),
        gauge("node_watchdog_fw_version", &["name"], "Version of the watchdog's firmware."),
        gauge("node_watchdog_nowayout", &["name"], "Whether the watchdog cannot be stopped."),
        gauge("node_watchdog_timeleft_seconds", &["name"], "Seconds until the watchdog resets the host."),
        gauge(
            "node_watchdog_timeout_seconds",
            &["name"],
            "Seconds after which it does without a sign of life.",
        ),
        gauge("node_watchdog_pretimeout_seconds", &["name"], "Seconds before that at which it warns."),
        gauge("node_watchdog_access_cs0", &["name"], "Whether the host was booted from its second flash."),
        gauge(
            "node_watchdog_info",
            &["name", "options", "identity", "state", "status", "pretimeout_governor"],
            "1 for each watchdog, with what can be said of it in words.",
        ),
    ],
);

pub(super) fn watchdog(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for name in sysfs::entries(host, "sys/class/watchdog") {
        let path = |file: &str| format!("sys/class/watchdog/{name}/{file}");
        for (metric, file) in WATCHDOG_FILES {
            if let Some(value) = sysfs::number(host, &path(file)) {
                out.put(metric, &[Value::Str(&name)], value);
            }
        }
        let of = |file: &str| sysfs::text(host, &path(file)).unwrap_or_default();
        let [options, identity, state, status, governor] =
            ["options", "identity", "state", "status", "pretimeout_governor"].map(of);
        let labels = [&name, &options, &identity, &state, &status, &governor].map(|text| Value::Str(text));
        out.put("node_watchdog_info", &labels, 1.0);
    }
    Ok(())
}

macro_rules! supplies {
    ($($name:literal $file:literal $divisor:literal)*) => {
        pub(super) static POWER_SUPPLY: [MetricSpec; 49] = from(
            "/sys/class/power_supply",
            [$(gauge(
                concat!("node_power_supply_", $name),
                &["power_supply"],
                concat!("What a power supply says in ", $file, "."),
            )),*],
        );

        /// File and divisor of each row.
        const POWER_FILES: [(&str, f64); 49] = [$(($file, $divisor)),*];
    };
}

supplies! {
    "authentic" "authentic" 1.0
    "calibrate" "calibrate" 1.0
    "capacity" "capacity" 1.0
    "capacity_alert_max" "capacity_alert_max" 1.0
    "capacity_alert_min" "capacity_alert_min" 1.0
    "cyclecount" "cycle_count" 1.0
    "online" "online" 1.0
    "present" "present" 1.0
    "time_to_empty_seconds" "time_to_empty_now" 1.0
    "time_to_full_seconds" "time_to_full_now" 1.0
    "current_boot" "current_boot" 1e6
    "current_max" "current_max" 1e6
    "current_ampere" "current_now" 1e6
    "energy_empty" "energy_empty" 1e6
    "energy_empty_design" "energy_empty_design" 1e6
    "energy_full" "energy_full" 1e6
    "energy_full_design" "energy_full_design" 1e6
    "energy_watthour" "energy_now" 1e6
    "voltage_boot" "voltage_boot" 1e6
    "voltage_max" "voltage_max" 1e6
    "voltage_max_design" "voltage_max_design" 1e6
    "voltage_min" "voltage_min" 1e6
    "voltage_min_design" "voltage_min_design" 1e6
    "voltage_volt" "voltage_now" 1e6
    "voltage_ocv" "voltage_ocv" 1e6
    "charge_control_limit" "charge_control_limit" 1e6
    "charge_control_limit_max" "charge_control_limit_max" 1e6
    "charge_counter" "charge_counter" 1e6
    "charge_empty" "charge_empty" 1e6
    "charge_empty_design" "charge_empty_design" 1e6
    "charge_full" "charge_full" 1e6
    "charge_full_design" "charge_full_design" 1e6
    "charge_ampere" "charge_now" 1e6
    "charge_term_current" "charge_term_current" 1e6
    "constant_charge_current" "constant_charge_current" 1e6
    "constant_charge_current_max" "constant_charge_current_max" 1e6
    "constant_charge_voltage" "constant_charge_voltage" 1e6
    "constant_charge_voltage_max" "constant_charge_voltage_max" 1e6
    "precharge_current" "precharge_current" 1e6
    "input_current_limit" "input_current_limit" 1e6
    "power_watt" "power_now" 1e6
    "temp_celsius" "temp" 10.0
    "temp_alert_max_celsius" "temp_alert_max" 10.0
    "temp_alert_min_celsius" "temp_alert_min" 10.0
    "temp_ambient_celsius" "temp_ambient" 10.0
    "temp_ambient_max_celsius" "temp_ambient_alert_max" 10.0
    "temp_ambient_min_celsius" "temp_ambient_alert_min" 10.0
    "temp_max_celsius" "temp_max" 10.0
    "temp_min_celsius" "temp_min" 10.0
}

const POWER_WORDS: &[&str] = &[
    "power_supply",
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

pub(super) static POWER_INFO: [MetricSpec; 1] = from(
    "/sys/class/power_supply",
    [gauge(
        "node_power_supply_info",
        POWER_WORDS,
        "1 for each power supply, with what can be said of it in words.",
    )],
);

pub(super) fn power_supply(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for name in sysfs::entries(host, "sys/class/power_supply") {
        // One file has all that the supply tells.
        let uevent = sysfs::text(host, &format!("sys/class/power_supply/{name}/uevent")).unwrap_or_default();
        for (metric, (file, divisor)) in POWER_SUPPLY.iter().zip(POWER_FILES) {
            if out.takes(metric.name)
                && let Some(value) =
                    of_supply(host, &name, &uevent, file).and_then(|text| sysfs::parse(&text))
            {
                out.put(metric.name, &[Value::Str(&name)], value / divisor);
            }
        }
        let texts: Vec<Option<String>> =
            POWER_WORDS.iter().skip(1).map(|file| of_supply(host, &name, &uevent, file)).collect();
        let texts = texts.iter().map(|text| match text.as_deref() {
            None | Some("") => Value::Absent,
            Some(text) => Value::Str(text),
        });
        let labels: Vec<Value<'_>> = std::iter::once(Value::Str(&name)).chain(texts).collect();
        out.put("node_power_supply_info", &labels, 1.0);
    }
    Ok(())
}

fn of_supply(host: &HostRoot, name: &str, uevent: &str, file: &str) -> Option<String> {
    if uevent.is_empty() {
        return sysfs::text(host, &format!("sys/class/power_supply/{name}/{file}"));
    }
    let key = format!("POWER_SUPPLY_{}=", file.to_ascii_uppercase());
    match uevent.lines().find_map(|line| line.strip_prefix(&key)) {
        Some(value) => Some(value.to_owned()),
        // Not every driver lists its type.
        None if file == "type" => sysfs::text(host, &format!("sys/class/power_supply/{name}/{file}")),
        None => None,
    }
}
