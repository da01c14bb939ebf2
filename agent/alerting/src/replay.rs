//! What rules would have done: their rounds of the past, one after the other, over the samples that a store still has.
//!
//! The samples that the rules read are copied in the order of their time into a store of their own, so that a round sees
//! what it would have seen then, and what the rules themselves gave. Series that they record, and `ALERTS` of their names,
//! are left out of what is copied. What would surprise you: a store that holds less than was asked for makes alerts fire
//! later than they would have, or not at all; [`Replay::held_since`] says from when on the result can be believed.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use series::{Limits, Scratch, SeriesId, Store, is_stale};
use telemetry::{Labels, METRIC_NAME, Origin, Origins, Timestamp, with_causes};

use crate::rule::{ALERT_NAME, Defaults, Rule, RuleGroup};
use crate::{GroupState, Transition};

/// Samples are copied for so long at once, so that few are in memory twice.
const BLOCK: Duration = Duration::from_mins(10);

/// Rounds of all groups together; a hundred groups each ten seconds over three hours.
const MAX_ROUNDS: usize = 100_000;

/// Times that one alert fires of which each is told; further ones are counted.
const MAX_FIRINGS: usize = 1_000;

/// What the rules would have done.
#[derive(Debug)]
pub struct Replay {
    /// The first moment that was asked about.
    pub from: Timestamp,
    /// The last.
    pub to: Timestamp,
    /// When the oldest sample was taken that the rules read; none, if there are no such samples.
    pub held_since: Option<Timestamp>,
    /// How often groups were evaluated.
    pub rounds: usize,
    /// Every alert, in the order of the rules.
    pub alerts: Vec<ReplayedAlert>,
    /// The rules that failed, and how often.
    pub failures: Vec<ReplayedFailure>,
}

/// What one alerting rule would have done.
#[derive(Debug)]
pub struct ReplayedAlert {
    /// The rule file.
    pub file: PathBuf,
    /// The group's name.
    pub group: String,
    /// The alert's name.
    pub alert: String,
    /// How often it would have begun to fire, over all label sets.
    pub fired: usize,
    /// How often its condition held, but not for long enough.
    pub nearly: usize,
    /// The times that it would have fired, the first ones if they are very many.
    pub firings: Vec<Firing>,
}

/// A time that an alert fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// All labels of the alert.
    pub labels: Labels,
    /// When it begins to fire.
    pub from: Timestamp,
    /// When it is over, unless it still fires at the end.
    pub until: Option<Timestamp>,
}

/// A rule that failed in some rounds.
#[derive(Debug)]
pub struct ReplayedFailure {
    /// The group's name.
    pub group: String,
    /// The rule's name.
    pub rule: String,
    /// In how many rounds.
    pub rounds: usize,
    /// What it said first.
    pub first: String,
}

/// Too much was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the rules would be evaluated more than {MAX_ROUNDS} times; ask for a shorter time or fewer groups")]
pub struct TooManyRounds;

/// Evaluates the groups at each of their slots after `from` and up to `to`, over what `past` holds.
///
/// # Errors
///
/// There would be more than a hundred thousand rounds.
pub fn replay(
    past: &Store,
    groups: Vec<RuleGroup>,
    defaults: &Defaults,
    from: Timestamp,
    to: Timestamp,
) -> Result<Replay, TooManyRounds> {
    let mut replay = Replay::new(&groups, from, to);
    let mut feed = Feed::new(past, &groups, from, to);
    let mut store = Store::new(Limits { retention: feed.reach, ..Limits::NONE });
    let mut states: Vec<_> = groups.into_iter().map(|group| GroupState::new(group, defaults, from)).collect();
    while let Some(slot) = states.iter().map(GroupState::next_due).min().filter(|slot| *slot <= to) {
        feed.load(&mut store, slot);
        for state in &mut states {
            let Some(at) = state.due(slot) else { continue };
            replay.rounds += 1;
            if replay.rounds > MAX_ROUNDS {
                return Err(TooManyRounds);
            }
            let round = state.evaluate(&mut store, at, &mut || Duration::ZERO);
            replay.note(state.group(), at, round);
        }
    }
    replay.held_since = feed.oldest;
    Ok(replay)
}

impl Replay {
    fn new(groups: &[RuleGroup], from: Timestamp, to: Timestamp) -> Self {
        let rules = groups.iter().flat_map(|group| group.rules().iter().map(move |rule| (group, rule)));
        let alerting = rules.filter(|(_, rule)| matches!(rule, Rule::Alerting(_)));
        let mut alerts: Vec<ReplayedAlert> = Vec::new();
        for (group, rule) in alerting {
            // Rules of one name in one group, told apart by their labels, are one alert to people.
            let same = |alert: &ReplayedAlert| alert.is(group, rule.name());
            if !alerts.iter().any(same) {
                let (file, name) = (group.file().to_owned(), group.name().to_owned());
                let alert = rule.name().to_owned();
                alerts.push(ReplayedAlert { file, group: name, alert, fired: 0, nearly: 0, firings: vec![] });
            }
        }
        Self { from, to, held_since: None, rounds: 0, alerts, failures: Vec::new() }
    }

    fn note(&mut self, group: &RuleGroup, at: Timestamp, round: crate::Round) {
        for transition in &round.transitions {
            let labels = &transition.alert().labels;
            let alert = self.alerts.iter_mut().find(|alert| alert.is(group, labels.get(ALERT_NAME)));
            if let Some(alert) = alert {
                alert.note(transition, at);
            }
        }
        for error in round.errors {
            let same =
                |known: &&mut ReplayedFailure| (&known.group, &known.rule) == (&error.group, &error.rule);
            if let Some(known) = self.failures.iter_mut().find(same) {
                known.rounds += 1;
            } else {
                let first = with_causes(&error.failure);
                let (group, rule) = (error.group, error.rule);
                self.failures.push(ReplayedFailure { group, rule, rounds: 1, first });
            }
        }
    }
}

impl ReplayedAlert {
    fn is(&self, group: &RuleGroup, alert: &str) -> bool {
        self.file == group.file() && self.group == group.name() && self.alert == alert
    }

    fn note(&mut self, transition: &Transition, at: Timestamp) {
        match transition {
            Transition::Firing(alert) => {
                self.fired += 1;
                if self.firings.len() < MAX_FIRINGS {
                    self.firings.push(Firing { labels: alert.labels.clone(), from: at, until: None });
                }
            }
            Transition::Resolved(alert) => {
                let mut open = self.firings.iter_mut().rev().filter(|firing| firing.until.is_none());
                if let Some(firing) = open.find(|firing| firing.labels == alert.labels) {
                    firing.until = Some(at);
                }
            }
            Transition::Dropped(_) => self.nearly += 1,
            Transition::Pending(_) => {}
        }
    }
}

/// The samples that the rules read, in the order of their time.
struct Feed<'a> {
    past: &'a Store,
    series: Vec<Fed>,
    /// The last time that is loaded, in milliseconds.
    loaded: i64,
    to: i64,
    /// What has been copied and not yet appended, the next one last.
    waiting: Vec<(i64, usize, f64)>,
    /// How far back the rules look.
    reach: Duration,
    oldest: Option<Timestamp>,
}

struct Fed {
    id: SeriesId,
    labels: Labels,
    origins: Arc<Origins>,
}

impl<'a> Feed<'a> {
    fn new(past: &'a Store, groups: &[RuleGroup], from: Timestamp, to: Timestamp) -> Self {
        let rules = || groups.iter().flat_map(RuleGroup::rules);
        let names: HashSet<&str> = rules().map(Rule::name).collect();
        let own = |labels: &Labels| match labels.get(METRIC_NAME) {
            "ALERTS" | "ALERTS_FOR_STATE" => names.contains(labels.get(ALERT_NAME)),
            name => names.contains(name),
        };
        let reads = groups.iter().flat_map(|group| group.rules().iter().flat_map(|rule| group.reads(rule)));
        let mut reach = promql::LOOKBACK;
        let mut series = BTreeMap::new();
        for (matchers, back) in reads {
            // A fixed time is looked for in all that there is.
            reach = reach.max(back);
            let ids = past.select(&matchers).into_iter().map(|id| (past.labels(id).clone(), id));
            series.extend(ids.filter(|(labels, _)| !own(labels)));
        }
        let fed = |(labels, id)| Fed { id, labels, origins: Arc::new(past.origins(id).clone()) };
        let start = i64::try_from(reach.as_millis()).unwrap_or(i64::MAX);
        Self {
            past,
            series: series.into_iter().map(fed).collect(),
            loaded: from.as_millis().saturating_sub(start),
            to: to.as_millis(),
            waiting: Vec::new(),
            reach,
            oldest: None,
        }
    }

    /// Appends all samples up to `slot`.
    fn load(&mut self, store: &mut Store, slot: Timestamp) {
        loop {
            while let Some((at, ..)) = self.waiting.last() {
                if *at > slot.as_millis() {
                    return;
                }
                if let Some((at, number, value)) = self.waiting.pop() {
                    self.append(store, at, number, value);
                }
            }
            if self.loaded >= slot.as_millis().min(self.to) {
                return;
            }
            self.next_block(slot);
        }
    }

    fn append(&mut self, store: &mut Store, at: i64, number: usize, value: f64) {
        let Some(fed) = self.series.get(number) else { return };
        let at = Timestamp::from_millis(at);
        self.oldest.get_or_insert(at);
        // Refused is only what comes twice, and that is there.
        let _ = if is_stale(value) {
            store.mark_stale(&fed.labels, &Origin::Rule, at)
        } else {
            store.append_recorded(&fed.labels, &fed.origins, at, value)
        };
    }

    /// Copies the samples of the next block, or all up to `slot` if that is before the first block ends.
    fn next_block(&mut self, slot: Timestamp) {
        let block = i64::try_from(BLOCK.as_millis()).unwrap_or(i64::MAX);
        // What lies before the first slot is loaded at once: it may be nothing for a long time.
        let end = self.loaded.saturating_add(block).max(slot.as_millis()).min(self.to);
        let mut scratch = Scratch::default();
        for (number, fed) in self.series.iter().enumerate() {
            let samples = self.past.samples(fed.id, self.loaded, end, &mut scratch);
            let samples = samples.times.iter().zip(samples.values);
            self.waiting.extend(samples.map(|(at, value)| (*at, number, *value)));
        }
        self.waiting.sort_unstable_by_key(|(at, number, _)| std::cmp::Reverse((*at, *number)));
        self.loaded = end;
    }
}

#[cfg(test)]
mod tests;
