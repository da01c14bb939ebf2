//! Reads pieces of files, and keeps the last of them.
//!
//! Plain reads instead of a mapping: a mapped file that is truncated ends the reader by a signal, and the memory of a
//! mapping is counted as the reader's. What was written after a piece was read is not in it: [`Windows::forget`] comes
//! before whatever is to be seen anew.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// What is read at once where reading goes on: an entry and what is new in it lie side by side, in the order of time.
const NEAR_BYTES: usize = 128 << 10;

/// What is read at once elsewhere: a field that is shared with old entries lies anywhere.
const FAR_BYTES: usize = 8 << 10;

/// Pieces of each kind; the one that was used longest ago makes room.
const NEAR_PIECES: usize = 4;
const FAR_PIECES: usize = 16;

/// Where a piece begins: a multiple of this.
const ALIGNED_TO: u64 = 4 << 10;

/// Whether reading goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Near,
    Far,
}

#[derive(Debug, Default)]
struct Window {
    file: u32,
    begins_at: u64,
    bytes: Vec<u8>,
    used: u64,
}

impl Window {
    fn slice(&self, file: u32, offset: u64, length: usize) -> Option<std::ops::Range<usize>> {
        let at = usize::try_from(offset.checked_sub(self.begins_at)?).ok()?;
        let range = at..at.checked_add(length)?;
        (self.file == file && range.end <= self.bytes.len()).then_some(range)
    }
}

/// The pieces of all files of a reader.
#[derive(Debug, Default)]
pub(super) struct Windows {
    near: Vec<Window>,
    far: Vec<Window>,
    clock: u64,
}

impl Windows {
    /// The bytes from `offset` of `file`, whose number is `key`; nothing where it ends before, or where it fails.
    ///
    /// At most [`Windows::MOST_BYTES`] at once.
    pub(super) fn get(
        &mut self,
        file: &File,
        key: u32,
        offset: u64,
        length: usize,
        reach: Reach,
    ) -> Option<&[u8]> {
        self.clock += 1;
        let found = [&self.near, &self.far].into_iter().enumerate().find_map(|(kind, pieces)| {
            Some((kind, pieces.iter().rposition(|it| it.slice(key, offset, length).is_some())?))
        });
        let (kind, at) = match found {
            Some(found) => found,
            None => self.load(file, key, offset, reach)?,
        };
        let window = if kind == 0 { self.near.get_mut(at)? } else { self.far.get_mut(at)? };
        window.used = self.clock;
        let range = window.slice(key, offset, length)?;
        window.bytes.get(range)
    }

    /// The most that can be asked for at once.
    pub(super) const MOST_BYTES: usize = FAR_BYTES - ALIGNED_TO as usize;

    fn load(&mut self, file: &File, key: u32, offset: u64, reach: Reach) -> Option<(usize, usize)> {
        let (kind, pieces, most, size) = match reach {
            Reach::Near => (0, &mut self.near, NEAR_PIECES, NEAR_BYTES),
            Reach::Far => (1, &mut self.far, FAR_PIECES, FAR_BYTES),
        };
        if pieces.len() < most {
            pieces.push(Window::default());
        }
        let (at, window) = pieces.iter_mut().enumerate().min_by_key(|(_, window)| window.used)?;
        (window.file, window.begins_at) = (key, offset / ALIGNED_TO * ALIGNED_TO);
        window.bytes.resize(size, 0);
        let read = read_at(file, window.begins_at, &mut window.bytes);
        window.bytes.truncate(read);
        Some((kind, at))
    }

    /// Reads anew from now on.
    pub(super) fn forget(&mut self) {
        for window in self.near.iter_mut().chain(&mut self.far) {
            window.bytes.clear();
            window.used = 0;
        }
    }

    /// Gives the memory back: nothing is to be read for now.
    pub(super) fn release(&mut self) {
        (self.near, self.far) = (Vec::new(), Vec::new());
    }
}

/// Fills `into` from `offset` on as far as the file goes; how much that was. What cannot be read is not there.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> usize {
    let mut read = 0;
    while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(read as u64)) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    read
}
