use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use logs::{LogSource, LogSourceError, Ready, SourceFigures};
use telemetry::{LogGroup, LogScalar, Signal, Timestamp};

use super::*;
use crate::clock;

/// A stream of numbered lines that a fake source reads, and what was done with it.
#[derive(Default)]
struct Stream {
    /// How many lines there are.
    lines: u64,
    /// How many it gives at a time, at most.
    at_a_time: u64,
    /// The next reading fails.
    fails: bool,
    opened: u64,
    read: u64,
}

struct Fake {
    name: Arc<str>,
    stream: Arc<Mutex<Stream>>,
    next: u64,
}

impl LogSource for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn wakes(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn next_look(&self, _now: Timestamp) -> Option<Duration> {
        (self.next < self.stream.lock().unwrap().lines).then_some(Duration::ZERO)
    }

    fn read_ready(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError> {
        let mut stream = self.stream.lock().unwrap();
        stream.read += 1;
        if std::mem::take(&mut stream.fails) {
            let source = io::Error::other("gone");
            return Err(LogSourceError::File { operation: "reading", path: "/x".into(), source });
        }
        out.set_group(&LogGroup {
            source: Arc::clone(&self.name),
            resource: Arc::default(),
            shared: Arc::default(),
        });
        let end = stream.lines.min(self.next.saturating_add(stream.at_a_time));
        while self.next < end && out.size_bytes() < max_bytes {
            out.push(now).set_body(LogScalar::Int(self.next as i64));
            self.next += 1;
        }
        Ok(if self.next < stream.lines { Ready::More } else { Ready::CaughtUp })
    }

    fn settle(&mut self, positions: &mut Positions) {
        positions.set(&self.name, &self.next);
    }

    fn figures(&self) -> SourceFigures {
        SourceFigures { records: self.next, ..SourceFigures::default() }
    }
}

/// A shipping of some streams, on a clock that stands unless it is moved.
struct Bench {
    shipping: LogShipping,
    streams: Vec<Arc<Mutex<Stream>>>,
    now: Moment,
    directory: tempfile::TempDir,
}

fn bench(sources: usize) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let positions = Positions::open(&directory.path().join("positions")).unwrap();
    let stream = || Arc::new(Mutex::new(Stream { at_a_time: u64::MAX, ..Stream::default() }));
    let streams: Vec<_> = (0..sources).map(|_| stream()).collect();
    let now = Moment { wall: Timestamp::from_secs(1), at: clock::monotonic() };
    let mut bench = Bench { shipping: LogShipping::new(positions), streams, now, directory };
    let specs = (0..sources).map(|at| bench.spec(at, "a")).collect();
    bench.shipping.follow(specs, bench.now);
    bench
}

impl Bench {
    fn spec(&self, at: usize, printed: &str) -> SourceSpec {
        let name: Arc<str> = format!("source-{at}").into();
        let (stream, of_open) = (Arc::clone(&self.streams[at]), Arc::clone(&name));
        let open = move |positions: &Positions| -> Result<Box<dyn LogSource>, LogSourceError> {
            stream.lock().unwrap().opened += 1;
            let next = positions.get(&of_open).unwrap_or(0);
            Ok(Box::new(Fake { name: Arc::clone(&of_open), stream: Arc::clone(&stream), next }))
        };
        SourceSpec { name, kind: "files", printed: printed.to_owned(), open: Box::new(open) }
    }

    fn add(&self, at: usize, lines: u64) {
        self.streams[at].lock().unwrap().lines += lines;
    }

    fn pass(&mut self, time: Duration) {
        self.now = Moment { wall: self.now.wall.plus(time), at: self.now.at + time };
    }

    /// What a round reads: the numbers, by the sources. It is offered then.
    fn read(&mut self) -> Vec<(String, i64)> {
        let records = self.shipping.read(&[], self.now);
        let number = |body| if let telemetry::LogValue::Int(number) = body { number } else { -1 };
        let read: Vec<_> =
            records.records().map(|it| (it.group().source.to_string(), number(it.body()))).collect();
        let batch = Batch { signal: Signal::Logs, payload: Bytes::new(), items: read.len() as u64 };
        self.shipping.hold(if read.is_empty() { Vec::new() } else { vec![batch] });
        if self.shipping.is_durable() {
            self.shipping.settle(self.now);
        } else {
            assert_eq!(self.shipping.offer().len(), 1);
        }
        read
    }

    fn answer(&mut self, outcome: &Result<(), NotAccepted>) {
        self.shipping.answered(0, outcome, self.now);
        if self.shipping.is_durable() {
            self.shipping.settle(self.now);
        }
    }

    /// A round that becomes durable: how many records it had.
    fn round(&mut self) -> usize {
        let read = self.read().len();
        self.answer(&Ok(()));
        read
    }

    /// The place that a restart would find.
    fn place(&self, at: usize) -> u64 {
        let positions = Positions::open(&self.directory.path().join("positions")).unwrap();
        positions.get(&format!("source-{at}")).unwrap_or(0)
    }
}

#[test]
fn places_move_once_the_records_are_durable() {
    let mut bench = bench(1);
    bench.add(0, 3);
    assert_eq!(bench.read().len(), 3);
    assert_eq!((bench.place(0), bench.shipping.next(bench.now)), (0, Step::Wait(ATTENTION)));
    bench.answer(&Ok(()));
    assert_eq!(bench.place(0), 3);
}

#[test]
fn what_is_not_durable_is_offered_again_and_nothing_is_read_meanwhile() {
    let mut bench = bench(1);
    bench.add(0, 3);
    bench.read();
    bench.add(0, 1);
    for _ in 0..20 {
        bench.answer(&Err(NotAccepted::NoQueue));
        assert!(bench.shipping.held().unwrap().contains("cannot be made durable"));
        let Step::Wait(within) = bench.shipping.next(bench.now) else {
            panic!("it waits before it tries again")
        };
        assert!(within >= Duration::from_millis(500) && within <= Duration::from_secs(10), "{within:?}");
        bench.pass(Duration::from_secs(10));
        assert_eq!(bench.shipping.next(bench.now), Step::Offer);
        assert_eq!(bench.shipping.offer().len(), 1);
    }
    assert_eq!((bench.place(0), bench.streams[0].lock().unwrap().read), (0, 1));
    bench.answer(&Ok(()));
    assert_eq!((bench.place(0), bench.shipping.held()), (3, None));
    assert_eq!(bench.round(), 1);
}

#[test]
fn what_the_queue_will_never_take_is_counted_and_left_behind() {
    let mut bench = bench(1);
    bench.add(0, 2);
    bench.read();
    bench.answer(&Err(NotAccepted::TooLarge { bytes: 9, limit: 8 }));
    assert_eq!(bench.place(0), 2);
    assert_eq!(bench.shipping.reports()[0].figures.lost, [("too_large", 2)]);
}

#[test]
fn a_steady_trickle_costs_ten_rounds_a_second_and_a_line_after_silence_waits_for_nothing() {
    let mut bench = bench(1);
    bench.round();
    bench.pass(Duration::from_secs(1));
    let mut rounds = 0;
    for _ in 0..1_000 {
        bench.add(0, 5);
        if bench.shipping.next(bench.now) == Step::Read(Duration::ZERO) {
            rounds += usize::from(bench.round() > 0);
        }
        bench.pass(Duration::from_millis(1));
    }
    assert_eq!(rounds, 10);
    bench.pass(Duration::from_secs(1));
    bench.round();
    bench.pass(Duration::from_secs(1));
    bench.add(0, 1);
    assert_eq!(bench.shipping.next(bench.now), Step::Read(Duration::ZERO));
}

#[test]
fn a_source_that_has_more_than_a_round_takes_is_read_on_at_once() {
    let mut bench = bench(1);
    bench.add(0, 100_000);
    assert!(bench.round() < 50_000);
    assert_eq!(bench.shipping.next(bench.now), Step::Read(Duration::ZERO));
    let mut read = 0;
    while read < 100_000 {
        read = bench.place(0);
        bench.round();
    }
}

#[test]
fn what_is_left_out_is_read_over_quickly_and_never_takes_a_processor() {
    let mut bench = bench(1);
    bench.add(0, 5);
    bench.streams[0].lock().unwrap().at_a_time = 0;
    let mut at_once = 0;
    while bench.shipping.next(bench.now) == Step::Read(Duration::ZERO) {
        bench.round();
        at_once += 1;
    }
    assert_eq!((at_once, bench.shipping.next(bench.now)), (MOST_FRUITLESS, Step::Wait(LINGER)));
}

#[test]
fn a_source_with_much_leaves_the_others_their_share_and_takes_what_they_leave() {
    let mut bench = bench(3);
    for (at, lines) in [(0, 100_000), (1, 10), (2, 100_000)] {
        bench.add(at, lines);
    }
    for _ in 0..4 {
        bench.round();
    }
    let places = [0, 1, 2].map(|at| bench.place(at));
    assert_eq!(places[1], 10);
    let (one, other) = (places[0], places[2]);
    assert!(one.abs_diff(other) < one / 4 && one + other > 20_000, "{places:?}");
}

#[test]
fn a_source_that_fails_is_left_alone_for_a_while_and_does_not_stop_the_others() {
    let mut bench = bench(2);
    bench.add(0, 1);
    bench.add(1, 1);
    bench.streams[0].lock().unwrap().fails = true;
    assert_eq!(bench.round(), 1);
    let report = &bench.shipping.reports()[0];
    assert_eq!((report.failures, report.trouble.as_deref()), (1, Some("reading /x: gone")));
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.round(), 0);
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.round(), 1);
    let report = &bench.shipping.reports()[0];
    assert_eq!((report.failures, &report.trouble), (1, &None));
}

#[test]
fn a_source_that_a_reload_leaves_as_it_is_goes_on_and_a_changed_one_is_opened_at_its_place() {
    let mut bench = bench(3);
    (0..3).for_each(|at| bench.add(at, 5));
    bench.round();
    let specs = vec![bench.spec(1, "changed"), bench.spec(0, "a")];
    bench.shipping.follow(specs, bench.now);
    (0..3).for_each(|at| bench.add(at, 2));
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.round(), 4);
    let opened = [0, 1, 2].map(|at| bench.streams[at].lock().unwrap().opened);
    assert_eq!((opened, [0, 1, 2].map(|at| bench.place(at))), ([1, 2, 1], [7, 7, 5]));
}

#[test]
fn a_round_that_is_held_back_is_read_again_after_a_reload() {
    let mut bench = bench(1);
    bench.add(0, 5);
    bench.read();
    bench.answer(&Err(NotAccepted::NoQueue));
    let specs = vec![bench.spec(0, "a")];
    bench.shipping.follow(specs, bench.now);
    assert_eq!((bench.read().len(), bench.place(0)), (5, 0));
    bench.answer(&Ok(()));
    assert_eq!(bench.place(0), 5);
}

#[test]
fn while_nobody_takes_records_none_are_read() {
    let mut bench = bench(1);
    bench.add(0, 5);
    bench.shipping.set_wanted(false);
    assert_eq!(bench.shipping.next(bench.now), Step::Wait(ATTENTION));
    assert!(bench.shipping.held().unwrap().contains("no destination takes logs"));
    bench.shipping.set_wanted(true);
    assert_eq!((bench.shipping.next(bench.now), bench.shipping.held()), (Step::Read(Duration::ZERO), None));
}

#[test]
fn sources_that_come_while_nobody_takes_records_are_told_of_as_well() {
    let mut bench = bench(1);
    bench.shipping.follow(Vec::new(), bench.now);
    bench.shipping.set_wanted(false);
    assert_eq!(bench.shipping.held(), None);
    let spec = bench.spec(0, "a");
    bench.shipping.follow(vec![spec], bench.now);
    bench.shipping.set_wanted(false);
    assert!(bench.shipping.held().unwrap().contains("no destination takes logs"));
}

#[test]
fn places_that_cannot_be_saved_hold_reading_back_until_they_can() {
    let mut bench = bench(1);
    bench.add(0, 5);
    let path = bench.directory.path().join("positions");
    std::fs::create_dir(&path).unwrap();
    bench.round();
    bench.add(0, 5);
    assert!(matches!(bench.shipping.next(bench.now), Step::Wait(_)));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.shipping.next(bench.now), Step::Save);
    std::fs::remove_dir(Path::new(&path)).unwrap();
    bench.shipping.save(bench.now);
    assert_eq!((bench.place(0), bench.shipping.held()), (5, None));
    assert_eq!(bench.round(), 5);
}

#[test]
fn saved_places_outlast_a_crash_of_the_machine_a_second_later() {
    let mut bench = bench(1);
    bench.add(0, 5);
    bench.round();
    bench.pass(LINGER);
    let left = SYNC_WITHIN.saturating_sub(LINGER);
    assert_eq!(bench.shipping.next(bench.now), Step::Read(left));
    bench.pass(left);
    bench.shipping.sync(bench.now, false);
    assert_eq!(bench.shipping.next(bench.now), Step::Read(ATTENTION));
}

/// Whatever fails and whenever the agent ends, what is durable has every number, in order, and only those again that were
/// in the round under way.
#[test]
fn after_any_ends_and_failures_nothing_is_missing_and_at_most_a_round_is_repeated() {
    let mut outcomes = VecDeque::from([0, 1, 0, 0, 2, 1, 2, 0, 1, 1, 0, 2].repeat(20));
    let mut bench = bench(1);
    bench.streams[0].lock().unwrap().at_a_time = 7;
    let (mut durable, mut kept): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
    while let Some(outcome) = outcomes.pop_front() {
        bench.add(0, 11);
        bench.pass(Duration::from_secs(10));
        if bench.shipping.is_durable() {
            kept = bench.read().into_iter().map(|(_, number)| number).collect();
        } else {
            bench.shipping.offer();
        }
        match outcome {
            0 => {
                durable.append(&mut kept);
                bench.answer(&Ok(()));
            }
            1 => bench.answer(&Err(NotAccepted::NoQueue)),
            _ => {
                // The queue has it, the end comes before the place is saved.
                durable.append(&mut kept);
                let positions = Positions::open(&bench.directory.path().join("positions")).unwrap();
                let specs = vec![bench.spec(0, "a")];
                bench.shipping = LogShipping::new(positions);
                bench.shipping.follow(specs, bench.now);
            }
        }
    }
    let mut next = 0;
    for number in durable {
        assert!(number <= next && number + 7 >= next, "{number} after {next}");
        next = next.max(number + 1);
    }
    assert!(next > 500, "{next}");
}
