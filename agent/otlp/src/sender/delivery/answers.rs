//! What a delivery makes of the answers to its requests.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use telemetry::with_causes;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::warn;

use super::{Delivery, random};
use crate::sender::exporter::{Accepted, ExportError};
use crate::sender::recipient::Link;
use crate::sender::route::Attempt;
use crate::sender::window::Job;

/// After an outage of so long, what waited is sent at the pace that the destination sets.
const OUTAGE: Duration = Duration::from_secs(5);

/// Requests are not made smaller than this because a destination said that one was too large, unless it is one part.
const SMALLEST_LIMIT: usize = 64 << 10;

/// After so many requests that were taken, larger ones are tried again.
const TAKEN_BEFORE_LARGER: u32 = 100;

/// Something that was under way has ended.
pub(super) enum Answer {
    Exported {
        job: Job,
        attempt: Attempt,
        result: Result<Accepted, ExportError>,
    },
    /// Whether what was refused is kept now, or why not.
    Buried {
        job: Job,
        result: Result<(), String>,
    },
}

impl Delivery {
    pub(super) fn answered(&mut self, answer: Result<Answer, JoinError>) {
        match answer {
            Ok(Answer::Exported { job, attempt, result: Ok(accepted) }) => {
                self.taken(&job, attempt, &accepted);
            }
            Ok(Answer::Exported { job, attempt, result: Err(error) }) => self.failed(job, attempt, &error),
            Ok(Answer::Buried { job, result }) => {
                if let Err(error) = &result
                    && self.buries
                {
                    let destination = self.recipient.name();
                    warn!(destination, "what is refused for good cannot be kept as a dead letter: {error}");
                }
                self.buries = result.is_ok();
                self.window.given_up(&job, result.is_ok());
            }
            // As if it had happened here.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return,
            },
        }
        self.settle();
    }

    fn taken(&mut self, job: &Job, attempt: Attempt, accepted: &Accepted) {
        self.window.taken(job, accepted.rejected_items, attempt.is_by_other());
        self.reached(attempt);
        let signal = self.lane.signal();
        if *accepted != Accepted::default() {
            let rejected = accepted.rejected_items;
            let text = format!("{rejected} items rejected: {}", accepted.message);
            self.recipient.say(signal, Link::Complaining, &text);
        } else if !attempt.is_by_other() {
            self.recipient.say(signal, Link::Sound, "");
        }
        if !attempt.is_by_other() {
            self.recipient.succeeded();
        }
        self.taken += 1;
        if self.taken >= TAKEN_BEFORE_LARGER {
            self.taken = 0;
            self.limit = self.limit.saturating_mul(2).min(self.setup.borrow().max_request_bytes);
        }
    }

    fn failed(&mut self, job: Job, attempt: Attempt, error: &ExportError) {
        let text = with_causes(error);
        match error {
            ExportError::TryLater { retry_after, .. } => {
                self.routes.failed(attempt, *retry_after, Instant::now(), random());
                self.recipient.say(self.lane.signal(), Link::Unreachable, &text);
                self.window.later(job);
            }
            ExportError::TooLarge { .. } => {
                self.reached(attempt);
                self.taken = 0;
                let size = job.batch.payload.len();
                if let Some(job) = self.window.too_large(job) {
                    self.refused(job, &text);
                } else {
                    self.limit = self.limit.min((size / 2).max(SMALLEST_LIMIT));
                    return;
                }
            }
            // The next one would fare no better: it waits, and goes nowhere but there. What has been refused is final, but
            // for one that only stands in.
            ExportError::Unwelcome { .. } => {
                self.routes.kept_out(attempt, Instant::now(), random());
                self.recipient.say(self.lane.signal(), Link::Unreachable, &text);
                if attempt.is_by_other() {
                    self.window.later(job);
                } else if let Some(job) = self.window.refused(job) {
                    self.refused(job, &text);
                }
            }
            ExportError::Refused { .. } => {
                self.reached(attempt);
                if let Some(job) = self.window.refused(job) {
                    self.refused(job, &text);
                }
            }
        }
        self.recipient.failed(text);
    }

    /// It can be reached. After an outage, what has gathered is sent no faster than the destination may bear.
    fn reached(&mut self, attempt: Attempt) {
        let outage = self.routes.succeeded(attempt, Instant::now());
        if outage.is_some_and(|outage| outage >= OUTAGE) {
            self.begin_to_drain();
        }
    }

    /// Keeps as a dead letter what cannot be delivered.
    fn refused(&mut self, job: Job, reason: &str) {
        self.recipient.say(self.lane.signal(), Link::Refusing, reason);
        let Some(dead) = self.lane.dead_letters() else { return self.window.given_up(&job, false) };
        let (dead, reason) = (Arc::clone(&dead), reason.to_owned());
        self.under_way.spawn_blocking(move || {
            let result = dead.keep(job.received, job.batch.items, &reason, &job.batch.payload);
            Answer::Buried { job, result }
        });
    }
}
