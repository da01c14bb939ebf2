//! Journals that are not as they were written.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::writer::Writer;
use super::*;

/// Reads all of a damaged journal, in rounds as a source would: how many entries, and how many were lost.
fn read_damaged(journal: &[u8]) -> (usize, u64) {
    let directory = directory_of(journal);
    let mut reader = JournalReader::open(vec![directory.path().to_owned()], StartAt::Beginning, 1 << 20);
    let (mut entries, mut bytes) = (0, 0);
    for _ in 0..4 {
        reader.refresh(NOW, true);
        while let Some(entry) = reader.next_entry() {
            entries += 1;
            bytes += entry.fields().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            assert!(entries < 10_000 && bytes < 256 << 20, "it ends");
        }
        while reader.take_problem().is_some() {}
    }
    (entries, reader.losses().damaged)
}

fn written(count: u64, state: u8) -> Vec<u8> {
    let mut writer = Writer::new(1, 1, count.is_multiple_of(2));
    for seqnum in 1..=count {
        let message = format!("MESSAGE=number {seqnum}");
        writer.append(seqnum, &[&message, "PRIORITY=6", "_SYSTEMD_UNIT=web.service", "X=y"]);
    }
    writer.set_state(state).bytes.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn flipped_bytes_end_in_bounded_work(
        count in 1..60_u64,
        state in 0..3_u8,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut journal = written(count, state);
        for (at, value) in flips {
            let at = at.index(journal.len());
            journal[at] = value;
        }
        let (entries, _) = read_damaged(&journal);
        prop_assert!(entries <= count as usize);
    }

    #[test]
    fn numbers_that_mean_something_else_end_in_bounded_work(
        count in 1..60_u64,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 1..8),
    ) {
        // Offsets and sizes are exchanged among each other, so that they stay plausible.
        let mut journal = written(count, 2);
        for (to, from, is_huge) in changes {
            let (to, from) = (to.index(journal.len() / 8) * 8, from.index(journal.len() / 8) * 8);
            let number: [u8; 8] = journal[from..from + 8].try_into().unwrap();
            journal[to..to + 8].copy_from_slice(&if is_huge { [0xff; 8] } else { number });
        }
        let (entries, _) = read_damaged(&journal);
        prop_assert!(entries <= count as usize);
    }

    #[test]
    fn a_torn_file_gives_what_it_has_and_the_rest_is_counted(
        count in 1..60_u64,
        at in any::<prop::sample::Index>(),
    ) {
        let mut journal = written(count, 2);
        journal.truncate(at.index(journal.len()));
        let (entries, lost) = read_damaged(&journal);
        // Without its header it is no journal.
        if journal.len() >= 208 {
            prop_assert_eq!(entries as u64 + lost, count);
        }
    }

    #[test]
    fn packed_fields_may_be_anything(
        kind in 0..3_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        most in 0..5_000_usize,
    ) {
        let (packing, mut packed) = PACKED[kind].clone();
        for (at, value) in flips {
            let at = at.index(packed.len());
            packed[at] = value;
        }
        let mut out = b"before".to_vec();
        let _ = unpack::Unpacker::default().unpack(packing, &packed, most, &mut out);
        prop_assert!(out.starts_with(b"before") && out.len() <= 6 + most + usize::from(packing == layout::Packing::Zstd));
    }
}

static PACKED: LazyLock<[(layout::Packing, Vec<u8>); 3]> =
    LazyLock::new(|| [packed(0), packed(1), packed(2)]);

/// A text as each packer packs it.
fn packed(kind: usize) -> (layout::Packing, Vec<u8>) {
    match kind {
        0 => (layout::Packing::Zstd, zstd::stream::encode_all(&*text(), 3).unwrap()),
        1 => (layout::Packing::Lz4, largest_of("lz4.journal", 2)),
        _ => (layout::Packing::Xz, largest_of("xz.journal", 1)),
    }
}

fn text() -> Vec<u8> {
    (0..900_u32).flat_map(|at| format!("{} ", at * at % 1013).into_bytes()).collect()
}

/// The largest payload that is packed so, in a file that is not compact.
fn largest_of(name: &str, flag: u8) -> Vec<u8> {
    let journal = fixture(name);
    let (mut at, mut largest) = (u64::from_le_bytes(journal[88..96].try_into().unwrap()) as usize, 0..0);
    while at + 16 < journal.len() {
        let size = u64::from_le_bytes(journal[at + 8..at + 16].try_into().unwrap()) as usize;
        if journal[at] == 1 && journal[at + 1] == flag && size - 64 > largest.len() {
            largest = at + 64..at + size;
        }
        at = if size == 0 { at + 8 } else { (at + size).next_multiple_of(8) };
    }
    journal[largest].to_vec()
}

#[test]
fn unpacking_ends_at_its_limit() {
    for kind in 0..3 {
        let (packing, bytes) = PACKED[kind].clone();
        let mut whole = Vec::new();
        let all = 1 << 20;
        let result = unpack::Unpacker::default().unpack(packing, &bytes, all, &mut whole);
        assert_eq!(result, Ok(unpack::Unpacked::Whole), "{packing:?}");
        for most in [0, 1, 100, whole.len() - 1, whole.len(), whole.len() + 1] {
            let mut out = Vec::new();
            let result = unpack::Unpacker::default().unpack(packing, &bytes, most, &mut out).unwrap();
            let is_whole = result == unpack::Unpacked::Whole;
            assert_eq!(
                (out.len(), is_whole),
                (whole.len().min(most), most >= whole.len()),
                "{packing:?} {most}"
            );
            assert!(whole.starts_with(&out));
        }
    }
}

#[test]
fn a_damaged_entry_costs_itself_and_no_other() {
    let mut journal = written(40, 2);
    // The entries are 3 at offsets that are multiples of 8.
    let entries: Vec<usize> = (256..journal.len())
        .step_by(8)
        .filter(|at| journal[at + 1..at + 8] == [0; 7] && journal[*at] == 3 && journal[at + 8] >= 64)
        .collect();
    journal[entries[10]] = 9;
    let directory = directory_of(&journal);
    let mut reader = JournalReader::open(vec![directory.path().to_owned()], StartAt::Beginning, 1 << 20);
    reader.refresh(NOW, true);
    let mut read = 0;
    while reader.next_entry().is_some() {
        read += 1;
    }
    assert_eq!((read, reader.losses().damaged), (39, 1));
    assert!(matches!(reader.take_problem(), Some(LogSourceError::Damaged { .. })));
    assert!(reader.take_problem().is_none(), "told once");
    for _ in 0..3 {
        reader.refresh(NOW, true);
        assert!(reader.next_entry().is_none());
    }
    assert_eq!(reader.losses().rotated_away, 0, "its number is missing for a reason that was counted");
}
