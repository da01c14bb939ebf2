use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

fn after(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

fn terms(max: u32) -> FleetLockTerms {
    FleetLockTerms { group: "web".to_owned(), max, ttl: Duration::from_mins(10) }
}

fn run(name: &str) -> RunId {
    RunId(name.to_owned())
}

fn hosts(directory: &Path) -> [FileFleetLock; 3] {
    ["a", "b", "c"].map(|name| FileFleetLock::new(directory.to_owned(), name.to_owned()))
}

#[test]
fn only_as_many_hosts_hold_a_place_as_there_are_and_the_others_learn_who() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b, c] = hosts(directory.path());
    let held = a.acquire(&terms(2), &run("r1"), NOON).unwrap();
    b.acquire(&terms(2), &run("r2"), after(60)).unwrap();
    let error = c.acquire(&terms(2), &run("r3"), after(120)).unwrap_err();
    assert_eq!(error.to_string(), "a holds one for 8m more, for run r1, b holds one for 9m more, for run r2");
    assert_eq!(c.look(&terms(2), after(120)).unwrap_err().to_string(), error.to_string());
    a.release(&held, after(130)).unwrap();
    c.look(&terms(2), after(130)).unwrap();
    c.acquire(&terms(2), &run("r3"), after(130)).unwrap();
}

#[test]
fn a_place_of_a_host_that_is_gone_is_free_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b, _] = hosts(directory.path());
    let held = a.acquire(&terms(1), &run("r1"), NOON).unwrap();
    assert!(b.acquire(&terms(1), &run("r2"), after(599)).is_err());
    let taken = b.acquire(&terms(1), &run("r2"), after(600)).unwrap();
    assert!(matches!(a.renew(&held, after(601)).unwrap_err(), FleetLockError::Lost { .. }));
    a.release(&held, after(602)).unwrap();
    assert!(a.look(&terms(1), after(603)).is_err(), "it is not a's to give back");
    b.renew(&taken, after(1100)).unwrap();
    assert!(a.look(&terms(1), after(1650)).is_err());
    let files = std::fs::read_dir(directory.path().join("web")).unwrap().count();
    assert_eq!(files, 1);
}

#[test]
fn what_cannot_be_read_is_not_free() {
    let directory = tempfile::tempdir().unwrap();
    let [a, ..] = hosts(directory.path());
    std::fs::create_dir(directory.path().join("web")).unwrap();
    std::fs::write(directory.path().join("web/0.7"), "{").unwrap();
    assert!(matches!(a.look(&terms(1), NOON).unwrap_err(), FleetLockError::Io { .. }));
    assert!(a.acquire(&terms(1), &run("r1"), NOON).is_err());
}

#[test]
fn hosts_that_reach_for_the_last_place_at_once_get_it_once() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20_u64 {
        let now = after(round * 600);
        let hosts = hosts(directory.path());
        let got: usize = std::thread::scope(|scope| {
            let reach = |host: &FileFleetLock| host.acquire(&terms(1), &run("r"), now).is_ok();
            let threads: Vec<_> = hosts.iter().map(|host| scope.spawn(move || reach(host))).collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(got, 1, "round {round}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn never_do_more_hosts_hold_a_place_than_there_are(
        steps in proptest::collection::vec((0..3_usize, 0..3_u8, 0_u64..400), 1..40),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let hosts = hosts(directory.path());
        let mut held: [Option<(Place, Timestamp)>; 3] = [None, None, None];
        let mut now = NOON;
        for (number, (host, what, seconds)) in steps.into_iter().enumerate() {
            now = now.plus(Duration::from_secs(seconds));
            let lock = &hosts[host];
            match (what, held[host].take()) {
                (0, None) => {
                    let got = lock.acquire(&terms(2), &run(&number.to_string()), now);
                    held[host] = got.ok().map(|place| (place, now.plus(terms(2).ttl)));
                }
                (1, Some((place, until))) => {
                    let kept = lock.renew(&place, now).is_ok();
                    prop_assert_eq!(kept, now < until);
                    held[host] = kept.then(|| (place, now.plus(terms(2).ttl)));
                }
                (2, Some((place, _))) => lock.release(&place, now).unwrap(),
                (_, other) => held[host] = other,
            }
            let holding = held.iter().flatten().filter(|(_, until)| *until > now).count();
            prop_assert!(holding <= 2);
            prop_assert_eq!(lock.look(&terms(2), now).is_ok(), holding < 2);
        }
    }
}

#[test]
fn what_an_agent_before_this_one_had_taken_is_given_back_but_for_runs_that_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let [a, b, c] = hosts(directory.path());
    a.release_others(&[], NOON).unwrap();
    let other = FleetLockTerms { group: "db".to_owned(), ..terms(1) };
    a.acquire(&terms(2), &run("r1"), NOON).unwrap();
    b.acquire(&terms(2), &run("r2"), NOON).unwrap();
    let held = a.acquire(&other, &run("r3"), NOON).unwrap();
    std::fs::write(directory.path().join("README"), "hosts agree here").unwrap();
    a.release_others(&[run("r3"), run("r2")], after(1)).unwrap();
    c.acquire(&terms(2), &run("r4"), after(2)).unwrap();
    assert!(c.look(&terms(2), after(2)).is_err(), "b has the other one still");
    a.renew(&held, after(3)).unwrap();
}
