//! Anything in any order, against a model that only remembers what was promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::cursor::Position;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u16>),
    Read { cursor: usize, records: usize },
    Acknowledge { cursor: usize, through: usize },
    Remove { cursor: usize },
    Maintain(u8),
    Close,
    Kill,
    Crash(u64),
    CrashWhileOpening { operations: u64, seed: u64 },
    DieAfter(u64),
    FailWrites(u32),
    FailSyncs(u32),
    FailDirectorySyncs(u32),
    FailRemoves(u32),
    LeaveRoom(Option<u32>),
}

fn steps(with_limits: bool) -> impl Strategy<Value = Vec<Step>> {
    // A full disk drops segments, which is a limit.
    let room = (any::<bool>(), 0_u32..200_000);
    let room = room.prop_map(move |(full, bytes)| (full && with_limits).then_some(bytes));
    let step = prop_oneof![
        8 => vec(0_u16..24_000, 1..6).prop_map(Step::Append),
        5 => (0_usize..2, 1_usize..8).prop_map(|(cursor, records)| Step::Read { cursor, records }),
        5 => (0_usize..2, 0_usize..8).prop_map(|(cursor, through)| Step::Acknowledge { cursor, through }),
        1 => (0_usize..2).prop_map(|cursor| Step::Remove { cursor }),
        1 => (0_u8..4).prop_map(Step::Maintain),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => (0_u64..12, any::<u64>())
            .prop_map(|(operations, seed)| Step::CrashWhileOpening { operations, seed }),
        2 => (0_u64..30).prop_map(Step::DieAfter),
        1 => (1_u32..6).prop_map(Step::FailWrites),
        1 => (1_u32..6).prop_map(Step::FailSyncs),
        1 => (1_u32..4).prop_map(Step::FailDirectorySyncs),
        1 => (1_u32..4).prop_map(Step::FailRemoves),
        2 => room.prop_map(Step::LeaveRoom),
    ];
    vec(step, 1..60)
}

/// With and without what is kept in memory.
const RECENT: [u64; 3] = [0, 20_000, 200_000];

/// What a reader was given and gave back.
#[derive(Default)]
struct Reader {
    cursor: Option<Cursor>,
    in_flight: Vec<(u64, Position)>,
    /// The least sequence number that may come next.
    next: u64,
    delivered: BTreeSet<u64>,
}

struct World {
    bench: Option<Bench>,
    /// Sequence number to the number of the entry.
    accepted: BTreeMap<u64, u64>,
    appended: u64,
    readers: [Reader; 2],
    with_limits: bool,
    /// Nothing was dropped while positions could not be saved, so losses are known exactly.
    exact: bool,
}

const NAMES: [&str; 2] = ["a", "b"];

impl World {
    fn new(with_limits: bool, recent_bytes: u64) -> Self {
        let small = Options { recent_bytes, ..small() };
        let options = if with_limits {
            let max_age = Some(Duration::from_secs(40));
            Options { max_bytes: 4 * SEGMENT, min_free_bytes: SEGMENT, max_age, reserve: true, ..small }
        } else {
            small
        };
        let mut world = Self {
            bench: Some(Bench::new(options)),
            accepted: BTreeMap::new(),
            appended: 0,
            readers: Default::default(),
            with_limits,
            exact: true,
        };
        world.take_cursors();
        world
    }

    fn bench(&mut self) -> &mut Bench {
        self.bench.as_mut().unwrap()
    }

    /// Where a cursor began and how far it is, in sequence numbers.
    fn reach(&mut self, cursor: usize) -> (u64, u64) {
        let state = self.bench().opened.shared.lock();
        state
            .cursors
            .get(NAMES[cursor])
            .map_or((0, 0), |progress| (progress.base.seq, progress.acknowledged.seq))
    }

    fn take_cursors(&mut self) {
        for (index, name) in NAMES.iter().enumerate() {
            let cursor = self.bench().cursor(name);
            let (_, next) = self.reach(index);
            let reader = &mut self.readers[index];
            reader.next = next;
            reader.cursor = Some(cursor);
        }
        let restored = self.bench().restored.clone();
        self.forget_after(&restored);
        self.bench().work();
    }

    /// What was delivered after these positions is not known to be.
    fn forget_after(&mut self, restored: &[(String, u64)]) {
        for (name, reader) in NAMES.iter().zip(&mut self.readers) {
            let restored = restored.iter().find(|(restored, _)| restored == name).map_or(0, |of| of.1);
            reader.delivered.retain(|seq| *seq < restored);
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append(sizes) => self.append(&sizes),
            Step::Read { cursor, records } => self.read(cursor, records),
            Step::Acknowledge { cursor, through } => self.acknowledge(cursor, through),
            Step::Remove { cursor } => self.remove(cursor),
            Step::Maintain(seconds) => {
                let now = (self.appended as i64 + i64::from(seconds)) * SECOND;
                self.bench().maintain(now);
            }
            Step::Close => {
                let closing = crate::writer::Round { closing: true, ..Default::default() };
                let before = [self.reach(0), self.reach(1)];
                self.bench().disk.heal();
                self.bench().opened.writer.round(closing);
                let saved = self.bench().figures().counters.position_failures == 0 || !self.with_limits;
                self.again(None);
                let after = [self.reach(0), self.reach(1)];
                assert!(!saved || self.with_limits || before == after, "closing costs no duplicates");
            }
            Step::Kill => self.again(None),
            Step::Crash(seed) => self.again(Some(seed)),
            Step::CrashWhileOpening { operations, seed } => {
                self.leave();
                let Bench { disk, options, opened, .. } = self.bench.take().unwrap();
                drop(opened);
                disk.crash(seed);
                disk.die_after(operations);
                // On a dead disk it may not open at all. If it does, it may drop what was delivered and count it as lost.
                if let Ok(tried) = Bench::try_on(disk.clone(), options.clone()) {
                    self.forget_after(&tried.restored);
                }
                disk.crash(!seed);
                self.arrive(Bench::on(disk, options));
            }
            Step::DieAfter(operations) if !self.bench().disk.is_dead() => {
                self.bench().disk.die_after(operations);
            }
            Step::DieAfter(_) => {}
            Step::FailWrites(count) => self.bench().disk.fail_writes(count),
            Step::FailSyncs(count) => self.bench().disk.fail_syncs(count),
            Step::FailDirectorySyncs(count) => {
                self.exact &= !self.with_limits;
                self.bench().disk.fail_directory_syncs(count);
            }
            // A dropped segment that is still there would be read again under numbers that were given anew.
            Step::FailRemoves(_) if self.with_limits => {}
            Step::FailRemoves(count) => self.bench().disk.fail_removes(count),
            Step::LeaveRoom(room) => self.bench().disk.leave_room(room.map(u64::from)),
        }
        self.check();
    }

    fn append(&mut self, sizes: &[u16]) {
        let first = self.appended;
        self.appended += sizes.len() as u64;
        let entries: Vec<_> =
            (first..).zip(sizes).map(|(number, size)| entry(number, usize::from(*size))).collect();
        let results = self.bench().append(entries);
        for (number, result) in (first..).zip(results) {
            if let Ok(seq) = result {
                assert_eq!(self.accepted.insert(seq, number), None, "a sequence number is given once");
            }
        }
    }

    fn read(&mut self, index: usize, limit: usize) {
        let (_, next) = self.reach(index);
        let reader = &mut self.readers[index];
        let Ok(records) = reader.cursor.as_ref().unwrap().read(limit, 40_000) else { return };
        reader.next = reader.next.max(next);
        for record in records {
            assert!(record.seq >= reader.next, "in order, each once");
            let skipped = self.accepted.range(reader.next..record.seq).count();
            assert!(skipped == 0 || !self.exact, "{skipped} accepted passed over from {}", reader.next);
            if let Some(number) = self.accepted.get(&record.seq) {
                assert_eq!(super::number(&record.payload), *number);
            }
            reader.next = record.seq + 1;
            reader.in_flight.push((record.seq, record.position));
        }
    }

    fn acknowledge(&mut self, index: usize, through: usize) {
        let (_, next) = self.reach(index);
        let reader = &mut self.readers[index];
        let through = (through + 1).min(reader.in_flight.len());
        let done: Vec<_> = reader.in_flight.drain(..through).collect();
        if let Some((_, position)) = done.last() {
            reader.cursor.as_ref().unwrap().acknowledge(*position);
            // What was dropped while in flight is counted as lost, and not as delivered as well.
            reader.delivered.extend(done.iter().map(|(seq, _)| *seq).filter(|seq| *seq >= next));
        }
    }

    fn remove(&mut self, index: usize) {
        if self.bench().disk.is_dead() {
            return;
        }
        self.bench().disk.heal();
        self.readers[index] = Reader::default();
        {
            let mut state = self.bench().opened.shared.lock();
            state.cursors.remove(NAMES[index]);
            state.removed.push(NAMES[index].to_owned());
        }
        self.bench().work();
        let cursor = self.bench().cursor(NAMES[index]);
        let next = self.reach(index).1;
        self.readers[index] = Reader { cursor: Some(cursor), next, ..Reader::default() };
    }

    fn leave(&mut self) {
        for reader in &mut self.readers {
            reader.cursor = None;
            reader.in_flight.clear();
        }
    }

    fn again(&mut self, crash: Option<u64>) {
        self.leave();
        let bench = self.bench.take().unwrap();
        // Without a crash, a dead disk was a process that ended there and then.
        bench.disk.heal();
        let bench = bench.again(crash);
        self.arrive(bench);
    }

    fn arrive(&mut self, bench: Bench) {
        assert!(bench.opening().positions_reset.is_empty() || !self.exact);
        if !self.exact {
            // Where neither records nor positions could be kept, counting may begin anew.
            let end = bench.opened.shared.lock().end.seq;
            self.accepted.retain(|seq, _| *seq < end);
        }
        self.bench = Some(bench);
        self.take_cursors();
    }

    /// The ledger agrees with what was read and acknowledged.
    fn check(&mut self) {
        // On a dead disk a position is not saved, but nothing is dropped either.
        let lost_a_save = self.bench().figures().counters.position_failures > 0;
        let only_dead = self.bench().disk.is_dead() && !self.bench().disk.was_struck();
        self.exact &= !self.with_limits || !lost_a_save || only_dead;
        for (index, name) in NAMES.iter().enumerate() {
            let (base, next) = self.reach(index);
            let figures = self.bench().figures_of(name);
            let told = self.readers[index].delivered.range(base..next);
            // What was refused may be read all the same, until a crash takes it, and with it the word that it was delivered.
            let accepted = told.clone().filter(|seq| self.accepted.contains_key(seq)).count() as u64;
            let possible = accepted..=told.count() as u64;
            if self.exact {
                let delivered = figures.delivered.records;
                assert!(
                    possible.contains(&delivered),
                    "{name} from {base} to {next}: {delivered}, {possible:?}"
                );
                assert_eq!(figures.lost.total().records, next - base - delivered);
            }
            if !self.with_limits {
                let reader = &self.readers[index];
                let lost = self.accepted.range(base..next).find(|(seq, _)| !reader.delivered.contains(seq));
                assert_eq!(lost, None, "{name} has passed what it never acknowledged");
            }
        }
        if self.with_limits {
            assert!(self.bench().figures().disk_bytes <= 5 * SEGMENT);
        }
    }

    /// Everything accepted that was not delivered or dropped can still be read, and what cannot is counted.
    fn finish(mut self) {
        self.bench().disk.leave_room(None);
        self.again(None);
        for (index, name) in NAMES.iter().enumerate() {
            let (_, next) = self.reach(index);
            let before = self.bench().figures_of(name);
            let read = read_all(self.readers[index].cursor.as_ref().unwrap());
            let seqs: BTreeSet<u64> = read.iter().map(|record| record.seq).collect();
            if self.exact {
                let missing = self.accepted.range(next..).find(|(seq, _)| !seqs.contains(seq));
                assert_eq!(missing, None, "{name} cannot read what was accepted");
            }
            if let Some(last) = read.last() {
                self.readers[index].cursor.as_ref().unwrap().acknowledge(last.position);
            }
            let after = self.bench().figures_of(name);
            assert_eq!(after.queued, Totals::default());
            let lost = after.lost.total().records - before.lost.total().records;
            assert_eq!(lost, before.queued.records - seqs.len() as u64);
        }
    }
}

proptest! {
    #[test]
    fn nothing_accepted_is_lost_whatever_fails_and_whenever_it_crashes(steps in steps(false), recent in select(&RECENT)) {
        let mut world = World::new(false, recent);
        for step in steps {
            world.run(step);
        }
        world.finish();
    }

    #[test]
    fn what_the_limits_drop_is_counted_to_the_record(steps in steps(true), recent in select(&RECENT)) {
        let mut world = World::new(true, recent);
        for step in steps {
            world.run(step);
        }
        world.finish();
    }
}

#[test]
fn what_was_delivered_and_not_saved_may_count_as_dropped_by_an_opening_that_fails_as_well() {
    let mut world = World::new(true, 0);
    let steps = [
        Step::Append(vec![15_521, 13_253, 21_687, 14_788]),
        Step::DieAfter(16),
        Step::Read { cursor: 0, records: 1 },
        Step::Append(vec![0]),
        Step::Append(vec![19_052, 9_380, 19_028]),
        Step::Append(vec![14_434]),
        Step::Acknowledge { cursor: 0, through: 0 },
        Step::Append(vec![9_294, 23_254, 17_117, 18_809]),
        Step::CrashWhileOpening { operations: 8, seed: 1_876_036_981_049_004_021 },
    ];
    for step in steps {
        world.run(step);
    }
    world.finish();
}
