use proptest::prelude::*;

use super::*;
use crate::STALE;

fn packed(times: ChunkTimes, samples: &[(i64, f64)]) -> Packer {
    let mut packer = Packer::new(times, Scale::of(&samples.iter().map(|(_, value)| *value)));
    for (time, value) in samples {
        packer.push(*time, *value);
    }
    packer
}

fn unpacked(packer: &Packer) -> (Vec<i64>, Vec<u64>) {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    packer.chunk().unpack(&mut times, &mut values).unwrap();
    (times, values.into_iter().map(f64::to_bits).collect())
}

/// What series hold: constants, counters, hundredths, measurements, and whatever else a double can be.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => Just(1.0),
        4 => (0_i64..1 << 40).prop_map(|n| n as f64),
        4 => (0_i64..1 << 30).prop_map(|n| n as f64 / 100.0),
        2 => (0_i64..1 << 30).prop_map(|n| n as f64 / 1000.0),
        2 => any::<u64>().prop_map(f64::from_bits),
        1 => prop::sample::select(vec![
            STALE, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, f64::MAX,
        ]),
    ]
}

fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let kinds = prop_oneof![
        prop::collection::vec(value(), 1..240),
        (value(), 1_usize..240).prop_map(|(value, count)| vec![value; count]),
        (1_u64..1 << 40, prop::collection::vec(0_u64..100_000, 1..240)).prop_map(|(first, steps)| {
            steps
                .iter()
                .scan(first, |sum, step| Some(std::mem::replace(sum, *sum + step) as f64 / 100.0))
                .collect()
        }),
    ];
    let distance = prop_oneof![
        6 => Just(10_000_i64),
        3 => 9_990_i64..10_010,
        1 => 1_i64..1 << 40,
        1 => any::<i64>(),
    ];
    (kinds, any::<i64>(), prop::collection::vec(distance, 240)).prop_map(|(values, first, distances)| {
        let times = distances.into_iter().scan(first, |time, distance| {
            let this = *time;
            *time = time.wrapping_add(distance);
            Some(this)
        });
        times.zip(values).collect()
    })
}

proptest! {
    #[test]
    fn every_bit_of_a_sample_returns(samples in samples()) {
        let (times, values): (Vec<i64>, Vec<u64>) =
            samples.iter().map(|(time, value)| (*time, value.to_bits())).unzip();
        let own = packed(ChunkTimes::Own, &samples);
        prop_assert_eq!(own.chunk().first_time(), times.first().copied());
        prop_assert_eq!(unpacked(&own), (times, values.clone()));
        prop_assert_eq!(unpacked(&packed(ChunkTimes::Shared(7), &samples)), (vec![], values));
    }

    #[test]
    fn no_bytes_make_unpacking_fail_badly(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        count in any::<u16>(),
        scale in 0_u8..3,
        own in any::<bool>(),
    ) {
        let times = if own { ChunkTimes::Own } else { ChunkTimes::Shared(0) };
        let chunk = Chunk { times, scale: Scale::from_number(scale).unwrap(), count, bytes: &bytes };
        let (mut times, mut values) = (Vec::new(), Vec::new());
        if chunk.unpack(&mut times, &mut values).is_some() {
            prop_assert_eq!(values.len(), usize::from(count));
        }
    }
}

#[test]
fn what_changes_little_takes_little_room() {
    let times = |at: i64| at * 10_000;
    for (what, value, most) in [
        ("a constant", (|_| 42.0) as fn(i64) -> f64, 40),
        ("a counter", |at| (1_000_000 + at * 37 + at % 7 * 11) as f64, 500),
        ("processor time", |at| (100_000 + at * 37 + at % 7 * 11) as f64 / 100.0, 500),
    ] {
        let samples: Vec<(i64, f64)> = (0..240).map(|at| (times(at), value(at))).collect();
        let bytes = packed(ChunkTimes::Shared(0), &samples).into_bytes().len();
        assert!(bytes <= most, "{what} takes {bytes} bytes");
        let own = packed(ChunkTimes::Own, &samples).into_bytes().len();
        assert!(own <= bytes + 48, "{what} with times takes {own} bytes beside {bytes}");
    }
}
