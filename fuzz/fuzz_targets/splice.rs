//! A spliced request has the attributes, is as whole as before, and is not spliced a second time.
#![no_main]

use bytes::Bytes;
use otlp::{Splice, check_strictly, count_items};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((signal, payload)) = fuzz::request(input) else { return };
    let attribute = |key: &str| (key.to_owned(), "v".repeat(200).into());
    let splice =
        Splice::new(&[attribute("host.name"), attribute("k"), attribute("")]).with_override("a", "b");
    let is_whole = check_strictly(signal, payload).is_ok();
    let Ok(spliced) = splice.apply(signal, Bytes::copy_from_slice(payload)) else {
        assert!(!is_whole, "a whole request is spliced");
        return;
    };
    assert_eq!(count_items(signal, &spliced), count_items(signal, payload));
    // The other way round it may be broken in what was replaced.
    assert!(!is_whole || check_strictly(signal, &spliced).is_ok());
    let again = splice.apply(signal, spliced.clone()).expect("what was spliced is whole");
    assert_eq!(again.as_ptr(), spliced.as_ptr());
});
