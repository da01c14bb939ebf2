//! Services as systemd holds them to be, and their limits.

use collectors::{HostRoot, NO_LIMIT, open_file_limit};
use executor::UnitName;
use serde_json::{Value, json};

use super::service;

pub(super) fn status(host: &HostRoot, unit: &UnitName) -> Result<Value, String> {
    let facts = service(host, unit.as_str())?;
    Ok(json!({
        "load": facts.load,
        "active": facts.active,
        "sub": facts.sub,
        "result": facts.result,
        "enabled": facts.enabled,
        "main_pid": facts.main_pid,
        "restarts": facts.restarts,
        "active_seconds": facts.active_seconds,
        "exit_status": facts.exit_status,
        "cgroup": facts.cgroup,
        "freezer": facts.freezer,
    }))
}

pub(super) fn limits(host: &HostRoot, unit: &UnitName) -> Result<Value, String> {
    let facts = service(host, unit.as_str())?;
    let limit = |limit: u64| (limit != NO_LIMIT).then_some(limit);
    // What the running process has may have been changed since it was started.
    let of_process = facts.main_pid.and_then(|pid| open_file_limit(host, pid).ok());
    Ok(json!({
        "memory_current": facts.memory_current,
        "memory_high": limit(facts.memory_high),
        "memory_max": limit(facts.memory_max),
        // Microseconds of each second.
        "cpu_percent": limit(facts.cpu_quota_micros).map(|micros| micros / 10_000),
        "tasks_current": facts.tasks_current,
        "tasks_max": limit(facts.tasks_max),
        "open_files": of_process.unwrap_or_else(|| limit(facts.open_files)),
        "frozen": facts.freezer == "frozen",
    }))
}
