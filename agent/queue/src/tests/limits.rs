//! What happens when a queue is full, old, or its disk is.

use std::time::Duration;

use super::*;
use crate::totals::LossReason;

#[test]
fn beyond_its_bytes_the_oldest_segment_goes_and_is_counted_for_those_who_had_not_passed_it() {
    let mut bench = Bench::new(Options { max_bytes: 4 * SEGMENT, ..small() });
    let (fast, slow) = (bench.cursor("fast"), bench.cursor("slow"));
    bench.append_numbers(0..6, 20_000);
    let read = read_all(&fast);
    fast.acknowledge(read[1].position);
    for number in 6..30 {
        bench.append_numbers(number..number + 1, 20_000);
        assert!(bench.figures().disk_bytes <= 5 * SEGMENT);
    }
    let (of_fast, of_slow) = (bench.figures_of("fast"), bench.figures_of("slow"));
    assert_eq!(of_fast.delivered, records(2, 20_000));
    assert_eq!(of_slow.lost.bytes.records, of_fast.lost.bytes.records + 2);
    let left = numbers(&read_all(&slow));
    assert_eq!(left, (of_slow.lost.bytes.records..30).collect::<Vec<_>>());
    drop((fast, slow));
    let bench = bench.again(None);
    assert_eq!(bench.figures_of("slow").lost, of_slow.lost, "losses outlast a restart");
}

#[test]
fn a_smaller_limit_than_the_backlog_trims_it_at_opening() {
    let mut bench = Bench::new(small());
    drop(bench.cursor("a"));
    bench.append_numbers(0..60, 20_000);
    bench.options.max_bytes = 4 * SEGMENT;
    let mut bench = bench.again(None);
    assert!(bench.figures().disk_bytes <= 4 * SEGMENT);
    let lost = bench.figures_of("a").lost.bytes.records;
    assert!(lost > 40);
    assert!(bench.append_numbers(60..61, 20_000)[0].is_ok());
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), (lost..61).collect::<Vec<_>>());
}

#[test]
fn a_record_larger_than_a_segment_is_refused_and_the_next_one_passes() {
    let mut bench = Bench::new(small());
    let largest = bench.options.max_record_bytes() as usize;
    let results = bench.append([entry(0, largest + 1), entry(1, largest), entry(2, 8)]);
    assert!(matches!(results[0], Err(AppendError::TooLarge { .. })));
    assert!(results[1].is_ok() && results[2].is_ok());
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [1, 2]);
    assert_eq!(bench.figures().counters.refused_too_large, 1);
}

#[test]
fn what_waits_is_limited() {
    let mut bench = Bench::new(Options { max_waiting_bytes: 3000, ..small() });
    let results = bench.append_numbers(0..4, 1000);
    assert!(results[..2].iter().all(Result::is_ok));
    assert!(results[2..].iter().all(|result| matches!(result, Err(AppendError::Busy { .. }))));
    assert!(bench.append_numbers(4..5, 1000)[0].is_ok());
}

#[test]
fn segments_go_when_their_newest_record_is_too_old() {
    let mut bench = Bench::new(Options { max_age: Some(Duration::from_secs(10)), ..small() });
    let cursor = bench.cursor("a");
    bench.append_numbers(0..7, 20_000);
    bench.maintain(12 * SECOND);
    assert_eq!(bench.figures_of("a").lost.age, Totals::default());
    bench.maintain(13 * SECOND);
    assert_eq!(bench.figures_of("a").lost.to(LossReason::Age), records(3, 20_000));
    bench.maintain(17 * SECOND);
    assert_eq!(bench.figures_of("a").lost.age, records(7, 20_000), "the active segment ages as well");
    assert!(bench.append_numbers(7..8, 20_000)[0].is_ok());
    assert_eq!(numbers(&read_all(&cursor)), [7]);
}

#[test]
fn on_a_full_disk_the_reserve_is_used_then_the_oldest_segment() {
    let mut bench = Bench::new(Options { reserve: true, ..small() });
    drop(bench.cursor("a"));
    bench.append_numbers(0..3, 20_000);
    bench.disk.leave_room(Some(0));
    assert!(bench.append_numbers(3..6, 20_000).iter().all(Result::is_ok));
    let figures = bench.figures();
    assert_eq!((figures.counters.reserve_used, figures.counters.segments_dropped), (1, 0));
    assert!(bench.append_numbers(6..7, 20_000)[0].is_ok());
    assert_eq!(bench.figures_of("a").lost.disk, records(3, 20_000));
    bench.disk.leave_room(Some(10 * SEGMENT));
    bench.maintain(0);
    assert_eq!(bench.figures().counters.reserve_filled, 2);
    let bench = bench.again(Some(7));
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [3, 4, 5, 6]);
    assert_eq!(bench.figures_of("a").lost.total(), records(3, 20_000));
}

#[test]
fn room_is_left_to_others_on_the_disk() {
    let mut bench = Bench::new(Options { min_free_bytes: SEGMENT, ..small() });
    drop(bench.cursor("a"));
    bench.append_numbers(0..9, 20_000);
    bench.disk.leave_room(Some(SEGMENT / 2));
    bench.maintain(0);
    assert_eq!(bench.figures_of("a").lost.disk, records(3, 20_000));
}

#[test]
fn a_segment_goes_once_every_cursor_has_passed_it_or_is_removed() {
    let mut bench = Bench::new(small());
    let (one, two) = (bench.cursor("one"), bench.cursor("two"));
    bench.append_numbers(0..6, 20_000);
    one.acknowledge(read_all(&one)[4].position);
    bench.work();
    assert_eq!(bench.segments().len(), 2, "two has not passed the first");
    let removed = {
        let mut state = bench.opened.shared.lock();
        state.cursors.remove("two");
        state.removed.push("two".to_owned());
        two
    };
    bench.work();
    assert_eq!(bench.segments().len(), 1);
    assert!(removed.read(1, 1).unwrap().is_empty());
    assert!(!bench.disk.names().contains(&"two.position".to_owned()));
}

#[test]
fn a_segment_that_could_not_be_removed_is_removed_later() {
    let mut bench = Bench::new(small());
    let cursor = bench.cursor("a");
    bench.append_numbers(0..6, 20_000);
    cursor.acknowledge(read_all(&cursor)[5].position);
    bench.disk.fail_removes(1);
    bench.work();
    assert_eq!(bench.segments().len(), 2);
    bench.maintain(0);
    assert_eq!(bench.segments().len(), 1);
}

#[test]
fn the_oldest_queued_record_tells_when_it_was_received() {
    let mut bench = Bench::new(small());
    let cursor = bench.cursor("a");
    bench.append_numbers(5..8, 100);
    assert_eq!(bench.figures_of("a").oldest, Some(5 * SECOND));
    let read = read_all(&cursor);
    cursor.acknowledge(read[1].position);
    assert_eq!(bench.figures_of("a").oldest, Some(7 * SECOND));
    cursor.acknowledge(read[2].position);
    assert_eq!(bench.figures_of("a").oldest, None);
}

#[test]
fn what_a_limit_took_after_it_was_read_is_passed_and_cannot_be_acknowledged() {
    let mut bench = Bench::new(Options { max_bytes: 4 * SEGMENT, ..small() });
    let cursor = bench.cursor("a");
    bench.append_numbers(0..2, 20_000);
    let read = read_all(&cursor);
    assert!(!cursor.has_passed(read[0].position));
    assert!(cursor.acknowledge(read[0].position) && !cursor.acknowledge(read[0].position));
    for number in 2..30 {
        bench.append_numbers(number..number + 1, 20_000);
    }
    assert!(cursor.has_passed(read[1].position) && !cursor.acknowledge(read[1].position));
    let figures = cursor.figures().unwrap();
    assert_eq!(figures.delivered, records(1, 20_000));
    assert_eq!((figures.lost, figures.queued), (bench.figures_of("a").lost, bench.figures_of("a").queued));
}

#[test]
fn records_that_belong_together_are_taken_in_together_and_answered_once() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { max_waiting_bytes: 3000, ..small() };
    let (queue, _) = crate::Queue::open(directory.path(), options).unwrap();
    let (told, outcomes) = std::sync::mpsc::sync_channel(10);
    let largest = usize::try_from(small().max_record_bytes()).unwrap();
    for (sizes, good) in
        [(vec![], true), (vec![2000; 5], true), (vec![100, largest + 1], false), (vec![largest; 3], true)]
    {
        let told = told.clone();
        let entries = sizes.iter().map(|size| entry(0, *size)).collect();
        queue.append_all(entries, move |outcome| told.send(outcome).unwrap());
        let outcome = outcomes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(outcome.is_ok(), good, "{outcome:?}");
    }
    assert_eq!(outcomes.try_recv().ok().map(|_| ()), None);
    assert_eq!(queue.figures().appended.records, 8);
}

#[test]
fn a_clock_that_is_set_forward_drops_nothing() {
    let options = Options { max_age: Some(Duration::from_secs(100)), ..small() };
    let mut bench = Bench::new(options);
    let cursor = bench.cursor("a");
    bench.append_numbers(0..4, 20_000);
    bench.maintain(4 * SECOND);
    bench.maintain(1_000_000 * SECOND);
    assert_eq!(bench.figures_of("a").queued.records, 4);
    assert_eq!(numbers(&read_all(&cursor)), [0, 1, 2, 3]);
}

#[test]
fn who_follows_closely_needs_no_disk_and_who_is_away_costs_no_memory() {
    let mut bench = Bench::new(Options { recent_bytes: 10_000, ..small() });
    let (close, away) = (bench.cursor("close"), bench.cursor("away"));
    bench.append_numbers(0..4, 1000);
    bench.disk.fail_reads(1000);
    assert_eq!(numbers(&read_all(&close)), [0, 1, 2, 3]);
    bench.append_numbers(4..30, 1000);
    assert!(close.read(100, 1 << 20).is_err(), "more than is kept");
    bench.disk.heal();
    assert_eq!(numbers(&read_all(&close)), (4..30).collect::<Vec<_>>());
    bench.append_numbers(30..32, 1000);
    assert_eq!(numbers(&read_all(&close)), [30, 31], "from memory again");
    assert_eq!(bench.opened.shared.lock().recent.first(), None, "which nobody needs any more");
    assert_eq!(numbers(&read_all(&away)), (0..32).collect::<Vec<_>>());
}
