use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A lock that goes on with each question only when it is let.
#[derive(Debug)]
struct Gated {
    lock: FileFleetLock,
    begun: Sender<()>,
    gate: Receiver<()>,
}

impl Gated {
    fn pass(&self) -> &FileFleetLock {
        // Nobody may be listening any more.
        let _ = self.begun.send(());
        let _ = self.gate.recv();
        &self.lock
    }
}

impl FleetLock for Gated {
    fn look(&self, terms: &FleetLockTerms, now: Timestamp) -> Result<(), FleetLockError> {
        self.pass().look(terms, now)
    }
    fn acquire(&self, terms: &FleetLockTerms, run: &RunId, now: Timestamp) -> Result<Place, FleetLockError> {
        self.pass().acquire(terms, run, now)
    }
    fn renew(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        self.pass().renew(place, now)
    }
    fn release(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        self.lock.release(place, now)
    }
    fn release_others(&self, but: &[RunId], now: Timestamp) -> Result<(), FleetLockError> {
        self.pass().release_others(but, now)
    }
}

struct Fleet {
    directory: tempfile::TempDir,
    ours: PromptFleetLock,
    begun: Receiver<()>,
    /// Lets one question through.
    gate: Sender<()>,
}

/// A host whose lock answers only when it is let, and is waited for so long.
fn fleet(within: Duration) -> Fleet {
    let directory = tempfile::tempdir().unwrap();
    let lock = FileFleetLock::new(directory.path().to_owned(), "a".to_owned());
    let ((begins, begun), (gate, passes)) = (bounded(100), bounded(100));
    let gated = Gated { lock, begun: begins, gate: passes };
    Fleet {
        directory,
        ours: PromptFleetLock::start_within(gated, within, Arc::default()).unwrap(),
        begun,
        gate,
    }
}

impl Fleet {
    fn other(&self) -> FileFleetLock {
        FileFleetLock::new(self.directory.path().to_owned(), "b".to_owned())
    }

    /// Waits until all that was asked is done.
    fn settles(&self) {
        let inbox = &self.ours.inbox;
        let busy = |state: &mut State| state.busy_since.is_some() || !state.asked.is_empty();
        drop(inbox.changed.wait_while(inbox.lock(), busy).unwrap());
    }
}

fn terms() -> FleetLockTerms {
    FleetLockTerms { group: "web".to_owned(), max: 1, ttl: Duration::from_mins(10) }
}

fn run(name: &str) -> RunId {
    RunId(name.to_owned())
}

#[test]
fn what_answers_in_time_is_as_if_it_were_asked_directly() {
    let fleet = fleet(Duration::from_mins(1));
    (0..4).for_each(|_| fleet.gate.send(()).unwrap());
    fleet.ours.look(&terms(), NOON).unwrap();
    let place = fleet.ours.acquire(&terms(), &run("r1"), NOON).unwrap();
    fleet.ours.renew(&place, NOON).unwrap();
    let taken = fleet.ours.acquire(&terms(), &run("r2"), NOON).unwrap_err();
    assert!(taken.to_string().starts_with("a holds one for 10m more"), "{taken}");
    fleet.ours.release(&place, NOON).unwrap();
    fleet.other().acquire(&terms(), &run("r3"), NOON).unwrap();
    assert_eq!(fleet.ours.inbox.unanswered.load(Relaxed), 0);
}

#[test]
fn a_directory_that_hangs_is_a_refusal_and_a_place_had_too_late_is_given_back() {
    let fleet = fleet(Duration::from_millis(20));
    let error = fleet.ours.acquire(&terms(), &run("r1"), NOON).unwrap_err();
    assert_eq!(error.to_string(), "taking a place in the fleet: no answer within 20ms");
    fleet.begun.recv().unwrap();
    // Nobody waits behind it, and nothing is asked for nobody.
    assert!(matches!(fleet.ours.look(&terms(), NOON), Err(FleetLockError::Unanswered { .. })));
    assert!(matches!(fleet.ours.acquire(&terms(), &run("r2"), NOON), Err(FleetLockError::Unanswered { .. })));
    assert_eq!(fleet.ours.inbox.unanswered.load(Relaxed), 3);
    fleet.gate.send(()).unwrap();
    fleet.settles();
    assert!(fleet.begun.try_recv().is_err(), "a question that was refused is not asked later");
    fleet.other().acquire(&terms(), &run("r3"), NOON).unwrap();
}

#[test]
fn a_place_that_could_not_be_given_back_in_time_is_given_back_later_and_once() {
    let fleet = fleet(Duration::from_millis(20));
    let same_host = FileFleetLock::new(fleet.directory.path().to_owned(), "a".to_owned());
    let place = same_host.acquire(&terms(), &run("r1"), NOON).unwrap();
    assert!(fleet.ours.renew(&place, NOON).is_err());
    fleet.begun.recv().unwrap();
    assert!(fleet.ours.release(&place, NOON).is_err(), "the thread hangs in keeping it");
    fleet.other().look(&terms(), NOON).unwrap_err();
    fleet.gate.send(()).unwrap();
    fleet.settles();
    let others = fleet.other().acquire(&terms(), &run("r2"), NOON).unwrap();
    fleet.other().renew(&others, NOON).unwrap();
}

#[test]
fn what_waits_for_a_directory_that_hangs_is_limited_and_done_when_the_lock_is_let_go() {
    let fleet = fleet(Duration::ZERO);
    for _ in 0..MAX_ASKED + 9 {
        fleet.ours.release_others(&[], NOON).unwrap_err();
    }
    assert!(fleet.ours.inbox.lock().asked.len() <= MAX_ASKED);
    let inbox = Arc::clone(&fleet.ours.inbox);
    let Fleet { ours, gate, directory, .. } = fleet;
    drop((ours, gate));
    drop(
        inbox
            .changed
            .wait_while(inbox.lock(), |state| state.busy_since.is_some() || !state.asked.is_empty())
            .unwrap(),
    );
    drop(directory);
}
