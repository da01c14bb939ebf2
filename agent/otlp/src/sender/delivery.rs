//! The loop that empties one destination's backlog.
//!
//! Keeps the order: the oldest batch is tried until it is taken, refused or has given way to newer ones. Says once that
//! a destination fails and once that it works again, however many attempts lie in between. Waits on Tokio's clock.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use telemetry::with_causes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info, warn};

use crate::sender::backoff::Backoff;
use crate::sender::exporter::{Accepted, ExportError, Exporter};
use crate::sender::line::Line;

/// How a delivery learns that it is to end: the moment after which nothing more is tried.
#[derive(Clone, Debug)]
pub(crate) struct Stop(pub(crate) watch::Receiver<Option<Instant>>);

impl Stop {
    fn has_begun(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }

    async fn begun(&mut self) {
        let _ = self.0.wait_for(Option::is_some).await;
    }

    async fn deadline(&mut self) {
        self.begun().await;
        let deadline = *self.0.borrow();
        if let Some(deadline) = deadline {
            sleep_until(deadline).await;
        }
    }
}

pub(crate) struct Delivery {
    line: Arc<Line>,
    exporter: Box<dyn Exporter>,
    stop: Stop,
    backoff: Backoff,
    link: Link,
}

/// What was last said about the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Sound,
    Unreachable,
    Refusing,
    Complaining,
}

impl Delivery {
    pub(crate) fn new(line: Arc<Line>, exporter: Box<dyn Exporter>, stop: Stop) -> Self {
        Self { line, exporter, stop, backoff: Backoff::default(), link: Link::Sound }
    }

    /// As [`Delivery::run`]. Should that panic, it is said at once, and what is left and what is offered from then on is
    /// dropped and counted.
    pub(crate) async fn watched(self) {
        let line = self.line.clone();
        if let Err(panic) = tokio::spawn(self.run()).await {
            let text = format!("delivery has failed for good: {panic}");
            error!(destination = line.name(), "telemetry is dropped until the next start: {text}");
            line.abandon(text);
        }
    }

    /// Delivers until it is told to stop and nothing is left, or the deadline has passed; what is left then is dropped
    /// and counted.
    async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.empty() => {}
            () = stop.deadline() => {}
        }
        self.line.close();
    }

    async fn empty(&mut self) {
        loop {
            let Some(batch) = self.line.begin() else {
                if self.stop.has_begun() {
                    return;
                }
                tokio::select! {
                    () = self.line.offered() => {}
                    () = self.stop.begun() => {}
                }
                continue;
            };
            match self.exporter.export(&batch).await {
                Ok(accepted) => self.taken(&accepted),
                Err(error @ ExportError::Refused { .. }) => {
                    let text = with_causes(&error);
                    self.say(Link::Refusing, &text);
                    self.line.refused(text);
                    self.backoff.after_success();
                }
                Err(error @ ExportError::TryLater { retry_after, .. }) => {
                    let text = with_causes(&error);
                    self.say(Link::Unreachable, &text);
                    self.line.postponed(text);
                    self.pause(retry_after).await;
                }
            }
        }
    }

    fn taken(&mut self, accepted: &Accepted) {
        self.line.delivered(accepted.rejected_items);
        self.backoff.after_success();
        if *accepted == Accepted::default() {
            self.say(Link::Sound, "");
        } else {
            let rejected = accepted.rejected_items;
            self.say(Link::Complaining, &format!("{rejected} items rejected: {}", accepted.message));
        }
    }

    /// Waits before the next attempt. A stop cuts the wait short, but not one that the destination asked for.
    async fn pause(&mut self, retry_after: Option<Duration>) {
        let delay = self.backoff.after_failure(retry_after, random());
        if retry_after.is_some_and(|asked| !asked.is_zero()) || self.stop.has_begun() {
            sleep(delay).await;
            return;
        }
        tokio::select! {
            () = sleep(delay) => {}
            () = self.stop.begun() => self.backoff.after_success(),
        }
    }

    fn say(&mut self, link: Link, text: &str) {
        if std::mem::replace(&mut self.link, link) == link {
            return;
        }
        let destination = self.exporter.name();
        match link {
            Link::Sound => info!(destination, "the destination takes telemetry again"),
            Link::Unreachable => warn!(destination, "delivery waits and is tried again: {text}"),
            Link::Refusing => warn!(destination, "telemetry is dropped: {text}"),
            Link::Complaining => warn!(destination, "the destination took telemetry with a remark: {text}"),
        }
    }
}

/// From 0 to 1. The standard library's hash keys are random enough to spread retries.
fn random() -> f64 {
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests;
