//! The pieces of a request hold as much as the request, are as whole, and joined they are divided no further.
#![no_main]

use bytes::Bytes;
use otlp::{check_strictly, concatenate, count_items, split};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some(([low, high], input)) = input.split_first_chunk() else { return };
    let limit = usize::from(u16::from_le_bytes([*low, *high]));
    let Some((signal, payload)) = fuzz::request(input) else { return };
    let payload = Bytes::copy_from_slice(payload);
    let Ok(pieces) = split(signal, &payload, limit) else {
        assert!(check_strictly(signal, &payload).is_err());
        return;
    };
    let items: u64 = pieces.iter().map(|(_, items)| items).sum();
    assert_eq!(count_items(signal, &payload), Ok(items));
    let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
    assert!(bytes <= 4 * payload.len());
    if check_strictly(signal, &payload).is_ok() {
        for (piece, items) in &pieces {
            assert_eq!(check_strictly(signal, piece), Ok(*items));
        }
    }
    let parts: Vec<Bytes> = pieces.into_iter().map(|(piece, _)| piece).collect();
    assert_eq!(count_items(signal, &concatenate(&parts)), Ok(items));
});
