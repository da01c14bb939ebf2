//! Which targets stay well after their last run, and for how long without a break.
//!
//! Only what was seen counts: the time between two looks does if no look showed an alert about the target, by any runbook's
//! matchers, pending or firing. Where nobody looked for long, or not everything could be seen, it begins anew; so it does
//! after a restart. It is measured by a clock that nobody sets.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use telemetry::{Labels, RunEvent, RunStep, Timestamp, with_causes};

use super::Remediator;
use crate::history::Row;
use crate::runbook::Runbook;

/// Two looks further apart have not seen what was in between: as long as rules look back for a sample.
const HANGS_TOGETHER: Duration = Duration::from_mins(5);

/// What one look at the alerts shows.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The time.
    pub now: Timestamp,
    /// The time since boot, which nobody sets.
    pub since_boot: Duration,
    /// The labels of all alerts that fire or are pending; None if not all of them are known.
    pub active: Option<&'a [Labels]>,
    /// The names of alerts of which nobody knows whether they should fire, because their rule fails or was not yet judged.
    pub unknown: &'a [String],
}

/// What was seen to be well, and since when.
#[derive(Debug, Default)]
pub(super) struct Wellness {
    /// When the last look was.
    last: Option<Duration>,
    /// Since which look without a break, by runbook and target; at most as many as the history keeps.
    since: HashMap<(String, String), Duration>,
}

impl Wellness {
    /// How long each row has been well without a break now that the rows that are not are known.
    fn take(&mut self, at: Duration, well: &[Row]) -> Vec<Duration> {
        let hangs_together = |last| at >= last && at.saturating_sub(last) <= HANGS_TOGETHER;
        if !self.last.replace(at).is_some_and(hangs_together) {
            self.since.clear();
        }
        let before = std::mem::take(&mut self.since);
        let mut well_for = Vec::with_capacity(well.len());
        for Row { runbook, target, .. } in well {
            let key = (runbook.clone(), target.clone());
            let since = before.get(&key).copied().unwrap_or(at);
            well_for.push(at.saturating_sub(since));
            self.since.insert(key, since);
        }
        well_for
    }
}

impl Remediator {
    /// Sees which alerts are there now, and ends the rows of attempts whose targets have stayed well for as long as their
    /// runbooks ask for. To be called whenever rules have been evaluated.
    pub fn look(&mut self, look: &Look<'_>) {
        let mut rows: Vec<Row> = self.ledger().history().rows().collect();
        let unwell = self.unwell(&rows, look);
        rows.retain(|row| !unwell.contains(&(row.runbook.as_str(), row.target.clone())));
        if look.active.is_none() {
            rows.clear();
        }
        let well_for = self.wellness.take(look.since_boot, &rows);
        for (row, well_for) in rows.iter().zip(well_for) {
            let Some(runbook) = self.runbooks.iter().find(|runbook| runbook.name == row.runbook) else {
                continue;
            };
            if well_for >= runbook.guards.stable {
                self.settle(row, well_for, look.now);
            }
        }
    }

    /// The runbooks and targets that alerts are about, or may be, as far as there are rows of attempts.
    fn unwell(&self, rows: &[Row], look: &Look<'_>) -> HashSet<(&str, String)> {
        let mut unwell = HashSet::new();
        for runbook in &self.runbooks {
            let mut rows = rows.iter().filter(|row| row.runbook == runbook.name).peekable();
            if rows.peek().is_none() {
                continue;
            }
            if look.unknown.iter().any(|alert| may_answer(runbook, alert)) {
                unwell.extend(rows.map(|row| (runbook.name.as_str(), row.target.clone())));
                continue;
            }
            let answered = look.active.unwrap_or_default().iter().filter(|labels| runbook.answers(labels));
            let targets = answered.map(|labels| runbook.filled_in(labels).printed_params());
            unwell.extend(targets.map(|target| (runbook.name.as_str(), target)));
        }
        unwell
    }

    /// Writes down that the target has stayed well. If that fails it is tried at the next look: until then the row goes on.
    fn settle(&self, row: &Row, well_for: Duration, now: Timestamp) {
        let mut ledger = self.ledger();
        if !ledger.is_writable() {
            return;
        }
        let event = RunEvent { run: row.last.clone(), at: now, step: RunStep::StayedWell { well_for } };
        let Row { runbook, target, last } = row;
        match ledger.append(&event) {
            Ok(()) => tracing::info!(run = %last, runbook, target, "it has stayed well; attempts count anew"),
            Err(error) => tracing::error!(run = %last, "{}", with_causes(&error)),
        }
    }
}

/// Whether the runbook may answer an alert of this name, whatever its other labels are.
fn may_answer(runbook: &Runbook, alert: &str) -> bool {
    let named: Labels = [("alertname", alert)].into_iter().collect();
    let mut of_name = runbook.matchers.iter().filter(|matcher| matcher.label() == "alertname");
    of_name.all(|matcher| matcher.matches(&named))
}
