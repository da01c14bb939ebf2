//! A request says the same after a way through JSON.
#![no_main]

use otlp::{check_strictly, to_json, to_protobuf};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((signal, payload)) = fuzz::request(input) else { return };
    let json = to_json(signal, payload);
    if check_strictly(signal, payload).is_err() {
        return;
    }
    let json = json.expect("whatever passes the strict check can be said in JSON");
    let back = to_protobuf(signal, json.as_bytes()).expect("what we write we read");
    check_strictly(signal, &back).expect("what we write is whole");
    // JSON knows one NaN, and nothing of string tables: the second time nothing is lost any more.
    let again = to_json(signal, &back).expect("what we write is whole");
    let back_again = to_protobuf(signal, again.as_bytes()).expect("what we write we read");
    assert_eq!(fuzz::decoded(signal, &back_again), fuzz::decoded(signal, &back));
});
