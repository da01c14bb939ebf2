//! The store: series by fingerprint, by labels and by selector.
//!
//! It answers for limits and names. Times given to it are those of the samples; it never asks what time it is. The
//! surprise is that ids are only good for one [`Store::generation`]: a series that aged out or made room gives its id away.

mod append;
mod catalogue;
mod ended;
mod identity;
mod outside;
mod ownership;
mod rejected;
mod retention;
mod scraped;
mod select;
mod set_back;
mod slots;
mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;
use telemetry::{Labels, Origin, Origins};

use crate::index::Index;
use crate::matcher::Matcher;
use crate::ring::Ring;
use crate::timeline::Timeline;
pub use append::Appended;
use ended::Ended;
use outside::Outsiders;
pub use outside::{Outside, OutsideFigures};
pub use rejected::{Rejected, Rejections};
pub use retention::{Figures, Limits, Need};
pub use scraped::ScrapedAs;
pub use select::Between;
use slots::Slots;
pub use snapshot::{RestoreError, Restored, Snapshot};

/// One name of one series, good while [`Store::generation`] stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId {
    entry: u32,
    series: u32,
}

#[derive(Debug)]
struct Entry {
    labels: Labels,
    series: u32,
    alias: bool,
}

#[derive(Debug)]
struct Series {
    ring: Ring,
    origin: Origin,
    /// What it was computed from: of a series that no rule has made, its own origin.
    origins: Arc<Origins>,
    /// The canonical entry first, then the aliases.
    entries: Vec<u32>,
    fingerprint: Option<u64>,
    /// How long its samples are kept, in milliseconds.
    reach: i64,
}

/// Tells stores apart by their generations, so that what was bound to one is not read from another.
static STORES: AtomicU64 = AtomicU64::new(0);

/// Recent samples of all series.
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    /// How long samples lie unpacked now, in milliseconds: less than the limit while they take too much.
    hot: i64,
    needs: Vec<Need>,
    entries: Slots<Entry>,
    series: Slots<Series>,
    index: Index,
    by_labels: HashMap<Labels, SeriesId, RandomState>,
    by_fingerprint: HashMap<u64, u32, RandomState>,
    /// For each origin the set of it alone, which its series share.
    alone: HashMap<Origin, Arc<Origins>, RandomState>,
    ended: Ended,
    outsiders: Outsiders,
    scraped: ScrapedAs,
    timeline: Timeline,
    /// When the newest buffer was collected.
    newest: Option<i64>,
    /// When the last look between two collections was.
    looked: Option<i64>,
    /// When a snapshot was restored, until the series of it that do not go on have ended.
    restored: Option<i64>,
    generation: u64,
    evicted: u64,
    squeezed: u64,
    rejections: Rejections,
    clock_jumps: u64,
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            hot: retention::millis(limits.hot),
            needs: Vec::new(),
            entries: Slots::default(),
            series: Slots::default(),
            index: Index::default(),
            by_labels: HashMap::default(),
            by_fingerprint: HashMap::default(),
            alone: HashMap::default(),
            ended: Ended::default(),
            outsiders: Outsiders::default(),
            scraped: ScrapedAs::default(),
            timeline: Timeline::default(),
            newest: None,
            looked: None,
            restored: None,
            generation: STORES.fetch_add(1, Ordering::Relaxed) << 40,
            evicted: 0,
            squeezed: 0,
            rejections: Rejections::default(),
            clock_jumps: 0,
        }
    }

    /// Changes whenever a series comes or goes; ids of another generation mean nothing.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes whenever a series comes or goes that `matchers` might mean: ids selected by them stay good while it does
    /// not.
    pub fn generation_of(&self, matchers: &[Matcher]) -> u64 {
        self.index.changed(matchers).unwrap_or(self.generation)
    }

    /// The labels under which the series was selected.
    ///
    /// # Panics
    ///
    /// The id is of another generation and its series is gone.
    pub fn labels(&self, id: SeriesId) -> &Labels {
        &self.entries.get(id.entry).expect("an id of this generation has an entry").labels
    }

    /// Where the series comes from.
    ///
    /// # Panics
    ///
    /// The id is of another generation and its series is gone.
    pub fn origin(&self, id: SeriesId) -> &Origin {
        &self.series.get(id.series).expect("an id of this generation has a series").origin
    }

    /// Everything that the series was computed from; of one that no rule has made, its own origin.
    ///
    /// # Panics
    ///
    /// The id is of another generation and its series is gone.
    pub fn origins(&self, id: SeriesId) -> &Origins {
        &self.series.get(id.series).expect("an id of this generation has a series").origins
    }

    /// How many series there are, aliases not counted.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// How many series that had ended made room for new ones since the start, before they were too old.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many points and samples were refused since the start.
    pub fn rejected(&self) -> u64 {
        self.rejections.total()
    }

    /// How many points and samples were refused since the start, by reason.
    pub fn rejections(&self) -> Rejections {
        self.rejections
    }

    /// How often a collection was older than the one before it, because the clock had been set back.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

#[cfg(test)]
mod tests;
