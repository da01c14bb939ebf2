//! A segment file: its name and its header of 64 bytes. The layout stands in `FORMAT.md`.

use crate::layout::{Fields, Taker, unsealed};
use crate::totals::Mark;

/// Bytes before the first record.
pub(crate) const HEADER: usize = 64;

/// The version of segments and records that this program writes and reads.
pub(crate) const VERSION: u16 = 1;

const MAGIC: [u8; 6] = *b"HMqseg";
const EXTENSION: &str = ".segment";

/// The name of a segment: where it starts, and which attempt at that start it is.
///
/// An attempt that failed before anything in it was acknowledged is followed by another with the same start, so the
/// latest attempt is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) first: u64,
    pub(crate) attempt: u32,
}

impl Name {
    pub(crate) fn file(self) -> String {
        format!("{:020}.{:04}{EXTENSION}", self.first, self.attempt)
    }

    pub(crate) fn parse(file: &str) -> Option<Self> {
        let (first, attempt) = file.strip_suffix(EXTENSION)?.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if first.len() != 20 || attempt.len() < 4 || !digits(first) || !digits(attempt) {
            return None;
        }
        Some(Self { first: first.parse().ok()?, attempt: attempt.parse().ok()? })
    }
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The queue's secret id, the seed of the records' checksums.
    pub(crate) id: u64,
    pub(crate) start: Mark,
    /// When its first record was received, in nanoseconds since the epoch.
    pub(crate) opened: i64,
}

/// What the first bytes of a segment turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours(Header),
    /// Intact, and of a version that this program does not know.
    OtherVersion(u16),
    /// Not a header, or a damaged one: the records behind it may still be good.
    Damaged,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        Fields::<HEADER>::new()
            .put(&MAGIC)
            .put(&VERSION.to_le_bytes())
            .put_u64(self.id)
            .put_mark(self.start)
            .put(&self.opened.to_le_bytes())
            .sealed()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Kind {
        match Self::read(bytes) {
            Some((VERSION, header)) => Kind::Ours(header),
            Some((version, _)) => Kind::OtherVersion(version),
            None => Kind::Damaged,
        }
    }

    fn read(bytes: &[u8]) -> Option<(u16, Self)> {
        let mut fields = Taker(unsealed::<HEADER>(bytes)?);
        if fields.take()? != MAGIC {
            return None;
        }
        let version = fields.u16()?;
        Some((version, Self { id: fields.u64()?, start: fields.mark()?, opened: fields.i64()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_nothing_else_is_one() {
        let name = Name { first: 12_345, attempt: 2 };
        assert_eq!(name.file(), "00000000000000012345.0002.segment");
        assert_eq!(Name::parse(&name.file()), Some(name));
        for stranger in ["", "lock", "1.segment", "0000000000000001234x.0000.segment", "reserve"] {
            assert_eq!(Name::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_header_tells_its_kind() {
        let header = Header { id: 7, start: Mark { seq: 1, items: 2, bytes: 3 }, opened: 4 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Kind::Ours(header));
        let other = Fields::<HEADER>::new().put(&MAGIC).put(&9_u16.to_le_bytes()).sealed();
        assert_eq!(Header::decode(&other), Kind::OtherVersion(9));
        let mut damaged = bytes;
        damaged[6] ^= 1;
        assert_eq!(Header::decode(&damaged), Kind::Damaged);
        assert_eq!(Header::decode(&bytes[..63]), Kind::Damaged);
    }
}
