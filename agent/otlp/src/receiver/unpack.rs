//! Decompresses requests, and stops where one grows larger than it may.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::budget::Hold;
use super::refused::{Reason, Refused};

/// How a request is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// The name in the headers `grpc-encoding` and `Content-Encoding`.
    pub(crate) fn named(name: Option<&[u8]>) -> Result<Self, Refused> {
        match name {
            None | Some(b"identity" | b"") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(_) => {
                Err(Refused::new(Reason::Encoding, "compress with gzip or zstd, or do not compress at all"))
            }
        }
    }
}

/// The window that RFC 8878 recommends decoders to support, 8 MiB; a frame that asks for more is refused.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Room is asked for in such steps.
const STEP: usize = 256 * 1024;

/// The bytes of `packed`, at most `limit`. What both take is held meanwhile.
pub(crate) fn unpack(
    encoding: Encoding,
    packed: Bytes,
    limit: usize,
    hold: &mut Hold,
) -> Result<Bytes, Refused> {
    if packed.is_empty() {
        return Ok(packed);
    }
    match encoding {
        Encoding::Identity => Ok(packed),
        Encoding::Gzip => read(MultiGzDecoder::new(&*packed), &packed, limit, hold),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*packed)
                .map_err(|_| Refused::new(Reason::Overloaded, "there is no memory to decompress with"))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).expect("the window is within what zstd knows");
            read(decoder, &packed, limit, hold)
        }
    }
}

fn read(mut decoder: impl Read, packed: &[u8], limit: usize, hold: &mut Hold) -> Result<Bytes, Refused> {
    // Telemetry shrinks to between a tenth and a quarter.
    let mut out = Vec::with_capacity((packed.len() * 6).min(limit).min(1 << 20));
    loop {
        let step = (limit + 1 - out.len()).min(STEP);
        if !hold.set(packed.len() + out.len() + step) {
            return Err(Refused::overloaded());
        }
        let read = decoder.by_ref().take(step as u64).read_to_end(&mut out);
        let read = read.map_err(|_| Refused::new(Reason::Malformed, "the body cannot be decompressed"))?;
        if out.len() > limit {
            return Err(Refused::too_large(limit));
        }
        if read < step {
            break;
        }
    }
    hold.set(out.len());
    Ok(Bytes::from(out))
}
