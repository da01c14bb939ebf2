//! What the thread `logs` does next, and how far it has come: no thread, no clock and no descriptor is needed to see it.
//!
//! One round is under way at a time: sources are read into one buffer, the buffer becomes batches, each batch is offered
//! until it is durable, and only then do the sources settle and their places are saved. Whatever is not durable is offered
//! again, and nothing is read meanwhile: so a crash repeats at most one round, and skips nothing.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use logs::Positions;
use otlp::{Backoff, NotAccepted};
use telemetry::{Batch, LogBuffer, with_causes};

use super::Moment;
use super::board::{Listing, Report};
use super::followed::{Followed, SourceSpec};
use super::troubles::Troubles;
use crate::agent::heartbeat::ATTENTION;

/// How much one round reads: enough that what each costs does not count, and few enough to be repeated after a crash.
const ROUND_BYTES: usize = 1 << 20;

/// The shortest time between two rounds while sources keep up: a steady trickle costs ten rounds a second, for what a round
/// costs (a sync, a request, the places) counts more there than its lines; a line waits for half of it, one after a silence
/// for nothing.
const LINGER: Duration = Duration::from_millis(100);

/// How many rounds may follow each other at once that yield nothing: a journal is searched quickly for the few entries that are
/// wanted, and a source that says that it has more without an end does not take a processor.
const MOST_FRUITLESS: u32 = 64;

/// How long places that are saved may be lost to a crash of the machine: what is read again then is that much at most.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for so long, or until something happens; then look again.
    Wait(Duration),
    /// Wait likewise, or until a source wakes; then read.
    Read(Duration),
    /// Offer the batches that are not durable.
    Offer,
    /// Save the places, which did not work before.
    Save,
}

/// A batch that is not durable yet.
#[derive(Debug)]
struct Pending {
    number: usize,
    batch: Batch,
    is_offered: bool,
}

/// Whether anybody takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    Some,
    /// Nobody does, and there is no source either.
    None,
    /// Nobody does, and there are sources, which was said.
    Missed,
}

/// The sources, and the round that is under way.
pub(super) struct LogShipping {
    sources: Vec<Followed>,
    positions: Positions,
    buffer: LogBuffer,
    batches: Vec<Pending>,
    backoff: Backoff,
    /// When what failed is tried again.
    again_at: Option<Instant>,
    is_saved: bool,
    /// When places were first saved that a crash of the machine would lose.
    unsynced_since: Option<Instant>,
    last_read: Option<Instant>,
    /// There was more than the last round took.
    is_behind: bool,
    /// Rounds one after the other in which all that was read was left out.
    fruitless: u32,
    /// The source that is read first in the next round.
    first: usize,
    demand: Demand,
    troubles: Troubles,
    /// Why nothing is read.
    held: Option<String>,
}

impl LogShipping {
    /// Follows nothing yet.
    pub(super) fn new(positions: Positions) -> Self {
        Self {
            sources: Vec::new(),
            positions,
            buffer: LogBuffer::default(),
            batches: Vec::new(),
            backoff: Backoff::default(),
            again_at: None,
            is_saved: true,
            unsynced_since: None,
            last_read: None,
            is_behind: false,
            fruitless: 0,
            first: 0,
            demand: Demand::Some,
            troubles: Troubles::default(),
            held: None,
        }
    }

    /// Whether answers are awaited: sources cannot change meanwhile.
    pub(super) fn is_awaiting(&self) -> bool {
        self.batches.iter().any(|pending| pending.is_offered)
    }

    /// Follows these from now on. One that is as before goes on undisturbed; others are opened at their places. A round
    /// that is not durable is given up and read again. The places of sources that are gone for long are forgotten.
    pub(super) fn follow(&mut self, specs: Vec<SourceSpec>, now: Moment) {
        let followed = specs.iter().map(|spec| format!("{}/{}", spec.kind, spec.name)).collect();
        let forgotten = self.positions.forget_gone(&followed, now.wall);
        if forgotten > 0 {
            tracing::info!(
                sources = forgotten,
                "places of sources that are not followed any more were forgotten"
            );
        }
        if !self.batches.is_empty() {
            self.sources.iter_mut().for_each(Followed::close);
            (self.batches, self.again_at, self.held) = (Vec::new(), None, None);
            self.demand = Demand::Some;
            self.buffer.clear();
        }
        let mut before = std::mem::take(&mut self.sources);
        for spec in specs {
            let former = before.iter().position(|source| *source.name() == spec.name);
            let former = former.map(|at| before.swap_remove(at));
            self.sources.push(match former {
                Some(former) if former.is(&spec) => former,
                Some(former) => Followed::in_place_of(&former, spec),
                None => Followed::new(spec),
            });
        }
        self.first = 0;
    }

    /// Whether anybody takes records from now on.
    pub(super) fn set_wanted(&mut self, is_wanted: bool) {
        const NOBODY: &str = "no destination takes logs and no rule counts them, so none are read";
        let demand = match is_wanted {
            true => Demand::Some,
            false if self.sources.is_empty() => Demand::None,
            false => Demand::Missed,
        };
        if self.demand == demand {
            return;
        }
        self.held = None;
        if demand == Demand::Missed {
            tracing::warn!("{NOBODY}");
            self.held = Some(NOBODY.to_owned());
        }
        self.demand = demand;
    }

    /// What is to be done now.
    pub(super) fn next(&self, now: Moment) -> Step {
        let left = |until: Instant| until.saturating_duration_since(now.at);
        if self.is_awaiting() {
            return Step::Wait(ATTENTION);
        }
        if !self.batches.is_empty() || !self.is_saved {
            return match self.again_at.map(left).filter(|left| !left.is_zero()) {
                Some(left) => Step::Wait(left.min(ATTENTION)),
                None if self.batches.is_empty() => Step::Save,
                None => Step::Offer,
            };
        }
        let sync = self.unsynced_since.map_or(ATTENTION, |since| left(since + SYNC_WITHIN));
        if self.demand != Demand::Some {
            return Step::Wait(sync.min(ATTENTION));
        }
        let linger = self.last_read.map_or(Duration::ZERO, |last| left(last + LINGER));
        if !linger.is_zero() && !self.is_behind {
            return Step::Wait(linger);
        }
        let wants = self.sources.iter().filter_map(|source| source.wants_in(now));
        Step::Read(wants.fold(sync.min(ATTENTION), Duration::min))
    }

    /// The descriptors of the sources, by the numbers of the sources.
    pub(super) fn wakes(&self, now: Moment) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let sources = self.sources.iter().enumerate();
        sources.flat_map(move |(at, source)| source.wakes(now).into_iter().map(move |wake| (at, wake)))
    }

    /// Reads the sources that are woken or want it, fairly. What they had is to be made batches of, see [`Self::hold`].
    pub(super) fn read(&mut self, woken: &[usize], now: Moment) -> &LogBuffer {
        self.buffer.clear();
        let count = self.sources.len();
        let wants = |at: &usize| self.sources.get(*at).and_then(|source| source.wants_in(now));
        let turns = (0..count).map(|turn| (turn + self.first) % count);
        let mut readers: Vec<usize> =
            turns.filter(|at| woken.contains(at) || wants(at).is_some_and(|left| left.is_zero())).collect();
        // What those leave that have little is for those that have much.
        readers.sort_by_key(|at| self.sources.get(*at).is_some_and(Followed::has_more));
        let mut is_behind = false;
        for (turn, at) in readers.iter().enumerate() {
            let Some(source) = self.sources.get_mut(*at) else { continue };
            let taken = self.buffer.size_bytes();
            let share = ROUND_BYTES.saturating_sub(taken) / (readers.len() - turn);
            match source.read(now, &self.positions, &mut self.buffer, taken + share) {
                Ok(has_more) => is_behind |= has_more,
                Err(error) => {
                    if self.troubles.is_news(&error, now.at) {
                        tracing::warn!(source = &**source.name(), "reading logs; tried again: {error}");
                    }
                }
            }
        }
        self.fruitless = if self.buffer.is_empty() { self.fruitless.wrapping_add(1) } else { 0 };
        self.is_behind = is_behind && (self.fruitless == 0 || !self.fruitless.is_multiple_of(MOST_FRUITLESS));
        if !readers.is_empty() {
            self.first = (self.first + 1) % count.max(1);
            self.last_read = Some(now.at);
        }
        &self.buffer
    }

    /// What was read has become these batches, which are to be offered now.
    pub(super) fn hold(&mut self, batches: Vec<Batch>) {
        let pending = |(number, batch)| Pending { number, batch, is_offered: false };
        self.batches = batches.into_iter().enumerate().map(pending).collect();
    }

    /// The batches that are to be offered, with their numbers. Each is answered once by [`Self::answered`].
    pub(super) fn offer(&mut self) -> Vec<(usize, Batch)> {
        self.again_at = None;
        let offer = |pending: &mut Pending| {
            pending.is_offered = true;
            (pending.number, pending.batch.clone())
        };
        self.batches.iter_mut().filter(|pending| !pending.is_offered).map(offer).collect()
    }

    /// What became of a batch.
    pub(super) fn answered(&mut self, number: usize, outcome: &Result<(), NotAccepted>, now: Moment) {
        let Some(at) = self.batches.iter().position(|pending| pending.number == number) else { return };
        match outcome {
            Err(error) if error.is_retryable() => {
                if let Some(pending) = self.batches.get_mut(at) {
                    pending.is_offered = false;
                }
                self.try_again(&with_causes(error), now);
            }
            Err(error) => {
                let lost = self.batches.remove(at);
                tracing::error!(records = lost.batch.items, "log records were lost: {}", with_causes(error));
                self.count_lost(&lost);
            }
            Ok(()) => drop(self.batches.remove(at)),
        }
    }

    fn try_again(&mut self, why: &str, now: Moment) {
        self.held = Some(why.to_owned());
        if self.again_at.is_none() {
            self.again_at = Some(now.at + self.backoff.after_failure(None, otlp::random()));
        }
        if self.troubles.is_news(why, now.at) {
            tracing::warn!("logs are not read, for what was read last is not kept yet: {why}");
        }
    }

    /// The records of a batch are those of the buffer, in their order.
    fn count_lost(&mut self, lost: &Pending) {
        for record in self.buffer.records().take(lost.batch.items as usize) {
            let source = &record.group().source;
            if let Some(source) = self.sources.iter_mut().find(|followed| followed.name() == source) {
                source.lost += 1;
            }
        }
    }

    /// Whether everything that was read is durable.
    pub(super) fn is_durable(&self) -> bool {
        self.batches.is_empty()
    }

    /// All of the round is durable: the places move, and are saved.
    pub(super) fn settle(&mut self, now: Moment) {
        self.sources.iter_mut().for_each(|source| source.settle(&mut self.positions));
        self.buffer.clear();
        self.save(now);
    }

    /// Saves the places.
    pub(super) fn save(&mut self, now: Moment) {
        let has_news = !self.positions.is_saved();
        match self.positions.save() {
            Ok(()) => {
                if self.held.take().is_some() {
                    tracing::info!("logs are read again");
                }
                (self.is_saved, self.again_at) = (true, None);
                self.backoff.after_success();
                if has_news {
                    self.unsynced_since.get_or_insert(now.at);
                }
            }
            Err(error) => {
                self.is_saved = false;
                self.again_at = None;
                self.try_again(&with_causes(&error), now);
            }
        }
    }

    /// Makes the saved places outlast a crash of the machine, if that is due or `at_once`.
    pub(super) fn sync(&mut self, now: Moment, at_once: bool) {
        let is_due = |since: Instant| at_once || since + SYNC_WITHIN <= now.at;
        if !self.unsynced_since.is_some_and(is_due) {
            return;
        }
        self.unsynced_since = None;
        if let Err(error) = self.positions.sync() {
            let text = with_causes(&error);
            if self.troubles.is_news(&text, now.at) {
                tracing::warn!("a crash of the machine may repeat log records: {text}");
            }
            self.unsynced_since = Some(now.at);
        }
    }

    /// How every source fares.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.sources.iter().map(Followed::report).collect()
    }

    /// What every source follows.
    pub(super) fn listings(&self) -> Vec<Listing> {
        self.sources.iter().map(Followed::listing).collect()
    }

    /// Why nothing is read.
    pub(super) fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }
}

#[cfg(test)]
mod tests;
