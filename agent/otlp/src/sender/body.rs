//! Bodies of requests and answers, compressed and not.

use std::io::{Read, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use telemetry::Batch;
use tokio::task::spawn_blocking;

use crate::json::to_json;
use crate::sender::answer::Failure;
use crate::sender::destination::{Compression, Destination, DestinationOptions, Protocol};

/// Up to here making a body takes less than a few milliseconds, in which the thread that serves all destinations may be
/// kept; a larger one is made on a thread of its own.
const MADE_HERE: usize = 1 << 20;

/// The fastest levels: telemetry repeats itself so much that the higher ones gain a few percent for twice the time.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::fast();
const ZSTD_LEVEL: i32 = 1;

/// The window that RFC 8878 recommends decoders to support, 8 MiB; a frame that asks for more is damaged.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How `compression` is called in headers; `None` for none.
pub(crate) const fn encoding(compression: Compression) -> Option<&'static str> {
    match compression {
        Compression::None => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
    }
}

/// `batch` as `destination` wants it, without keeping the thread for long.
pub(crate) async fn body_of(batch: &Batch, destination: &Destination) -> Result<Bytes, Failure> {
    let options = &destination.options;
    let is_cheap = options.compression == Compression::None && options.protocol != Protocol::HttpJson;
    if is_cheap || batch.payload.len() <= MADE_HERE {
        return body(batch, options);
    }
    let (batch, options) = (batch.clone(), Arc::clone(options));
    let made = spawn_blocking(move || body(&batch, &options)).await;
    // Fails only when the sender ends, and then nobody waits for this.
    made.unwrap_or_else(|error| Err(Failure::Later { retry_after: None, reason: error.to_string() }))
}

fn body(batch: &Batch, options: &DestinationOptions) -> Result<Bytes, Failure> {
    check_size(batch.payload.len(), options)?;
    if options.protocol != Protocol::HttpJson {
        return Ok(compress(&batch.payload, options.compression));
    }
    let json = to_json(batch.signal, &batch.payload)
        .map_err(|error| Failure::Never { reason: format!("it cannot be written as JSON: {error}") })?;
    check_size(json.len(), options)?;
    Ok(compress(&Bytes::from(json), options.compression))
}

fn check_size(bytes: usize, options: &DestinationOptions) -> Result<(), Failure> {
    let limit = options.max_request_bytes;
    if bytes <= limit {
        return Ok(());
    }
    Err(Failure::TooLarge { reason: format!("it has {bytes} bytes, and max_request_bytes is {limit}") })
}

fn compress(payload: &Bytes, compression: Compression) -> Bytes {
    match compression {
        Compression::None => payload.clone(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(payload.len() / 4), GZIP_LEVEL);
            encoder.write_all(payload).expect("a Vec takes every byte");
            encoder.finish().expect("a Vec takes every byte").into()
        }
        Compression::Zstd => {
            zstd::bulk::compress(payload, ZSTD_LEVEL).expect("the buffer has room for the worst case").into()
        }
    }
}

/// Why a body is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is larger than the limit.
    TooLarge,
    /// It is not what its encoding says.
    Damaged,
}

/// What was compressed as `encoding` says, if it is no larger than `limit`.
pub(crate) fn decompressed(body: Bytes, encoding: &[u8], limit: usize) -> Result<Bytes, Unreadable> {
    match encoding {
        b"" | b"identity" => Ok(body),
        b"gzip" => read(MultiGzDecoder::new(&*body), limit),
        b"zstd" => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&*body).map_err(|_| Unreadable::Damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| Unreadable::Damaged)?;
            read(decoder, limit)
        }
        _ => Err(Unreadable::Damaged),
    }
}

fn read(decoder: impl Read, limit: usize) -> Result<Bytes, Unreadable> {
    let mut plain = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut plain).map_err(|_| Unreadable::Damaged)?;
    if plain.len() > limit { Err(Unreadable::TooLarge) } else { Ok(plain.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    fn back(body: Bytes, compression: Compression, limit: usize) -> Result<Bytes, Unreadable> {
        decompressed(body, encoding(compression).unwrap_or_default().as_bytes(), limit)
    }

    #[test]
    fn an_answer_that_unfolds_beyond_the_limit_is_not_unfolded() {
        let zeros = Bytes::from(vec![0; 10 << 20]);
        for compression in [Compression::Gzip, Compression::Zstd] {
            let small = compress(&zeros, compression);
            assert!(small.len() < zeros.len() / 10);
            assert_eq!(
                back(small.clone(), compression, 4 << 20),
                Err(Unreadable::TooLarge),
                "{compression:?}"
            );
            assert_eq!(back(small, compression, 10 << 20), Ok(zeros.clone()), "{compression:?}");
        }
    }

    #[test]
    fn what_is_not_what_its_encoding_says_is_damaged() {
        for encoding in [&b"gzip"[..], b"zstd", b"br"] {
            assert_eq!(decompressed(Bytes::from_static(b"no"), encoding, 100), Err(Unreadable::Damaged));
        }
    }

    #[tokio::test]
    async fn a_large_payload_is_compressed_as_a_small_one() {
        for compression in ALL {
            let payload = Bytes::from(vec![7; MADE_HERE + 1]);
            let options = DestinationOptions {
                compression,
                ..DestinationOptions::new("a", "http://a", Protocol::HttpProtobuf)
            };
            let destination = Destination::new(options).unwrap();
            let batch = Batch { signal: telemetry::Signal::Logs, payload: payload.clone(), items: 1 };
            let body = body_of(&batch, &destination).await.unwrap();
            assert_eq!(back(body, compression, payload.len()), Ok(payload));
        }
    }

    proptest! {
        #[test]
        fn compressing_loses_nothing_and_no_damage_makes_the_reader_panic(payload: Vec<u8>, at: usize, flip: u8) {
            let payload = Bytes::from(payload);
            for compression in ALL {
                let body = compress(&payload, compression);
                prop_assert_eq!(back(body.clone(), compression, payload.len()), Ok(payload.clone()));
                let mut damaged = body.to_vec();
                let length = damaged.len().max(1);
                if let Some(byte) = damaged.get_mut(at % length) {
                    *byte ^= flip;
                }
                let _ = back(damaged.into(), compression, 1000);
            }
        }
    }
}
