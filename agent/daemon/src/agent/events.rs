//! The thread `events`: waits for what need not wait for a tick, and asks for a look at once.
//!
//! Each source is let through once a second; what comes meanwhile is one look at the end of that second. What the look
//! leads to is not known here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use collectors::{EventSource, Events, PressureTrigger, UnitSignals, Waker, WatchedExits};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use crate::agent::collect::CollectBoard;
use crate::agent::heartbeat::{ATTENTION, Pulse};
use crate::clock;

/// The shortest time between two looks because of one source.
const PACE: Duration = Duration::from_secs(1);

/// Looks that are asked for and not done yet, at most: several rounds. With more of them the one that looks hangs.
const MOST_ASKED: usize = 16;

/// What is to be waited for from now on.
pub(crate) enum Change {
    Triggers(Vec<PressureTrigger>),
    Exits(WatchedExits),
    Units(Option<UnitSignals>),
}

/// The other side: says what to wait for, and hears what happened. The thread ends when it is dropped.
pub(crate) struct EventsLink {
    changes: Option<Sender<Change>>,
    waker: Waker,
    happened: Receiver<Vec<EventSource>>,
}

impl EventsLink {
    /// Waits for this, too.
    pub(crate) fn change(&self, change: Change) {
        // Nobody there means that the agent is stopping.
        let _ = self.changes.as_ref().map(|changes| changes.send(change));
        self.waker.wake();
    }

    /// What happened, together what happened at once.
    pub(crate) fn happened(&self) -> &Receiver<Vec<EventSource>> {
        &self.happened
    }
}

impl Drop for EventsLink {
    fn drop(&mut self) {
        self.changes = None;
        self.waker.wake();
    }
}

/// Waits until the link is dropped.
pub(crate) struct EventsStage {
    events: Events,
    changes: Receiver<Change>,
    ask: Sender<Vec<EventSource>>,
    board: Arc<CollectBoard>,
    pulse: Pulse,
    pace: Pace,
}

impl EventsStage {
    /// Waits for nothing yet.
    pub(crate) fn new(board: Arc<CollectBoard>, pulse: Pulse) -> anyhow::Result<(Self, EventsLink)> {
        let events = Events::new().context("waiting for events")?;
        let (say, changes) = bounded(MOST_ASKED);
        let (ask, happened) = bounded(MOST_ASKED);
        let link = EventsLink { changes: Some(say), waker: events.waker(), happened };
        Ok((Self { events, changes, ask, board, pulse, pace: Pace::default() }, link))
    }

    pub(crate) fn run(mut self) {
        loop {
            self.pulse.beat(ATTENTION);
            let patience = self.pace.next().map_or(ATTENTION, |next| clock::left(next).min(ATTENTION));
            match self.events.wait(patience) {
                Ok(happened) => happened.into_iter().for_each(|source| self.offer(source)),
                Err(error) => {
                    tracing::warn!(%error, "the kernel does not let the agent wait for events; tried again");
                    match self.changes.recv_timeout(ATTENTION) {
                        Ok(change) => self.take_over(change),
                        Err(RecvTimeoutError::Timeout) => {}
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            }
            loop {
                match self.changes.try_recv() {
                    Ok(change) => self.take_over(change),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            let due = self.pace.due(clock::monotonic());
            if !due.is_empty() {
                let asked = self.ask.try_send(due.clone()).is_ok();
                for source in due {
                    self.board.count_event(source, asked);
                }
            }
        }
    }

    fn take_over(&mut self, change: Change) {
        match change {
            Change::Triggers(triggers) => self.events.set_triggers(triggers),
            Change::Units(units) => self.events.set_units(units),
            Change::Exits(exits) => {
                if self.events.set_exits(exits) {
                    self.offer(EventSource::Exit);
                }
            }
        }
    }

    fn offer(&mut self, source: EventSource) {
        if !self.pace.offer(source) {
            self.board.count_event(source, false);
        }
    }
}

/// Lets each source through once in [`PACE`].
#[derive(Debug, Default)]
struct Pace([Slot; EventSource::ALL.len()]);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// When it was last let through.
    last: Option<Instant>,
    waits: bool,
}

impl Slot {
    fn due_at(&self) -> Option<Instant> {
        self.last.map(|last| last + PACE)
    }
}

impl Pace {
    /// Lets it wait for its turn; says false if one waits already.
    fn offer(&mut self, source: EventSource) -> bool {
        let slot = self.slots().find(|(of, _)| *of == source).map(|(_, slot)| slot);
        slot.is_some_and(|slot| !std::mem::replace(&mut slot.waits, true))
    }

    /// Those whose turn has come.
    fn due(&mut self, now: Instant) -> Vec<EventSource> {
        let due = self.slots().filter(|(_, slot)| slot.waits && slot.due_at().is_none_or(|due| due <= now));
        due.map(|(source, slot)| {
            *slot = Slot { last: Some(now), waits: false };
            source
        })
        .collect()
    }

    /// When the next turn comes; none if nothing waits.
    fn next(&self) -> Option<Instant> {
        self.0.iter().filter(|slot| slot.waits).filter_map(Slot::due_at).min()
    }

    fn slots(&mut self) -> impl Iterator<Item = (EventSource, &mut Slot)> {
        EventSource::ALL.into_iter().zip(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_let_through_once_a_second_and_what_came_meanwhile_is_not_lost() {
        let begun = clock::monotonic();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut pace = Pace::default();
        assert!(pace.offer(EventSource::Exit));
        assert_eq!(pace.due(at(0)), [EventSource::Exit]);
        assert!(pace.offer(EventSource::Exit) && !pace.offer(EventSource::Exit));
        assert_eq!((pace.due(at(999)), pace.next()), (vec![], Some(at(1_000))));
        assert_eq!(pace.due(at(1_000)), [EventSource::Exit]);
        assert_eq!((pace.due(at(5_000)), pace.next()), (vec![], None));
    }

    #[test]
    fn sources_do_not_wait_for_each_other() {
        let begun = clock::monotonic();
        let mut pace = Pace::default();
        for source in EventSource::ALL {
            pace.offer(source);
            assert_eq!(pace.due(begun), [source]);
        }
    }

    #[test]
    fn the_thread_ends_with_its_link() {
        let (stage, link) = EventsStage::new(
            Arc::default(),
            Arc::<crate::agent::heartbeat::Heartbeats>::default().pulse("events"),
        )
        .unwrap();
        let thread = std::thread::spawn(move || stage.run());
        drop(link);
        thread.join().unwrap();
    }
}
