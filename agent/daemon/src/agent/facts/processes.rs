//! Processes: those that are sought, and the heaviest.

use std::sync::PoisonError;

use collectors::{FoundProcess as Found, Sought, WatchTarget, find_processes, heaviest, live_processes};
use executor::ProcessId;
use remediation::{FoundProcess, ProcessFilter, TopBy};
use serde_json::{Value, json};

use super::{Sources, told};
use crate::agent::api::ProcessRates;

impl Sources<'_> {
    /// The live processes of which the filter holds. A name that the policy defines means the process of its pid file.
    pub(in crate::agent) fn find(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        let target = filter.name.as_ref().map(|name| {
            let defined = self.pid_files.get(name);
            defined.map_or_else(
                || WatchTarget::Command(name.to_owned()),
                |path| WatchTarget::PidFile(path.clone()),
            )
        });
        let sought = Sought {
            target: target.as_ref(),
            pid: filter.pid,
            ppid: filter.ppid,
            unit: filter.unit.as_deref(),
            state: filter.state,
        };
        let found = told(find_processes(self.host, &sought))?;
        Ok(found.into_iter().map(known).collect())
    }

    pub(super) fn top(&self, by: TopBy, count: usize) -> Result<Value, String> {
        let all = told(live_processes(self.host))?;
        Ok(self.top_of(&all, &self.rates(), by, count))
    }

    /// By CPU time and by memory.
    pub(super) fn heaviest(&self, count: usize) -> Value {
        let (seen, rates) = (self.work.look(self.host), self.rates());
        let top = |by| self.top_of(&seen.processes, &rates, by, count);
        json!({"cpu": top(TopBy::Cpu), "memory": top(TopBy::Memory)})
    }

    fn rates(&self) -> ProcessRates {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        ProcessRates::of(&store, self.now)
    }

    fn top_of(&self, all: &[Found], rates: &ProcessRates, by: TopBy, count: usize) -> Value {
        let top = match by {
            TopBy::Memory => heaviest(self.host, all, count, |process| process.rss_bytes),
            TopBy::Cpu => heaviest(self.host, all, count, |process| cpu_percent(rates, process)),
            TopBy::Io => heaviest(self.host, all, count, |process| rates.io_of(process.pid).unwrap_or(0.0)),
        };
        let shown = |process: Found| {
            json!({
                "pid": process.pid,
                "start_ticks": process.start_ticks,
                "cpu_percent": cpu_percent(rates, &process),
                "rss_bytes": process.rss_bytes,
                "io_bytes_per_second": rates.io_of(process.pid).unwrap_or(0.0),
                "command": process.command,
                "unit": process.unit,
            })
        };
        top.into_iter().map(shown).collect()
    }
}

/// Since the last collection; of those that are not reported one by one, since their start.
fn cpu_percent(rates: &ProcessRates, process: &Found) -> f64 {
    rates.cpus_of(process.pid).map_or_else(
        || process.cpu_millis as f64 / 10.0 / process.age_seconds.max(1) as f64,
        |cpus| cpus * 100.0,
    )
}

fn known(process: Found) -> FoundProcess {
    FoundProcess {
        id: ProcessId { pid: process.pid, start_ticks: process.start_ticks },
        state: process.state,
        command: process.command,
        ppid: process.ppid,
        unit: process.unit,
        age_seconds: process.age_seconds,
        rss_bytes: process.rss_bytes,
    }
}
