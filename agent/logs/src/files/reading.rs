//! Bytes to lines.
//!
//! Each reading begins before the place, with bytes that have been read already: when they are others now, the file is
//! not the one it was. What has no line end yet stays in the file, so nothing is held in memory between two readings.

use std::io;

use memchr::memchr;

use super::content::Content;
use super::disk::Handle;
use super::place::{ANCHOR_BYTES, Spot, print};

/// How much is read at once, in bytes, unless a line is longer.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// From how long an unfinished line on only what is new of it is looked at, in bytes.
const LONG_LINE_BYTES: u64 = 32 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) begins_at: u64,
    /// Whether it went on.
    pub(crate) is_cut: bool,
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// There may be more.
    More,
    /// All lines that are complete have been taken.
    CaughtUp,
    /// The bytes before the place are others, or gone.
    Replaced,
}

/// Up to where a file has been read, and what is known of what follows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) spot: Spot,
    /// Where the file ended when it was read last.
    pub(crate) end: u64,
    /// Whether NUL bytes at the place are a hole: a writer that does not append goes on behind what was truncated.
    pub(crate) hole: bool,
    /// Up to where there is no line end after the place.
    scanned: u64,
}

/// What limits a reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) line_bytes: usize,
    /// Whether what has no end is a line at the end of the file.
    pub(crate) is_last: bool,
}

impl Reading {
    pub(crate) fn at(spot: Spot) -> Self {
        Self { spot, end: spot.offset, ..Self::default() }
    }

    /// At the beginning of a file that was truncated.
    pub(crate) fn after_truncation() -> Self {
        Self { hole: true, ..Self::default() }
    }

    /// Takes the lines of up to [`READ_BYTES`], until `line` says that it wants no more. `buffer` is for use in turns by all.
    ///
    /// # Errors
    ///
    /// The file cannot be read; nothing was taken.
    pub(crate) fn turn<H: Handle>(
        &mut self,
        content: &mut Content<H>,
        buffer: &mut Vec<u8>,
        limits: Limits,
        line: &mut impl FnMut(Line<'_>) -> bool,
    ) -> io::Result<Turn> {
        if let Some(turn) = self.look_for_an_end(content, buffer, limits)? {
            return Ok(turn);
        }
        let lead = self.spot.lead();
        let mut want = READ_BYTES;
        loop {
            if buffer.len() < want {
                buffer.resize(want, 0);
            }
            let room = buffer.get_mut(..want).unwrap_or_default();
            let read = content.read_at(room, self.spot.offset - lead as u64)?;
            let filled = buffer.get(..read).unwrap_or_default();
            let Some((before, data)) = filled.split_at_checked(lead) else { return Ok(Turn::Replaced) };
            if print(before) != self.spot.anchor && lead > 0 {
                return Ok(Turn::Replaced);
            }
            // Half a line was seen, and nothing taken.
            if lead == 0 && !self.spot.head.is_of(data) {
                return Ok(Turn::Replaced);
            }
            let is_end = read < want;
            let limits = Limits { is_last: limits.is_last && is_end, ..limits };
            let split = self.split(data, limits, line);
            // Longer than the buffer, shorter than the limit: with all of it in sight it can be taken.
            if split.used == 0 && !is_end && want < ANCHOR_BYTES + limits.line_bytes + 8 {
                want = ANCHOR_BYTES + limits.line_bytes + 8;
                continue;
            }
            self.end = self.end.max(self.spot.offset + data.len() as u64);
            if is_end {
                self.end = self.spot.offset + data.len() as u64;
            }
            self.scanned = self.spot.offset + data.len() as u64;
            self.advance(filled, lead, split.used);
            return Ok(if split.is_full || !is_end { Turn::More } else { Turn::CaughtUp });
        }
    }

    /// A long line that grows bit by bit is not read from its beginning each time.
    fn look_for_an_end<H: Handle>(
        &mut self,
        content: &mut Content<H>,
        buffer: &mut Vec<u8>,
        limits: Limits,
    ) -> io::Result<Option<Turn>> {
        let begun = self.scanned.saturating_sub(self.spot.offset);
        if limits.is_last || begun < LONG_LINE_BYTES {
            return Ok(None);
        }
        if buffer.len() < READ_BYTES {
            buffer.resize(READ_BYTES, 0);
        }
        let read = content.read_at(buffer, self.scanned)?;
        let new = buffer.get(..read).unwrap_or_default();
        let is_long = begun as usize + read > limits.line_bytes;
        // Where there is nothing new the file may have been truncated: the long way finds out.
        if read == 0 || is_long || memchr(b'\n', new).is_some() {
            return Ok(None);
        }
        self.scanned += read as u64;
        self.end = self.scanned;
        Ok(Some(if read == buffer.len() { Turn::More } else { Turn::CaughtUp }))
    }

    fn split(&mut self, data: &[u8], limits: Limits, line: &mut impl FnMut(Line<'_>) -> bool) -> Split {
        let mut at = self.pass_over_beginning(data);
        let begin = self.spot.offset;
        let rest_of = |at: usize| data.get(at..).unwrap_or_default();
        loop {
            let rest = rest_of(at);
            let Some(len) = memchr(b'\n', rest) else { break };
            let text = rest.get(..len).unwrap_or_default();
            let begins_at = begin + at as u64;
            at += len + 1;
            if std::mem::take(&mut self.spot.skipping) {
                continue;
            }
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if !text.is_empty() && !line(within(text, begins_at, limits.line_bytes)) {
                return Split { used: at, is_full: true };
            }
        }
        let rest = rest_of(at);
        if self.spot.skipping {
            return Split { used: data.len(), is_full: false };
        }
        if rest.len() > limits.line_bytes || limits.is_last && !rest.is_empty() {
            let cut = within(rest, begin + at as u64, limits.line_bytes);
            self.spot.skipping = cut.is_cut;
            return Split { used: data.len(), is_full: !line(cut) };
        }
        Split { used: at, is_full: false }
    }

    /// How much at the beginning is no text: a byte order mark, or a hole that a truncation left.
    fn pass_over_beginning(&mut self, data: &[u8]) -> usize {
        let bom = if self.spot.offset == 0 && data.starts_with(BOM) { BOM.len() } else { 0 };
        if !self.hole {
            return bom;
        }
        let nuls = data.iter().take_while(|byte| **byte == 0).count();
        self.hole = nuls == data.len();
        bom.max(nuls)
    }

    /// Moves the place past `used` bytes of what was read after the first `lead` of `filled`.
    fn advance(&mut self, filled: &[u8], lead: usize, used: usize) {
        self.spot.head.extend(filled, self.spot.offset - lead as u64);
        self.spot.offset += used as u64;
        let before = filled.get(..lead + used).unwrap_or_default();
        let anchor = before.len().saturating_sub(self.spot.lead());
        self.spot.anchor = print(before.get(anchor..).unwrap_or_default());
    }
}

struct Split {
    used: usize,
    is_full: bool,
}

/// The line, cut where it is too long, but not within a character of UTF-8.
fn within(text: &[u8], begins_at: u64, limit: usize) -> Line<'_> {
    if text.len() <= limit {
        return Line { text, begins_at, is_cut: false };
    }
    let is_within = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut cut = limit;
    while is_within(&cut) && cut + 4 > limit && cut > 0 {
        cut -= 1;
    }
    Line { text: text.get(..cut).unwrap_or(text), begins_at, is_cut: true }
}

#[cfg(test)]
mod tests;
