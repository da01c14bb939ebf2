//! The loss ledger under random offers, answers, ends, crashes and changes: nothing that was accepted is lost, and every
//! item is in one place at every look.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::sender::destination::tests::options;
use crate::sender::exporter::Accepted;
use crate::sender::fake::{Answer, Fake, later, refused, too_large};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SOON: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
enum Step {
    Offer(usize, u64),
    Accept(usize, u64),
    Look,
    Restart,
    Crash,
    Replay,
    /// Whether the second destination is there.
    Reconfigure(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3_usize, 1..6_u64).prop_map(|(signal, items)| Step::Offer(signal, items)),
        12 => (0..3_usize, 1..6_u64).prop_map(|(signal, items)| Step::Accept(signal, items)),
        6 => Just(Step::Look),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::Replay),
        1 => any::<bool>().prop_map(Step::Reconfigure),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Destinations that answer by chance until they are calmed, and the numbers of the requests that they took.
struct World {
    chance: Mutex<u64>,
    calm: AtomicBool,
    seen: Mutex<BTreeSet<(String, u64)>>,
}

impl World {
    fn answer(&self, destination: &str, batch: &Batch) -> Answer {
        let mut chance = self.chance.lock().unwrap();
        *chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = if self.calm.load(Ordering::Relaxed) { 0 } else { (*chance >> 33) % 20 };
        drop(chance);
        match roll {
            12..15 => return Err(later(Some(Duration::from_millis(1)))),
            15..17 => return Err(refused()),
            17 => return Err(too_large()),
            _ => {}
        }
        let numbers = numbers(&batch.payload).into_iter().map(|number| (destination.to_owned(), number));
        self.seen.lock().unwrap().extend(numbers);
        match roll {
            18.. => Ok(Accepted { rejected_items: 2, message: "too old".to_owned() }),
            _ => Ok(Accepted::default()),
        }
    }
}

/// A request that holds a number: a resource with a schema URL and nothing else.
fn request(number: u64) -> Bytes {
    Bytes::from(format!("\x0a\x0a\x1a\x08{number:08}"))
}

fn numbers(payload: &[u8]) -> Vec<u64> {
    let requests = payload.chunks_exact(12);
    requests.map(|request| std::str::from_utf8(&request[4..]).unwrap().parse().unwrap()).collect()
}

fn destinations(with_second: bool) -> Vec<Destination> {
    let names = ["a", "b"].into_iter().take(1 + usize::from(with_second));
    let destination = |name: &str| {
        let options = options("http://127.0.0.1:1", Protocol::Grpc);
        let concurrency = if name == "a" { 1 } else { 3 };
        Destination::new(DestinationOptions { name: name.to_owned(), concurrency, ..options }).unwrap()
    };
    names.map(destination).collect()
}

fn start(world: &Arc<World>, directory: &Path, with_second: bool) -> Sender {
    let limits = QueueLimits { min_free_bytes: 0, ..QueueLimits::default() };
    let queue = QueueOptions { directory: directory.join("queue"), limits };
    let world = Arc::clone(world);
    let connect: Connect = Arc::new(move |destination| {
        let (world, name) = (Arc::clone(&world), destination.name().to_owned());
        Arc::new(Fake::new(destination.name(), move |batch| world.answer(&name, batch)))
    });
    let runtime = Builder::new_current_thread();
    Sender::start_with(destinations(with_second), Some(&queue), SOON, || (), connect, runtime).unwrap()
}

/// What a crash at this moment would leave. The dead letters last, for they are written first.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(|entry| entry.file_name() == "dead");
    for entry in entries {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            // It may have been renamed meanwhile.
            let _ = std::fs::copy(from, to);
        }
    }
}

fn dead(directory: &Path) -> BTreeSet<(String, u64)> {
    let mut dead = BTreeSet::new();
    for queue in DeadLetterQueue::all(&directory.join("queue")).unwrap() {
        queue::export(&queue.directory, |_, entry| {
            let letter = DeadLetter::read(&entry.payload).unwrap();
            dead.extend(
                numbers(&letter.request).into_iter().map(|number| (queue.destination.clone(), number)),
            );
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    dead
}

fn check(figures: &SenderFigures) {
    for figures in figures.destinations.iter().flat_map(|destination| &destination.signals) {
        assert!(figures.is_balanced(), "{figures:?}");
    }
}

fn run_through(steps: Vec<Step>, seed: u64) {
    let world =
        Arc::new(World { chance: Mutex::new(seed), calm: AtomicBool::new(false), seen: Mutex::default() });
    let mut directory = tempfile::tempdir().unwrap();
    let mut with_second = false;
    let mut sender = start(&world, directory.path(), with_second);
    let mut accepted = BTreeSet::new();
    for (number, step) in (0_u64..).zip(steps) {
        match step {
            Step::Offer(signal, items) => {
                let batch = Batch { signal: Signal::ALL[signal], payload: request(number), items };
                sender.offer(&batch, NOW);
            }
            Step::Accept(signal, items) => {
                let (tell, told) = sync_channel(1);
                let batch = Batch { signal: Signal::ALL[signal], payload: request(number), items };
                sender.accept(batch, NOW, move |outcome| tell.send(outcome).unwrap());
                told.recv_timeout(SOON).unwrap().unwrap();
                accepted.insert(("a".to_owned(), number));
            }
            Step::Look => check(&sender.figures()),
            Step::Restart => {
                check(&sender.flush_and_stop(Duration::from_millis(1)));
                drop(sender);
                sender = start(&world, directory.path(), with_second);
            }
            Step::Crash => {
                let after = tempfile::tempdir().unwrap();
                copy(directory.path(), after.path());
                drop(sender);
                directory = after;
                sender = start(&world, directory.path(), with_second);
            }
            Step::Replay => {
                sender.replay(None, None);
            }
            Step::Reconfigure(second) => {
                with_second = second;
                sender.reconfigure(destinations(with_second)).unwrap();
            }
        }
    }
    world.calm.store(true, Ordering::Relaxed);
    // A stop would not wait for one that asked to be left alone.
    let waits = |figures: &SenderFigures| {
        figures
            .destinations
            .iter()
            .flat_map(|destination| &destination.signals)
            .any(|figures| figures.queued > 0)
    };
    for _ in 0..20_000 {
        if !waits(&sender.figures()) {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    let figures = sender.flush_and_stop(SOON);
    check(&figures);
    for destination in &figures.destinations {
        assert!(destination.signals.iter().all(|figures| figures.queued == 0), "{figures:?}");
    }
    drop(sender);
    let mut somewhere = world.seen.lock().unwrap().clone();
    somewhere.extend(dead(directory.path()));
    let lost: Vec<_> = accepted.difference(&somewhere).collect();
    assert!(lost.is_empty(), "{lost:?} of {accepted:?}");
}

/// Each case opens queues on a real disk many times: more of them by `PROPTEST_CASES`.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(20), max_shrink_iters: 20, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn nothing_that_was_accepted_is_lost_and_the_ledger_adds_up_at_every_look(steps in steps(), seed in any::<u64>()) {
        run_through(steps, seed);
    }
}

#[test]
fn destinations_that_stay_keep_what_waits_and_one_that_goes_is_forgotten() {
    let world =
        Arc::new(World { chance: Mutex::new(1), calm: AtomicBool::new(true), seen: Mutex::default() });
    let directory = tempfile::tempdir().unwrap();
    let sender = start(&world, directory.path(), true);
    let take = |number| {
        let (tell, told) = sync_channel(1);
        let batch = Batch { signal: Signal::Logs, payload: request(number), items: 1 };
        sender.accept(batch, NOW, move |outcome| tell.send(outcome).unwrap());
        told.recv_timeout(SOON).unwrap().unwrap();
    };
    take(1);
    sender.reconfigure(destinations(false)).unwrap();
    take(2);
    assert!(
        !directory.path().join("queue/logs/b.position").exists() || sender.figures().destinations.len() == 1
    );
    sender.reconfigure(destinations(true)).unwrap();
    take(3);
    let twice = [destinations(false), destinations(true)].concat();
    let error = sender.reconfigure(twice).unwrap_err();
    assert!(error.to_string().contains("two destinations are named \"a\""), "{error}");
    take(4);
    let figures = sender.flush_and_stop(SOON);
    check(&figures);
    let [a, b] = [0, 1].map(|at| figures.destinations[at].signal(Signal::Logs));
    assert_eq!((a.delivered, a.queued, b.queued), (4, 0, 0));
    assert!((2..=4).contains(&b.delivered), "{b:?}");
    assert!(matches!(sender.reconfigure(Vec::new()), Err(ReconfigureError::Stopped)));
}

#[test]
fn without_a_destination_nothing_is_opened_until_there_is_one() {
    let world =
        Arc::new(World { chance: Mutex::new(1), calm: AtomicBool::new(true), seen: Mutex::default() });
    let directory = tempfile::tempdir().unwrap();
    let sender = start(&world, directory.path(), false);
    sender.reconfigure(Vec::new()).unwrap();
    assert_eq!(sender.figures().destinations, []);
    let (tell, told) = sync_channel(1);
    let batch = Batch { signal: Signal::Logs, payload: request(1), items: 1 };
    sender.accept(batch, NOW, move |outcome| tell.send(outcome).unwrap());
    told.recv_timeout(SOON).unwrap().unwrap();
    sender.reconfigure(destinations(false)).unwrap();
    sender.offer(&Batch { signal: Signal::Logs, payload: request(2), items: 1 }, NOW);
    let figures = sender.flush_and_stop(SOON);
    assert_eq!(figures.destinations[0].signal(Signal::Logs).delivered, 1);
}
