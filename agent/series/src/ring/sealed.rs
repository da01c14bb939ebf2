//! The older samples of a series, in chunks.

use crate::chunk::{CHUNK_SAMPLES, Chunk, ChunkTimes, Packer, Scale};
use crate::timeline::{Bounds, Timeline};

/// A chunk that is full.
#[derive(Debug)]
struct Packed {
    bytes: Box<[u8]>,
    times: ChunkTimes,
    /// When its last sample was taken.
    last: i64,
    count: u16,
    scale: Scale,
}

impl Packed {
    fn chunk(&self) -> Chunk<'_> {
        Chunk { times: self.times, scale: self.scale, count: self.count, bytes: &self.bytes }
    }
}

/// Chunks from the oldest on, of which the last takes further samples.
#[derive(Debug)]
pub(crate) struct Sealed {
    full: Vec<Packed>,
    open: Packer,
    /// When the newest sample here was taken.
    last: i64,
    /// Samples in all chunks.
    count: usize,
}

/// A chunk, when its last sample was taken, and how many samples the chunks before it hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) chunk: Chunk<'a>,
    pub(crate) last: i64,
    pub(crate) before: usize,
}

impl Sealed {
    pub(super) fn new() -> Self {
        let open = Packer::new(ChunkTimes::Own, Scale::One);
        Self { full: Vec::new(), open, last: i64::MIN, count: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many samples there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// When the newest sample was taken.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// Appends samples that are newer than all others: in collections one after the other from `tick` on, or at times of
    /// their own.
    pub(super) fn push(
        &mut self,
        tick: Option<u64>,
        times: &[i64],
        values: impl Iterator<Item = f64> + Clone,
    ) {
        let from =
            |number: usize| tick.map_or(ChunkTimes::Own, |first| ChunkTimes::Shared(first + number as u64));
        let scale = self.open.scale();
        let follows = self.open.count() > 0 && self.open.continues(from(0));
        if !(follows && values.clone().all(|value| scale.fits(value))) {
            self.begin(from(0), Scale::of(&values));
        }
        for (number, (time, value)) in times.iter().zip(values).enumerate() {
            if self.open.count() == CHUNK_SAMPLES {
                self.begin(from(number), self.open.scale());
            }
            self.open.push(*time, value);
            self.last = *time;
            self.count += 1;
        }
    }

    fn begin(&mut self, times: ChunkTimes, scale: Scale) {
        let full = std::mem::replace(&mut self.open, Packer::new(times, scale));
        if full.count() == 0 {
            return;
        }
        if self.full.len() == self.full.capacity() {
            self.full.reserve_exact(self.full.len() / 4 + 1);
        }
        let (times, count, scale) = (full.chunk().times, full.count(), full.scale());
        self.full.push(Packed { bytes: full.into_bytes(), times, last: self.last, count, scale });
    }

    /// All chunks, from the oldest on.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Placed<'_>> {
        let open = (self.open.count() > 0).then(|| (self.open.chunk(), self.last));
        let full = self.full.iter().map(|packed| (packed.chunk(), packed.last));
        full.chain(open).scan(0, |count, (chunk, last)| {
            let before = *count;
            *count += usize::from(chunk.count);
            Some(Placed { chunk, last, before })
        })
    }

    /// When the last sample of the oldest chunk was taken, and how many samples it has.
    pub(super) fn oldest(&self) -> Option<(i64, usize)> {
        self.chunks().next().map(|placed| (placed.last, usize::from(placed.chunk.count)))
    }

    /// Takes the oldest chunk away and says how many samples it had.
    pub(super) fn drop_oldest(&mut self) -> usize {
        let dropped = if self.full.is_empty() {
            std::mem::replace(&mut self.open, Packer::new(ChunkTimes::Own, Scale::One)).count()
        } else {
            self.full.remove(0).count
        };
        self.count -= usize::from(dropped);
        usize::from(dropped)
    }

    /// Takes the newest chunk away, and appends what can still be said of its samples.
    pub(super) fn unpack_newest(&mut self, timeline: &Timeline, times: &mut Vec<i64>, values: &mut Vec<f64>) {
        if self.open.count() > 0 {
            unpack(&self.open.chunk(), timeline, times, values);
            self.count -= usize::from(self.open.count());
            self.open = Packer::new(ChunkTimes::Own, Scale::One);
        } else if let Some(packed) = self.full.pop() {
            unpack(&packed.chunk(), timeline, times, values);
            self.count -= usize::from(packed.count);
        }
        self.last = self.full.last().map_or(i64::MIN, |packed| packed.last);
    }

    /// Appends the samples of all chunks that reach into the window, but for the oldest `skip`.
    pub(super) fn unpack_within(
        &self,
        timeline: &Timeline,
        bounds: Bounds,
        skip: usize,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) {
        for placed in self.chunks() {
            let chunk = &placed.chunk;
            if placed.last <= bounds.from || placed.before + usize::from(chunk.count) <= skip {
                continue;
            }
            let begins_after = match chunk.times {
                ChunkTimes::Shared(first) => first >= bounds.end,
                ChunkTimes::Own => chunk.first_time().is_none_or(|first| first > bounds.to),
            };
            if begins_after {
                break;
            }
            let from = times.len();
            unpack(chunk, timeline, times, values);
            // Of a chunk with forgotten times the forgotten samples are gone already, and they are the oldest.
            let kept = times.len() - from;
            let surplus = skip.saturating_sub(placed.before + usize::from(chunk.count) - kept);
            if surplus > 0 {
                times.drain(from..from + surplus.min(kept));
                values.drain(from..from + surplus.min(kept));
            }
        }
    }

    /// The memory that the chunks take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|packed| packed.bytes.len()).sum();
        full + self.full.capacity() * size_of::<Packed>() + self.open.capacity() + size_of::<Self>()
    }

    /// The memory that each full chunk takes, and when its last sample was taken.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (i64, usize)> {
        self.full.iter().map(|packed| (packed.last, packed.bytes.len() + size_of::<Packed>()))
    }
}

/// Appends the samples of a chunk whose times are known.
fn unpack(chunk: &Chunk<'_>, timeline: &Timeline, times: &mut Vec<i64>, values: &mut Vec<f64>) {
    let from = values.len();
    if chunk.unpack(times, values).is_none() {
        debug_assert!(false, "a chunk of our own holds what it says");
        let whole = times.len().min(values.len());
        times.truncate(whole);
        values.truncate(whole);
        return;
    }
    if let ChunkTimes::Shared(first) = chunk.times {
        let known = timeline.times_of(first, usize::from(chunk.count));
        let forgotten = timeline.base().saturating_sub(first).min(u64::from(chunk.count)) as usize;
        times.extend_from_slice(known);
        values.drain(from..from + forgotten);
        values.truncate(from + known.len());
    }
}
