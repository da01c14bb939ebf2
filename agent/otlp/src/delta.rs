//! Turns the host's own cumulative counters and histograms into deltas, for one destination that wants them.
//!
//! Pure: encoded request in, encoded request out, read and written field by field. What is written counts from what the
//! destination last took, so a request that is sent again says the same, and one that is dropped leaves its amount to the
//! next. Only metrics of our own scopes change: what others send arrives as they sent it. Gauges and sums that also fall
//! stay as they are, as the specification's preference for delta has it.
//!
//! What would surprise you: the first point of a series that began before the first request did is held back. Nobody
//! knows how much of it the destination had from an earlier run; counting from there on counts nothing twice.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use bytes::Bytes;

use crate::encode::{CUMULATIVE, NO_RECORDED_VALUE};
use crate::scope;
use crate::wire::{
    Field, Fields, Malformed, Raw, bytes_field, fixed64_field, length_field, message_field, varint_field,
};

/// `AGGREGATION_TEMPORALITY_DELTA` in `metrics.proto`.
const DELTA: u64 = 1;

/// Series whose last value is remembered, some 100 bytes each: all metrics of ten thousand processes. Beyond it, those that
/// were silent longest are forgotten; should they go on, they begin anew.
const MAX_SERIES: usize = 100_000;

/// What one destination last took of each series.
#[derive(Debug)]
pub(crate) struct Delta {
    /// A series that begins from then on, in nanoseconds, has no past that the destination may have had. The time of the
    /// first point there ever was.
    begun: Option<u64>,
    keys: RandomState,
    taken: HashMap<u64, Last>,
    /// What the destination has when it takes the request under way.
    underway: HashMap<u64, Last>,
    max_series: usize,
}

/// A request with deltas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    /// The request; empty when all of its points were held back.
    pub(crate) payload: Bytes,
    /// Points that were held back: they only say where their series begins, or were told already.
    pub(crate) held_back: u64,
}

#[derive(Clone, Debug)]
struct Last {
    start: u64,
    time: u64,
    total: Total,
}

impl Default for Delta {
    fn default() -> Self {
        let (taken, underway) = (HashMap::new(), HashMap::new());
        Self { begun: None, keys: RandomState::new(), taken, underway, max_series: MAX_SERIES }
    }
}

/// A cumulative value.
#[derive(Clone, Debug, PartialEq)]
enum Total {
    Int(i64),
    Double(f64),
    Histogram(Box<Histogram>),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Histogram {
    count: u64,
    sum: Option<f64>,
    buckets: Vec<u64>,
    bounds: Vec<u64>,
}

/// One point as far as it matters here.
struct Point<'a> {
    start: u64,
    time: u64,
    /// None where the series has ended.
    total: Option<Total>,
    key: u64,
    body: &'a [u8],
    kind: Kind,
}

/// The kinds of points that change: those of sums and those of histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Histogram,
}

impl Delta {
    /// The metrics request `payload` as the destination wants it. Until [`Delta::commit`], another request takes the
    /// place of this one, and the same gives the same again: so only one may be under way.
    ///
    /// # Errors
    ///
    /// The bytes are no OTLP request as far as they were looked at. Then nothing is under way.
    pub(crate) fn rewrite(&mut self, payload: &Bytes) -> Result<Rewritten, Malformed> {
        self.rollback();
        let mut out = Vec::with_capacity(payload.len());
        let mut held_back = 0;
        for field in Fields::of(payload).raw() {
            let Raw { number, value, bytes } = field?;
            if number == 1 {
                self.resource_metrics(&mut out, value.bytes()?, &mut held_back)
                    .inspect_err(|_| self.rollback())?;
            } else {
                out.extend_from_slice(bytes);
            }
        }
        Ok(Rewritten { payload: out.into(), held_back })
    }

    /// The destination has taken the request under way.
    pub(crate) fn commit(&mut self) {
        self.taken.extend(self.underway.drain());
        if self.taken.len() > self.max_series {
            self.forget();
        }
    }

    /// The destination never gets the request under way. The next one has its amounts as well.
    pub(crate) fn rollback(&mut self) {
        self.underway.clear();
    }

    /// Makes room for a quarter of the series, so that this is rare.
    fn forget(&mut self) {
        let mut by_age: Vec<(u64, u64)> = self.taken.iter().map(|(key, last)| (last.time, *key)).collect();
        by_age.sort_unstable();
        let gone = by_age.len() - self.max_series / 4 * 3;
        for (time, key) in by_age.into_iter().take(gone) {
            self.taken.remove(&key);
            self.begun = self.begun.max(Some(time.saturating_add(1)));
        }
    }

    fn resource_metrics(
        &mut self,
        out: &mut Vec<u8>,
        body: &[u8],
        held_back: &mut u64,
    ) -> Result<(), Malformed> {
        let mut identity = self.keys.build_hasher();
        for field in Fields::of(body) {
            if let (1, resource) = field? {
                identity.write(resource.bytes()?);
            }
        }
        let identity = identity.finish();
        kept_message(out, 1, 3, |out| {
            copy_but(out, body, 2, |out, scope| self.scope_metrics(out, scope, identity, held_back))
        })
    }

    fn scope_metrics(
        &mut self,
        out: &mut Vec<u8>,
        body: &[u8],
        resource: u64,
        held_back: &mut u64,
    ) -> Result<(), Malformed> {
        let mut name: &[u8] = &[];
        for field in Fields::of(body) {
            if let (1, scope) = field? {
                name = text(scope.bytes()?, 1)?;
            }
        }
        if !scope::ALL.into_iter().any(|own| scope::name(own).as_bytes() == name) {
            bytes_field(out, 2, body);
            return Ok(());
        }
        kept_message(out, 2, 2, |out| {
            copy_but(out, body, 2, |out, metric| {
                let identity = self.keys.hash_one((resource, name, text(metric, 1)?));
                self.metric(out, metric, identity, held_back)
            })
        })
    }

    fn metric(
        &mut self,
        out: &mut Vec<u8>,
        body: &[u8],
        identity: u64,
        held_back: &mut u64,
    ) -> Result<(), Malformed> {
        let Some((number, kind)) = counting(body)? else {
            bytes_field(out, 2, body);
            return Ok(());
        };
        kept_message(out, 2, 2, |out| {
            copy_but(out, body, number, |out, data| {
                kept_message(out, number, 2, |out| {
                    let mut points = 0;
                    for field in Fields::of(data).raw() {
                        match field? {
                            Raw { number: 1, value, .. } => {
                                let point = self.read(value.bytes()?, identity, kind)?;
                                points += u64::from(self.point(out, point, held_back)?);
                            }
                            Raw { number: 2, .. } => varint_field(out, 2, DELTA),
                            Raw { bytes, .. } => out.extend_from_slice(bytes),
                        }
                    }
                    Ok(points > 0)
                })
            })
        })
    }

    fn read<'a>(&self, body: &'a [u8], identity: u64, kind: Kind) -> Result<Point<'a>, Malformed> {
        let mut key = self.keys.build_hasher();
        key.write_u64(identity);
        let (mut start, mut time, mut flags, mut total) = (0, 0, 0, None);
        let mut histogram = Histogram::default();
        for field in Fields::of(body).raw() {
            let Raw { number, value, bytes } = field?;
            match (kind, number, value) {
                (_, 2, Field::Fixed64(value)) => start = value,
                (_, 3, Field::Fixed64(value)) => time = value,
                (Kind::Number, 7, _) | (Kind::Histogram, 9, _) => key.write(bytes),
                (Kind::Number, 8, Field::Varint(value)) | (Kind::Histogram, 10, Field::Varint(value)) => {
                    flags = value;
                }
                (Kind::Number, 4, Field::Fixed64(value)) => {
                    total = Some(Total::Double(f64::from_bits(value)));
                }
                (Kind::Number, 6, Field::Fixed64(value)) => total = Some(Total::Int(value as i64)),
                (Kind::Histogram, 4, Field::Fixed64(value)) => histogram.count = value,
                (Kind::Histogram, 5, Field::Fixed64(value)) => histogram.sum = Some(f64::from_bits(value)),
                (Kind::Histogram, 6, value) => numbers(value, &mut histogram.buckets)?,
                (Kind::Histogram, 7, value) => numbers(value, &mut histogram.bounds)?,
                _ => {}
            }
        }
        let total = if kind == Kind::Histogram { Some(Total::Histogram(histogram.into())) } else { total };
        let total = total.filter(|_| flags & NO_RECORDED_VALUE == 0);
        Ok(Point { start, time, total, key: key.finish(), body, kind })
    }

    /// Writes the point, unless it is held back. Whether it was written.
    fn point(&mut self, out: &mut Vec<u8>, point: Point<'_>, held_back: &mut u64) -> Result<bool, Malformed> {
        let Point { start, time, total, key, body, kind } = point;
        let begun = *self.begun.get_or_insert(time);
        let last = self.underway.get(&key).or_else(|| self.taken.get(&key));
        let Some(total) = total else {
            // The series has ended. Its value is kept: it may come back where it was.
            let start = last.map_or(start, |last| last.time.min(time));
            write(out, body, kind, start, None, false)?;
            return Ok(true);
        };
        let step = match last {
            None if start < begun => None,
            None => Some((start, total.clone(), true)),
            Some(last) if start < last.start && time <= last.start => {
                // From before the series began anew, such as a dead letter that is sent again.
                *held_back += 1;
                return Ok(false);
            }
            Some(last) => {
                // A start that moves a little is a clock that was set, not a new beginning.
                let began_anew = start != last.start && start >= last.time;
                let gained = if began_anew { None } else { total.since(&last.total) };
                if gained.is_none() && time <= last.time {
                    // From before what was taken last, such as a dead letter that is sent again: it was told since.
                    *held_back += 1;
                    return Ok(false);
                }
                let is_whole = gained.is_none();
                let from = if began_anew { start } else { last.time };
                Some((from.min(time), gained.unwrap_or_else(|| total.clone()), is_whole))
            }
        };
        self.underway.insert(key, Last { start, time, total });
        let Some((start, gained, is_whole)) = step else {
            *held_back += 1;
            return Ok(false);
        };
        write(out, body, kind, start, Some(&gained), is_whole)?;
        Ok(true)
    }
}

impl Total {
    /// What came since `last`; nothing when it fell or is of another form, and so counts anew.
    fn since(&self, last: &Self) -> Option<Self> {
        match (self, last) {
            (Self::Int(now), Self::Int(last)) => {
                now.checked_sub(*last).filter(|gained| *gained >= 0).map(Self::Int)
            }
            (Self::Double(now), Self::Double(last)) => {
                Some(now - last).filter(|gained| *gained >= 0.0 && gained.is_finite()).map(Self::Double)
            }
            (Self::Histogram(now), Self::Histogram(last)) => {
                now.since(last).map(|gained| Self::Histogram(gained.into()))
            }
            _ => None,
        }
    }
}

impl Histogram {
    fn since(&self, last: &Self) -> Option<Self> {
        if self.bounds != last.bounds || self.buckets.len() != last.buckets.len() {
            return None;
        }
        let buckets = self.buckets.iter().zip(&last.buckets).map(|(now, last)| now.checked_sub(*last));
        Some(Self {
            count: self.count.checked_sub(last.count)?,
            sum: self.sum.zip(last.sum).map(|(now, last)| now - last),
            buckets: buckets.collect::<Option<_>>()?,
            bounds: Vec::new(),
        })
    }
}

/// Writes a point that counts from `start`, with all else that it has.
fn write(
    out: &mut Vec<u8>,
    body: &[u8],
    kind: Kind,
    start: u64,
    gained: Option<&Total>,
    is_whole: bool,
) -> Result<(), Malformed> {
    kept_message(out, 1, 1, |out| {
        fixed64_field(out, 2, start);
        match gained {
            None => {}
            Some(Total::Int(value)) => fixed64_field(out, 6, *value as u64),
            Some(Total::Double(value)) => fixed64_field(out, 4, value.to_bits()),
            Some(Total::Histogram(gained)) => {
                fixed64_field(out, 4, gained.count);
                if let Some(sum) = gained.sum {
                    fixed64_field(out, 5, sum.to_bits());
                }
                length_field(out, 6, gained.buckets.len() * 8);
                gained.buckets.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
            }
        }
        for field in Fields::of(body).raw() {
            let Raw { number, bytes, .. } = field?;
            let is_written = match kind {
                Kind::Number => matches!(number, 2 | 4 | 6),
                // The least and the most since the beginning say nothing about a part of it.
                Kind::Histogram => matches!(number, 2 | 4..=6) || !is_whole && matches!(number, 11 | 12),
            };
            if !is_written {
                out.extend_from_slice(bytes);
            }
        }
        Ok(true)
    })
}

/// The field of a `Metric` that holds cumulative data which only rises, if it does.
fn counting(metric: &[u8]) -> Result<Option<(u32, Kind)>, Malformed> {
    for field in Fields::of(metric) {
        let (number, kind, data) = match field? {
            (7, Field::Bytes(data)) => (7, Kind::Number, data),
            (9, Field::Bytes(data)) => (9, Kind::Histogram, data),
            _ => continue,
        };
        let (mut temporality, mut only_rises) = (0, kind == Kind::Histogram);
        for field in Fields::of(data) {
            match field? {
                (2, Field::Varint(value)) => temporality = value,
                (3, Field::Varint(value)) if kind == Kind::Number => only_rises = value != 0,
                _ => {}
            }
        }
        return Ok((temporality == CUMULATIVE && only_rises).then_some((number, kind)));
    }
    Ok(None)
}

/// A message that is left out when `write` says that nothing in it is worth keeping.
fn kept_message(
    out: &mut Vec<u8>,
    field: u32,
    guess: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<bool, Malformed>,
) -> Result<(), Malformed> {
    let before = out.len();
    let mut kept = Ok(false);
    message_field(out, field, guess, |out| kept = write(out));
    if kept.as_ref().is_ok_and(|kept| *kept) {
        return Ok(());
    }
    out.truncate(before);
    kept.map(|_| ())
}

/// Copies a message, with `replace` writing the fields of one number. Whether any of those was written.
fn copy_but(
    out: &mut Vec<u8>,
    body: &[u8],
    replaced: u32,
    mut replace: impl FnMut(&mut Vec<u8>, &[u8]) -> Result<(), Malformed>,
) -> Result<bool, Malformed> {
    let mut kept = false;
    for field in Fields::of(body).raw() {
        let Raw { number, value, bytes } = field?;
        if number == replaced {
            let before = out.len();
            replace(out, value.bytes()?)?;
            kept |= out.len() > before;
        } else {
            out.extend_from_slice(bytes);
        }
    }
    Ok(kept)
}

/// The text in one field; the last one counts.
fn text(message: &[u8], number: u32) -> Result<&[u8], Malformed> {
    let mut text: &[u8] = &[];
    for field in Fields::of(message) {
        let (found, value) = field?;
        if found == number {
            text = value.bytes()?;
        }
    }
    Ok(text)
}

/// Appends repeated 64-bit numbers, packed or not.
fn numbers(field: Field<'_>, out: &mut Vec<u64>) -> Result<(), Malformed> {
    match field {
        Field::Fixed64(value) => out.push(value),
        Field::Bytes(packed) => {
            let (chunks, rest) = packed.as_chunks();
            if !rest.is_empty() {
                return Err(Malformed::new("packed numbers end early"));
            }
            out.extend(chunks.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        _ => return Err(Malformed::new("a field has a type that is not its own")),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
