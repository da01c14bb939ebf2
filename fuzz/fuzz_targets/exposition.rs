//! Whatever is read from a text file, its series bear proper names and make a request that every receiver takes.
#![no_main]

use otlp::{FamilyEncoder, check_strictly};
use telemetry::{Signal, Timestamp};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(families) = collectors::parse_exposition(input) else { return };
    for sample in families.iter().flat_map(|family| &family.samples) {
        assert!(!sample.name.is_empty() && sample.name.is_ascii());
        assert!(sample.labels.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
    if let Some(batch) = FamilyEncoder::new(&[]).encode(&families, Timestamp::from_secs(1)) {
        assert_eq!(check_strictly(Signal::Metrics, &batch.payload), Ok(batch.items));
    }
});
