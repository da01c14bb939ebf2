//! The host on paper: what is read is real, amended by what would have been done; what is done is only remembered.
//!
//! A plan and the stage `shadow` run scripts against it, so that a script which waits for what it has done sees it happen.
//! Time passes by waiting alone. The host itself is behind a reference through which nothing can be performed.

mod effects;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use executor::{Action, ActionError, Outcome};
use serde_json::Value;
use telemetry::{Alert, MatchedLine, RunEvent, RunId, Timestamp};

use crate::circumstances::{Circumstances, Subject};
use crate::fact::{Fact, ProcessFilter};
use crate::world::{Answer, FoundProcess, Page, World};
use effects::Effects;

/// Whose events go where.
enum Host<'a> {
    /// Nobody is to learn of it; the events are kept.
    Quiet(&'a dyn World, Vec<RunEvent>),
    /// The events are passed on.
    Told(&'a mut dyn World),
}

/// A world in which nothing is performed.
pub(crate) struct DryRun<'a> {
    host: Host<'a>,
    /// How much time has only seemed to pass.
    passed: Cell<Duration>,
    /// When it has to be over, in the host's time.
    until: Option<Timestamp>,
    effects: RefCell<Effects>,
}

impl<'a> DryRun<'a> {
    /// Of which nobody is told; it lasts no longer than `within`, in the host's time.
    pub(crate) fn over(world: &'a dyn World, within: Duration) -> Self {
        let until = Some(world.now().plus(within));
        Self { until, ..Self::on(Host::Quiet(world, Vec::new())) }
    }

    /// Whose events are passed on.
    pub(crate) fn of(world: &'a mut dyn World) -> Self {
        Self::on(Host::Told(world))
    }

    fn on(host: Host<'a>) -> Self {
        Self { host, passed: Cell::default(), until: None, effects: RefCell::default() }
    }

    /// The events that nobody was told.
    pub(crate) fn into_events(self) -> Vec<RunEvent> {
        match self.host {
            Host::Quiet(_, events) => events,
            Host::Told(_) => Vec::new(),
        }
    }

    /// The question as it can be answered before it has to be over.
    fn in_time(&self, fact: &Fact) -> Result<Fact, String> {
        let mut fact = fact.clone();
        let Some(until) = self.until else { return Ok(fact) };
        let left = until.since(self.host().now());
        if left.is_zero() {
            return Err("the time that a plan may take is over".to_owned());
        }
        if let Fact::HttpGet { within, .. } = &mut fact {
            *within = left.min(*within);
        }
        Ok(fact)
    }

    /// Through which everything can be read.
    fn host(&self) -> &dyn World {
        match &self.host {
            Host::Quiet(world, _) => *world,
            Host::Told(world) => &**world,
        }
    }
}

impl World for DryRun<'_> {
    fn now(&self) -> Timestamp {
        self.host().now().plus(self.passed.get())
    }

    fn told_at(&self) -> Timestamp {
        match &self.host {
            Host::Quiet(..) => self.now(),
            Host::Told(world) => world.told_at(),
        }
    }

    fn query(&self, expr: &str, _: Option<Timestamp>) -> Result<Answer, String> {
        self.host().query(expr, None)
    }

    fn query_at(&self, expr: &str, at: Timestamp) -> Result<Answer, String> {
        self.host().query_at(expr, at)
    }

    fn fact(&self, fact: &Fact) -> Result<Value, String> {
        let fact = &self.in_time(fact)?;
        self.effects.borrow().amended(self.host(), fact, self.now())
    }

    fn matched_lines(&self) -> Vec<MatchedLine> {
        self.host().matched_lines()
    }

    fn find_processes(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        self.effects.borrow().processes(self.host(), filter)
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let now = self.now();
        self.effects.borrow_mut().take_place(self.host(), action, now)
    }

    fn wait(&self, duration: Duration) -> bool {
        self.passed.set(self.passed.get().saturating_add(duration));
        self.until.is_none_or(|until| self.host().now() < until) && self.host().wait(Duration::ZERO)
    }

    fn record(&mut self, event: &RunEvent) {
        match &mut self.host {
            Host::Quiet(_, events) => events.push(event.clone()),
            Host::Told(world) => world.record(event),
        }
    }

    fn attach(&mut self, _: &RunId, name: &str, _: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }

    fn page(&mut self, _: &Page) -> Vec<String> {
        Vec::new()
    }

    /// What is only planned changes nothing and is allowed at any time.
    fn frozen(&self) -> Option<String> {
        None
    }

    fn seen_firing(&self, alert: &Alert) -> Option<Timestamp> {
        self.host().seen_firing(alert)
    }

    fn circumstances(&self, subject: &Subject<'_>) -> Circumstances {
        self.host().circumstances(subject)
    }
}
