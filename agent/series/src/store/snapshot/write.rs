//! Writing a snapshot, slice by slice.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use telemetry::{Labels, Origin, Origins};

use super::super::{Series, Store};
use super::wire::{put, put_bytes, put_signed};
use super::{MAGIC, MAX_FRAME, VERSION};
use crate::chunk::{Chunk, ChunkTimes, Packer, Scale};
use crate::ring::Sealed;

/// A snapshot that is being written.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The number of the series that comes next.
    next: u32,
    begun: bool,
    left_out: usize,
}

impl Snapshot {
    /// A snapshot of which nothing is written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a further slice of about `bytes` bytes to `out`, and says whether another is to come. Between the slices the
    /// store may change: a series that comes meanwhile may be missing, and each is as it was when its slice was written.
    pub fn write(&mut self, store: &Store, out: &mut Vec<u8>, bytes: usize) -> bool {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&MAGIC);
            out.extend_from_slice(&VERSION.to_le_bytes());
        }
        let mut frame = Frame::default();
        while let Some((number, series)) = store.series.next_from(self.next) {
            let before = frame.mark();
            frame.series(store, series);
            // The other half is for the times of the collections.
            if frame.size() > MAX_FRAME / 2 {
                frame.back_to(&before);
                if frame.count > 0 {
                    break;
                }
                self.left_out += 1;
            }
            self.next = number + 1;
            if frame.size() >= bytes.min(MAX_FRAME / 4) {
                break;
            }
        }
        if frame.count > 0 {
            let count = frame.count as usize;
            let payload = frame.finish(store);
            if payload.len() <= MAX_FRAME {
                append_frame(out, &payload);
            } else {
                self.left_out += count;
            }
        }
        let more = store.series.next_from(self.next).is_some();
        if !more {
            append_frame(out, &[]);
        }
        more
    }

    /// How many series were left out so far, because one alone is too large for any frame.
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

fn append_frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Series and the texts, origins and collections that they speak of.
#[derive(Default)]
struct Frame<'a> {
    texts: HashMap<&'a str, u64, RandomState>,
    text_bytes: Vec<u8>,
    origins: Vec<&'a Origins>,
    /// The first collection that a series here has a sample of.
    first_tick: Option<u64>,
    body: Vec<u8>,
    count: u64,
}

/// How far a frame was.
struct Mark {
    texts: u64,
    text_bytes: usize,
    origins: usize,
    first_tick: Option<u64>,
    body: usize,
    count: u64,
}

impl<'a> Frame<'a> {
    fn mark(&self) -> Mark {
        Mark {
            texts: self.texts.len() as u64,
            text_bytes: self.text_bytes.len(),
            origins: self.origins.len(),
            first_tick: self.first_tick,
            body: self.body.len(),
            count: self.count,
        }
    }

    fn back_to(&mut self, mark: &Mark) {
        self.texts.retain(|_, number| *number < mark.texts);
        self.text_bytes.truncate(mark.text_bytes);
        self.origins.truncate(mark.origins);
        self.first_tick = mark.first_tick;
        self.body.truncate(mark.body);
        self.count = mark.count;
    }

    /// What it takes in bytes, but for origins and the times of collections.
    fn size(&self) -> usize {
        self.body.len() + self.text_bytes.len()
    }

    fn text(&mut self, text: &'a str) -> u64 {
        let next = self.texts.len() as u64;
        *self.texts.entry(text).or_insert_with(|| {
            put_bytes(&mut self.text_bytes, text.as_bytes());
            next
        })
    }

    fn origins(&mut self, origins: &'a Origins) -> u64 {
        let known = self.origins.iter().position(|known| *known == origins);
        known.unwrap_or_else(|| {
            self.origins.push(origins);
            self.origins.len() - 1
        }) as u64
    }

    fn origin(&mut self, origin: &'a Origin) {
        let (kind, name) = match origin {
            Origin::Host => (0, None),
            Origin::Rule => (1, None),
            Origin::Otlp(name) => (2, Some(&**name)),
            Origin::Textfile => (3, None),
            Origin::Log(name) => (4, Some(&**name)),
        };
        self.body.push(kind);
        if let Some(name) = name {
            let number = self.text(name);
            put(&mut self.body, number);
        }
    }

    fn labels(&mut self, labels: &'a Labels) {
        put(&mut self.body, labels.len() as u64);
        for (name, value) in labels.iter() {
            let numbers = [self.text(name), self.text(value)];
            for number in numbers {
                put(&mut self.body, number);
            }
        }
    }

    fn series(&mut self, store: &'a Store, series: &'a Series) {
        self.count += 1;
        self.origin(&series.origin);
        let origins = self.origins(&series.origins);
        put(&mut self.body, origins);
        put(&mut self.body, series.entries.len() as u64);
        for entry in series.entries.iter().filter_map(|entry| store.entries.get(*entry)) {
            self.labels(&entry.labels);
        }
        let (tick, times, values) = series.ring.at_hand(&store.timeline);
        let times_of = tick.map_or(ChunkTimes::Own, ChunkTimes::Shared);
        let mut newest = Packer::new(times_of, Scale::of(&values));
        times.iter().zip(values).for_each(|(time, value)| newest.push(*time, value));
        let sealed = series.ring.sealed().into_iter().flat_map(Sealed::chunks);
        let chunks: Vec<Chunk<'_>> = sealed.map(|placed| placed.chunk).chain([newest.chunk()]).collect();
        put(&mut self.body, chunks.len() as u64);
        for chunk in chunks {
            self.chunk(&chunk, store.timeline.base());
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, base: u64) {
        self.body.push(chunk.scale.number() << 1 | u8::from(chunk.times == ChunkTimes::Own));
        put(&mut self.body, u64::from(chunk.count));
        if let ChunkTimes::Shared(tick) = chunk.times {
            put(&mut self.body, tick);
            let known = tick.max(base);
            self.first_tick = Some(self.first_tick.map_or(known, |first| first.min(known)));
        }
        put_bytes(&mut self.body, chunk.bytes);
    }

    fn finish(mut self, store: &Store) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.body.len() + self.text_bytes.len() + 4_096);
        let first = self.first_tick.unwrap_or_else(|| store.timeline.end());
        let times = store.timeline.times_of(first, store.timeline.times().len());
        put(&mut payload, first);
        put(&mut payload, times.len() as u64);
        let (mut last, mut distance) = (0_i64, 0_i64);
        for time in times {
            let next = time.wrapping_sub(last);
            put_signed(&mut payload, next.wrapping_sub(distance));
            (last, distance) = (*time, next);
        }
        let sets = std::mem::take(&mut self.origins);
        let series = std::mem::take(&mut self.body);
        put(&mut self.body, sets.len() as u64);
        for set in sets {
            put(&mut self.body, set.len() as u64);
            for origin in set {
                self.origin(origin);
            }
        }
        put(&mut payload, self.texts.len() as u64);
        payload.extend_from_slice(&self.text_bytes);
        payload.extend_from_slice(&self.body);
        put(&mut payload, self.count);
        payload.extend_from_slice(&series);
        payload
    }
}
