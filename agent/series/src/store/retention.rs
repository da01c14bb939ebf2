//! How long samples are kept, and how many.
//!
//! Every series is kept for the retention, and one that somebody reads further back for as long as that, within a limit.
//! Needs are matched when they are set and when a series begins.

use std::time::Duration;

use telemetry::{Labels, Timestamp};

use super::{Series, Store};
use crate::matcher::Matcher;
use crate::ring::{Keep, Sealed};

/// So often, in collections, the memory of the samples is summed up.
const WEIGHED: u64 = 16;

/// Samples lie unpacked at least so long, in milliseconds, whatever they take.
const LEAST_HOT: i64 = 60_000;

/// How much a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Series of the host and of rules at most. A further one takes the place of the series that ended longest ago;
    /// while none has ended, it is refused. Both are counted. Aliases do not count, nor does what comes from outside: each
    /// origin there has a budget of its own.
    pub max_series: usize,
    /// How long a sample is kept after it was taken, unless a need asks for more.
    pub retention: Duration,
    /// How long a sample is kept at most, whatever is needed.
    pub max_retention: Duration,
    /// Samples of one series at most; beyond it the oldest go.
    pub max_samples_per_series: usize,
    /// How far back a window reads samples as they lie. What is older is packed, in about a fifth of the room, and takes
    /// some 20 times as long to read.
    pub hot: Duration,
    /// What all packed samples take at most, in bytes. Beyond it the oldest go, those from outside before all others, and are
    /// counted: [`Store::squeezed`].
    pub max_packed_bytes: usize,
    /// What all unpacked samples take, in bytes: beyond it everything is packed after half of [`Limits::hot`], or a quarter
    /// and so on, but no sooner than after a minute; below a third of it, later again. No sample goes by it, only windows
    /// that reach further back take longer to read. [`Figures::ring_bytes`] tells what they take. Of one series at most
    /// about 1,000 samples lie unpacked.
    pub max_ring_bytes: usize,
}

/// 20,000 series, two hours of each and a day where it is needed, one sample a second; a window of a quarter of an hour
/// that is read a minute late lies at hand.
impl Default for Limits {
    fn default() -> Self {
        Self {
            max_series: 20_000,
            retention: Duration::from_hours(2),
            max_retention: Duration::from_hours(24),
            max_samples_per_series: 86_400,
            hot: Duration::from_mins(16),
            max_packed_bytes: 64 * 1024 * 1024,
            max_ring_bytes: 32 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Everything is kept: for series that a test has written down. What is older than the default's is packed, as ever.
    pub const NONE: Self = Self {
        max_series: usize::MAX,
        retention: Duration::MAX,
        max_retention: Duration::MAX,
        max_samples_per_series: usize::MAX,
        hot: Duration::from_mins(16),
        max_packed_bytes: usize::MAX,
        max_ring_bytes: usize::MAX,
    };

    /// How long the samples of a series are kept that somebody reads as far back as `need`, in milliseconds.
    fn reach(&self, need: Duration) -> i64 {
        millis(need.min(self.max_retention).max(self.retention))
    }

    /// How long any sample is kept, in milliseconds.
    pub(super) fn longest(&self) -> i64 {
        self.reach(Duration::MAX)
    }

    /// What is kept at `now` of a series with this reach, unpacked for `hot` milliseconds.
    pub(super) fn keep(&self, reach: i64, now: i64, hot: i64) -> Keep {
        Keep {
            cold: now.saturating_sub(hot),
            cutoff: now.saturating_sub(reach),
            samples: self.max_samples_per_series,
        }
    }
}

/// How far back somebody reads the series that satisfy all matchers.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// What the series must satisfy, by any of their names.
    pub matchers: Vec<Matcher>,
    /// The age of the oldest sample that is read.
    pub reach: Duration,
}

impl Store {
    /// How much is kept.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Keeps so much from now on. Series above a lower limit stay until they end; new ones are refused meanwhile. Samples
    /// that are too old or too many go with the next that comes.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.hot = millis(limits.hot);
        self.apply_needs();
    }

    /// Says how far back series are read. Those that satisfy a need are kept as long as it reaches, and no less than the
    /// retention; the others for the retention. What is forgotten already does not return.
    pub fn set_needs(&mut self, needs: &[Need]) {
        self.needs = needs.to_vec();
        self.apply_needs();
    }

    fn apply_needs(&mut self) {
        let least = self.limits.reach(Duration::ZERO);
        let reaches: Vec<(u32, i64)> = self
            .entries
            .iter()
            .map(|(_, entry)| (entry.series, self.reach_of(&entry.labels)))
            .filter(|(_, reach)| *reach > least)
            .collect();
        self.series.iter_mut().for_each(|(_, series)| series.reach = least);
        for (number, reach) in reaches {
            self.extend(number, reach);
        }
    }

    /// How long a series is kept for what is read under one of its names.
    pub(super) fn reach_of(&self, labels: &Labels) -> i64 {
        let needed = self.needs.iter().filter(|need| {
            need.reach > self.limits.retention
                && need.matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name())))
        });
        self.limits.reach(needed.map(|need| need.reach).max().unwrap_or_default())
    }

    pub(super) fn extend(&mut self, number: u32, reach: i64) {
        if let Some(series) = self.series.get_mut(number) {
            series.reach = series.reach.max(reach);
        }
    }

    /// What of a series is kept now.
    pub(super) fn keep_of(&self, series: &Series) -> Keep {
        let now = self.newest.unwrap_or(i64::MIN).max(series.ring.last());
        self.limits.keep(series.reach, now, self.hot)
    }

    /// Forgets what is too old at `now`, whole series included.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let now = now.as_millis();
        let mut longest = self.limits.reach(Duration::ZERO);
        let mut ended = Vec::new();
        for (number, series) in self.series.iter() {
            longest = longest.max(series.reach);
            if series.ring.last() <= now.saturating_sub(series.reach) {
                ended.push(number);
            }
        }
        for number in ended {
            self.remove(number);
        }
        self.timeline.trim(now.saturating_sub(longest), self.limits.max_samples_per_series);
        if self.timeline.end().is_multiple_of(WEIGHED) {
            self.weigh();
        }
    }

    /// Keeps what samples take within its limits.
    fn weigh(&mut self) {
        let sizes = self.series.iter().map(|(_, series)| series.ring.size());
        let (at_hand, packed) =
            sizes.fold((0, 0), |sum, (_, at_hand, packed)| (sum.0 + at_hand, sum.1 + packed));
        let most = self.limits.max_ring_bytes;
        let wanted = millis(self.limits.hot);
        if at_hand > most {
            self.hot = (self.hot / 2).max(LEAST_HOT.min(wanted));
        } else if at_hand < most / 3 {
            self.hot = self.hot.saturating_mul(2).min(wanted);
        }
        self.squeeze(packed);
    }

    /// Drops the oldest chunks while all of them take more than they may, and then a sixteenth more, so that it is not
    /// done again at once.
    fn squeeze(&mut self, packed: usize) {
        let most = self.limits.max_packed_bytes;
        if packed <= most {
            return;
        }
        let mut chunks: Vec<(bool, i64, u32, usize)> = Vec::new();
        for (number, series) in self.series.iter() {
            let sizes = series.ring.sealed().into_iter().flat_map(Sealed::sizes);
            chunks.extend(sizes.map(|(last, bytes)| (!series.origin.is_outside(), last, number, bytes)));
        }
        chunks.sort_unstable();
        let mut surplus = packed - most + most / 16;
        for (_, _, number, bytes) in chunks {
            if surplus == 0 {
                break;
            }
            if let Some(series) = self.series.get_mut(number) {
                self.squeezed += series.ring.drop_oldest_chunk() as u64;
                surplus = surplus.saturating_sub(bytes);
            }
        }
    }

    /// How many samples were given up since the start because all of them took too much memory.
    pub fn squeezed(&self) -> u64 {
        self.squeezed
    }

    /// What there is, and what its samples take.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { series: self.series.len(), ..Figures::default() };
        for (_, series) in self.series.iter() {
            let (samples, at_hand, packed) = series.ring.size();
            figures.samples += samples as u64;
            figures.ring_bytes += at_hand as u64;
            figures.chunk_bytes += packed as u64;
        }
        figures
    }
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Series, aliases not counted.
    pub series: usize,
    /// Samples of all series, stale markers included. Some of them may be too old to be seen.
    pub samples: u64,
    /// What the samples take that lie at hand, in bytes.
    pub ring_bytes: u64,
    /// What the packed samples take, in bytes.
    pub chunk_bytes: u64,
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
