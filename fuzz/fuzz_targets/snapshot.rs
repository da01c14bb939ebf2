//! Whatever a snapshot of series holds, reading it ends, and what it leaves is a store that works and can be written again.
#![no_main]

use series::{Limits, Scratch, Snapshot, Store};
use telemetry::{Origin, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn store() -> Store {
    let mut store = Store::new(Limits { max_series: 100, ..Limits::default() });
    store.set_budget(Origin::Textfile, 10);
    store.set_budget(Origin::Otlp("apps".into()), 10);
    store
}

/// One frame with a right checksum, or the input as it stands.
fn file(input: &[u8]) -> Vec<u8> {
    let Some((1, payload)) = input.split_first() else { return input.to_vec() };
    let mut file = b"hmseries\x01\0\0\0".to_vec();
    for payload in [payload, &[]] {
        file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        file.extend_from_slice(payload);
    }
    file
}

fn samples(store: &Store) -> u64 {
    let mut scratch = Scratch::default();
    let mut count = 0;
    for id in store.select(&[]) {
        let samples = store.samples(id, i64::MIN, i64::MAX, &mut scratch);
        assert!(samples.times.is_sorted_by(|one, next| one < next));
        assert_eq!(samples.times.len(), samples.values.len());
        assert!(samples.times.iter().all(|time| *time <= NOW.as_millis()));
        count += samples.times.len() as u64;
    }
    count
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut first = store();
    let _ = first.restore(&*file(input), NOW);
    let (mut bytes, mut snapshot) = (Vec::new(), Snapshot::new());
    while snapshot.write(&first, &mut bytes, 1_000) {}
    let mut second = store();
    second.restore(&*bytes, NOW).expect("what was written can be read");
    assert_eq!((second.series_count(), samples(&second)), (first.series_count(), samples(&first)));
});
