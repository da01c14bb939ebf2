//! Evaluates the rules of one test, tick by tick, over what its series hold by then.

use std::sync::Arc;
use std::time::Duration;

use documents::{Document, Problem};
use series::{Limits, Store};
use telemetry::{Labels, Origin, Timestamp, format_duration, with_causes};

use super::judge;
use super::{Check, CheckFailure, MAX_ROUNDS, Test, TestReport, UnitTests, rule_places};
use crate::{Defaults, GroupState, RuleError, RuleFile};

/// A test on its way.
pub(super) struct Run<'a> {
    pub(super) file: &'a UnitTests,
    pub(super) test: &'a Test,
    rules: &'a [Document],
    pub(super) groups: Vec<Timed>,
    pub(super) store: Store,
    samples: Samples,
    checks: Vec<Check>,
    /// The alert tests that were looked at.
    looked_at: usize,
}

/// A group and when it is next evaluated.
pub(super) struct Timed {
    pub(super) group: GroupState,
    every: Duration,
    next: Timestamp,
}

pub(super) fn run(file: &UnitTests, test: &Test, rules: &[Document]) -> TestReport {
    let mut run = Run {
        file,
        test,
        rules,
        groups: groups(file, test, rules),
        store: Store::new(Limits::NONE),
        samples: Samples::new(test),
        checks: Vec::new(),
        looked_at: 0,
    };
    for problem in &test.refused {
        let title = "the series can be loaded".to_owned();
        run.checks.push(Check { title, failure: Some(problem.clone().into()) });
    }
    let mut alerts: Vec<usize> = (0..test.alerts.len()).collect();
    alerts.sort_by_key(|at| test.alerts.get(*at).map(|alert| alert.at));
    match run.rounds(&alerts) {
        Ok(()) => run.ask_expressions(),
        Err(failure) => run.give_up(&alerts, failure),
    }
    TestReport { name: test.name.clone(), place: test.place.clone(), checks: run.checks }
}

fn groups(file: &UnitTests, test: &Test, rules: &[Document]) -> Vec<Timed> {
    let defaults = Defaults { interval: file.interval, externals: Arc::new(test.externals.clone()) };
    let read = rules.iter().filter_map(|document| RuleFile::read(document).ok());
    let mut groups: Vec<_> = read.flat_map(|file| file.groups).collect();
    let place = |name: &str| file.order.iter().position(|known| known == name).unwrap_or(usize::MAX);
    groups.sort_by_key(|group| place(group.name()));
    let timed = groups.into_iter().map(|mut group| {
        group.set_subquery_step(file.interval);
        let own = group.interval().filter(|_| file.group_intervals);
        let every = own.unwrap_or(file.interval);
        Timed { group: GroupState::new(group, &defaults, test.start), every, next: test.start }
    });
    timed.collect()
}

impl Run<'_> {
    /// All rounds up to the last time that an expectation is about, with a look at the alerts after each.
    fn rounds(&mut self, alerts: &[usize]) -> Result<(), Vec<CheckFailure>> {
        let end = self.test.start.plus(self.test.length());
        let mut now = self.test.start;
        let mut rounds = 0;
        loop {
            rounds += 1;
            if rounds > MAX_ROUNDS {
                let message = format!("the rules would be evaluated more than {MAX_ROUNDS} times");
                return Err(vec![self.test_failed(message)]);
            }
            self.load(now)?;
            self.evaluate(now)?;
            let next = self.groups.iter().map(|timed| timed.next).min();
            let next = next.unwrap_or_else(|| self.last_tick(now).plus(self.file.interval));
            self.look_at_alerts(alerts, next);
            if next > end || next <= now {
                // As promtool: what comes after the last tick is not there, unless groups have ticks of their own.
                let until = if self.file.group_intervals { end } else { self.last_tick(now) };
                return self.load(until);
            }
            now = next;
        }
    }

    /// The last tick of the test, if not `now`.
    fn last_tick(&self, now: Timestamp) -> Timestamp {
        let tick = self.file.interval.as_nanos().max(1);
        let ticks = u32::try_from(self.test.length().as_nanos() / tick).unwrap_or(u32::MAX);
        now.max(self.test.start.plus(self.file.interval.saturating_mul(ticks)))
    }

    fn load(&mut self, until: Timestamp) -> Result<(), Vec<CheckFailure>> {
        while let Some((at, labels, value)) = self.samples.next_until(until) {
            if let Err(reason) = self.store.append_sample(labels, &Origin::Rule, at, value) {
                let message = format!("a sample of {labels} is refused: {}", with_causes(&reason));
                return Err(vec![self.test_failed(message)]);
            }
        }
        Ok(())
    }

    fn test_failed(&self, message: String) -> CheckFailure {
        Problem::at(&self.file.document, self.test.place.clone(), message).into()
    }

    fn evaluate(&mut self, now: Timestamp) -> Result<(), Vec<CheckFailure>> {
        let mut errors = Vec::new();
        for timed in self.groups.iter_mut().filter(|timed| timed.next <= now) {
            timed.next = now.plus(timed.every);
            let round = timed.group.evaluate(&mut self.store, now, &mut || Duration::ZERO);
            let path = timed.group.group().file();
            errors.extend(round.errors.into_iter().map(|error| (path.to_owned(), error)));
        }
        let since = format_duration(now.since(self.test.start));
        let failures = errors.iter().map(|(path, error)| {
            let document = self.rules.iter().find(|document| document.path() == path);
            self.rule_failed(document, error, &since)
        });
        let failures: Vec<CheckFailure> = failures.collect();
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    fn rule_failed(&self, document: Option<&Document>, error: &RuleError, since: &str) -> CheckFailure {
        let message = format!("at {since} in a test: {}", with_causes(error));
        let place = document.and_then(|document| rule_places::expression(document, error));
        match (document, place) {
            (Some(document), Some(place)) => Problem::at(document, place, message).into(),
            _ => self.test_failed(message),
        }
    }

    /// Looks at the alerts that are expected before `next`.
    fn look_at_alerts(&mut self, alerts: &[usize], next: Timestamp) {
        while let Some(test) = alerts.get(self.looked_at).and_then(|at| self.test.alerts.get(*at)) {
            if self.test.start.plus(test.at) >= next {
                return;
            }
            self.checks.push(judge::alert(self, test));
            self.looked_at += 1;
        }
    }

    fn ask_expressions(&mut self) {
        for test in &self.test.expressions {
            self.checks.push(judge::expression(self, test));
        }
    }

    /// After a failure that no expectation can be looked at after.
    fn give_up(&mut self, alerts: &[usize], failures: Vec<CheckFailure>) {
        self.checks.extend(failures.into_iter().map(|failure| {
            let title = "the rules can be evaluated".to_owned();
            Check { title, failure: Some(failure) }
        }));
        let left = alerts.iter().skip(self.looked_at).filter_map(|at| self.test.alerts.get(*at));
        let alerts = left.map(|test| (judge::alert_title(test), test.place.clone()));
        let expressions = self.test.expressions.iter().map(|test| {
            (judge::expression_title(test), super::read::first_line(&self.file.document, &test.expr))
        });
        for (title, place) in alerts.chain(expressions) {
            let problem =
                Problem::at(&self.file.document, place, "not looked at, since the test could not run");
            let failure = CheckFailure { follows: true, ..problem.into() };
            self.checks.push(Check { title, failure: Some(failure) });
        }
    }
}

impl From<Problem> for CheckFailure {
    fn from(problem: Problem) -> Self {
        Self { problem, differences: Vec::new(), follows: false }
    }
}

/// The samples of all series in the order of their times.
struct Samples {
    series: Vec<Labels>,
    /// Milliseconds, the place of the series, the value.
    all: Vec<(i64, usize, f64)>,
    at: usize,
}

impl Samples {
    fn new(test: &Test) -> Self {
        let mut all = Vec::new();
        let interval = i64::try_from(test.interval.as_millis()).unwrap_or(i64::MAX);
        for (place, values) in test.series.values().enumerate() {
            all.extend(values.numbered().map(|(number, value)| {
                let after = i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(interval);
                (test.start.as_millis().saturating_add(after), place, value)
            }));
        }
        all.sort_by_key(|(at, place, _)| (*at, *place));
        Self { series: test.series.keys().cloned().collect(), all, at: 0 }
    }

    fn next_until(&mut self, until: Timestamp) -> Option<(Timestamp, &Labels, f64)> {
        let (at, place, value) = self.all.get(self.at).copied()?;
        let at = Timestamp::from_millis(at);
        if at > until {
            return None;
        }
        self.at += 1;
        Some((at, self.series.get(place)?, value))
    }
}
