//! The real host, as a run sees it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use collectors::{HostRoot, WatchTarget};
use executor::{Action, ActionError, Outcome, ProcessId};
use promql::{Query, Value};
use remediation::{Answer, FoundProcess, World};
use telemetry::{Alert, Labels, RunEvent, RunOutcome, RunStep, Timestamp, with_causes};

use crate::agent::ACTION_WITHIN;
use crate::agent::heartbeat::WORK_WITHIN;
use crate::agent::remediate::Surroundings;
use crate::agent::run_trace::RunTrace;
use crate::agent::watcher::Happening;
use crate::clock;

/// The file in the state directory that keeps every run from starting.
pub(crate) const FREEZE_FILE: &str = "freeze";

/// Whether the freeze file is there, be it a link that leads nowhere; what cannot be looked at may be there.
pub(crate) fn is_frozen(state: &Path) -> bool {
    let looked = state.join(FREEZE_FILE).symlink_metadata();
    !looked.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The outside of one run.
pub(crate) struct LiveWorld<'a> {
    surroundings: &'a Surroundings,
    alert: &'a Alert,
    host: HostRoot,
    trace: RunTrace,
}

impl<'a> LiveWorld<'a> {
    /// For a run that answers `alert`.
    pub(crate) fn new(surroundings: &'a Surroundings, alert: &'a Alert) -> Self {
        let trace = RunTrace::new(surroundings.tracer.clone());
        Self { surroundings, alert, host: HostRoot::at("/"), trace }
    }

    /// By the pid file if the policy defines a process of this name, else by command.
    fn target(&self, name: &str) -> WatchTarget {
        let defined = self.surroundings.pid_files.get(name);
        defined.map_or_else(
            || WatchTarget::Command(name.to_owned()),
            |path: &PathBuf| WatchTarget::PidFile(path.clone()),
        )
    }
}

impl World for LiveWorld<'_> {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String> {
        let mut query = Query::new(expr).map_err(|error| error.to_string())?;
        let store = self.surroundings.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let value = match since {
            Some(since) => query.instant_since(&store, now, since),
            None => query.instant(&store, now),
        };
        match value.map_err(|error| error.to_string())? {
            Value::Scalar(value) => Ok(Answer { values: vec![(Labels::empty(), value)] }),
            Value::Vector(samples) => Ok(Answer {
                values: samples.into_iter().map(|sample| (sample.labels, sample.value)).collect(),
            }),
            Value::Matrix(_) | Value::String(_) => {
                Err(format!("{expr} gives no instant vector; a run needs one, or a number"))
            }
        }
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        self.surroundings.pulse.beat(ACTION_WITHIN);
        let executor = &self.surroundings.shared.executor;
        let outcome = executor.lock().unwrap_or_else(PoisonError::into_inner).perform(action);
        self.surroundings.pulse.beat(WORK_WITHIN);
        outcome
    }

    fn find_processes(&self, name: &str) -> Result<Vec<FoundProcess>, String> {
        let found = collectors::find_processes(&self.host, &self.target(name));
        let found = found.map_err(|error| with_causes(&error))?;
        let known = |process: collectors::FoundProcess| FoundProcess {
            id: ProcessId { pid: process.pid, start_ticks: process.start_ticks },
            state: process.state,
            command: process.command,
        };
        Ok(found.into_iter().map(known).collect())
    }

    fn directory_usage(&self, path: &str) -> Result<u64, String> {
        collectors::directory_usage(&self.host, Path::new(path)).map_err(|error| with_causes(&error))
    }

    /// Every wait of a run passes here, at least every 100 ms while a script computes.
    fn wait(&self, duration: Duration) -> bool {
        self.surroundings.pulse.beat(duration);
        let goes_on = self.surroundings.shared.phase.wait(duration);
        self.surroundings.pulse.beat(WORK_WITHIN);
        goes_on
    }

    fn record(&mut self, event: &RunEvent) {
        self.surroundings.shared.books.run_stepped(self.alert, event);
        self.surroundings.shared.runs.stepped(event);
        // Before the log, so that the record of a step carries the span that the step began; but its end is logged first.
        let ends = matches!(event.step, RunStep::Finished { .. });
        if !ends {
            self.trace.take(self.alert, event);
        }
        {
            let _context = self.trace.context().attach();
            log(self.alert, event);
        }
        if ends {
            self.trace.take(self.alert, event);
        }
        self.surroundings
            .shared
            .watcher
            .tell(|| Happening::Run { alert: self.alert.clone(), event: event.clone() });
    }

    fn frozen(&self) -> bool {
        is_frozen(&self.surroundings.state)
    }

    fn seen_firing(&self, alert: &Alert) -> Option<Timestamp> {
        self.surroundings.shared.firing.seen_firing(alert)
    }
}

fn log(alert: &Alert, event: &RunEvent) {
    let (source, text) = incidents::sentence(&event.step);
    let text = printable(&text);
    let (run, source, alert) = (&event.run.0, source.as_str(), alert.name());
    match &event.step {
        RunStep::Matched { runbook, script, stage, .. } => {
            tracing::info!(run, source, alert, runbook, script, %stage, "{text}");
        }
        RunStep::Guard { guard, allowed, .. } => tracing::info!(run, source, alert, guard, allowed, "{text}"),
        RunStep::ActionIntended { number, action } => {
            tracing::info!(run, source, alert, number, action, "{text}");
        }
        RunStep::ActionDone { number, ok: true, outcome, .. } => {
            tracing::info!(run, source, alert, number, outcome, "{text}");
        }
        RunStep::ActionDone { number, ok: false, outcome, .. } => {
            tracing::warn!(run, source, alert, number, outcome, "{text}");
        }
        RunStep::Verified { ok, expression, .. } => {
            tracing::info!(run, source, alert, ok, expression, "{text}");
        }
        RunStep::Finished { outcome: outcome @ RunOutcome::Escalated, .. } => {
            tracing::error!(run, source, alert, %outcome, "{text}");
        }
        RunStep::Finished { outcome, .. } => tracing::info!(run, source, alert, %outcome, "{text}"),
        RunStep::Ended { ok: false, .. } => tracing::warn!(run, source, alert, "{text}"),
        _ => tracing::info!(run, source, alert, "{text}"),
    }
}

/// What scripts and processes say could otherwise end a line of the log and begin a forged one.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_cannot_begin_a_line_of_the_log() {
        assert_eq!(printable("a\n2026 INFO forged\u{1b}[2J"), "a\\n2026 INFO forged\\u{1b}[2J");
    }

    #[test]
    fn a_freeze_file_that_leads_nowhere_freezes_all_the_same() {
        let state = tempfile::tempdir().unwrap();
        assert!(!is_frozen(state.path()));
        std::os::unix::fs::symlink("/nowhere/at/all", state.path().join(FREEZE_FILE)).unwrap();
        assert!(is_frozen(state.path()));
    }
}
