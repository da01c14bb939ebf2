//! One journal file: its entries in their order.
//!
//! The chain of entry arrays is followed, as far as the header says that there are entries: what a writer has not linked
//! yet is not there. Offsets only grow along the chain and sequence numbers along the entries, so whatever the bytes say,
//! reading ends.

use std::fs::File;
use std::io;
use std::path::Path;

use super::layout::{self, Entry, Header, State};
use super::windows::{Reach, Windows, read_at};

/// Arrays double in size, so that the largest file has about 40. One with more is damaged.
const MAX_ARRAYS: usize = 256;

/// Where an entry is in the order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) offset: u64,
    pub(super) entry: Entry,
}

#[derive(Clone, Copy, Debug)]
struct Array {
    offset: u64,
    /// The index of its first entry among those of the file.
    first: u64,
    items: u64,
    next: u64,
}

/// Why an entry cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This entry is damaged, or not all there.
    Entry(&'static str),
    /// What leads to it is, so that no later one can be found.
    Chain(&'static str),
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct JournalFile {
    pub(super) handle: File,
    /// Its number among the files of the reader.
    pub(super) key: u32,
    pub(super) header: Header,
    /// How long it is, in bytes.
    length: u64,
    arrays: Vec<Array>,
    /// The index of the entry that is read next.
    pub(super) next: u64,
    /// Of the one before.
    last_offset: u64,
    last_seqnum: u64,
}

impl JournalFile {
    /// Reads the header of `handle`.
    pub(super) fn new(handle: File, key: u32) -> Result<Self, &'static str> {
        let (header, length) = read_header(&handle)?;
        Ok(Self { handle, key, header, length, arrays: Vec::new(), next: 0, last_offset: 0, last_seqnum: 0 })
    }

    /// Reads the header again: how many entries there are now.
    pub(super) fn refresh(&mut self) -> Result<(), &'static str> {
        let (header, length) = read_header(&self.handle)?;
        if header.file_id != self.header.file_id {
            return Err("another file was written over it");
        }
        (self.header, self.length) = (header, length);
        Ok(())
    }

    /// Whether a writer may go on with it.
    pub(super) fn is_live(&self) -> bool {
        self.header.state != State::Archived
    }

    /// How many entries there are still.
    pub(super) const fn left(&self) -> u64 {
        self.header.n_entries.saturating_sub(self.next)
    }

    /// The next entry, which remains the next one until [`JournalFile::step`].
    pub(super) fn peek(&mut self, windows: &mut Windows) -> Result<Option<Head>, Fault> {
        if self.left() == 0 {
            return Ok(None);
        }
        let head = self.entry_at(self.next, windows)?;
        if head.offset <= self.last_offset || head.entry.seqnum <= self.last_seqnum {
            return Err(Fault::Entry("entries are out of order"));
        }
        Ok(Some(head))
    }

    /// Goes past the next entry, which was `head`.
    pub(super) const fn step(&mut self, head: &Head) {
        self.next += 1;
        (self.last_offset, self.last_seqnum) = (head.offset, head.entry.seqnum);
    }

    /// Goes past an entry that cannot be read.
    pub(super) const fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count);
    }

    /// The entry with this index.
    pub(super) fn entry_at(&mut self, index: u64, windows: &mut Windows) -> Result<Head, Fault> {
        let offset = self.offset_of(index, windows)?;
        if !offset.is_multiple_of(8) || offset < self.header.size {
            return Err(Fault::Entry("an entry lies where none can"));
        }
        let bytes = windows.get(&self.handle, self.key, offset, layout::ENTRY_BYTES, Reach::Near);
        let entry = Entry::parse(bytes.ok_or(Fault::Entry("an entry lies beyond the end"))?);
        let entry = entry.map_err(Fault::Entry)?;
        let (first, last) = (self.header.head_entry_seqnum, self.header.tail_entry_seqnum);
        if !(first..=last).contains(&entry.seqnum) {
            return Err(Fault::Entry("the number of an entry is none of those that the file has"));
        }
        Ok(Head { offset, entry })
    }

    fn offset_of(&mut self, index: u64, windows: &mut Windows) -> Result<u64, Fault> {
        let array = self.array_of(index, windows)?;
        let item_bytes = self.header.item_bytes();
        let at = array.offset + layout::ENTRY_ARRAY_BYTES as u64 + (index - array.first) * item_bytes;
        let bytes = windows.get(&self.handle, self.key, at, item_bytes as usize, Reach::Far);
        let offset = bytes.and_then(|bytes| layout::array_item(bytes, self.header.is_compact));
        // Room is made before it is filled, with zeros.
        offset.filter(|offset| *offset != 0).ok_or(Fault::Entry("a list of entries ends too early"))
    }

    /// The array in which the entry with this index is.
    fn array_of(&mut self, index: u64, windows: &mut Windows) -> Result<Array, Fault> {
        loop {
            let known = self.arrays.partition_point(|array| array.first <= index);
            let candidate = known.checked_sub(1).and_then(|at| self.arrays.get(at));
            if let Some(array) = candidate.filter(|array| index - array.first < array.items) {
                return Ok(*array);
            }
            self.add_array(windows)?;
        }
    }

    fn add_array(&mut self, windows: &mut Windows) -> Result<(), Fault> {
        if self.arrays.len() >= MAX_ARRAYS {
            return Err(Fault::Chain("its lists of entries are too many"));
        }
        let last = self.arrays.last_mut();
        let (offset, first, before) = match last {
            None => (self.header.entry_array_offset, 0, 0),
            Some(last) => {
                // It may have been the last one when it was read.
                let begin =
                    windows.get(&self.handle, self.key, last.offset, layout::ENTRY_ARRAY_BYTES, Reach::Far);
                let array = layout::entry_array(begin.unwrap_or_default(), self.header.item_bytes());
                last.next = array.map_err(Fault::Chain)?.1;
                (last.next, last.first + last.items, last.offset)
            }
        };
        if offset <= before || !offset.is_multiple_of(8) || offset < self.header.size {
            return Err(Fault::Chain("a list of entries lies where none can"));
        }
        let begin = windows.get(&self.handle, self.key, offset, layout::ENTRY_ARRAY_BYTES, Reach::Far);
        let begin = begin.ok_or(Fault::Chain("a list of entries lies beyond the end"))?;
        let (items, next) = layout::entry_array(begin, self.header.item_bytes()).map_err(Fault::Chain)?;
        if items == 0 || items > self.length.saturating_sub(offset) / self.header.item_bytes() {
            return Err(Fault::Chain("a list of entries has an impossible size"));
        }
        self.arrays.push(Array { offset, first, items, next });
        Ok(())
    }

    /// Goes to the first entry for which `is_after` holds, given that it holds for all after it.
    ///
    /// Where entries on the way are damaged it stops before them: who reads on passes over what is not after.
    pub(super) fn seek(&mut self, windows: &mut Windows, mut is_after: impl FnMut(&Entry) -> bool) {
        let (mut low, mut high) = (0, self.header.n_entries);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry_at(middle, windows) {
                Ok(head) if is_after(&head.entry) => high = middle,
                Ok(_) => low = middle + 1,
                Err(_) => break,
            }
        }
        self.next = low;
    }

    /// The offsets of the fields of `head`, at most `most` of them; and whether there are more.
    pub(super) fn items(
        &self,
        head: &Head,
        windows: &mut Windows,
        most: usize,
        scratch: &mut Vec<u8>,
        into: &mut Vec<u64>,
    ) -> Result<bool, &'static str> {
        into.clear();
        let bytes = head.entry.size - layout::ENTRY_BYTES as u64;
        let wanted = bytes.min(most as u64 * 16) as usize;
        let at = head.offset + layout::ENTRY_BYTES as u64;
        let bytes_there = if wanted <= Windows::MOST_BYTES {
            windows.get(&self.handle, self.key, at, wanted, Reach::Near)
        } else {
            scratch.resize(wanted, 0);
            let read = read_at(&self.handle, at, scratch);
            scratch.get(..read).filter(|there| there.len() == wanted)
        };
        let items =
            layout::entry_items(bytes_there.ok_or("an entry lies beyond the end")?, self.header.is_compact);
        into.extend(items.take(most));
        Ok(bytes > wanted as u64)
    }
}

/// The header, and how long the file is.
fn read_header(handle: &File) -> Result<(Header, u64), &'static str> {
    let mut bytes = [0; layout::HEADER_BYTES];
    let read = read_at(handle, 0, &mut bytes);
    let mut header = Header::parse(bytes.get(..read).unwrap_or_default())?;
    // Numbers only grow, so there cannot be more entries than numbers.
    let numbers = header.tail_entry_seqnum.saturating_sub(header.head_entry_seqnum).saturating_add(1);
    header.n_entries = header.n_entries.min(numbers);
    Ok((header, handle.metadata().map_or(0, |metadata| metadata.len())))
}

/// Opens a file for reading, and nothing but a file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
