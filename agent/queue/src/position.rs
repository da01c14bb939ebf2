//! The position file of a cursor: how far it has come, and what it lost on the way. The layout stands in `FORMAT.md`.
//!
//! What was delivered is not written down: it is what lies between the base and the mark, less what was lost.

use crate::layout::{Fields, Taker, unsealed};
use crate::totals::{LossReason, Lost, Mark, Totals};

/// Bytes of a position file: less than a sector, which disks write whole.
pub(crate) const SIZE: usize = 192;

const MAGIC: [u8; 6] = *b"HMqpos";
const VERSION: u16 = 1;
const EXTENSION: &str = ".position";
const TEMPORARY: &str = ".position.new";

/// The most bytes that a cursor's name may have, so that its file's name stays below 255.
const NAME_LIMIT: usize = 200;

/// What a cursor must still know after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The queue's secret id: a position of another queue is none.
    pub(crate) id: u64,
    /// Everything before this is done with.
    pub(crate) mark: Mark,
    /// Where the cursor began.
    pub(crate) base: Mark,
    pub(crate) lost: Lost,
}

impl Saved {
    pub(crate) fn encode(&self) -> [u8; SIZE] {
        let mut fields = Fields::<SIZE>::new()
            .put(&MAGIC)
            .put(&VERSION.to_le_bytes())
            .put_u64(self.id)
            .put_mark(self.mark)
            .put_mark(self.base);
        for reason in LossReason::ALL {
            fields = fields.put_totals(self.lost.to(reason));
        }
        fields.sealed()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Taker(unsealed::<SIZE>(bytes)?);
        if fields.take()? != MAGIC || fields.u16()? != VERSION {
            return None;
        }
        let mut saved =
            Self { id: fields.u64()?, mark: fields.mark()?, base: fields.mark()?, lost: Lost::default() };
        for reason in LossReason::ALL {
            *saved.lost.of_mut(reason) = fields.totals()?;
        }
        Some(saved)
    }

    /// What the cursor acknowledged since its base.
    pub(crate) fn delivered(&self) -> Totals {
        self.mark.since(self.base).saturating_sub(self.lost.total())
    }
}

/// The file of the cursor `name`.
pub(crate) fn file_of(name: &str) -> String {
    format!("{name}{EXTENSION}")
}

/// The file under which a position is written before it takes its place.
pub(crate) fn temporary_of(name: &str) -> String {
    format!("{name}{TEMPORARY}")
}

/// The cursor whose position `file` is.
pub(crate) fn cursor_of(file: &str) -> Option<&str> {
    file.strip_suffix(EXTENSION).filter(|name| is_name(name))
}

pub(crate) fn is_temporary(file: &str) -> bool {
    file.ends_with(TEMPORARY)
}

/// Whether a cursor may be called so: letters, digits, `-`, `_` and `.`, not a dot first.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= NAME_LIMIT && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_a_flipped_bit_makes_it_none() {
        let mark = |seq| Mark { seq, items: seq * 2, bytes: seq * 3 };
        let mut saved = Saved { id: 1, mark: mark(90), base: mark(10), lost: Lost::default() };
        saved.lost.age = Totals { records: 5, items: 10, bytes: 15 };
        let bytes = saved.encode();
        assert_eq!(Saved::decode(&bytes), Some(saved));
        assert_eq!(saved.delivered(), Totals { records: 75, items: 150, bytes: 225 });
        for bit in 0..SIZE * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Saved::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(Saved::decode(&[0; SIZE]), None);
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_directory() {
        for (name, good) in
            [("collector-1", true), ("a.b_c", true), ("", false), ("../x", false), (".x", false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
        assert_eq!(cursor_of("a.position"), Some("a"));
        assert_eq!(cursor_of("a.position.new"), None);
    }
}
