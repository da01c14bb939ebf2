//! Unpacks fields, as far as they are wanted.
//!
//! A field may claim any size, so nothing is allocated for what it claims: output grows as it comes, up to a limit, and
//! what lies beyond the limit is not unpacked.

mod lz4;
mod xz;

use std::fmt;

use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::layout::Packing;

/// The most that a frame may ask for to look back, as a power of two: 8 MiB. What journald writes asks for 2 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How much room is made at once.
const STEP_BYTES: usize = 16 << 10;

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpacked {
    Whole,
    /// There was more than the limit.
    Cut,
}

/// Unpacks one field after the other.
#[derive(Default)]
pub(super) struct Unpacker {
    zstd: Option<Decoder<'static>>,
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Unpacker {
    /// Appends what is packed in `bytes` to `out`, up to `most` bytes.
    pub(super) fn unpack(
        &mut self,
        packing: Packing,
        bytes: &[u8],
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<Unpacked, &'static str> {
        match packing {
            Packing::None => {
                out.extend_from_slice(bytes.get(..most).unwrap_or(bytes));
                Ok(if bytes.len() > most { Unpacked::Cut } else { Unpacked::Whole })
            }
            Packing::Zstd => self.zstd(bytes, most, out),
            // The size stands before the block.
            Packing::Lz4 => lz4::decode(bytes.get(8..).ok_or("a field is no lz4")?, most, out),
            Packing::Xz => xz::decode(bytes, most, out),
        }
    }

    fn zstd(&mut self, bytes: &[u8], most: usize, out: &mut Vec<u8>) -> Result<Unpacked, &'static str> {
        let wrong = "a field is no zstd, or asks for more than 8 MiB to look back";
        let decoder = match &mut self.zstd {
            Some(decoder) => decoder,
            none => {
                let mut decoder = Decoder::new().map_err(|_| "zstd does not start")?;
                let limit = DParameter::WindowLogMax(ZSTD_WINDOW_LOG);
                decoder.set_parameter(limit).map_err(|_| "zstd does not start")?;
                none.insert(decoder)
            }
        };
        decoder.reinit().map_err(|_| "zstd does not start")?;
        let (begin, mut input) = (out.len(), InBuffer::around(bytes));
        loop {
            let (at, taken) = (out.len(), input.pos());
            if at - begin > most {
                out.truncate(begin + most);
                return Ok(Unpacked::Cut);
            }
            // One byte beyond the limit tells whether there is more.
            out.resize(at + STEP_BYTES.min(most + 1 - (at - begin)), 0);
            let result = {
                let mut output = OutBuffer::around_pos(out.as_mut_slice(), at);
                decoder.run(&mut input, &mut output).map(|left| (left, output.pos()))
            };
            let (left, end) = result.map_err(|_| wrong)?;
            out.truncate(end);
            if left == 0 && out.len() - begin <= most {
                return Ok(Unpacked::Whole);
            }
            if end == at && input.pos() == taken {
                return Err("a field is cut off");
            }
        }
    }
}
