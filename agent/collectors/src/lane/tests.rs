use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Collectors of the host's table, each at its interval.
fn lanes(intervals: &[(&str, u64)]) -> Result<Lanes, UnevenIntervals> {
    let by_name =
        intervals.iter().map(|(name, millis)| ((*name).to_owned(), Duration::from_millis(*millis))).collect();
    let intervals = Intervals { default: SECOND * 10, by_name };
    let enabled = |name: &str| intervals.by_name.contains_key(name);
    Lanes::new(&intervals, &enabled)
}

fn due(lanes: &Lanes, lane: usize, ticks: u64, stretch: u32) -> Vec<u64> {
    (1..=ticks).filter(|tick| lanes.is_due(lane, Some(tick - 1), *tick, stretch)).collect()
}

#[test]
fn the_tick_is_what_all_intervals_have_in_common() {
    for (intervals, tick) in [
        (vec![("cpu", 10_000)], 10_000),
        (vec![("cpu", 1_000), ("disk", 10_000), ("load", 60_000)], 1_000),
        (vec![("cpu", 4_000), ("disk", 6_000)], 2_000),
        (vec![("cpu", 250), ("disk", 1_000)], 250),
        (vec![], 10_000),
    ] {
        assert_eq!(lanes(&intervals).unwrap().tick(), Duration::from_millis(tick), "{intervals:?}");
    }
    let error = lanes(&[("cpu", 10_000), ("disk", 10_050)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the intervals have only 50ms in common, and every 100ms is most often; make each a multiple of 100ms"
    );
}

#[test]
fn a_collectors_own_interval_is_a_multiple_of_the_default_and_gives_way_to_what_is_set() {
    static DEAR: CollectorSpec =
        CollectorSpec { interval: Some(Duration::from_mins(1)), ..crate::load::SPEC };
    let mut intervals = Intervals::every(SECOND * 10);
    assert_eq!(intervals.of(&crate::load::SPEC), SECOND * 10);
    assert_eq!(intervals.of(&DEAR), SECOND * 60);
    intervals.default = SECOND * 7;
    assert_eq!(intervals.of(&DEAR), SECOND * 63);
    intervals.default = SECOND * 300;
    assert_eq!(intervals.of(&DEAR), SECOND * 300);
    intervals.by_name.insert("load".to_owned(), SECOND * 2);
    assert_eq!(intervals.of(&DEAR), SECOND * 2);
}

#[test]
fn slow_lanes_are_due_in_different_ticks() {
    let lanes = lanes(&[("cpu", 1_000), ("disk", 10_000), ("load", 60_000), ("memory", 30_000)]).unwrap();
    assert_eq!(lanes.lanes().len(), 4);
    let slow: Vec<Vec<u64>> = (1..4).map(|lane| due(&lanes, lane, 60, 1)).collect();
    assert_eq!(slow.iter().map(Vec::len).collect::<Vec<_>>(), [6, 2, 1]);
    let all: std::collections::BTreeSet<&u64> = slow.iter().flatten().collect();
    assert_eq!(all.len(), 9, "{slow:?}");
}

#[test]
fn everything_is_due_at_first() {
    let lanes = lanes(&[("cpu", 1_000), ("disk", 10_000)]).unwrap();
    assert!((0..2).all(|lane| lanes.is_due(lane, None, 0, 1)));
}

#[test]
fn what_was_due_in_missed_ticks_is_due_once() {
    let lanes = lanes(&[("cpu", 1_000), ("disk", 10_000)]).unwrap();
    let [first, ..] = due(&lanes, 1, 20, 1)[..] else { panic!("the slow lane comes round") };
    assert!(lanes.is_due(1, Some(first - 1), first + 3, 1));
    assert!(!lanes.is_due(1, Some(first + 3), first + 4, 1));
}

#[test]
fn intervals_are_not_stretched_beyond_what_rules_can_see() {
    let lanes = lanes(&[("cpu", 10_000), ("disk", 60_000), ("load", 600_000)]).unwrap();
    let every = |lane: usize, stretch| due(&lanes, lane, 480, stretch).windows(2).map(|w| w[1] - w[0]).max();
    assert_eq!((every(0, 4), every(1, 4), every(2, 4)), (Some(4), Some(12), Some(60)));
    assert_eq!((every(0, 16), every(1, 16), every(2, 16)), (Some(12), Some(12), Some(60)));
}

proptest! {
    #[test]
    fn no_lane_waits_longer_than_its_interval_and_no_tick_is_skipped_that_has_work(
        // In tenths of a second.
        intervals in prop::collection::vec(1_u64..600, 1..6),
        stretch in 1_u32..16,
        from in 0_u64..10_000,
    ) {
        let names = ["cpu", "disk", "load", "memory", "network", "paging"];
        let intervals: Vec<(&str, u64)> = names.into_iter().zip(intervals.iter().map(|tenths| tenths * 100)).collect();
        let lanes = lanes(&intervals).unwrap();
        for (number, lane) in lanes.lanes().iter().enumerate() {
            let every = lanes.every(lane, stretch);
            let times = (from + 1..=from + every).filter(|tick| lanes.is_due(number, Some(tick - 1), *tick, stretch));
            let begun = if from < lane.phase { 0..=1 } else { 1..=1 };
            prop_assert!(begun.contains(&times.count()));
        }
        let next = lanes.next(from, stretch);
        let first = (from + 1..=from + 600 * 16).find(|tick| {
            (0..lanes.lanes().len()).any(|lane| lanes.is_due(lane, Some(tick - 1), *tick, stretch))
        });
        prop_assert_eq!(Some(next), first);
    }
}
