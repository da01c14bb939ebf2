//! The fields of entries.
//!
//! Most fields of an entry are those of entries before it: what several entries have is kept, up to a limit, so that it is
//! read, unpacked and looked at once.

use std::collections::HashMap;

use super::file::{Head, JournalFile};
use super::layout::{self, Data, Packing};
use super::mapping::{self, Role};
use super::unpack::{Unpacked, Unpacker};
use super::windows::{Reach, Windows, read_at};

/// More fields than journald takes for one entry, its own included; what is beyond is left out and counted.
const MAX_FIELDS: usize = 2048;

/// What is kept of fields that several entries have. At the limit all of it is forgotten, and comes again.
const MAX_KEPT_BYTES: usize = 4 << 20;

/// A longer field is not kept.
const MAX_KEPT_FIELD_BYTES: usize = 4 << 10;

/// The longest packed payload that is read, beyond which nothing is unpacked that is within any sensible limit.
const MAX_PACKED_BYTES: u64 = 64 << 20;

/// The longest name of a field, by systemd.journal-fields(7) 64 characters.
const MAX_NAME_BYTES: usize = 64;

/// One field: name and value lie together, as in the file.
#[derive(Clone, Copy, Debug)]
struct Shape {
    name_bytes: u32,
    role: Role,
    /// One of 64 bits, by the name: fields of different bits have different names.
    name_bit: u8,
    is_text: bool,
    is_cut: bool,
}

#[derive(Debug)]
struct Kept {
    bytes: Box<[u8]>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Kept(u32),
    Own(u32, u32),
}

/// What could not be read of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Defects {
    pub(super) unreadable: u64,
    pub(super) cut: u64,
    pub(super) no_text: u64,
    /// What was wrong with the last one that could not be read.
    pub(super) reason: Option<&'static str>,
}

/// One field of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldView<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) role: Role,
    pub(super) name_bit: u8,
    pub(super) is_text: bool,
    pub(super) is_cut: bool,
}

/// The fields of the entry that was read last, and what is kept for the next.
#[derive(Debug)]
pub(super) struct Fields {
    max_field_bytes: usize,
    kept: HashMap<(u32, u64), u32, foldhash::fast::RandomState>,
    values: Vec<Kept>,
    kept_bytes: usize,
    own: Vec<u8>,
    places: Vec<(Place, Shape)>,
    items: Vec<u64>,
    scratch: Vec<u8>,
    unpacker: Unpacker,
}

impl Fields {
    pub(super) fn new(max_field_bytes: usize) -> Self {
        Self {
            max_field_bytes: max_field_bytes.max(1),
            kept: HashMap::default(),
            values: Vec::new(),
            kept_bytes: 0,
            own: Vec::new(),
            places: Vec::new(),
            items: Vec::new(),
            scratch: Vec::new(),
            unpacker: Unpacker::default(),
        }
    }

    /// Forgets what is kept of the file with this number, which is not read any more.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.values.clear();
        self.kept_bytes = 0;
    }

    /// Reads the fields of `head`.
    pub(super) fn read(
        &mut self,
        file: &JournalFile,
        head: &Head,
        windows: &mut Windows,
    ) -> Result<Defects, &'static str> {
        if self.kept_bytes > MAX_KEPT_BYTES {
            self.forget();
        }
        self.own.clear();
        self.places.clear();
        let mut defects = Defects::default();
        let mut items = std::mem::take(&mut self.items);
        let more = file.items(head, windows, MAX_FIELDS, &mut self.scratch, &mut items);
        for offset in &items {
            let read = match self.kept.get(&(file.key, *offset)) {
                Some(at) => {
                    self.values.get(*at as usize).map(|kept| (Place::Kept(*at), kept.shape)).ok_or("")
                }
                None => self.load(file, *offset, head.offset, windows),
            };
            match read {
                Ok((place, shape)) => {
                    defects.cut += u64::from(shape.is_cut);
                    defects.no_text += u64::from(!shape.is_text);
                    self.places.push((place, shape));
                }
                Err(reason) => {
                    defects.unreadable += 1;
                    defects.reason = Some(reason);
                }
            }
        }
        self.items = items;
        defects.cut += u64::from(more?);
        Ok(defects)
    }

    fn load(
        &mut self,
        file: &JournalFile,
        offset: u64,
        entry_offset: u64,
        windows: &mut Windows,
    ) -> Result<(Place, Shape), &'static str> {
        // What is new in an entry was written just before it.
        let is_near = entry_offset.wrapping_sub(offset) < 64 << 10;
        let reach = if is_near { Reach::Near } else { Reach::Far };
        let begin = windows.get(&file.handle, file.key, offset, layout::DATA_BYTES, reach);
        let begin = match begin {
            Some(begin) => begin,
            // The last object of a file may be shorter.
            None => windows
                .get(&file.handle, file.key, offset, layout::DATA_BYTES - 8, reach)
                .ok_or("a field lies beyond the end")?,
        };
        if !offset.is_multiple_of(8) {
            return Err("a field lies where none can");
        }
        let data = Data::parse(begin, file.header.is_compact)?;
        let at = self.own.len();
        let is_cut =
            self.append(file, offset + data.payload_at, &data, reach, windows).inspect_err(|_| {
                self.own.truncate(at);
            })? == Unpacked::Cut;
        self.place(file.key, offset, at, data.n_entries > 1, is_cut)
    }

    /// Appends a payload to the entry's own text, unpacked.
    fn append(
        &mut self,
        file: &JournalFile,
        at: u64,
        data: &Data,
        reach: Reach,
        windows: &mut Windows,
    ) -> Result<Unpacked, &'static str> {
        // Of one entry twice the limit of a field is taken, so that many long fields do not add up.
        let left = (2 * self.max_field_bytes + MAX_NAME_BYTES).saturating_sub(self.own.len());
        let most = (self.max_field_bytes + MAX_NAME_BYTES + 1).min(left + MAX_NAME_BYTES + 1);
        // One byte more tells whether there is more.
        let limit = if data.packing == Packing::None { most as u64 + 1 } else { MAX_PACKED_BYTES };
        let length = data.payload_bytes.min(limit) as usize;
        if length <= Windows::MOST_BYTES {
            let bytes = windows.get(&file.handle, file.key, at, length, reach);
            let bytes = bytes.ok_or("a field lies beyond the end")?;
            return self.unpacker.unpack(data.packing, bytes, most, &mut self.own);
        }
        // Nothing is allocated for what is not there.
        let there = file.handle.metadata().map_or(0, |metadata| metadata.len());
        if at.checked_add(length as u64).is_none_or(|end| end > there) {
            return Err("a field lies beyond the end");
        }
        self.scratch.resize(length, 0);
        let read = read_at(&file.handle, at, &mut self.scratch);
        let bytes = self.scratch.get(..read).unwrap_or_default();
        let unpacked = self.unpacker.unpack(data.packing, bytes, most, &mut self.own);
        if self.scratch.capacity() > 1 << 20 {
            self.scratch = Vec::new();
        }
        unpacked
    }

    /// Takes what was appended at `at` for a field.
    fn place(
        &mut self,
        key: u32,
        offset: u64,
        at: usize,
        is_shared: bool,
        mut is_cut: bool,
    ) -> Result<(Place, Shape), &'static str> {
        let bytes = self.own.get(at..).unwrap_or_default();
        let name_bytes = bytes.iter().take(MAX_NAME_BYTES + 1).position(|byte| *byte == b'=');
        let Some(name_bytes) = name_bytes.filter(|it| *it > 0) else {
            self.own.truncate(at);
            return Err("a field has no name");
        };
        let end = bytes.len().min(name_bytes + 1 + self.max_field_bytes);
        is_cut |= end < bytes.len();
        let bytes = bytes.get(..end).unwrap_or_default();
        let end = if is_cut { end_of_text(bytes) } else { end };
        self.own.truncate(at + end);
        let bytes = self.own.get(at..).unwrap_or_default();
        let (name, value) = bytes.split_at(name_bytes);
        let shape = Shape {
            name_bytes: name_bytes as u32,
            role: mapping::role(name),
            name_bit: mapping::name_bit(name),
            is_text: std::str::from_utf8(value).is_ok(),
            is_cut,
        };
        if !is_shared || bytes.len() > MAX_KEPT_FIELD_BYTES {
            return Ok((Place::Own(at as u32, self.own.len() as u32), shape));
        }
        let number = self.values.len() as u32;
        self.kept_bytes += bytes.len() + size_of::<Kept>() + 32;
        self.values.push(Kept { bytes: bytes.into(), shape });
        self.kept.insert((key, offset), number);
        self.own.truncate(at);
        Ok((Place::Kept(number), shape))
    }

    /// The fields of the entry that was read last, in their order there.
    pub(super) fn iter(&self) -> impl Iterator<Item = FieldView<'_>> + Clone {
        self.places.iter().map(|(place, shape)| {
            let bytes = match place {
                Place::Kept(at) => self.values.get(*at as usize).map(|kept| &*kept.bytes),
                Place::Own(begin, end) => self.own.get(*begin as usize..*end as usize),
            };
            let (name, value) =
                bytes.unwrap_or_default().split_at_checked(shape.name_bytes as usize).unwrap_or_default();
            FieldView {
                name,
                value: value.get(1..).unwrap_or_default(),
                role: shape.role,
                name_bit: shape.name_bit,
                is_text: shape.is_text,
                is_cut: shape.is_cut,
            }
        })
    }
}

/// Where a text that was cut ends, which is not within a character.
fn end_of_text(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}
