//! Bits that flip, sectors that cannot be read, files that do not belong.

use proptest::prelude::*;

use super::*;
use crate::segment::Header;
use crate::{layout, record, segment};

/// Three segments of three records each.
fn nine() -> Bench {
    let mut bench = Bench::new(small());
    bench.append_numbers(0..9, 20_000);
    assert_eq!(bench.segments().len(), 3);
    bench
}

fn rot(bench: &Bench, file: &str, offset: usize, bytes: usize) {
    let mut content = bench.disk.content(file);
    content[offset..offset + bytes].iter_mut().for_each(|byte| *byte ^= 0x5a);
    bench.disk.put(file, content);
}

#[test]
fn a_flipped_byte_costs_the_record_it_is_in_and_is_counted() {
    let size = record::HEADER + 20_000;
    let places = [64 + size + 3, 64 + size + 30, 64 + size + 5000];
    for (segment, place, lost) in places.iter().flat_map(|place| [(0, place, 1), (1, place, 4)]) {
        let bench = nine();
        rot(&bench, &bench.segments()[segment], *place, 1);
        let bench = bench.again(None);
        let cursor = bench.cursor("a");
        let read = read_all(&cursor);
        assert_eq!(numbers(&read), (0..9).filter(|number| *number != lost).collect::<Vec<_>>());
        cursor.acknowledge(read[7].position);
        let figures = bench.figures_of("a");
        assert_eq!((figures.lost.damaged, figures.delivered), (records(1, 20_000), records(8, 20_000)));
    }
}

#[test]
fn damage_in_the_newest_segment_does_not_cost_what_follows_it() {
    let bench = nine();
    rot(&bench, &bench.segments()[2], 64 + 10, 1);
    let bench = bench.again(None);
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [0, 1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(bench.opening().torn_tails, 0);
}

#[test]
fn a_damaged_header_of_a_segment_costs_nothing() {
    for segment in 0..3 {
        let bench = nine();
        rot(&bench, &bench.segments()[segment], 10, 1);
        let bench = bench.again(None);
        assert_eq!(numbers(&read_all(&bench.cursor("a"))), (0..9).collect::<Vec<_>>());
        assert_eq!(bench.figures_of("a").queued, records(9, 20_000));
    }
}

#[test]
fn a_segment_without_anything_readable_is_set_aside_and_counted() {
    let bench = nine();
    let file = bench.segments().remove(1);
    bench.disk.put(&file, vec![0; 60_000]);
    let bench = bench.again(None);
    assert_eq!(bench.opening().quarantined, [format!("{file}.damaged")]);
    let cursor = bench.cursor("a");
    let read = read_all(&cursor);
    assert_eq!(numbers(&read), [0, 1, 2, 6, 7, 8]);
    cursor.acknowledge(read[5].position);
    assert_eq!(bench.figures_of("a").lost.damaged, records(3, 20_000));
}

#[test]
fn a_segment_of_another_version_is_set_aside_untouched() {
    let bench = nine();
    let file = bench.segments().remove(0);
    let other = layout::Fields::<64>::new().put(b"HMqseg").put(&7_u16.to_le_bytes()).sealed().to_vec();
    bench.disk.put(&file, other.clone());
    bench.disk.put("notes.txt", b"mine".to_vec());
    let bench = bench.again(None);
    assert_eq!(bench.opening().unknown_version, [format!("{file}.unknown-version")]);
    assert_eq!(bench.disk.content(&format!("{file}.unknown-version")), other);
    assert_eq!(bench.opening().orphans, ["notes.txt"]);
    assert_eq!(bench.disk.content("notes.txt"), b"mine");
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_disk_that_is_away_at_opening_costs_nothing_once_it_is_back() {
    let bench = nine();
    bench.disk.die_after(0);
    let Bench { disk, options, .. } = bench;
    assert!(Bench::try_on(disk.clone(), options.clone()).is_err());
    disk.heal();
    let bench = Bench::on(disk, options);
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_missing_segment_is_counted_and_the_rest_is_read() {
    let bench = nine();
    bench.disk.delete(&bench.segments()[1]);
    let bench = bench.again(None);
    let cursor = bench.cursor("a");
    let read = read_all(&cursor);
    assert_eq!(numbers(&read), [0, 1, 2, 6, 7, 8]);
    cursor.acknowledge(read[5].position);
    assert_eq!(bench.figures_of("a").lost.damaged, records(3, 20_000));
}

#[test]
fn a_copy_of_a_segment_under_another_name_is_set_aside() {
    let bench = nine();
    let copy = bench.disk.content(&bench.segments()[0]);
    bench.disk.put(&segment::Name { first: 4, attempt: 0 }.file(), copy);
    let bench = bench.again(None);
    assert_eq!(bench.opening().quarantined.len(), 1);
    let read = numbers(&read_all(&bench.cursor("a")));
    assert_eq!(read, (0..9).collect::<Vec<_>>());
}

#[test]
fn a_record_inside_a_payload_is_never_taken_for_one_of_the_queue() {
    let mut bench = Bench::new(small());
    let forged = entry(666, 100);
    let header = record::Header::new(crate::totals::Mark { seq: 1, items: 3, bytes: 0 }, &forged);
    let mut payload = header.encode(12_345).to_vec();
    payload.extend_from_slice(&forged.payload);
    bench.append([Entry { payload: payload.into(), ..entry(0, 8) }, entry(1, 100)]);
    rot(&bench, &bench.segments()[0], 64, 4);
    let bench = bench.again(None);
    assert_eq!(numbers(&read_all(&bench.cursor("a"))), [1]);
}

#[test]
fn a_read_that_fails_can_be_tried_for_ever_and_is_passed_over_when_asked() {
    let mut bench = Bench::new(small());
    let cursor = bench.cursor("a");
    bench.append_numbers(0..2, 1000);
    bench.disk.fail_reads(1);
    assert!(cursor.read(9, 1 << 20).is_err());
    assert_eq!(numbers(&cursor.read(9, 1 << 20).unwrap()), [0, 1]);
    bench.append_numbers(2..6, 30_000);
    bench.disk.fail_reads(u32::MAX);
    for _ in 0..10 {
        assert!(cursor.read(9, 1 << 20).is_err());
    }
    assert!(cursor.salvage(9, 1 << 20).is_empty());
    bench.disk.heal();
    bench.append_numbers(6..7, 1000);
    let read = read_all(&cursor);
    assert_eq!(number(&read.last().unwrap().payload), 6);
    cursor.acknowledge(read.last().unwrap().position);
    let figures = bench.figures_of("a");
    assert_eq!(figures.delivered.records + figures.lost.damaged.records, 7);
    assert!(figures.lost.damaged.records > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_for_a_segment_and_a_position_open_and_read_without_a_panic(
        head in any::<bool>(),
        noise in proptest::collection::vec(any::<u8>(), 0..4000),
        flips in proptest::collection::vec((0_usize..60_000, any::<u8>()), 0..40),
        position in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bench = nine();
        let file = bench.segments().remove(2);
        let mut content = if head { bench.disk.content(&file) } else { noise.clone() };
        for (at, flip) in flips {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= flip;
            }
        }
        content.extend(noise);
        let _ = Header::decode(&content);
        bench.disk.put(&file, content);
        bench.disk.put("a.position", position);
        let bench = bench.again(None);
        let read = numbers(&read_all(&bench.cursor("a")));
        prop_assert!(read.starts_with(&[0, 1, 2, 3, 4, 5]) && read.is_sorted());
        bench.figures_of("a");
    }
}
