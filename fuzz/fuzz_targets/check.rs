//! What the strict check passes, a decoder decodes, and the other way round; both count the same.
#![no_main]

use otlp::{MetricsSummary, check_strictly, count_items};
use telemetry::Signal;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((signal, payload)) = fuzz::request(input) else { return };
    let counted = count_items(signal, payload);
    let _ = MetricsSummary::of(payload);
    match (check_strictly(signal, payload), fuzz::items(signal, payload)) {
        (Ok(items), decoded) => {
            let decoded = decoded.expect("what passes decodes");
            // Of several kinds of data in one metric a decoder keeps the last.
            assert!(items == decoded || signal == Signal::Metrics && items > decoded);
            assert_eq!(counted, Ok(items));
        }
        // Decoders pass over groups in fields that nobody knows.
        (Err(error), Ok(_)) => assert!(error.to_string().contains("a wire type that proto3 does not use")),
        (Err(_), Err(_)) => {}
    }
});
