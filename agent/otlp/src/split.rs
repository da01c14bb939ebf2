//! Divides a request into smaller ones, and makes one of several.
//!
//! Requests are cut between records: what stands around a record (resource, scope, schema URL, fields that nobody knows
//! yet) is repeated in each piece. What fits a piece of its own is not divided, so a metric is cut between its points
//! only when it is larger than a piece. Resources and scopes without records are left out of what is divided.

use bytes::{Bytes, BytesMut};
use telemetry::Signal;

use crate::count_items;
use crate::wire::{Fields, Malformed, Raw, length_field, varint_length};

/// One request with all that is in `parts`, which are requests of one signal.
pub fn concatenate(parts: &[Bytes]) -> Bytes {
    if let [one] = parts {
        return one.clone();
    }
    // A request is a repeated field and nothing else, so its encoding goes on where the other ends.
    let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in parts {
        all.extend_from_slice(part);
    }
    all.freeze()
}

/// Requests of at most `max_bytes` each that together hold what `payload` holds, with the number of data points, spans
/// or log records of each.
///
/// Larger than that is a piece whose one record does not fit, and one whose resource and scope alone take more than half
/// of `max_bytes`: its records stay together, since to repeat so much for each of them would be many times the
/// request. A request without records is one piece.
///
/// # Errors
///
/// As [`count_items`].
pub fn split(signal: Signal, payload: &Bytes, max_bytes: usize) -> Result<Vec<(Bytes, u64)>, Malformed> {
    let items = count_items(signal, payload)?;
    if payload.len() <= max_bytes || items == 0 {
        return Ok(vec![(payload.clone(), items)]);
    }
    let path = match signal {
        Signal::Metrics => TO_POINTS,
        Signal::Traces | Signal::Logs => TO_ITEMS,
    };
    let request = Level::of(0, payload, path.first().copied().unwrap_or_default())?;
    if request.envelope.len() > max_bytes / 2 {
        return Ok(vec![(payload.clone(), items)]);
    }
    let mut packer = Packer { max_bytes, open: vec![request], pieces: Vec::new() };
    packer.place_parts(payload, path)?;
    packer.cut();
    Ok(packer.pieces)
}

/// The numbers of the fields that lead from the request to its records: `resource_x`, `scope_x`, the spans or records.
const TO_ITEMS: &[&[u32]] = &[&[1], &[2], &[2]];
/// The same to data points: a metric has one of five kinds of data.
const TO_POINTS: &[&[u32]] = &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

/// A message of the piece that is being filled.
struct Level {
    /// Its field number in the message around it.
    number: u32,
    /// What it has beside its parts; each piece repeats it.
    envelope: Vec<u8>,
    /// The envelope and those parts that are in this piece.
    content: Vec<u8>,
    items: u64,
}

impl Level {
    /// The message `body`, of which the fields `parts` are to be divided.
    fn of(number: u32, body: &[u8], parts: &[u32]) -> Result<Self, Malformed> {
        let mut envelope = Vec::new();
        for field in Fields::of(body).raw() {
            let field = field?;
            if !parts.contains(&field.number) {
                envelope.extend_from_slice(field.bytes);
            }
        }
        Ok(Self { number, content: envelope.clone(), envelope, items: 0 })
    }
}

struct Packer {
    max_bytes: usize,
    /// From the request inwards.
    open: Vec<Level>,
    pieces: Vec<(Bytes, u64)>,
}

impl Packer {
    /// Places the fields of `body` that the `path` begins with.
    fn place_parts(&mut self, body: &[u8], path: &[&[u32]]) -> Result<(), Malformed> {
        let [parts, inner @ ..] = path else { return Ok(()) };
        for field in Fields::of(body).raw() {
            let field = field?;
            if parts.contains(&field.number) {
                self.place(field, inner)?;
            }
        }
        Ok(())
    }

    /// Places one message, whose parts the `path` leads to.
    fn place(&mut self, field: Raw<'_>, path: &[&[u32]]) -> Result<(), Malformed> {
        let body = field.value.bytes()?;
        let items = count(body, path)?;
        if items == 0 {
            return Ok(());
        }
        let alone = nested(field.bytes.len(), self.open.iter().map(|level| level.envelope.len()));
        if let [parts, ..] = path
            && alone > self.max_bytes
        {
            let level = Level::of(field.number, body, parts)?;
            let around = self.open.iter().map(|level| level.envelope.len());
            if nested(level.envelope.len(), around) <= self.max_bytes / 2 {
                self.open.push(level);
                self.place_parts(body, path)?;
                self.close();
                return Ok(());
            }
        }
        self.add(field.bytes, items);
        Ok(())
    }

    /// Puts a field into the innermost message, in the next piece if this one has no room.
    fn add(&mut self, field: &[u8], items: u64) {
        let contents = self.open.iter().map(|level| level.content.len());
        if nested(field.len(), contents) > self.max_bytes && self.open.iter().any(|level| level.items > 0) {
            self.cut();
        }
        if let Some(level) = self.open.last_mut() {
            level.content.extend_from_slice(field);
            level.items += items;
        }
    }

    /// Ends the innermost message.
    fn close(&mut self) {
        if let Some(mut inner) = self.open.pop()
            && let Some(outer) = self.open.last_mut()
        {
            inner.move_into(outer);
        }
    }

    /// Ends the piece. The messages that are open go on in the next.
    fn cut(&mut self) {
        let mut open = self.open.as_mut_slice();
        while let [others @ .., inner] = open {
            if let [.., outer] = others {
                inner.move_into(outer);
            } else if inner.items > 0 {
                let content = std::mem::replace(&mut inner.content, inner.envelope.clone());
                self.pieces.push((content.into(), std::mem::take(&mut inner.items)));
            }
            open = others;
        }
    }
}

impl Level {
    /// Writes what this message has in the piece into the message around it, and begins it anew.
    fn move_into(&mut self, outer: &mut Self) {
        if self.items > 0 {
            length_field(&mut outer.content, self.number, self.content.len());
            outer.content.extend_from_slice(&self.content);
            outer.items += std::mem::take(&mut self.items);
            self.content.truncate(self.envelope.len());
        }
    }
}

/// How many bytes a request takes that has `bytes` in its innermost message, and around it messages with as many bytes
/// of their own as `around` says, from the request inwards.
fn nested(bytes: usize, around: impl DoubleEndedIterator<Item = usize>) -> usize {
    let mut around = around.rev();
    let innermost = bytes + around.next().unwrap_or(0);
    // Each of the fields has a number below 16, so that its key takes one byte.
    around.fold(innermost, |inner, outer| 1 + varint_length(inner as u64) + inner + outer)
}

/// How many fields lie at the end of `path` within `body`; an empty path leads to `body` itself.
fn count(body: &[u8], path: &[&[u32]]) -> Result<u64, Malformed> {
    let [parts, inner @ ..] = path else { return Ok(1) };
    let mut items = 0;
    for field in Fields::of(body) {
        let (number, value) = field?;
        if parts.contains(&number) {
            items += count(value.bytes()?, inner)?;
        }
    }
    Ok(items)
}

#[cfg(test)]
mod tests;
