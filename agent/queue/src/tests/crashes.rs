//! Power cuts, torn tails and positions that are lost, old or wrong.

use super::*;
use crate::options::SyncPolicy;
use crate::position::Saved;

#[test]
fn what_was_accepted_is_read_in_order_after_a_power_cut() {
    for seed in 0..50 {
        let mut bench = Bench::new(small());
        assert!(bench.append_numbers(0..10, 20_000).iter().all(Result::is_ok));
        let bench = bench.again(Some(seed));
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn only_the_torn_record_is_cut_whatever_is_missing_of_it() {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..3, 100);
    let segment = bench.segments().remove(0);
    let whole = bench.disk.content(&segment);
    for missing in 1..=156 {
        let disk = Model::default();
        disk.put(&segment, whole[..whole.len() - missing].to_vec());
        let bench = Bench::on(disk, small());
        let torn = 156 - missing as u64;
        assert_eq!((bench.opening().torn_tails, bench.opening().torn_bytes), (u64::from(torn > 0), torn));
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), [0, 1], "{missing} bytes missing");
    }
}

#[test]
fn acknowledged_records_are_not_read_again_after_a_clean_restart() {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..10, 1000);
    let cursor = bench.cursor("a");
    let read = cursor.read(4, usize::MAX).unwrap();
    cursor.acknowledge(read[3].position);
    bench.work();
    drop(cursor);
    let bench = bench.again(None);
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), (4..10).collect::<Vec<_>>());
    let figures = bench.figures_of("a");
    assert_eq!((figures.delivered, figures.queued), (records(4, 1000), records(6, 1000)));
}

#[test]
fn a_position_that_is_lost_or_in_the_future_costs_duplicates_only() {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..10, 1000);
    let cursor = bench.cursor("a");
    let read = read_all(&cursor);
    cursor.acknowledge(read[4].position);
    bench.work();
    drop(cursor);
    let good = bench.disk.content("a.position");
    let mut future = Saved::decode(&good).unwrap();
    future.mark.seq = 1_000_000;
    let mut foreign = Saved::decode(&good).unwrap();
    foreign.id += 1;
    let zeroed = vec![0; good.len()];
    let cases = [zeroed, vec![], future.encode().to_vec(), foreign.encode().to_vec(), good[..100].to_vec()];
    for wrong in cases {
        bench.disk.put("a.position", wrong);
        bench = bench.again(None);
        assert_eq!(bench.opening().positions_reset, ["a"]);
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), (0..10).collect::<Vec<_>>());
        bench.figures_of("a");
    }
}

#[test]
fn an_old_position_whose_segments_are_gone_counts_them_and_goes_on() {
    let mut bench = Bench::new(small());
    let cursor = bench.cursor("a");
    bench.work();
    let old = bench.disk.content("a.position");
    bench.append_numbers(0..6, 20_000);
    let read = read_all(&cursor);
    cursor.acknowledge(read[3].position);
    bench.work();
    assert_eq!(bench.segments().len(), 1, "the first is passed and gone");
    drop(cursor);
    bench.disk.put("a.position", old);
    let bench = bench.again(None);
    assert_eq!(bench.figures_of("a").lost.damaged, records(3, 20_000));
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [3, 4, 5]);
}

#[test]
fn an_emptied_queue_keeps_counting_where_it_was() {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..2, 1000);
    let cursor = bench.cursor("a");
    cursor.acknowledge(read_all(&cursor)[1].position);
    bench.work();
    drop(cursor);
    bench.disk.delete(&bench.segments()[0]);
    let mut bench = bench.again(None);
    assert_eq!(bench.append_numbers(2..3, 1000)[0].clone().unwrap(), 2);
    assert_eq!(bench.figures_of("a").delivered, records(2, 1000));
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [2]);
}

#[test]
fn a_failed_sync_seals_the_segment_and_the_records_go_to_another() {
    for seed in 0..50 {
        let mut bench = Bench::new(small());
        bench.append_numbers(0..1, 1000);
        bench.disk.fail_syncs(1);
        assert!(bench.append_numbers(1..2, 1000)[0].is_ok());
        bench.append_numbers(2..3, 1000);
        assert_eq!(bench.segments().len(), 2);
        assert_eq!(bench.figures().counters.sealed_after_failure, 1);
        let bench = bench.again(Some(seed));
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), [0, 1, 2]);
    }
}

#[test]
fn a_failed_segment_that_cannot_be_removed_is_outranked_by_the_next_attempt() {
    for seed in 0..20 {
        let mut bench = Bench::new(small());
        bench.disk.fail_syncs(1);
        bench.disk.fail_removes(1);
        assert!(bench.append_numbers(0..2, 1000).iter().all(Result::is_ok));
        assert_eq!(bench.segments().len(), 2);
        let bench = bench.again(Some(seed));
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), [0, 1]);
        assert_eq!(bench.segments().len(), 1);
    }
}

#[test]
fn records_are_refused_while_nothing_can_be_written_and_accepted_afterwards() {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..1, 1000);
    bench.disk.fail_syncs(100);
    let refused = bench.append_numbers(1..3, 1000);
    assert!(refused.iter().all(|result| matches!(result, Err(AppendError::Storage { .. }))), "{refused:?}");
    assert_eq!(bench.figures().counters.refused_storage, 2);
    bench.disk.heal();
    assert_eq!(bench.append_numbers(3..4, 1000)[0].clone().unwrap(), 1);
    let bench = bench.again(Some(3));
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [0, 3]);
}

#[test]
fn weaker_policies_accept_before_the_sync_and_lose_no_order() {
    for sync in [SyncPolicy::Never, SyncPolicy::Interval(std::time::Duration::from_mins(1))] {
        for seed in 0..30 {
            let mut bench = Bench::new(Options { sync, ..small() });
            bench.disk.fail_syncs(1);
            assert!(bench.append_numbers(0..5, 1000).iter().all(Result::is_ok));
            assert!(bench.append_numbers(5..10, 30_000).iter().all(Result::is_ok));
            assert_eq!(numbers(&read_all(&bench.cursor("a"))), (0..10).collect::<Vec<_>>());
            let bench = bench.again(Some(seed));
            let left = numbers(&read_all(&bench.cursor("a")));
            assert!(left.is_sorted(), "{left:?}");
            bench.figures_of("a");
        }
    }
}
