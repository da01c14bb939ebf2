//! One record as bytes: a header of 56 bytes, then the payload. The layout stands in `FORMAT.md`.
//!
//! The surprise: the header's checksum is seeded with the queue's secret id. A payload comes from strangers, and may
//! hold what looks like a record; when a damaged segment is searched for the next record, it must not be found.

use bytes::Bytes;

use crate::layout::{Fields, Taker};
use crate::totals::Mark;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 56;

/// The first bytes of every record.
pub(crate) const MAGIC: [u8; 4] = *b"HMqr";

/// What is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A number that the queue keeps with the record and never looks at.
    pub class: u8,
    /// How many log records, spans or points the payload holds, so that a loss can be counted exactly.
    pub items: u32,
    /// When it was received, in nanoseconds since the Unix epoch.
    pub received: i64,
    /// The bytes to keep.
    pub payload: Bytes,
}

/// What a record says about itself before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) at: Mark,
    pub(crate) length: u32,
    pub(crate) payload_crc: u32,
    pub(crate) items: u32,
    pub(crate) class: u8,
    pub(crate) received: i64,
}

impl Header {
    pub(crate) fn new(at: Mark, entry: &Entry) -> Self {
        Self {
            at,
            length: u32::try_from(entry.payload.len()).expect("an entry is smaller than a segment"),
            payload_crc: crc32c::crc32c(&entry.payload),
            items: entry.items,
            class: entry.class,
            received: entry.received,
        }
    }

    pub(crate) fn encode(&self, id: u64) -> [u8; HEADER] {
        let body = Fields::<48>::new()
            .put(&self.length.to_le_bytes())
            .put(&self.payload_crc.to_le_bytes())
            .put(&self.items.to_le_bytes())
            .put(&[self.class, 0, 0, 0])
            .put_mark(self.at)
            .put(&self.received.to_le_bytes())
            .finish();
        Fields::<HEADER>::new().put(&MAGIC).put(&seeded(id, &body).to_le_bytes()).put(&body).finish()
    }

    /// Reads a header from the first [`HEADER`] bytes; none if they are not one, or one of another queue.
    pub(crate) fn decode(id: u64, bytes: &[u8]) -> Option<Self> {
        let mut fields = Taker(bytes.get(..HEADER)?);
        if fields.take()? != MAGIC {
            return None;
        }
        let crc = fields.u32()?;
        if crc != seeded(id, fields.0) {
            return None;
        }
        let (length, payload_crc, items) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let [class, ..] = fields.take::<4>()?;
        Some(Self { length, payload_crc, items, class, at: fields.mark()?, received: fields.i64()? })
    }

    /// Bytes of the whole record.
    pub(crate) fn size(&self) -> u64 {
        HEADER as u64 + u64::from(self.length)
    }

    /// The mark behind this record.
    pub(crate) fn end(&self) -> Mark {
        self.at.after(self.items, self.length as usize)
    }
}

/// Bytes that a payload of `length` takes in a segment.
pub(crate) fn size_of(length: usize) -> u64 {
    HEADER as u64 + length as u64
}

fn seeded(id: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        let entry = Entry { class: 3, items: 7, received: -5, payload: Bytes::from_static(b"payload") };
        Header::new(Mark { seq: 9, items: 40, bytes: 1000 }, &entry)
    }

    #[test]
    fn a_header_reads_back_as_written() {
        assert_eq!(Header::decode(42, &header().encode(42)), Some(header()));
        assert_eq!(header().end(), Mark { seq: 10, items: 47, bytes: 1007 });
    }

    #[test]
    fn a_header_forged_without_the_queues_id_is_none() {
        assert_eq!(Header::decode(42, &header().encode(41)), None);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed(bit in 0..HEADER * 8) {
            let mut bytes = header().encode(42);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Header::decode(42, &bytes), None);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::decode(42, &bytes);
        }
    }
}
