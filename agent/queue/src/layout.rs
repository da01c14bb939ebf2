//! Fixed-width fields in little-endian order, written and taken one after the other.
//!
//! Knows no record, segment or position: those say which fields they have. What they mean stands in `FORMAT.md`.

use crate::totals::{Mark, Totals};

/// Collects fields into an array of `N` bytes; what is not written stays zero.
pub(crate) struct Fields<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Fields<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], at: 0 }
    }

    pub(crate) fn put(mut self, field: &[u8]) -> Self {
        let end = self.at + field.len();
        self.bytes.get_mut(self.at..end).expect("a layout is as long as its fields").copy_from_slice(field);
        self.at = end;
        self
    }

    pub(crate) fn put_u64(self, value: u64) -> Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn put_mark(self, mark: Mark) -> Self {
        self.put_u64(mark.seq).put_u64(mark.items).put_u64(mark.bytes)
    }

    pub(crate) fn put_totals(self, totals: Totals) -> Self {
        self.put_u64(totals.records).put_u64(totals.items).put_u64(totals.bytes)
    }

    /// The array, with the checksum of everything before it in its last four bytes.
    pub(crate) fn sealed(mut self) -> [u8; N] {
        if let Some((body, end)) = self.bytes.split_last_chunk_mut::<4>() {
            *end = crc32c::crc32c(body).to_le_bytes();
        }
        self.bytes
    }

    pub(crate) const fn finish(self) -> [u8; N] {
        self.bytes
    }
}

/// The body of a sealed array, if its checksum is right.
pub(crate) fn unsealed<const N: usize>(bytes: &[u8]) -> Option<&[u8]> {
    let (body, end) = bytes.get(..N)?.split_last_chunk::<4>()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*end)).then_some(body)
}

/// Takes fields off the front of a slice.
pub(crate) struct Taker<'a>(pub(crate) &'a [u8]);

impl Taker<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    pub(crate) fn mark(&mut self) -> Option<Mark> {
        Some(Mark { seq: self.u64()?, items: self.u64()?, bytes: self.u64()? })
    }

    pub(crate) fn totals(&mut self) -> Option<Totals> {
        Some(Totals { records: self.u64()?, items: self.u64()?, bytes: self.u64()? })
    }
}
