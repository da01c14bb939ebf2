//! What is held back from people, because something else is at work on it, and what they are told in the end.
//!
//! A hold stands in the notice and ends by itself at its time, whatever becomes of whoever is at work: so nothing is lost by
//! it. Who knows that an alert fires goes on being told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use telemetry::{Labels, Timestamp};

use super::{Entry, Ledger};
use crate::notice::Notice;

/// The longest text that is added to an alert, in bytes.
const LONGEST_TEXT: usize = 4 << 10;

/// That an alert is held back no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Released {
    /// The time that it began to fire of which this is true.
    fired_at: Timestamp,
    /// Annotations that it has besides its own.
    added: BTreeMap<String, String>,
}

impl Entry {
    /// The notice as it is to be told after a release.
    pub(super) fn as_released(&mut self, mut notice: Notice) -> Notice {
        // Saved times are those of the alert, which outlives the agent as the ledger does.
        self.released.take_if(|released| released.fired_at != notice.fired_at);
        if let Some(released) = &self.released {
            notice.held_until = None;
            notice.annotations.extend(released.added.clone());
        }
        notice
    }

    fn is_held(&self, now: Timestamp) -> bool {
        self.notice.fires() && self.notice.held_until.is_some_and(|until| now < until)
    }
}

impl Ledger {
    /// Tells people at once of an alert that is held back, with these annotations besides its own; who knows of it is told
    /// again. Says whether it was.
    pub fn release(&mut self, labels: &Labels, added: BTreeMap<String, String>, now: Timestamp) -> bool {
        let held = self.is_held(labels, now);
        if held {
            self.annotate(labels, added);
            let entry = self.entries.get_mut(labels);
            entry.into_iter().flat_map(|entry| entry.told.values_mut()).for_each(|told| told.answer = None);
        }
        held
    }

    /// Holds an alert that fires back no more, and has it these annotations besides its own.
    pub(super) fn annotate(&mut self, labels: &Labels, added: BTreeMap<String, String>) {
        let Some(entry) = self.entries.get_mut(labels).filter(|entry| entry.notice.fires()) else { return };
        entry.released = Some(Released { fired_at: entry.notice.fired_at, added: shortened(added) });
        let notice = Notice::clone(&entry.notice);
        entry.notice = Arc::new(entry.as_released(notice));
    }

    /// The alerts that are held back at `now`, and until when.
    pub fn held(&self, now: Timestamp) -> impl Iterator<Item = (&Labels, Timestamp)> {
        let held = self.entries.values().filter(move |entry| entry.is_held(now));
        held.filter_map(|entry| Some((&entry.notice.labels, entry.notice.held_until?)))
    }

    /// Whether the alert with these labels is held back at `now`.
    pub(crate) fn is_held(&self, labels: &Labels, now: Timestamp) -> bool {
        self.entries.get(labels).is_some_and(|entry| entry.is_held(now))
    }
}

/// None is longer than may be.
pub(super) fn shortened(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for text in annotations.values_mut() {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    }
    annotations
}

#[cfg(test)]
mod tests;
