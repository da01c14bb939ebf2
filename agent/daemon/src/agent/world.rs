//! The real host, as a run sees it.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use collectors::HostRoot;
use executor::{Action, ActionError, Outcome};
use promql::{Query, Value};
use remediation::{
    Answer, ChainHead, Circumstances, Fact, FoundProcess, LaterFact, Page, ProcessFilter, Subject, World,
};
use telemetry::{Alert, Labels, MatchedLine, RunEvent, RunId, RunOutcome, RunStep, Timestamp};

use crate::agent::attachments::Attachments;
use crate::agent::circumstances::Sight;
use crate::agent::facts::Sources;
use crate::agent::ground::ACTION_WITHIN;
use crate::agent::heartbeat::{Pulse, WORK_WITHIN};
use crate::agent::hold_back::{call, ends_hold};
use crate::agent::remediate::Surroundings;
use crate::agent::rules::collectors_of;
use crate::agent::watcher::Happening;
use crate::clock;

/// How long an answer about the host may take: the longest is that of a service over HTTP, with a minute at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

/// How often it is looked whether the agent is stopping, while new samples are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const MILLISECOND: Duration = Duration::from_millis(1);

/// The outside of one run.
pub(crate) struct LiveWorld {
    surroundings: Arc<Surroundings>,
    pulse: Pulse,
    alert: Alert,
    host: HostRoot,
    /// How often samples had come when they were last waited for.
    seen: Cell<u64>,
}

impl LiveWorld {
    /// For a run that answers `alert`, on a thread that says through `pulse` that it lives.
    pub(crate) fn new(surroundings: Arc<Surroundings>, pulse: Pulse, alert: Alert) -> Self {
        Self { surroundings, pulse, alert, host: HostRoot::at("/"), seen: Cell::new(0) }
    }

    /// The run is performed on another thread from now on.
    pub(crate) fn speak_through(&mut self, pulse: Pulse) {
        self.pulse = pulse;
    }

    fn evaluate(&self, expr: &str, at: Timestamp, since: Option<Timestamp>) -> Result<Answer, String> {
        let mut query = Query::new(expr).map_err(|error| error.to_string())?;
        let store = self.surroundings.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let value = match since {
            Some(since) => query.instant_since(&store, at, since),
            None => query.instant(&store, at),
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

    /// Writes the incident down if it is over.
    pub(crate) fn close_incident(&self) {
        let shared = &self.surroundings.shared;
        shared.books.close_finished(&shared.watcher);
    }

    /// Asks what may take a while to be answered.
    fn patiently<T>(&self, ask: impl FnOnce(&Sources<'_>) -> T) -> T {
        self.pulse.beat(ANSWER_WITHIN);
        let answer = ask(&sources(&self.surroundings, &self.host));
        self.pulse.beat(WORK_WITHIN);
        answer
    }
}

fn sources<'a>(surroundings: &'a Surroundings, host: &'a HostRoot) -> Sources<'a> {
    Sources {
        host,
        store: &surroundings.shared.store,
        work: &surroundings.shared.work,
        pid_files: &surroundings.pid_files,
        flag_files: &surroundings.flag_files,
        now: clock::now(),
    }
}

impl World for LiveWorld {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String> {
        self.evaluate(expr, clock::now(), since)
    }

    fn query_at(&self, expr: &str, at: Timestamp) -> Result<Answer, String> {
        self.evaluate(expr, at, None)
    }

    fn wait_for_samples(&self, within: Duration) -> bool {
        self.pulse.beat(LOOK_EVERY);
        self.seen.set(self.surroundings.shared.arrivals.wait(self.seen.get(), within.min(LOOK_EVERY)));
        self.wait(Duration::ZERO)
    }

    fn want_samples(&self, expr: &str) {
        let collectors = collectors_of(expr);
        if !collectors.is_empty() {
            // Series keep whole milliseconds: a look in that of the script's end would count as one before it.
            let into = clock::now().as_nanos().unsigned_abs() % MILLISECOND.as_nanos() as u64;
            self.wait(MILLISECOND.saturating_sub(Duration::from_nanos(into)));
            self.surroundings.shared.wanted.change(|wanted| wanted.extend(collectors));
        }
    }

    fn fact_later(&self, fact: &Fact) -> LaterFact {
        let (surroundings, asked) = (Arc::clone(&self.surroundings), fact.clone());
        let find = move || sources(&surroundings, &HostRoot::at("/")).answer(&asked);
        let thread = match std::thread::Builder::new().name("evidence".to_owned()).spawn(find) {
            Ok(thread) => thread,
            Err(error) => return Box::new(move || Err(format!("starting a thread: {error}"))),
        };
        let pulse = self.pulse.clone();
        Box::new(move || {
            pulse.beat(ANSWER_WITHIN);
            let answer = thread.join().unwrap_or_else(|_| Err("looking for it panicked".to_owned()));
            pulse.beat(WORK_WITHIN);
            answer
        })
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        // Another run's action may have to end first.
        self.pulse.beat(ACTION_WITHIN);
        let outcome = unless_frozen(
            &self.surroundings.shared.executor,
            || self.frozen(),
            |executor| {
                self.pulse.beat(ACTION_WITHIN);
                executor.perform(action)
            },
        );
        self.pulse.beat(WORK_WITHIN);
        outcome
    }

    fn matched_lines(&self) -> Vec<MatchedLine> {
        self.surroundings.shared.lines_of(self.alert.name())
    }

    fn find_processes(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        self.patiently(|sources| sources.find(filter))
    }

    fn fact(&self, fact: &Fact) -> Result<serde_json::Value, String> {
        self.patiently(|sources| sources.answer(fact))
    }

    fn attach(&mut self, run: &RunId, name: &str, text: &str) -> Result<String, String> {
        let path = Attachments::at(&self.surroundings.state).keep(run, name, text);
        path.map(|path| path.display().to_string()).map_err(|error| format!("{error:#}"))
    }

    fn page(&mut self, page: &Page) -> Vec<String> {
        self.surroundings.shared.notify.notifier.call(call(page))
    }

    fn circumstances(&self, subject: &Subject<'_>) -> Circumstances {
        self.pulse.beat(ANSWER_WITHIN);
        let sight = Sight {
            host: &self.host,
            shared: &self.surroundings.shared,
            pid_files: &self.surroundings.pid_files,
            fleet_lock: self.surroundings.fleet_lock.as_deref(),
        };
        let found = sight.look(subject, self);
        self.pulse.beat(WORK_WITHIN);
        found
    }

    /// Every wait of a run passes here, at least every 100 ms while a script computes.
    fn wait(&self, duration: Duration) -> bool {
        self.pulse.beat(duration);
        let goes_on = self.surroundings.shared.phase.wait(duration);
        self.pulse.beat(WORK_WITHIN);
        goes_on
    }

    fn record(&mut self, event: &RunEvent) {
        self.surroundings.shared.books.run_stepped(&self.alert, event);
        self.surroundings.shared.runs.stepped(event);
        let log = || log(&self.alert, event, &self.surroundings.journal);
        self.surroundings.traces.step(&self.alert, event, log);
        if let Some(added) = ends_hold(event) {
            self.surroundings.shared.notify.notifier.release(&self.alert.labels, added);
        }
        self.surroundings
            .shared
            .watcher
            .tell(|| Happening::Run { alert: self.alert.clone(), event: event.clone() });
    }

    fn frozen(&self) -> Option<String> {
        self.surroundings.shared.kill_switch.frozen(clock::now()).map(|freeze| freeze.describe())
    }

    fn seen_firing(&self, alert: &Alert) -> Option<Timestamp> {
        self.surroundings.shared.firing.seen_firing(alert)
    }
}

/// Acts with an executor, unless repairs are frozen; nor if they are by the time that the executor is free.
fn unless_frozen<E: ?Sized, T>(
    executor: &Mutex<E>,
    frozen: impl Fn() -> Option<String>,
    act: impl FnOnce(&mut E) -> Result<T, ActionError>,
) -> Result<T, ActionError> {
    let refused = || {
        let why = frozen()?;
        Some(ActionError::Refused { reason: format!("repairs are frozen: {why}") })
    };
    // What is frozen already does not wait for an action under way.
    if let Some(refused) = refused() {
        return Err(refused);
    }
    let mut executor = executor.lock().unwrap_or_else(PoisonError::into_inner);
    refused().map_or_else(|| act(&mut executor), Err)
}

/// The end of a run carries the hash of the journal's newest line, so that whoever receives it is a witness of the journal.
fn log(alert: &Alert, event: &RunEvent, journal: &ChainHead) {
    let (source, text) = incidents::sentence(&event.step);
    let text = printable(&text);
    let (run, source, alert) = (&event.run.0, source.as_str(), alert.name());
    match &event.step {
        RunStep::Matched { runbook, script, stage, .. } => {
            tracing::info!(run, source, alert, runbook, script, %stage, "{text}");
        }
        RunStep::Guard { guard, allowed, .. } => tracing::info!(run, source, alert, guard, allowed, "{text}"),
        RunStep::ActionIntended { number, action, .. } => {
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
            let hash = journal.get();
            tracing::error!(run, source, alert, %outcome, "hostmend.audit.hash" = %hash, "{text}");
        }
        RunStep::Finished { outcome, .. } => {
            let hash = journal.get();
            tracing::info!(run, source, alert, %outcome, "hostmend.audit.hash" = %hash, "{text}");
        }
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
    fn an_action_that_waited_for_the_executor_is_not_performed_after_a_freeze() {
        let executor = Mutex::new(0);
        let performed = |frozen: &dyn Fn() -> Option<String>| {
            unless_frozen(&executor, frozen, |actions| {
                *actions += 1;
                Ok(())
            })
        };
        performed(&|| None).unwrap();
        // It is frozen once somebody has the executor.
        let by_then = || executor.try_lock().is_err().then(|| "disk swap".to_owned());
        let refused = performed(&by_then).unwrap_err();
        assert_eq!(refused, ActionError::Refused { reason: "repairs are frozen: disk swap".to_owned() });
        assert_eq!(*executor.lock().unwrap(), 1);
    }

    #[test]
    fn a_text_from_outside_cannot_begin_a_line_of_the_log() {
        assert_eq!(printable("a\n2026 INFO forged\u{1b}[2J"), "a\\n2026 INFO forged\\u{1b}[2J");
    }
}
