//! Reading a snapshot.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use telemetry::{Labels, Origin, Origins, Timestamp};

use super::super::Store;
use super::wire::Bytes;
use super::{MAGIC, MAX_FRAME, RestoreError, Restored, VERSION};
use crate::chunk::{Chunk, ChunkTimes, Scale};
use crate::ring::Ring;

/// What one series of a snapshot may make a reader hold: so many names, and so many samples.
const MAX_NAMES: usize = 8;
const MAX_SAMPLES: usize = 1 << 20;

impl Store {
    /// Takes over what a snapshot holds, as if it had just come: what is newer than `now` or too old is left out, as are
    /// series for which there is no room, and those from outside that have no budget or bear a name of the host's. To be
    /// called once budgets and names are set, before the first collection. A series of the host goes on with the first
    /// point that has its labels; one that gets no sample within five minutes ends.
    ///
    /// # Errors
    ///
    /// The file is no snapshot, or damaged. What precedes the damage is restored.
    pub fn restore(&mut self, from: impl Read, now: Timestamp) -> Result<Restored, RestoreError> {
        let mut file = File { from, at: 0 };
        let mut head = [0; MAGIC.len() + 4];
        file.fill(&mut head).map_err(|error| match error {
            RestoreError::Torn { .. } => RestoreError::NotASnapshot,
            other => other,
        })?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(RestoreError::NotASnapshot);
        }
        let found = version.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if found != VERSION {
            return Err(RestoreError::Version { found });
        }
        let mut restored = Restored::default();
        let now = now.as_millis();
        self.restored = Some(now);
        let result = loop {
            let at = file.at;
            match file.frame() {
                Ok(Some(payload)) => {
                    let mut reading = Reading { store: self, now, restored: &mut restored };
                    if let Err(part) = reading.frame(&payload) {
                        break Err(RestoreError::Malformed { at, part });
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.newest = self.newest.max(self.timeline.last());
        result.map(|()| restored)
    }
}

/// A file and how far it is read.
struct File<R> {
    from: R,
    at: u64,
}

impl<R: Read> File<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RestoreError> {
        let at = self.at;
        self.from.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => RestoreError::Torn { at },
            _ => RestoreError::Read { at, source },
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// The payload of the next frame, or none at the end mark.
    fn frame(&mut self) -> Result<Option<Vec<u8>>, RestoreError> {
        let at = self.at;
        let (mut length, mut checksum) = ([0; 4], [0; 4]);
        self.fill(&mut length)?;
        self.fill(&mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_FRAME {
            return Err(RestoreError::TooLong { at, length });
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload).map_err(|error| match error {
            RestoreError::Torn { .. } => RestoreError::Torn { at },
            other => other,
        })?;
        if crc32c::crc32c(&payload) != u32::from_le_bytes(checksum) {
            return Err(RestoreError::Checksum { at });
        }
        Ok((length > 0).then_some(payload))
    }
}

/// A frame that is being read.
struct Frame<'a> {
    bytes: Bytes<'a>,
    first_tick: u64,
    times: Vec<i64>,
    texts: Vec<&'a str>,
}

impl<'a> Frame<'a> {
    fn new(payload: &'a [u8]) -> Result<Self, &'static str> {
        let mut bytes = Bytes(payload);
        let (first_tick, times) = collections(&mut bytes).ok_or("collections")?;
        let texts =
            (|| (0..bytes.count()?).map(|_| bytes.text()).collect::<Option<Vec<_>>>())().ok_or("texts")?;
        Ok(Self { bytes, first_tick, times, texts })
    }

    fn text(&mut self) -> Option<&'a str> {
        let number = self.bytes.number()?;
        self.texts.get(usize::try_from(number).ok()?).copied()
    }

    fn origin(&mut self) -> Option<Origin> {
        match self.bytes.byte()? {
            0 => Some(Origin::Host),
            1 => Some(Origin::Rule),
            2 => Some(Origin::Otlp(self.text()?.into())),
            3 => Some(Origin::Textfile),
            4 => Some(Origin::Log(self.text()?.into())),
            _ => None,
        }
    }

    fn origins(&mut self) -> Option<Arc<Origins>> {
        // None where a rule has read nothing, as in `vector(1)`.
        (0..self.bytes.count()?).map(|_| self.origin()).collect::<Option<Origins>>().map(Arc::new)
    }

    fn labels(&mut self) -> Option<Labels> {
        let pairs = (0..self.bytes.count()?).map(|_| Some((self.text()?, self.text()?)));
        pairs.collect()
    }

    fn names(&mut self) -> Option<Vec<Labels>> {
        let count = self.bytes.count().filter(|count| *count <= MAX_NAMES)?;
        (0..count).map(|_| self.labels()).collect()
    }

    /// Appends the samples of the next chunk, as far as their times are known.
    fn chunk(&mut self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Option<()> {
        let kind = self.bytes.byte()?;
        let scale = Scale::from_number(kind >> 1)?;
        let count = u16::try_from(self.bytes.number()?).ok()?;
        let times_of = if kind & 1 == 1 { ChunkTimes::Own } else { ChunkTimes::Shared(self.bytes.number()?) };
        let chunk = Chunk { times: times_of, scale, count, bytes: self.bytes.bytes()? };
        let from = values.len();
        chunk.unpack(times, values)?;
        if let ChunkTimes::Shared(tick) = times_of {
            let forgotten = self.first_tick.saturating_sub(tick).min(u64::from(count)) as usize;
            let first = tick.saturating_sub(self.first_tick).min(self.times.len() as u64) as usize;
            let known = self.times.get(first..).unwrap_or_default();
            let known = known.get(..known.len().min(usize::from(count) - forgotten)).unwrap_or_default();
            times.extend_from_slice(known);
            values.drain(from..from + forgotten);
            values.truncate(from + known.len());
        }
        Some(())
    }
}

fn collections(bytes: &mut Bytes<'_>) -> Option<(u64, Vec<i64>)> {
    let first = bytes.number()?;
    let (mut last, mut distance) = (0_i64, 0_i64);
    let times = (0..bytes.count()?).map(|_| {
        distance = distance.wrapping_add(bytes.signed()?);
        last = last.wrapping_add(distance);
        Some(last)
    });
    Some((first, times.collect::<Option<_>>()?))
}

/// A store that takes over a frame.
struct Reading<'a> {
    store: &'a mut Store,
    now: i64,
    restored: &'a mut Restored,
}

impl Reading<'_> {
    fn frame(&mut self, payload: &[u8]) -> Result<(), &'static str> {
        let mut frame = Frame::new(payload)?;
        self.collections(&frame.times);
        let sets = (|| (0..frame.bytes.count()?).map(|_| frame.origins()).collect::<Option<Vec<_>>>())();
        let sets = sets.ok_or("origins")?;
        let count = frame.bytes.count().ok_or("series")?;
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let origin = frame.origin().ok_or("origin of a series")?;
            let set = frame.bytes.number().and_then(|number| sets.get(usize::try_from(number).ok()?));
            let set = set.ok_or("origins of a series")?;
            let names = frame.names().ok_or("names of a series")?;
            times.clear();
            values.clear();
            let chunks = frame.bytes.count().ok_or("chunks of a series")?;
            for _ in 0..chunks {
                frame.chunk(&mut times, &mut values).ok_or("samples of a series")?;
                if values.len() > MAX_SAMPLES {
                    return Err("number of samples of a series");
                }
            }
            self.series(&origin, set, &names, &times, &values);
        }
        if frame.bytes.0.is_empty() { Ok(()) } else { Err("end") }
    }

    /// Takes over when collections were.
    fn collections(&mut self, times: &[i64]) {
        let Store { timeline, limits, .. } = &mut *self.store;
        let oldest = self.now.saturating_sub(limits.longest());
        for time in times {
            if (oldest.saturating_add(1)..=self.now).contains(time)
                && timeline.last().is_none_or(|last| *time > last)
            {
                timeline.push(*time);
            }
        }
        timeline.trim(oldest, limits.max_samples_per_series);
    }

    fn series(
        &mut self,
        origin: &Origin,
        origins: &Arc<Origins>,
        names: &[Labels],
        times: &[i64],
        values: &[f64],
    ) {
        match self.begin(origin, names, times) {
            Some(number) => {
                self.restored.series += 1;
                self.store.adopt_origins(number, origins);
                self.append(number, times, values);
                self.store.note_end(number);
            }
            None => self.restored.left_out += 1,
        }
    }

    /// The series of that name, which there may be already, if it has anything to take over and there is room for it.
    fn begin(&mut self, origin: &Origin, names: &[Labels], times: &[i64]) -> Option<u32> {
        let store = &mut *self.store;
        let (labels, aliases) = names.split_first()?;
        let reach = names.iter().map(|name| store.reach_of(name)).max()?;
        let cutoff = self.now.saturating_sub(reach);
        let first = *times.iter().find(|time| **time > cutoff && **time <= self.now)?;
        if let Some(id) = store.by_labels.get(labels) {
            return store.series.get(id.series).filter(|series| series.origin == *origin).map(|_| id.series);
        }
        if origin.is_outside() && !store.allows(origin, names) {
            return None;
        }
        let tick = store.timeline.first_after(first.saturating_sub(1));
        let shared = store.timeline.times_of(tick, 1).first() == Some(&first);
        let number = store.begin(labels, origin, Ring::new(shared.then_some(tick))).ok()?;
        for alias in aliases {
            if !store.by_labels.contains_key(alias) {
                store.add_entry(number, alias, true);
            }
        }
        Some(number)
    }

    fn append(&mut self, number: u32, times: &[i64], values: &[f64]) {
        let Store { series, timeline, limits, hot, .. } = &mut *self.store;
        let Some(series) = series.get_mut(number) else { return };
        let keep = limits.keep(series.reach, self.now, *hot);
        let mut tick = timeline.base();
        for (time, value) in times.iter().zip(values) {
            if *time <= series.ring.last().max(keep.cutoff) || *time > self.now {
                continue;
            }
            if timeline.times_of(tick, 1).first() != Some(time) {
                tick = timeline.first_after(time.saturating_sub(1));
            }
            if timeline.times_of(tick, 1).first() == Some(time) {
                series.ring.push_tick(timeline, tick, *time, *value);
                tick += 1;
            } else {
                series.ring.push_own(timeline, *time, *value);
            }
            series.ring.settle(timeline, &keep);
            self.restored.samples += 1;
        }
    }
}
