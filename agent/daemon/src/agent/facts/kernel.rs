//! Figures of the kernel.

use collectors::HostRoot;
use serde_json::{Value, json};

use super::told;

pub(super) fn cgroup_limits(host: &HostRoot, cgroup: &str) -> Result<Value, String> {
    let limits = told(collectors::cgroup_limits(host, cgroup))?;
    Ok(json!({
        "memory_current": limits.memory_current,
        "memory_high": limits.memory_high,
        "memory_max": limits.memory_max,
        "cpu_percent": limits.cpu_percent,
        "tasks_current": limits.tasks_current,
        "tasks_max": limits.tasks_max,
        // A limit of processes, not of groups.
        "open_files": null,
        "frozen": limits.frozen,
    }))
}

pub(super) fn conntrack(host: &HostRoot) -> Result<Value, String> {
    let (count, max) = told(collectors::conntrack(host))?;
    Ok(json!({"count": count, "max": max}))
}

pub(super) fn sockets(host: &HostRoot) -> Result<Value, String> {
    let sockets = told(collectors::tcp_sockets(host))?;
    let listening = sockets.listening.iter().map(|listener| {
        json!({"address": listener.address.to_string(), "port": listener.port, "queued": listener.queued})
    });
    Ok(json!({
        "established": sockets.established,
        "time_wait": sockets.time_wait,
        "close_wait": sockets.close_wait,
        "listening": listening.collect::<Value>(),
    }))
}

/// By resource: `{"cpu": {"some_percent": 1.5, "full_percent": 0.25}, …}`, of the last 10 s.
pub(super) fn pressure(host: &HostRoot) -> Result<Value, String> {
    let shown = told(collectors::pressure(host))?.into_iter().map(|waiting| {
        (waiting.resource.to_owned(), json!({"some_percent": waiting.some, "full_percent": waiting.full}))
    });
    Ok(Value::Object(shown.collect()))
}
