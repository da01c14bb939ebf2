//! What lies where in a journal file.
//!
//! All from systemd's `JOURNAL_FILE_FORMAT` and `journal-def.h`, where the names of the fields come from. Numbers are
//! little-endian, objects begin at multiples of 8. Nothing here reads; what cannot be is an error, never a panic.

use std::fmt;

/// How much of the header is read: up to and with `tail_entry_monotonic`, which every version has.
pub(super) const HEADER_BYTES: usize = 208;

/// An entry before its items.
pub(super) const ENTRY_BYTES: usize = 64;

/// An entry array before its items.
pub(super) const ENTRY_ARRAY_BYTES: usize = 24;

/// The start of DATA that is read to know the rest, whatever the mode.
pub(super) const DATA_BYTES: usize = 72;

const SIGNATURE: &[u8; 8] = b"LPKSHHRH";

const INCOMPATIBLE_COMPACT: u32 = 1 << 4;

/// xz, lz4, keyed hashes, zstd, compact. Hashes are not looked up here, so their key does not matter.
const INCOMPATIBLE_KNOWN: u32 = 0b1_1111;

const OBJECT_DATA: u8 = 1;
const OBJECT_ENTRY: u8 = 3;
const OBJECT_ENTRY_ARRAY: u8 = 6;

/// A 128-bit id, as of a boot, a file, a machine.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id128(pub [u8; 16]);

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Id128> for String {
    fn from(id: Id128) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Id128 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_hexadecimal);
        number.map(|number| Self(number.to_be_bytes())).ok_or("an id has 32 hexadecimal digits")
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

fn id_at(bytes: &[u8], at: usize) -> Option<Id128> {
    bytes.get(at..at + 16)?.try_into().ok().map(Id128)
}

/// Whether somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody writes now, but somebody may go on.
    Offline,
    /// It is written, or its writer was killed.
    Online,
    /// It will not be written any more.
    Archived,
}

/// What the header of a file says, as far as readers need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) state: State,
    pub(super) is_compact: bool,
    pub(super) file_id: Id128,
    pub(super) seqnum_id: Id128,
    pub(super) size: u64,
    pub(super) tail_object_offset: u64,
    pub(super) n_entries: u64,
    pub(super) tail_entry_seqnum: u64,
    pub(super) head_entry_seqnum: u64,
    pub(super) entry_array_offset: u64,
    pub(super) head_entry_realtime: u64,
}

impl Header {
    /// Reads the first bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.get(..8) != Some(SIGNATURE) {
            return Err("it does not begin as a journal does");
        }
        let short = "it ends within its header";
        let incompatible = u32_at(bytes, 12).ok_or(short)?;
        if incompatible & !INCOMPATIBLE_KNOWN != 0 {
            return Err("it is of a later format than is known here");
        }
        let state = match bytes.get(16).ok_or(short)? {
            0 => State::Offline,
            1 => State::Online,
            2 => State::Archived,
            _ => return Err("its state is none of those that there are"),
        };
        let number = |at| u64_at(bytes, at).ok_or(short);
        let header = Self {
            state,
            is_compact: incompatible & INCOMPATIBLE_COMPACT != 0,
            file_id: id_at(bytes, 24).ok_or(short)?,
            seqnum_id: id_at(bytes, 72).ok_or(short)?,
            size: number(88)?,
            tail_object_offset: number(136)?,
            n_entries: number(152)?,
            tail_entry_seqnum: number(160)?,
            head_entry_seqnum: number(168)?,
            entry_array_offset: number(176)?,
            head_entry_realtime: number(184)?,
        };
        let _ = number(HEADER_BYTES - 8)?;
        if header.size < HEADER_BYTES as u64 {
            return Err("its header is shorter than that of any version");
        }
        Ok(header)
    }

    /// How long the offset of an object is in lists of them.
    pub(super) const fn item_bytes(&self) -> u64 {
        if self.is_compact { 4 } else { 8 }
    }
}

/// The offset at the beginning of `bytes`, an item of an entry array.
pub(super) fn array_item(bytes: &[u8], is_compact: bool) -> Option<u64> {
    if is_compact { u32_at(bytes, 0).map(u64::from) } else { u64_at(bytes, 0) }
}

/// How an object is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Xz,
    Lz4,
    Zstd,
}

/// The header of an object of type `wanted`: its size and how it is packed.
fn object(bytes: &[u8], wanted: u8, least: usize) -> Result<(u64, u8), &'static str> {
    let short = "an object is cut off";
    if *bytes.first().ok_or(short)? != wanted {
        return Err("an object is of another type than what points to it says");
    }
    let size = u64_at(bytes, 8).ok_or(short)?;
    if size < least as u64 {
        return Err("an object is smaller than its type");
    }
    Ok((size, *bytes.get(1).ok_or(short)?))
}

/// An entry array: how many items it has room for, and where the next one is; 0 where there is none.
pub(super) fn entry_array(bytes: &[u8], item_bytes: u64) -> Result<(u64, u64), &'static str> {
    let (size, _) = object(bytes, OBJECT_ENTRY_ARRAY, ENTRY_ARRAY_BYTES)?;
    let next = u64_at(bytes, 16).ok_or("an object is cut off")?;
    Ok(((size - ENTRY_ARRAY_BYTES as u64) / item_bytes, next))
}

/// An entry without its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) seqnum: u64,
    pub(super) realtime: u64,
    pub(super) monotonic: u64,
    pub(super) boot_id: Id128,
    pub(super) xor_hash: u64,
}

impl Entry {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let (size, _) = object(bytes, OBJECT_ENTRY, ENTRY_BYTES)?;
        let number = |at| u64_at(bytes, at).ok_or("an entry is cut off");
        Ok(Self {
            size,
            seqnum: number(16)?,
            realtime: number(24)?,
            monotonic: number(32)?,
            boot_id: id_at(bytes, 40).ok_or("an entry is cut off")?,
            xor_hash: number(56)?,
        })
    }
}

/// The offsets of DATA in `bytes`, the items of an entry.
pub(super) fn entry_items(bytes: &[u8], is_compact: bool) -> impl Iterator<Item = u64> {
    let step = if is_compact { 4 } else { 16 };
    bytes.chunks_exact(step).filter_map(move |item| array_item(item, is_compact))
}

/// DATA without its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    /// Where the payload begins in the object, and how long it is.
    pub(super) payload_at: u64,
    pub(super) payload_bytes: u64,
    pub(super) packing: Packing,
    /// How many entries have it, when it was read.
    pub(super) n_entries: u64,
}

impl Data {
    pub(super) fn parse(bytes: &[u8], is_compact: bool) -> Result<Self, &'static str> {
        let payload_at = if is_compact { 72 } else { 64 };
        let (size, flags) = object(bytes, OBJECT_DATA, payload_at)?;
        let packing = match flags & 0b111 {
            0 => Packing::None,
            1 => Packing::Xz,
            2 => Packing::Lz4,
            4 => Packing::Zstd,
            _ => return Err("a field is packed in two ways at once"),
        };
        Ok(Self {
            payload_at: payload_at as u64,
            payload_bytes: size - payload_at as u64,
            packing,
            n_entries: u64_at(bytes, 56).ok_or("a field is cut off")?,
        })
    }
}
