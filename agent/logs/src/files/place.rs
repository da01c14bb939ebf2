//! How far a file has been read, and how it is known again.
//!
//! A name says little: files are renamed, copied, truncated and packed, and inodes are used again. So a place also
//! bears two prints of what was read: of the beginning, which finds the file under another name or in a packed copy, and of
//! the last bytes before the place, which tells two files with the same beginning apart, and a file that was truncated
//! and has grown beyond the place.

use std::io;

use serde::{Deserialize, Serialize};
use telemetry::Timestamp;

use super::content::Content;
use super::disk::{FileId, Handle};

/// How much of the beginning is in its print, in bytes.
pub(crate) const HEAD_BYTES: usize = 1024;

/// How much before the place is read again with each reading, in bytes.
pub(crate) const ANCHOR_BYTES: usize = 256;

/// A print of the beginning, of as much as there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) len: usize,
    print: u64,
}

impl Default for Head {
    fn default() -> Self {
        Self { len: 0, print: print(&[]) }
    }
}

impl Head {
    /// Takes in `bytes`, which lie at `at` of the file, as far as they continue it.
    pub(crate) fn extend(&mut self, bytes: &[u8], at: u64) {
        let Some(skip) = (self.len as u64).checked_sub(at) else { return };
        let wanted = HEAD_BYTES - self.len;
        let rest = bytes.get(skip as usize..).unwrap_or_default();
        let rest = rest.get(..wanted).unwrap_or(rest);
        self.print = print_on(self.print, rest);
        self.len += rest.len();
    }

    /// Whether `bytes`, from a file's beginning, begin alike.
    pub(crate) fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.len).is_some_and(|bytes| print(bytes) == self.print)
    }
}

/// A print of bytes: FNV-1a in 64 bits, which stays the same over versions of the program.
pub(crate) fn print(bytes: &[u8]) -> u64 {
    print_on(0xcbf2_9ce4_8422_2325, bytes)
}

fn print_on(print: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(print, |print, byte| (print ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The key of the file in a source's places.
pub(crate) fn key(id: FileId) -> String {
    format!("{:x}-{:x}-{:x}", id.device, id.inode, id.born)
}

/// The file that a key names.
pub(crate) fn id_of(key: &str) -> Option<FileId> {
    let mut parts = key.splitn(3, '-').map(|part| u64::from_str_radix(part, 16).ok());
    let mut next = || parts.next().flatten();
    Some(FileId { device: next()?, inode: next()?, born: next()? as i64 })
}

/// What is saved of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Where it was last; empty where that was not known.
    pub(crate) path: String,
    /// Under which path it was begun.
    pub(crate) home: String,
    #[serde(flatten)]
    pub(crate) spot: Spot,
    /// Where a restart begins: before `offset` where a record was waiting for more.
    pub(crate) from: u64,
    /// How large it was.
    pub(crate) size: u64,
    /// When it was written last, in nanoseconds since the epoch.
    pub(crate) modified: i64,
    /// Whether it is a packed copy; offsets are in what was packed.
    pub(crate) packed: bool,
    /// Whether all of it had become records, also what has no line end.
    pub(crate) is_over: bool,
    /// Whether it was cut before, so that it may be again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) was_cut: bool,
    /// When it was read last.
    pub(crate) seen: Timestamp,
}

/// How much of what was read a content holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// All of it, and perhaps more.
    All,
    /// It begins alike and ends before the place.
    Beginning,
    /// It is another one, or it cannot be told.
    Nothing,
}

/// How far something has been read, with what proves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spot {
    /// Up to where lines were taken.
    pub(crate) offset: u64,
    pub(crate) head: Head,
    /// The print of up to [`ANCHOR_BYTES`] before `offset`.
    pub(crate) anchor: u64,
    /// Whether `offset` is in the middle of a line that was cut, whose rest is passed over.
    pub(crate) skipping: bool,
    /// Whether nothing before the place has been looked at: the prints are of nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) is_unproven: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
const fn is_false(answer: &bool) -> bool {
    !*answer
}

impl Spot {
    /// How many bytes before the place its print is of.
    pub(crate) const fn lead(&self) -> usize {
        if self.offset < ANCHOR_BYTES as u64 { self.offset as usize } else { ANCHOR_BYTES }
    }

    /// Whether `content` holds what was read up to here. What has no byte cannot be told from anything.
    ///
    /// # Errors
    ///
    /// It cannot be read so far.
    pub(crate) fn is_in<H: Handle>(&self, content: &mut Content<H>) -> io::Result<bool> {
        Ok(self.held_by(content)? == Held::All)
    }

    /// How much `content` holds of what was read up to here. What has no byte cannot be told from anything.
    ///
    /// # Errors
    ///
    /// It cannot be read so far.
    pub(crate) fn held_by<H: Handle>(&self, content: &mut Content<H>) -> io::Result<Held> {
        let mut bytes = [0; HEAD_BYTES];
        if self.head.len == 0 || self.is_unproven {
            return Ok(Held::Nothing);
        }
        let head = bytes.get_mut(..self.head.len).unwrap_or_default();
        let read = content.read_at(head, 0)?;
        if read < self.head.len {
            // It was copied before the rest of the beginning was written.
            let is_same = self.offset > 0 && self.is_after(content)?;
            return Ok(if is_same { Held::All } else { Held::Nothing });
        }
        if !self.head.is_of(bytes.get(..read).unwrap_or_default()) {
            return Ok(Held::Nothing);
        }
        let lead = self.lead();
        let before = bytes.get_mut(..lead).unwrap_or_default();
        let read = content.read_at(before, self.offset - lead as u64)?;
        Ok(match print(before) == self.anchor {
            _ if read < lead => Held::Beginning,
            is_same if is_same || lead == 0 => Held::All,
            _ => Held::Nothing,
        })
    }

    /// Whether the bytes before the place are those that were read.
    ///
    /// # Errors
    ///
    /// It cannot be read so far.
    pub(crate) fn is_after<H: Handle>(&self, content: &mut Content<H>) -> io::Result<bool> {
        let mut bytes = [0; ANCHOR_BYTES];
        let lead = self.lead();
        if self.is_unproven {
            // As much is there, and more is not known.
            return Ok(content.read_at(&mut [0], self.offset.saturating_sub(1))? == 1 || self.offset == 0);
        }
        let before = bytes.get_mut(..lead).unwrap_or_default();
        let read = content.read_at(before, self.offset - lead as u64)?;
        Ok(lead == 0 || read == lead && print(before) == self.anchor)
    }

    /// Moves to `offset` of `content`, which is not after what has been read.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn move_to<H: Handle>(&mut self, offset: u64, content: &mut Content<H>) -> io::Result<()> {
        let mut bytes = [0; HEAD_BYTES];
        let read = content.read_at(&mut bytes, 0)?;
        let mut spot = Self { offset, ..Self::default() };
        spot.head.extend(bytes.get(..read).unwrap_or_default(), 0);
        let lead = spot.lead();
        let before = bytes.get_mut(..lead).unwrap_or_default();
        let read = content.read_at(before, offset - lead as u64)?;
        spot.anchor = print(before.get(..read).unwrap_or_default());
        *self = spot;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_grows_with_the_file_and_not_beyond_its_size() {
        let text: Vec<u8> = (0..3000_u32).map(|at| (at * 7) as u8).collect();
        let mut head = Head::default();
        assert!(head.is_of(b"anything"));
        for (from, to) in [(0, 10), (5, 300), (100, 2000), (1500, 3000)] {
            head.extend(&text[from..to], from as u64);
            assert!(head.is_of(&text), "{to}");
            assert_eq!(head.len, to.min(HEAD_BYTES));
        }
        assert!(!head.is_of(&text[..1000]) && !head.is_of(&text[1..]));
    }

    #[test]
    fn keys_name_files() {
        let id = FileId { device: 0x1_0000_0002, inode: 77, born: -5 };
        assert_eq!(id_of(&key(id)), Some(id));
        assert_eq!(id_of("begun"), None);
    }
}
