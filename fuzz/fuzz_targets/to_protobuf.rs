//! Whatever is read from JSON is a whole request.
#![no_main]

use otlp::{check_strictly, to_protobuf};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((signal, json)) = fuzz::request(input) else { return };
    if let Ok(payload) = to_protobuf(signal, json) {
        check_strictly(signal, &payload).expect("what we write is whole");
        fuzz::decoded(signal, &payload).expect("and others read it");
    }
});
