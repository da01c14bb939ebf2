//! Reads the records of one segment file in order, passing over what is damaged.
//!
//! Knows neither cursors nor limits. What was passed over shows in the marks: the next record's is later than the one
//! expected. A damaged payload behind a good header is passed over by its length; otherwise the next good header is
//! searched for byte by byte, and costs 56 bytes of checksum at each place that looks like one.

use std::io;

use bytes::Bytes;

use crate::fs::File;
use crate::record::{self, Header};

/// Bytes read at once, unless a record is larger.
pub(crate) const BLOCK: usize = 1 << 20;

/// The unit in which a block is read that cannot be read as a whole.
const SALVAGE: usize = 4096;

/// A record and where it lies.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) payload: Bytes,
    pub(crate) offset: u64,
}

impl Found {
    /// The offset behind it.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.header.size()
    }
}

/// What of a segment is to be read.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) file: &'a dyn File,
    pub(crate) id: u64,
    /// Records end here, in bytes.
    pub(crate) limit: u64,
    /// Sequence numbers from here on belong to a later segment.
    pub(crate) below: u64,
    /// Whether pieces that cannot be read are taken for damaged, rather than reported.
    pub(crate) salvage: bool,
}

/// A place in a segment, and what was read ahead from there.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    offset: u64,
    buffer: Bytes,
    block: usize,
    /// Bytes searched for the next good header since the scanner was made.
    pub(crate) searched: u64,
    /// Records with a good header whose payload was not.
    pub(crate) damaged: u64,
}

enum Parsed {
    Record(Header),
    Passed,
    End,
}

impl Scanner {
    /// Starts at `offset`, reading `block` bytes at once.
    pub(crate) fn new(offset: u64, block: usize) -> Self {
        Self { offset, block: block.clamp(SALVAGE, BLOCK), ..Self::default() }
    }

    /// The next good record whose number is `from` or more; none at the end of the window.
    pub(crate) fn next(&mut self, window: Window<'_>, from: u64) -> io::Result<Option<Found>> {
        loop {
            match self.step(window, from)? {
                Parsed::Record(header) => {
                    let offset = self.offset;
                    let size = header.size() as usize;
                    let payload = self.buffer.slice(record::HEADER..size);
                    self.pass(size);
                    return Ok(Some(Found { header, payload, offset }));
                }
                Parsed::Passed => {}
                Parsed::End => {
                    self.buffer = Bytes::new();
                    return Ok(None);
                }
            }
        }
    }

    fn step(&mut self, window: Window<'_>, from: u64) -> io::Result<Parsed> {
        let left = window.limit.saturating_sub(self.offset);
        if left < record::HEADER as u64 {
            return Ok(Parsed::End);
        }
        self.fill(window, record::HEADER)?;
        let Some(header) = Header::decode(window.id, &self.buffer).filter(|header| header.size() <= left)
        else {
            return self.search(window);
        };
        if header.at.seq >= window.below {
            return Ok(Parsed::End);
        }
        let size = header.size() as usize;
        if header.at.seq < from {
            self.pass(size);
            return Ok(Parsed::Passed);
        }
        self.fill(window, size)?;
        let payload = self.buffer.get(record::HEADER..size);
        if payload.is_some_and(|payload| crc32c::crc32c(payload) == header.payload_crc) {
            return Ok(Parsed::Record(header));
        }
        self.damaged += 1;
        self.pass(size);
        Ok(Parsed::Passed)
    }

    /// Moves to the next place after this one that looks like a record.
    fn search(&mut self, window: Window<'_>) -> io::Result<Parsed> {
        loop {
            let hit = self.buffer.get(1..).and_then(|rest| {
                rest.windows(record::MAGIC.len()).position(|candidate| candidate == record::MAGIC)
            });
            let past = match hit {
                Some(at) => at + 1,
                // The magic may straddle the end of what was read.
                None => self.buffer.len().saturating_sub(record::MAGIC.len() - 1).max(1),
            };
            self.searched += past as u64;
            self.pass(past);
            if hit.is_some() {
                return Ok(Parsed::Passed);
            }
            if window.limit.saturating_sub(self.offset) < record::HEADER as u64 {
                return Ok(Parsed::End);
            }
            self.fill(window, record::HEADER)?;
        }
    }

    fn pass(&mut self, bytes: usize) {
        self.offset += bytes as u64;
        self.buffer = if bytes < self.buffer.len() { self.buffer.slice(bytes..) } else { Bytes::new() };
    }

    /// Makes sure that at least `needed` bytes from the offset on are in the buffer, or all that the window has.
    fn fill(&mut self, window: Window<'_>, needed: usize) -> io::Result<()> {
        let left = usize::try_from(window.limit.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if self.buffer.len() >= needed.min(left) {
            return Ok(());
        }
        let mut block = vec![0; needed.max(self.block).min(left)];
        let read = match window.file.read_at(&mut block, self.offset) {
            Err(_) if window.salvage => salvage(window.file, &mut block, self.offset),
            read => read?,
        };
        // A file shorter than it was reads as zeros, which are no record.
        block.get_mut(read..).unwrap_or_default().fill(0);
        self.buffer = block.into();
        Ok(())
    }
}

/// Reads what can be read; the rest stays zero.
fn salvage(file: &dyn File, block: &mut [u8], offset: u64) -> usize {
    for (piece, at) in block.chunks_mut(SALVAGE).zip((offset..).step_by(SALVAGE)) {
        let read = file.read_at(piece, at).unwrap_or(0);
        piece.get_mut(read..).unwrap_or_default().fill(0);
    }
    block.len()
}
