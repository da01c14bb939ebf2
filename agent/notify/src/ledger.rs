//! What each receiver has been told, and what it is owed: a function of what is reported and of the time.
//!
//! An alert that fires is owed at once, and again each time the receiver's `repeat` is over. Its end is owed to whoever may
//! have been told of it, and to nobody else. That somebody is about to be told of a beginning or an end is noted, and kept,
//! before it is tried: so a crash in between loses neither. Nothing is owed before the first report, for nobody knows then what fires;
//! nor of what an earlier agent told of, before that is reported again or the rules have had time to. What is held back is owed
//! when that time is over, or it is released. A call for people is owed whatever is reported.

mod held;
mod pages;
mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{Labels, Timestamp};

use crate::notice::Notice;

use held::Released;
pub use pages::{Call, REPAIR_FAILED};
pub use saved::SavedError;

/// Alerts kept at most: more than this at once is a storm, of which a part tells as much as the whole.
pub const MAX_ALERTS: usize = 2_000;

/// For how long the end of an alert is kept for a receiver that cannot be told of it.
const OWED_FOR: Duration = Duration::from_hours(24);

/// What an earlier agent told of and no rule reports is over so long after the first report, and not before: that agent may
/// have told of an alert, and been killed before it noted the alert itself. The time in which restored alerts settle.
const SETTLE: Duration = Duration::from_mins(5);

/// What was refused is tried again after so long, or after the receiver's `repeat` if that is less: somebody may have
/// mended it.
const REFUSED_AGAIN: Duration = Duration::from_mins(5);

/// How often a receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What it has taken is told again after so long.
    pub repeat: Duration,
    /// For so long after its end an alert is told of again; none is once.
    pub resolved_for: Option<Duration>,
}

/// What a receiver made of what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It has it.
    Accepted,
    /// It will not have it, as it is.
    Refused,
}

/// All alerts that somebody is told of or must still be told of.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<Labels, Entry>,
    /// Who is told, if that is known.
    receivers: BTreeSet<String>,
    /// When there was a first report.
    reported: Option<Timestamp>,
    left_out: usize,
    expired: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    notice: Arc<Notice>,
    told: BTreeMap<String, Told>,
    /// Whether it fired for an earlier agent, and nobody knows yet whether it does now.
    unsettled: bool,
    /// Set once it is held back no more, until it is over.
    released: Option<Released>,
    /// Of a call for people, the labels of the alert that it is about. No rule reports it.
    about: Option<Labels>,
}

/// The last that a receiver was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// Whether it was told that the alert fires.
    fires: bool,
    /// None before there was an answer.
    answer: Option<Answer>,
    at: Timestamp,
}

impl Told {
    /// Whether the receiver may believe that the alert fires.
    fn may_believe_it(&self) -> bool {
        self.fires || self.answer != Some(Answer::Accepted)
    }
}

impl Entry {
    /// When `receiver` is next owed it. The start of all times is at once.
    fn due(&self, receiver: &str, pace: &Pace, silenced: bool) -> Option<Timestamp> {
        if self.unsettled {
            return None;
        }
        let at_once = Some(Timestamp::from_nanos(i64::MIN));
        let told = self.told.get(receiver);
        let again = |told: &Told| match told.answer? {
            Answer::Accepted => Some(told.at.plus(pace.repeat)),
            Answer::Refused => Some(told.at.plus(pace.repeat.min(REFUSED_AGAIN))),
        };
        match (self.notice.resolved_at, told) {
            (None, _) if silenced => None,
            (None, Some(told)) if told.fires => again(told).or(at_once),
            (None, _) => self.notice.held_until.or(at_once),
            (Some(_), None) => None,
            (Some(_), Some(told)) if told.fires => at_once,
            (Some(resolved), Some(told)) => again(told).filter(|next| {
                let keep = match told.answer {
                    Some(Answer::Refused) => OWED_FOR,
                    _ => pace.resolved_for.unwrap_or_default(),
                };
                *next < resolved.plus(keep)
            }),
        }
    }

    fn new(notice: Notice) -> Self {
        Self {
            notice: Arc::new(notice),
            told: BTreeMap::new(),
            unsettled: false,
            released: None,
            about: None,
        }
    }

    const fn is_call(&self) -> bool {
        self.about.is_some()
    }

    /// Whether a report of it is about this time that it fired, and not about one that an earlier agent saw the end of.
    fn is_meant_by(&self, notice: &Notice) -> bool {
        !self.unsettled || notice.resolved_at.is_none_or(|at| at >= self.notice.fired_at)
    }

    /// Takes what is reported of it now.
    fn report(&mut self, notice: Notice) {
        self.unsettled = false;
        let notice = self.as_released(notice);
        if !notice.fires() {
            // Of an alert that came and went since the last report, nobody was told.
            if self.notice.fires() || self.notice.fired_at == notice.fired_at {
                self.notice = Arc::new(notice);
            }
            return;
        }
        // Who was told of the end is told at once that it is back; who was not knows that it fires.
        self.told.retain(|_, told| told.may_believe_it());
        for told in self.told.values_mut().filter(|told| !told.fires) {
            (told.fires, told.answer) = (true, None);
        }
        self.notice = Arc::new(notice);
    }

    fn end(&mut self, now: Timestamp) {
        self.unsettled = false;
        if self.notice.fires() {
            Arc::make_mut(&mut self.notice).resolved_at = Some(now);
        }
    }

    fn set_back_to(&mut self, now: Timestamp) {
        for told in self.told.values_mut() {
            told.at = told.at.min(now);
        }
        if self.notice.resolved_at.is_some_and(|at| at > now) {
            Arc::make_mut(&mut self.notice).resolved_at = Some(now);
        }
        if self.is_call() && self.notice.fired_at > now {
            let notice = Arc::make_mut(&mut self.notice);
            (notice.fired_at, notice.valid_until) = (now, now.plus(OWED_FOR));
        }
    }

    /// Whether nobody is owed anything more, and whether somebody was when it was given up.
    fn is_over(&self, told_again_for: Duration, now: Timestamp) -> Option<bool> {
        let over_for = now.since(self.notice.resolved_at?);
        let owed = self.is_owed();
        let kept_for = if owed { OWED_FOR } else { told_again_for };
        (over_for >= kept_for).then_some(owed)
    }

    fn is_owed(&self) -> bool {
        self.told.values().any(Told::may_believe_it)
    }
}

impl Ledger {
    /// Takes all alerts that fire now, and those that were resolved lately. Of the others that did fire, the end is now.
    /// What is over and told to all is kept for `told_again_for` from its end, unless what fires needs its place.
    pub fn report(
        &mut self,
        reported: impl IntoIterator<Item = Notice>,
        told_again_for: Duration,
        now: Timestamp,
    ) {
        let first = self.reported.map_or(now, |first| first.min(now));
        self.reported = Some(first);
        let settled = now.since(first) >= SETTLE;
        self.entries.values_mut().for_each(|entry| entry.set_back_to(now));
        let mut reported: Vec<Notice> = reported.into_iter().collect();
        // Of two with the same labels, what fires counts, then what fired last.
        reported.sort_by_key(|notice| (notice.fires(), notice.fired_at));
        let mut latest: BTreeMap<Labels, Notice> = BTreeMap::new();
        latest.extend(reported.into_iter().map(|notice| (notice.labels.clone(), notice)));
        for (labels, entry) in &mut self.entries {
            match latest.remove(labels) {
                _ if entry.is_call() => entry.end_call(self.receivers.iter(), now),
                Some(notice) if entry.is_meant_by(&notice) => entry.report(notice),
                _ if entry.unsettled && !settled => {}
                _ => entry.end(now),
            }
        }
        self.entries.retain(|_, entry| match entry.is_over(told_again_for, now) {
            Some(in_debt) => {
                self.expired += u64::from(in_debt);
                false
            }
            None => true,
        });
        let mut new: Vec<Notice> = latest.into_values().filter(Notice::fires).collect();
        self.make_room(new.len());
        let room = MAX_ALERTS.saturating_sub(self.alerts());
        self.left_out = new.len().saturating_sub(room);
        new.truncate(room);
        for notice in new {
            self.entries.insert(notice.labels.clone(), Entry::new(notice));
        }
    }

    /// Those that rules report.
    fn alerts(&self) -> usize {
        self.entries.values().filter(|entry| !entry.is_call()).count()
    }

    /// Gives up alerts that are over for so many new ones that fire: first those whose end everybody knows, then those that
    /// are over for longest.
    fn make_room(&mut self, new: usize) {
        let missing = (self.alerts() + new).saturating_sub(MAX_ALERTS);
        if missing == 0 {
            return;
        }
        let over =
            self.entries.iter().filter(|(_, entry)| !entry.is_call()).filter_map(|(labels, entry)| {
                Some((entry.is_owed(), entry.notice.resolved_at?, labels.clone()))
            });
        let mut over: Vec<_> = over.collect();
        over.sort();
        for (owed, _, labels) in over.into_iter().take(missing) {
            self.expired += u64::from(owed);
            self.entries.remove(&labels);
        }
    }

    /// Knows no receivers but these from now on.
    pub fn keep_receivers(&mut self, receivers: &BTreeSet<&str>) {
        self.receivers = receivers.iter().map(|&receiver| receiver.to_owned()).collect();
        for entry in self.entries.values_mut() {
            entry.told.retain(|receiver, _| receivers.contains(receiver.as_str()));
        }
    }

    /// What `receiver` is owed at `now`, by labels.
    pub fn owed(
        &self,
        receiver: &str,
        pace: &Pace,
        silenced: impl Fn(&Labels) -> bool,
        now: Timestamp,
    ) -> Vec<Arc<Notice>> {
        let due = self.due(receiver, pace, silenced);
        due.filter(|(at, _)| *at <= now).map(|(_, notice)| Arc::clone(notice)).collect()
    }

    /// When `receiver` is next owed something.
    pub fn next_due(
        &self,
        receiver: &str,
        pace: &Pace,
        silenced: impl Fn(&Labels) -> bool,
    ) -> Option<Timestamp> {
        self.due(receiver, pace, silenced).map(|(at, _)| at).min()
    }

    fn due(
        &self,
        receiver: &str,
        pace: &Pace,
        silenced: impl Fn(&Labels) -> bool,
    ) -> impl Iterator<Item = (Timestamp, &Arc<Notice>)> {
        let entries = self.entries.iter().filter(|(_, entry)| self.reported.is_some() || entry.is_call());
        entries.filter_map(move |(labels, entry)| {
            Some((entry.due(receiver, pace, silenced(labels))?, &entry.notice))
        })
    }

    /// What fires, by labels.
    pub fn firing(&self) -> impl Iterator<Item = &Arc<Notice>> {
        let known = self.entries.values().filter(|entry| !entry.unsettled);
        known.map(|entry| &entry.notice).filter(|notice| notice.fires())
    }

    /// Since when the alert with these labels fires, as far as is known.
    pub fn fires_since(&self, labels: &Labels) -> Option<Timestamp> {
        let notice = &self.entries.get(labels)?.notice;
        notice.fires().then_some(notice.fired_at)
    }

    /// Notes that `receiver` is about to be told. Returns whether that must be kept before.
    pub fn attempt(&mut self, receiver: &str, notices: &[Arc<Notice>], now: Timestamp) -> bool {
        let mut news = false;
        for notice in notices {
            let Some(entry) = self.entries.get_mut(&notice.labels) else { continue };
            let about = Told { fires: true, answer: None, at: now };
            match entry.told.get_mut(receiver) {
                None => drop(entry.told.insert(receiver.to_owned(), about)),
                // From now on it may know of the end: should the alert come back, it must be told.
                Some(told) if told.fires && told.answer.is_some() && !notice.fires() => *told = about,
                Some(_) => continue,
            }
            news = true;
        }
        news
    }

    /// Notes what `receiver` made of what it was told.
    pub fn answered(&mut self, receiver: &str, notices: &[Arc<Notice>], answer: Answer, now: Timestamp) {
        for notice in notices {
            let Some(entry) = self.entries.get_mut(&notice.labels) else { continue };
            let told = Told { fires: notice.fires(), answer: Some(answer), at: now };
            entry.told.insert(receiver.to_owned(), told);
        }
    }

    /// Alerts of the last report that were over the limit.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Ends of alerts that somebody was owed and that were given up: after a day, or for want of room.
    pub const fn expired(&self) -> u64 {
        self.expired
    }
}

#[cfg(test)]
mod tests;
