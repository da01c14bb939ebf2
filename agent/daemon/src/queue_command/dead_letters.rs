//! What one destination refused for good, by reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use otlp::{DeadLetter, DeadLetterQueue};
use queue::Totals;
use serde_json::{Value, json};
use telemetry::{OneLine, Timestamp};

use super::{amount, amount_as_json};

/// Reasons hold what the destination said; so many different ones are told apart.
const REASONS: usize = 20;

/// Dead letters, as they are on disk.
pub(super) struct DeadLetters<'a> {
    queue: &'a DeadLetterQueue,
    total: Totals,
    oldest: Option<Timestamp>,
    by_reason: BTreeMap<String, Totals>,
}

impl<'a> DeadLetters<'a> {
    pub(super) fn of(queue: &'a DeadLetterQueue) -> anyhow::Result<Self> {
        let from = DeadLetterQueue::oldest_kept(&queue::inspect(&queue.directory)?);
        let mut found = Self { queue, total: Totals::default(), oldest: None, by_reason: BTreeMap::new() };
        queue::export(&queue.directory, |seq, entry| {
            if seq >= from {
                let letter = DeadLetter::read(&entry.payload);
                let bytes = letter.as_ref().map_or(entry.payload.len(), |letter| letter.request.len());
                let one = Totals { records: 1, items: entry.items.into(), bytes: bytes as u64 };
                found.total += one;
                found.oldest.get_or_insert(Timestamp::from_nanos(entry.received));
                let reason = letter.map_or_else(|| "unreadable".to_owned(), |letter| letter.reason);
                let is_known = found.by_reason.contains_key(&reason) || found.by_reason.len() < REASONS;
                *found.by_reason.entry(if is_known { reason } else { "others".to_owned() }).or_default() +=
                    one;
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    pub(super) const fn total(&self) -> Totals {
        self.total
    }

    pub(super) fn described(&self) -> String {
        let DeadLetterQueue { signal, destination, .. } = self.queue;
        let mut text = format!(
            "{signal}, refused for good by {destination}: {}, {} bytes",
            amount(*signal, self.total),
            self.total.bytes
        );
        if let Some(oldest) = self.oldest {
            let _ = write!(text, ", from {oldest}");
        }
        text.push('\n');
        for (reason, totals) in &self.by_reason {
            let _ = writeln!(text, "  {}: {}", amount(*signal, *totals), OneLine(reason));
        }
        text
    }

    pub(super) fn as_json(&self) -> Value {
        let reasons: Vec<Value> = self
            .by_reason
            .iter()
            .map(|(reason, totals)| json!({ "reason": reason, "kept": amount_as_json(*totals) }))
            .collect();
        json!({
            "signal": self.queue.signal.as_str(),
            "refused_by": self.queue.destination,
            "kept": amount_as_json(self.total),
            "from": self.oldest.map(|oldest| oldest.to_string()),
            "reasons": reasons,
        })
    }
}
