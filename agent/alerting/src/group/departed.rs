//! What a group or a rule that is gone leaves behind.

use std::collections::BTreeSet;
use std::time::Duration;

use series::Store;
use telemetry::{Alert, Labels, Origin, Timestamp};

use super::run::Written;
use crate::state::{Transition, is_recent};

/// A rule that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) transitions: Vec<Transition>,
    /// Its resolved alerts, those that were so before among them.
    pub(crate) resolved: Vec<Alert>,
    /// The series that it wrote last.
    pub(crate) series: Written,
}

/// A group that is gone: its series, until it is certain that no other group goes on with them, and its alerts, as long as
/// others are told that they are over.
#[derive(Debug)]
pub struct Departed {
    at: Timestamp,
    ends_at: Timestamp,
    series: BTreeSet<Labels>,
    resolved: Vec<Alert>,
}

impl Departed {
    pub(super) fn new(
        at: Timestamp,
        interval: Duration,
        series: BTreeSet<Labels>,
        resolved: Vec<Alert>,
    ) -> Self {
        Self { at, ends_at: at.plus(interval * 2), series, resolved }
    }

    pub(super) fn take(&mut self, ended: Ended) -> Vec<Transition> {
        self.series.extend(ended.series);
        self.resolved.extend(ended.resolved);
        ended.transitions
    }

    /// The alerts that others are still told of.
    pub fn reported(&self) -> impl Iterator<Item = &Alert> {
        self.resolved.iter()
    }

    /// Does what is due at `now`, and says whether nothing is left. Series that nobody has gone on with ended when the
    /// group did.
    pub fn settle(&mut self, store: &mut Store, now: Timestamp) -> bool {
        if now >= self.ends_at {
            for labels in std::mem::take(&mut self.series) {
                // Refused if the series has aged out, or if another group has gone on with it.
                let _ = store.mark_stale(&labels, &Origin::Rule, self.at);
            }
        }
        self.resolved.retain(|alert| is_recent(alert.resolved_at, now));
        self.series.is_empty() && self.resolved.is_empty()
    }
}
