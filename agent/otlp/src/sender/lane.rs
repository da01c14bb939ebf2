//! What waits for one destination, of one signal, shared between those who offer and the task that delivers.
//!
//! Mostly on disk, behind a cursor; in memory, what no disk took; apart, the dead letters. A step on what waits and its
//! count are one, under the lock, so the figures add up at every moment. Under the lock nothing waits for the disk.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queue::{Cursor, CursorFigures};
use telemetry::{Batch, Signal, Timestamp};
use tokio::sync::Notify;

use crate::sender::backlog::Backlog;
use crate::sender::dead_letters::DeadLetters;
use crate::sender::figures::SignalFigures;
use crate::sender::window::{Part, Settled, Source};

/// How much may wait in memory while no disk takes it: of 1,500 points every ten seconds, about half an hour. More than the
/// largest request that anybody is likely to take, 16 MiB. Destinations share the bytes.
pub(crate) const MEMORY_BYTES: usize = 20 << 20;

/// The queue on disk.
struct Stored {
    cursor: Arc<Cursor>,
    /// What had become of everything before this sender started.
    before: CursorFigures,
}

/// What became of items that left the queue on disk or the dead letters, other than being delivered by the destination
/// itself.
#[derive(Default)]
struct Counted {
    /// Of those acknowledged on disk.
    refused: u64,
    /// Of those acknowledged on disk.
    dead: u64,
    by_others: u64,
    /// Dead letters that were sent again: all, and by what became of them.
    replayed: u64,
    replayed_delivered: u64,
    replayed_refused: u64,
    /// Dead letters, of any origin, since the start.
    buried: u64,
}

struct State {
    memory: Backlog,
    stored: Option<Stored>,
    counted: Counted,
    /// When the oldest part that is being sent was received.
    sending: Option<i64>,
}

pub(crate) struct Lane {
    signal: Signal,
    state: Mutex<State>,
    dead: Option<Arc<DeadLetters>>,
    /// Dead letters before this one are to be sent again.
    replay_until: AtomicU64,
    woken: Notify,
    removed: AtomicBool,
    /// Appends to disk whose outcome is not known yet.
    appending: Arc<AtomicUsize>,
}

impl Lane {
    pub(crate) fn new(
        signal: Signal,
        cursor: Option<Cursor>,
        dead: Option<DeadLetters>,
        appending: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        let stored = cursor.map(|cursor| {
            let before = cursor.figures().unwrap_or_default();
            Stored { cursor: Arc::new(cursor), before }
        });
        let memory = Backlog::new(MEMORY_BYTES);
        let replay_until = dead.as_ref().filter(|dead| dead.take_marker()).map_or(0, DeadLetters::end);
        let lane = Arc::new(Self {
            signal,
            state: Mutex::new(State { memory, stored, counted: Counted::default(), sending: None }),
            dead: dead.map(Arc::new),
            replay_until: AtomicU64::new(replay_until),
            woken: Notify::new(),
            removed: AtomicBool::new(false),
            appending,
        });
        if let Some(cursor) = lane.cursor() {
            let lane = Arc::downgrade(&lane);
            cursor.on_progress(move || {
                if let Some(lane) = lane.upgrade() {
                    lane.wake();
                }
            });
        }
        lane
    }

    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    /// Reads what is on disk.
    pub(crate) fn cursor(&self) -> Option<Arc<Cursor>> {
        self.state().stored.as_ref().map(|stored| Arc::clone(&stored.cursor))
    }

    pub(crate) fn dead_letters(&self) -> Option<Arc<DeadLetters>> {
        self.dead.clone()
    }

    /// How many bytes wait on disk.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.cursor().and_then(|cursor| cursor.figures()).map_or(0, |figures| figures.queued.bytes)
    }

    /// Takes a batch into memory.
    pub(crate) fn offer(&self, batch: Batch, received: Timestamp) {
        self.state().memory.offer(batch, received.as_nanos());
        self.wake();
    }

    /// A batch is on disk. Without a cursor there, it is taken into memory as well.
    pub(crate) fn stored(&self, batch: &Batch, received: Timestamp) {
        let has_cursor = self.state().stored.is_some();
        if !has_cursor {
            self.offer(batch.clone(), received);
        }
    }

    /// Has [`Lane::woken`] return.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits until the lane was woken since this was last called.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Nobody is to deliver any more, as the destination is not configured any more.
    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::SeqCst)
    }

    /// Has the dead letters that there are now sent again; says how many records and items they are.
    pub(crate) fn replay(&self) -> (u64, u64) {
        let Some(dead) = &self.dead else { return (0, 0) };
        let end = dead.end();
        let (kept, _) = dead.figures();
        self.replay_until.fetch_max(end, Ordering::SeqCst);
        self.wake();
        (kept.records, kept.items)
    }

    /// Dead letters before this one are to be sent again.
    pub(crate) fn replay_until(&self) -> u64 {
        self.replay_until.load(Ordering::SeqCst)
    }

    /// Whether everything that was offered is on disk, in memory or counted as lost.
    pub(crate) fn is_settled(&self) -> bool {
        self.appending.load(Ordering::SeqCst) == 0
    }

    /// Whether nothing would be lost if delivery ended now.
    pub(crate) fn can_wait(&self) -> bool {
        self.is_settled() && self.state().memory.is_empty()
    }

    /// The oldest batch in memory; see [`Backlog::begin`].
    pub(crate) fn begin(&self) -> Option<Part> {
        self.state().memory.begin()
    }

    /// What became of the first part that was being sent. A limit may have taken it meanwhile; then it is lost already,
    /// and counts as that.
    pub(crate) fn settle(&self, settled: &Settled) {
        let mut state = self.state();
        let State { memory, stored, counted, .. } = &mut *state;
        match settled.source {
            Source::Memory => {
                if !memory.settle(settled) {
                    return;
                }
            }
            Source::Disk(place) => {
                if !stored.as_ref().is_some_and(|stored| stored.cursor.acknowledge(place)) {
                    return;
                }
                counted.refused += settled.refused;
                counted.dead += settled.dead;
                counted.by_others += settled.by_others;
            }
            Source::DeadLetters(place) => {
                let cursor = self.dead.as_ref().and_then(|dead| dead.cursor());
                if !cursor.is_some_and(|cursor| cursor.acknowledge(place)) {
                    return;
                }
                counted.replayed += settled.items;
                counted.replayed_delivered += settled.delivered();
                counted.replayed_refused += settled.refused;
                counted.by_others += settled.by_others;
            }
        }
        counted.buried += settled.dead;
    }

    /// When the oldest part that is being sent was received.
    pub(crate) fn sending(&self, oldest: Option<i64>) {
        self.state().sending = oldest;
    }

    /// Nobody delivers any more. What is in memory is dropped and counted; what is on disk stays there.
    pub(crate) fn close(&self) {
        self.state().memory.close();
    }

    pub(crate) fn figures(&self) -> SignalFigures {
        let state = self.state();
        let mut figures = state.memory.figures();
        if let Some(stored) = &state.stored {
            stored.add_to(&mut figures, &state.counted, state.sending);
        }
        let Counted { by_others, replayed, replayed_delivered, replayed_refused, buried, .. } = state.counted;
        figures.delivered += replayed_delivered;
        figures.delivered_by_others += by_others;
        figures.refused += replayed_refused;
        if let Some(dead) = &self.dead {
            let before = dead.before();
            let (_, lost) = dead.figures();
            let left = (before + buried).saturating_sub(replayed);
            figures.accepted += before;
            figures.lost_dead_letters = lost.min(left);
            figures.dead_lettered = left - figures.lost_dead_letters;
        }
        debug_assert!(figures.is_balanced(), "every item is in one place: {figures:?}");
        figures
    }

    /// Each step on the state is finished or not begun, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    /// Adds what became of the items on disk since the start.
    fn add_to(&self, figures: &mut SignalFigures, counted: &Counted, sending: Option<i64>) {
        let Some(now) = self.cursor.figures() else { return };
        let before = &self.before;
        figures.accepted += before.queued.items + now.accepted.items.saturating_sub(before.accepted.items);
        let acknowledged = now.delivered.items.saturating_sub(before.delivered.items);
        figures.delivered += acknowledged.saturating_sub(counted.refused + counted.dead);
        figures.refused += counted.refused;
        figures.queued += now.queued.items;
        figures.lost_bytes += now.lost.bytes.items.saturating_sub(before.lost.bytes.items);
        figures.lost_age += now.lost.age.items.saturating_sub(before.lost.age.items);
        figures.lost_disk += now.lost.disk.items.saturating_sub(before.lost.disk.items);
        figures.lost_damaged += now.lost.damaged.items.saturating_sub(before.lost.damaged.items);
        figures.queued_bytes += now.queued.bytes;
        // What is being sent is known exactly, what only waits by its segment.
        let oldest = now.oldest.map(|oldest| sending.map_or(oldest, |sending| sending.max(oldest)));
        let on_disk = oldest.map(Timestamp::from_nanos);
        figures.oldest = [figures.oldest, on_disk].into_iter().flatten().min();
    }
}
