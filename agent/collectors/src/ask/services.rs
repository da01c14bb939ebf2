//! A service as systemd itself holds it to be, asked over the system bus.
//!
//! One connection for each question: scripts ask seldom, and a connection that is not there cannot hang. Any user may ask.

use std::collections::BTreeMap;

use crate::error::{CollectError, Found};
use crate::host::HostRoot;
use crate::unit_states::{Bus, BusError, Property, system_bus};
use crate::uptime;

/// How systemd says that there is no limit, and that it keeps no such figure.
pub const NO_LIMIT: u64 = u64::MAX;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// When a service was last in a state, in microseconds of the monotonic clock; 0 is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// It began to start: its present life, or its last.
    pub began: u64,
    /// It had started.
    pub became_active: u64,
    /// It was active no longer: told to stop, or ended.
    pub left_active: u64,
    /// Its main process ended; 0 while the next one has not.
    pub main_ended: u64,
    /// It came into the state in which it is.
    pub changed: u64,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFacts {
    /// `loaded`, `not-found`, `masked`, ...
    pub load: String,
    /// `active`, `inactive`, `failed`, ...
    pub active: String,
    /// `running`, `dead`, ...
    pub sub: String,
    /// Why it ended: `success`, `exit-code`, `signal`, `oom-kill`, ...
    pub result: String,
    /// `enabled`, `disabled`, `static`, ...; empty where there is no file.
    pub enabled: String,
    /// `running`, `frozen`, ...; empty before systemd 246.
    pub freezer: String,
    /// Its control group, below the root of the hierarchy; empty while it has none.
    pub cgroup: String,
    /// The number of its main process.
    pub main_pid: Option<u32>,
    /// How often systemd restarted it by itself.
    pub restarts: u64,
    /// The status or signal with which its main process ended last.
    pub exit_status: i64,
    /// How long it has been active, in seconds, if it is.
    pub active_seconds: Option<u64>,
    /// In bytes; 0 where it is not counted.
    pub memory_current: u64,
    /// In bytes; [`NO_LIMIT`] is none.
    pub memory_high: u64,
    /// In bytes; [`NO_LIMIT`] is none.
    pub memory_max: u64,
    /// In microseconds per second; [`NO_LIMIT`] is none.
    pub cpu_quota_micros: u64,
    /// Threads that it has.
    pub tasks_current: u64,
    /// Threads that it may have; [`NO_LIMIT`] is none.
    pub tasks_max: u64,
    /// Files that each of its processes may have open, unless that was changed since its start.
    pub open_files: u64,
    /// When it was last in which state.
    pub moments: Moments,
}

/// Asks systemd about a service by its exact name. One that there is no file of is `not-found`, and no error.
///
/// # Errors
///
/// There is no system bus, or no answer.
pub fn service(host: &HostRoot, name: &str) -> Result<ServiceFacts, CollectError> {
    let asked = || -> Result<_, BusError> {
        let mut bus = Bus::connect(&system_bus(host))?;
        let path = bus.load_unit(name)?;
        let mut properties = bus.properties(&path, UNIT)?;
        // A name that is known but for its file has no such properties.
        properties.extend(bus.properties(&path, SERVICE).unwrap_or_default());
        Ok(properties)
    };
    let properties = asked().map_err(|error| {
        let why = Found::new(&format!("{error} (the package dbus gives a host its system bus)"));
        CollectError::Unanswered { by: "systemd, over the system bus", why }
    })?;
    Ok(told(&properties, uptime::seconds(host)?))
}

fn told(properties: &BTreeMap<String, Property>, uptime: f64) -> ServiceFacts {
    let text = |key: &str| match properties.get(key) {
        Some(Property::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let number = |key: &str| match properties.get(key) {
        Some(Property::Number(number)) => *number,
        _ => 0,
    };
    let unsigned = |key: &str| u64::try_from(number(key)).unwrap_or(0);
    let limit = |key: &str| if properties.contains_key(key) { unsigned(key) } else { NO_LIMIT };
    // systemd says of a figure that it does not keep that it is without limit.
    let figure = |key: &str| Some(unsigned(key)).filter(|figure| *figure != NO_LIMIT).unwrap_or(0);
    let active = text("ActiveState");
    let since = unsigned("ActiveEnterTimestampMonotonic") as f64 / 1e6;
    let is_active = matches!(active.as_str(), "active" | "reloading");
    ServiceFacts {
        load: text("LoadState"),
        sub: text("SubState"),
        result: text("Result"),
        enabled: text("UnitFileState"),
        freezer: text("FreezerState"),
        cgroup: text("ControlGroup"),
        main_pid: u32::try_from(number("MainPID")).ok().filter(|pid| *pid > 0),
        restarts: unsigned("NRestarts"),
        exit_status: i64::try_from(number("ExecMainStatus")).unwrap_or(0),
        active_seconds: is_active.then_some((uptime - since).max(0.0) as u64),
        memory_current: figure("MemoryCurrent"),
        memory_high: limit("MemoryHigh"),
        memory_max: limit("MemoryMax"),
        cpu_quota_micros: limit("CPUQuotaPerSecUSec"),
        tasks_current: figure("TasksCurrent"),
        tasks_max: limit("TasksMax"),
        open_files: limit("LimitNOFILESoft"),
        moments: Moments {
            began: unsigned("InactiveExitTimestampMonotonic"),
            became_active: unsigned("ActiveEnterTimestampMonotonic"),
            left_active: unsigned("ActiveExitTimestampMonotonic"),
            main_ended: unsigned("ExecMainExitTimestampMonotonic"),
            changed: unsigned("StateChangeTimestampMonotonic"),
        },
        active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Property {
        Property::Text(text.to_owned())
    }

    #[test]
    fn what_systemd_does_not_keep_is_no_figure_and_what_it_does_not_limit_is_no_limit() {
        let properties = [
            ("ActiveState".to_owned(), text("active")),
            ("MainPID".to_owned(), Property::Number(0)),
            ("MemoryCurrent".to_owned(), Property::Number(i128::from(u64::MAX))),
            ("MemoryMax".to_owned(), Property::Number(i128::from(u64::MAX))),
            ("TasksMax".to_owned(), Property::Number(7)),
            ("ActiveEnterTimestampMonotonic".to_owned(), Property::Number(2_000_000)),
        ];
        let facts = told(&properties.into(), 12.5);
        assert_eq!((facts.memory_current, facts.memory_max, facts.tasks_max), (0, NO_LIMIT, 7));
        assert_eq!((facts.main_pid, facts.active_seconds, facts.open_files), (None, Some(10), NO_LIMIT));
    }

    #[test]
    fn a_host_without_a_bus_says_so() {
        let host = HostRoot::at("/nowhere/at/all");
        let error = service(&host, "web.service").unwrap_err().to_string();
        assert!(error.contains("connecting to the system bus"), "{error}");
    }
}
