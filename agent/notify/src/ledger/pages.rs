//! Calls for people: that a repair has failed. A call is owed by itself, whatever its alert does meanwhile.
//!
//! A series that ends takes its alert with it, often just because the repair has failed. So a page is a notice of its own,
//! which fires from when it is made until all receivers have it. It is kept before anybody was told; silences of its alert
//! hold for it too.

use std::collections::BTreeMap;
use std::time::Duration;

use telemetry::{Labels, Timestamp};

use super::held::shortened;
use super::{Entry, Ledger, OWED_FOR, Told};
use crate::notice::Notice;

/// The name of the alert that calls people when a repair has failed.
pub const REPAIR_FAILED: &str = "HostmendRepairFailed";

/// Calls kept at most; a host begins fewer runs in a day. At the limit the oldest gives way, and is counted.
const MAX_PAGES: usize = 500;

/// A call fires so long at least: less would look over before anybody has read it.
const FIRES_FOR: Duration = Duration::from_hours(1);

/// That a repair has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The labels of the alert that was to be repaired; none if that is not known.
    pub alert: Labels,
    /// The expression of its rule.
    pub expression: String,
    /// What tried.
    pub runbook: String,
    /// The run, which is called about once.
    pub run: String,
    /// What was tried, and why it did not help.
    pub annotations: BTreeMap<String, String>,
}

impl Call {
    /// The labels of the alert, whose name is `alert` there, with what tried.
    pub(crate) fn labels(&self) -> Labels {
        let mut labels = self.alert.to_builder();
        let name = self.alert.get("alertname");
        if !name.is_empty() {
            labels.set("alert", name);
        }
        labels.set("alertname", REPAIR_FAILED).set("runbook", &self.runbook).set("run", &self.run);
        labels.build()
    }

    fn notice(self, labels: Labels, now: Timestamp) -> Notice {
        Notice {
            labels,
            annotations: shortened(self.annotations),
            fired_at: now,
            resolved_at: None,
            valid_until: now.plus(OWED_FOR),
            expression: self.expression,
            held_until: None,
        }
    }
}

impl Entry {
    /// Of a call, ends it once all of `receivers` have it, or a day after it was made.
    pub(super) fn end_call<'a>(&mut self, mut receivers: impl Iterator<Item = &'a String>, now: Timestamp) {
        let age = now.since(self.notice.fired_at);
        let has_it = |told: &Told| told.answer == Some(super::Answer::Accepted);
        let delivered = receivers.all(|receiver| self.told.get(receiver).is_some_and(has_it));
        if age >= OWED_FOR || (age >= FIRES_FOR && delivered) {
            self.end(now);
        }
    }
}

impl Ledger {
    /// Calls people because a repair has failed: as an alert of its own, and in the annotations of the alert, if that fires.
    /// Who calls about one run again has called once.
    pub fn call(&mut self, call: Call, now: Timestamp) {
        self.annotate(&call.alert, call.annotations.clone());
        let labels = call.labels();
        if self.entries.get(&labels).is_some_and(Entry::is_call) {
            return;
        }
        self.make_room_for_call();
        let about = call.alert.clone();
        let entry = Entry { about: Some(about), ..Entry::new(call.notice(labels.clone(), now)) };
        self.entries.insert(labels, entry);
    }

    /// The oldest that is over gives way, or else the oldest.
    fn make_room_for_call(&mut self) {
        let calls = self.entries.iter().filter(|(_, entry)| entry.is_call());
        let age = |(_, entry): &(&Labels, &Entry)| (entry.notice.fires(), entry.notice.fired_at);
        if calls.clone().count() < MAX_PAGES {
            return;
        }
        let Some(oldest) = calls.min_by_key(age).map(|(labels, _)| labels.clone()) else { return };
        let gone = self.entries.remove(&oldest);
        self.expired += u64::from(gone.is_some_and(|entry| entry.told.is_empty() || entry.is_owed()));
    }

    /// What a silence may be about: what fires, and for a call also the alert that it is about.
    pub(crate) fn silenceable(&self) -> impl Iterator<Item = (&Labels, Option<&Labels>)> {
        let firing = self.entries.values().filter(|entry| !entry.unsettled && entry.notice.fires());
        firing.map(|entry| (&entry.notice.labels, entry.about.as_ref()))
    }
}

#[cfg(test)]
mod tests;
