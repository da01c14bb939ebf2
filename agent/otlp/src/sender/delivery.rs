//! The loop that delivers what waits for one destination, of one signal.
//!
//! Has as many requests under way as the destination may get at once; what is answered leaves in order. Tries for as long
//! as it takes: only a refusal for good, or a limit of the queue, ends it for a request. Waits on Tokio's clock.

mod answers;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::error;

use crate::sender::backoff::random;
use crate::sender::dead_letters::DeadLetter;
use crate::sender::deltas::Deltas;
use crate::sender::feed::Feed;
use crate::sender::lane::Lane;
use crate::sender::recipient::Recipient;
use crate::sender::route::{Attempt, Choice, Routes};
use crate::sender::window::{Job, Part, Source, Window};

use answers::Answer;
pub(crate) use setup::{Setup, Stop};

/// A backlog of so many bytes is sent at the pace that the destination sets: less is gone in a moment.
const BACKLOG_BYTES: u64 = 1 << 20;

/// A disk that takes longer to keep a dead letter is not waited for at the end.
const BURIED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Delivery {
    recipient: Arc<Recipient>,
    lane: Arc<Lane>,
    setup: watch::Receiver<Arc<Setup>>,
    stop: Stop,
    window: Window,
    disk: Option<Feed>,
    dead: Option<Feed>,
    routes: Routes,
    /// What the destination, or one in its place, was told of counters.
    deltas: Arc<Deltas>,
    /// The most bytes of a request, by what the destination has said.
    limit: usize,
    /// Requests taken in a row since one was too large.
    taken: u32,
    /// What is left of what waited during an outage, in bytes.
    backlog: u64,
    /// Whether the latest request went to one that stands in.
    is_replaced: bool,
    /// Whether the latest dead letter could be kept.
    buries: bool,
    under_way: JoinSet<Answer>,
}

impl Delivery {
    pub(crate) fn new(
        recipient: Arc<Recipient>,
        lane: Arc<Lane>,
        setup: watch::Receiver<Arc<Setup>>,
        stop: Stop,
    ) -> Self {
        let now = Arc::clone(&setup.borrow());
        Self {
            window: Window::new(lane.signal()),
            disk: lane.cursor().map(Feed::new),
            dead: None,
            routes: Routes::new(&now.ways),
            deltas: Arc::default(),
            limit: now.max_request_bytes,
            taken: 0,
            backlog: 0,
            is_replaced: false,
            buries: true,
            under_way: JoinSet::new(),
            recipient,
            lane,
            setup,
            stop,
        }
    }

    /// As [`Delivery::run`]. Should that panic, it is said at once; what is on disk waits there, and what is in memory
    /// then or later is dropped and counted.
    pub(crate) async fn watched(self) {
        let (recipient, lane) = (Arc::clone(&self.recipient), Arc::clone(&self.lane));
        if let Err(panic) = tokio::spawn(self.run()).await {
            let text = format!("delivery has failed for good: {panic}");
            error!(destination = recipient.name(), "nothing more is sent until the next start: {text}");
            lane.close();
            recipient.failed(text);
        }
    }

    /// Delivers until it is told to stop and nothing is left that could be delivered, or the deadline has passed. What
    /// is on disk then waits there; what is in memory is dropped and counted.
    async fn run(mut self) {
        let mut stop = self.stop.clone();
        self.begin_to_drain();
        tokio::select! {
            () = self.deliver() => {}
            () = stop.deadline() => {}
        }
        self.end().await;
        self.lane.close();
    }

    /// Gives up what is being sent. What is being kept as a dead letter is waited for: until then its queue is in use, and
    /// nobody else could keep anything there.
    async fn end(&mut self) {
        self.under_way.abort_all();
        let buried = async {
            while let Some(answer) = self.under_way.join_next().await {
                self.answered(answer);
            }
        };
        let _ = timeout(BURIED_WITHIN, buried).await;
    }

    async fn deliver(&mut self) {
        let mut stopping = self.stop.has_begun();
        loop {
            if self.lane.is_removed() {
                return;
            }
            // Asked first: what is appended meanwhile is found below, or by the next look.
            let is_settled = self.lane.is_settled();
            let now = Instant::now();
            self.fill(now);
            let was_full = !self.window.wants_more();
            let wait_until = self.send(now, stopping);
            // A limit of the queue may have taken all that was in the window: nothing else says that there is room.
            if was_full && self.window.wants_more() {
                continue;
            }
            if stopping && self.is_over(is_settled, now) {
                return;
            }
            // Without room there is nothing to read for.
            let feeds = [&self.disk, &self.dead].into_iter().flatten().filter(|_| self.window.wants_more());
            let look_at = feeds.filter_map(Feed::look_at).chain(wait_until).min();
            tokio::select! {
                Some(answer) = self.under_way.join_next(), if !self.under_way.is_empty() => self.answered(answer),
                read = Feed::finished(&mut self.disk) => self.read(read, false),
                read = Feed::finished(&mut self.dead) => self.read(read, true),
                () = self.lane.woken() => {}
                () = self.stop.begun(), if !stopping => {
                    stopping = true;
                    self.routes.hurry();
                }
                Ok(()) = self.setup.changed() => self.change(),
                () = sleep_until(look_at.unwrap_or(now)), if look_at.is_some() => self.complain(),
            }
        }
    }

    /// Whether a stop has nothing more to wait for: all is delivered, or the rest waits on disk for a destination that is
    /// away.
    fn is_over(&self, is_settled: bool, now: Instant) -> bool {
        if !self.under_way.is_empty() {
            return false;
        }
        let is_read = self.disk.as_ref().is_none_or(Feed::is_idle);
        let is_empty = is_settled && self.window.is_empty() && is_read && self.lane.can_wait();
        is_empty || (self.routes.is_waiting(now) && self.lane.can_wait())
    }

    /// Has the window filled: from disk, then from memory; beside them with dead letters that are to be sent again.
    fn fill(&mut self, now: Instant) {
        if !self.window.wants_more() {
            return;
        }
        if let Some(disk) = &mut self.disk {
            disk.begin(now);
        }
        if self.disk.as_ref().is_none_or(Feed::is_idle) {
            while self.window.wants_more()
                && let Some(part) = self.lane.begin()
            {
                self.window.push(part);
            }
        }
        let until = self.lane.replay_until();
        if until > 0 {
            if self.dead.is_none() {
                self.dead = self.lane.dead_letters().and_then(|dead| dead.cursor()).map(Feed::new);
            }
            if let Some(dead) = &mut self.dead {
                dead.bound(until);
                dead.begin(now);
            }
        }
    }

    /// Sends what may be sent; says when there is more to do, if the clock alone decides.
    fn send(&mut self, now: Instant, stopping: bool) -> Option<Instant> {
        let setup = Arc::clone(&self.setup.borrow());
        while self.under_way.len() < setup.concurrency && self.window.has_next() {
            if self.backlog > 0 && !stopping {
                let wait_until = self.recipient.pace().wait_until(now);
                if wait_until.is_some() {
                    return wait_until;
                }
            }
            let attempt = match self.routes.choose(now) {
                Choice::Send(attempt) => attempt,
                Choice::Wait(until) => return Some(until),
                Choice::Answer => return None,
            };
            let (disk, dead) = (&self.disk, &self.dead);
            let is_gone = |part: &Part| match part.source {
                Source::Memory => false,
                Source::Disk(place) => disk.as_ref().is_none_or(|feed| feed.cursor().has_passed(place)),
                Source::DeadLetters(place) => {
                    dead.as_ref().is_none_or(|feed| feed.cursor().has_passed(place))
                }
            };
            let Some(job) = self.window.next(self.limit, is_gone) else {
                self.routes.unused(attempt);
                break;
            };
            self.begin(job, attempt, now);
        }
        self.settle();
        None
    }

    fn begin(&mut self, job: Job, attempt: Attempt, now: Instant) {
        if self.backlog > 0 {
            self.recipient.pace().spend(job.batch.payload.len(), now);
            self.backlog = self.backlog.saturating_sub(job.batch.payload.len() as u64);
        }
        let Some(exporter) = self.routes.exporter(attempt) else { return };
        if attempt.is_by_other() != self.is_replaced {
            self.is_replaced = attempt.is_by_other();
            if self.is_replaced {
                let (destination, stand_in) = (self.recipient.name(), exporter.name());
                tracing::warn!(destination, stand_in, signal = %self.lane.signal(), "another destination gets its telemetry");
            }
        }
        let deltas = Arc::clone(&self.deltas);
        self.under_way.spawn(async move {
            let result = deltas.export(&*exporter, &job.batch).await;
            Answer::Exported { job, attempt, result }
        });
    }

    /// Takes what was read into the window.
    fn read(&mut self, read: Result<Vec<queue::Record>, String>, dead: bool) {
        let Some(feed) = (if dead { &mut self.dead } else { &mut self.disk }) else { return };
        match feed.take(read, Instant::now()) {
            Ok(records) => {
                for record in records {
                    self.window.push(part(record, dead));
                }
            }
            Err(complaint) => self.unreadable(complaint),
        }
        self.lane.sending(self.window.oldest());
    }

    /// Says which reads hang.
    fn complain(&mut self) {
        let now = Instant::now();
        let feeds = [&mut self.disk, &mut self.dead];
        let complaints: Vec<_> = feeds.into_iter().flatten().filter_map(|feed| feed.complaint(now)).collect();
        for complaint in complaints {
            self.unreadable(complaint);
        }
    }

    fn unreadable(&self, complaint: String) {
        tracing::warn!(destination = self.recipient.name(), signal = %self.lane.signal(), "{complaint}");
        self.recipient.unreadable(complaint);
    }

    /// Counts what has become of the parts that are done with.
    fn settle(&mut self) {
        while let Some(settled) = self.window.pop_settled() {
            self.lane.settle(&settled);
        }
        self.lane.sending(self.window.oldest());
    }

    /// Goes by what is configured now.
    fn change(&mut self) {
        let setup = Arc::clone(&self.setup.borrow_and_update());
        self.routes = Routes::new(&setup.ways);
        self.limit = setup.max_request_bytes;
    }

    /// From now on what waits is sent no faster than the destination may bear, if it is much.
    fn begin_to_drain(&mut self) {
        let backlog = self.lane.stored_bytes();
        if backlog >= BACKLOG_BYTES {
            self.backlog = backlog;
            self.recipient.pace().begin(backlog, Instant::now(), random());
        }
    }
}

/// What a record holds. One that is no dead letter, where one was expected, is sent as it is.
fn part(record: queue::Record, dead: bool) -> Part {
    let queue::Record { items, received, payload, position, .. } = record;
    let (payload, source) = if dead {
        let letter = DeadLetter::read(&payload);
        (letter.map_or(payload, |letter| letter.request), Source::DeadLetters(position))
    } else {
        (payload, Source::Disk(position))
    };
    Part { payload, items: u64::from(items), received, source }
}

#[cfg(test)]
mod tests;
