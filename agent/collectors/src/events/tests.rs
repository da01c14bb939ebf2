use std::process::{Child, Command, Stdio};

use super::*;

const LONG: Duration = Duration::from_secs(20);

/// A process of this test, whose end is known when [`Sleeper::end`] returns.
struct Sleeper(Child);

impl Sleeper {
    #[expect(clippy::disallowed_methods, reason = "the test needs a process that ends")]
    fn start() -> (Self, WatchedProcess) {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        let start_ticks =
            ProcFiles::open(&HostRoot::at("/")).unwrap().live(pid).unwrap().unwrap().start_ticks;
        (Self(child), WatchedProcess { pid, start_ticks })
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

fn watch(events: &mut Events, exits: &mut Exits, processes: &[WatchedProcess]) -> bool {
    let changed = exits.change(&HostRoot::at("/"), processes.iter().copied());
    changed.is_some_and(|changed| events.set_exits(changed))
}

#[test]
fn the_end_of_a_watched_process_is_an_event_once() {
    let (mut events, mut exits) = (Events::new().unwrap(), Exits::default());
    let (mut sleeper, process) = Sleeper::start();
    assert!(!watch(&mut events, &mut exits, &[process]));
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
    sleeper.end();
    assert_eq!(events.wait(LONG), Ok(BTreeSet::from([EventSource::Exit])));
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
}

#[test]
fn a_process_that_ended_before_it_could_be_waited_for_is_told_of_once() {
    let (mut events, mut exits) = (Events::new().unwrap(), Exits::default());
    let (mut sleeper, process) = Sleeper::start();
    sleeper.end();
    assert!(watch(&mut events, &mut exits, &[process]));
    assert!(!watch(&mut events, &mut exits, &[process]));
}

#[test]
fn a_number_that_was_used_again_is_not_waited_for() {
    let (mut events, mut exits) = (Events::new().unwrap(), Exits::default());
    let (_sleeper, process) = Sleeper::start();
    let former = WatchedProcess { start_ticks: process.start_ticks + 1, ..process };
    assert!(watch(&mut events, &mut exits, &[former]));
    assert_eq!(events.exits.len(), 0);
}

#[test]
fn what_is_not_watched_any_more_is_not_waited_for_and_no_more_than_the_limit_is() {
    let (mut events, mut exits) = (Events::new().unwrap(), Exits::default());
    let (mut sleeper, process) = Sleeper::start();
    watch(&mut events, &mut exits, &[process]);
    watch(&mut events, &mut exits, &[]);
    sleeper.end();
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
    let many = (0..=MOST_WATCHED as u32).map(|pid| WatchedProcess { pid: 4_000_000 + pid, start_ticks: 1 });
    let changed = exits.change(&HostRoot::at("/"), many).unwrap();
    assert_eq!(changed.watched.len(), MOST_WATCHED);
}

#[test]
fn who_waits_can_be_woken() {
    let mut events = Events::new().unwrap();
    let waker = events.waker();
    waker.wake();
    waker.wake();
    assert_eq!(events.wait(LONG), Ok(BTreeSet::new()));
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
}

#[test]
fn where_the_kernel_has_no_triggers_that_lacks_and_nothing_fails() {
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::at(dir.path());
    assert!(pressure_triggers(&host, &PressureThresholds::default()).is_empty());
    assert_eq!(host.lacking(), [&TRIGGERS]);
    let none = PressureThresholds { stalls: Vec::new(), ..PressureThresholds::default() };
    let host = HostRoot::at(dir.path());
    assert!(pressure_triggers(&host, &none).is_empty() && host.lacking().is_empty());
}

#[test]
fn triggers_are_opened_where_this_host_has_them() {
    let host = HostRoot::at("/");
    let opened = pressure_triggers(&host, &PressureThresholds::default());
    assert!(opened.len() == 3 || host.lacking() == [&TRIGGERS], "{opened:?}");
    let mut events = Events::new().unwrap();
    let count = opened.len();
    events.set_triggers(opened);
    events.wait(Duration::ZERO).unwrap();
    assert_eq!(events.triggers.len(), count, "what the kernel gave stays good");
}
