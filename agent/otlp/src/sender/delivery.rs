//! The loop that delivers what waits for one destination.
//!
//! Keeps the order within a signal: the oldest batch is tried until it is taken, refused or has given way to newer ones.
//! Says once that a destination fails and once that it works again, however many attempts lie in between. Waits on
//! Tokio's clock.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use telemetry::with_causes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use crate::sender::backoff::Backoff;
use crate::sender::exporter::{Accepted, ExportError, Exporter};
use crate::sender::feed::Feed;
use crate::sender::line::{Line, Shipment};

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
    feed: Feed,
    exporter: Arc<dyn Exporter>,
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
    pub(crate) fn new(line: Arc<Line>, exporter: Arc<dyn Exporter>, stop: Stop) -> Self {
        let feed = Feed::new(Arc::clone(&line));
        Self { line, feed, exporter, stop, backoff: Backoff::default(), link: Link::Sound }
    }

    /// As [`Delivery::run`]. Should that panic, it is said at once; what is on disk waits there, and what is in memory
    /// then or later is dropped and counted.
    pub(crate) async fn watched(self) {
        let line = self.line.clone();
        if let Err(panic) = tokio::spawn(self.run()).await {
            let text = format!("delivery has failed for good: {panic}");
            error!(destination = line.name(), "nothing more is sent until the next start: {text}");
            line.abandon(text);
        }
    }

    /// Delivers until it is told to stop and nothing is left that could be delivered, or the deadline has passed. What
    /// is on disk then waits there; what is in memory is dropped and counted.
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
            // Asked first: what is appended meanwhile is found below, or by the next look.
            let is_settled = self.line.is_settled();
            let Some(shipment) = self.feed.next().await else {
                let stopping = self.stop.has_begun();
                if stopping && is_settled {
                    return;
                }
                let wait_until = self.feed.wait_until();
                tokio::select! {
                    () = self.line.offered() => {}
                    () = self.stop.begun(), if !stopping => {}
                    () = sleep_until(wait_until.unwrap_or_else(Instant::now)), if wait_until.is_some() => {}
                }
                continue;
            };
            match self.exporter.export(&shipment.batch).await {
                Ok(accepted) => self.taken(&shipment, &accepted),
                Err(error @ (ExportError::Refused { .. } | ExportError::TooLarge { .. })) => {
                    let text = with_causes(&error);
                    self.say(Link::Refusing, &text);
                    self.line.refused(&shipment, text);
                    self.feed.done(&shipment);
                    self.backoff.after_success();
                }
                Err(error @ ExportError::TryLater { retry_after, .. }) => {
                    let text = with_causes(&error);
                    self.say(Link::Unreachable, &text);
                    self.line.postponed(&shipment, text);
                    if self.pause(retry_after).await.is_break() {
                        return;
                    }
                }
            }
        }
    }

    fn taken(&mut self, shipment: &Shipment, accepted: &Accepted) {
        self.line.delivered(shipment, accepted.rejected_items);
        self.feed.done(shipment);
        self.backoff.after_success();
        if *accepted == Accepted::default() {
            self.say(Link::Sound, "");
        } else {
            let rejected = accepted.rejected_items;
            self.say(Link::Complaining, &format!("{rejected} items rejected: {}", accepted.message));
        }
    }

    /// Waits before the next attempt. A stop cuts the wait short, but not one that the destination asked for; and when
    /// all that is left is on disk, a stop does not wait for a destination that is away.
    async fn pause(&mut self, retry_after: Option<Duration>) -> ControlFlow<()> {
        let was_asked = retry_after.is_some_and(|asked| !asked.is_zero());
        let until = Instant::now() + self.backoff.after_failure(retry_after, random());
        if !self.stop.has_begun() {
            tokio::select! {
                () = sleep_until(until) => return ControlFlow::Continue(()),
                () = self.stop.begun() => {}
            }
            if !was_asked {
                self.backoff.after_success();
                return ControlFlow::Continue(());
            }
        }
        if self.line.can_wait() {
            return ControlFlow::Break(());
        }
        sleep_until(until).await;
        ControlFlow::Continue(())
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
