use std::time::Duration;

use executor::{
    Action, ActionError, ByteCount, ChangeId, Limits, Outcome, ProcessId, Selection, Signal, UnitVerb,
};
use proptest::prelude::*;
use serde_json::json;
use telemetry::{Alert, RunEvent, RunId, Timestamp};

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A host that must not be touched.
struct Untouchable;

impl World for Untouchable {
    fn now(&self) -> Timestamp {
        NOON
    }

    fn query(&self, _: &str, _: Option<Timestamp>) -> Result<Answer, String> {
        Ok(Answer::default())
    }

    fn fact(&self, fact: &Fact) -> Result<Value, String> {
        Ok(match fact {
            Fact::UnitStatus { .. } => json!({
                "active": "failed", "sub": "failed", "main_pid": null, "result": "exit-code",
                "active_seconds": null, "freezer": "running",
            }),
            Fact::UnitLimits { .. } | Fact::CgroupLimits { .. } => {
                json!({"memory_max": 100, "memory_high": null, "frozen": false})
            }
            Fact::DiskUsage { .. } => json!({
                "mount": "/", "size_bytes": 1000, "available_bytes": 100, "used_percent": 90.0,
            }),
            Fact::DirectoryUsage { .. } => json!(900),
            Fact::Files { under, .. } => (0..9)
                .map(|n| json!({"path": under.join(n.to_string()), "name": n.to_string(), "bytes": 100}))
                .collect(),
            Fact::Releases { .. } => json!([
                {"path": "/releases/2", "current": true}, {"path": "/releases/1", "current": false},
            ]),
            Fact::Sysctl { .. } => json!(7),
            Fact::HttpGet { within, .. } => json!(within.as_secs()),
            Fact::Flag { .. } => json!({"variant": "on", "variants": ["on", "off"], "targeted": true}),
            other => return Err(format!("no answer for {other:?}")),
        })
    }

    fn find_processes(&self, _: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        let process = |pid| FoundProcess {
            id: ProcessId { pid, start_ticks: 1 },
            state: 'S',
            command: "web".to_owned(),
            ppid: 1,
            unit: "web.service".to_owned(),
            age_seconds: 9,
            rss_bytes: 9,
        };
        Ok(vec![process(1), process(2)])
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        panic!("{action} was performed");
    }

    fn wait(&self, duration: Duration) -> bool {
        assert_eq!(duration, Duration::ZERO, "it waited on the host");
        true
    }

    fn record(&mut self, _: &RunEvent) {}

    fn attach(&mut self, _: &RunId, _: &str, _: &str) -> Result<String, String> {
        panic!("something was kept");
    }

    fn page(&mut self, _: &Page) -> Vec<String> {
        panic!("somebody was called");
    }

    fn frozen(&self) -> Option<String> {
        Some("yes".to_owned())
    }

    fn seen_firing(&self, _: &Alert) -> Option<Timestamp> {
        Some(NOON)
    }

    fn circumstances(&self, _: &Subject<'_>) -> Circumstances {
        Circumstances::default()
    }
}

fn web() -> executor::UnitName {
    "web.service".parse().unwrap()
}

/// All that a script can see of what actions change.
fn seen(world: &DryRun<'_>) -> Vec<Value> {
    let path = || "/var/spool".into();
    let facts = [
        Fact::UnitLimits { unit: web() },
        Fact::CgroupLimits { cgroup: "/a".to_owned() },
        Fact::DiskUsage { path: path() },
        Fact::DirectoryUsage { path: path() },
        Fact::Files {
            under: path(),
            matching: None,
            older_than: Duration::ZERO,
            order: crate::fact::FileOrder::Oldest,
            at_most: 100,
        },
        Fact::Releases { link: "/current".into() },
        Fact::Sysctl { name: "a.b".to_owned() },
        Fact::Flag { flag: "new".to_owned() },
    ];
    facts.iter().map(|fact| world.fact(fact).unwrap()).collect()
}

/// Those that can be taken back.
fn revocable() -> impl Strategy<Value = Action> {
    let limits = || (0..5_u64).prop_map(|max| Limits { memory_max: Some(max), ..Limits::default() });
    prop_oneof![
        (0..10_u64, 0..1000_u64, prop::option::of(0..100_u8)).prop_map(|(files, bytes, percent)| {
            let all = Selection::old_files("/var/spool", Duration::ZERO, ByteCount(bytes));
            let selection = Selection { at_most_files: Some(files), until_used_percent: percent, ..all };
            Action::RemoveFiles { selection }
        }),
        (1..4_u8).prop_map(|n| Action::SwitchLink {
            link: "/current".into(),
            to: format!("/releases/{n}").into()
        }),
        (5..9_i64).prop_map(|value| Action::SetSysctl { name: "a.b".to_owned(), value }),
        "on|off".prop_map(|variant| Action::SetFlag { flag: "new".to_owned(), variant }),
        limits().prop_map(|limits| Action::LimitUnit { unit: web(), limits }),
        limits().prop_map(|limits| Action::LimitCgroup { cgroup: "/a".to_owned(), limits }),
        any::<bool>().prop_map(|frozen| Action::FreezeCgroup { cgroup: "/a".to_owned(), frozen }),
    ]
}

fn irrevocable() -> impl Strategy<Value = Action> {
    let signals = [Signal::Kill, Signal::Stop, Signal::Cont, Signal::Hup];
    prop_oneof![
        prop::sample::select(UnitVerb::ALL.to_vec()).prop_map(|verb| Action::Unit { verb, unit: web() }),
        (1..4_u32, prop::sample::select(signals.to_vec())).prop_map(|(pid, signal)| {
            Action::SignalProcess { process: ProcessId { pid, start_ticks: 1 }, signal }
        }),
        Just(Action::RestartProcess { process: "web".into() }),
        Just(Action::RotateJournal),
        (0..2000_u64).prop_map(|keep| Action::VacuumJournal { keep: ByteCount(keep) }),
        (0..200_u64).prop_map(|keep| Action::TruncateFile { path: "/a/1".into(), keep: ByteCount(keep) }),
        Just(Action::ReclaimCgroup { cgroup: "/a".to_owned(), bytes: ByteCount(1) }),
        Just(Action::RunCommand { command: "x".to_owned(), arguments: Vec::new() }),
        Just(Action::Undo { change: ChangeId("paper-9".to_owned()) }),
    ]
}

fn change_of(outcome: &Outcome) -> Option<ChangeId> {
    match outcome {
        Outcome::Set { change, .. } | Outcome::Removed { change, .. } => change.clone(),
        _ => None,
    }
}

proptest! {
    #[test]
    fn nothing_is_performed_whatever_is_asked(
        actions in prop::collection::vec(prop_oneof![revocable(), irrevocable()], 0..20)
    ) {
        let mut host = Untouchable;
        let mut world = DryRun::of(&mut host);
        for action in &actions {
            let _ = world.perform(action);
            let _ = world.find_processes(&ProcessFilter::default());
            world.wait(Duration::from_secs(1));
        }
        let _ = (seen(&world), world.attach(&RunId("r".to_owned()), "a", "b"));
        prop_assert_eq!(world.now(), NOON.plus(Duration::from_secs(actions.len() as u64)));
        prop_assert_eq!(world.told_at(), NOON);
    }

    #[test]
    fn what_is_taken_back_in_reverse_is_as_it_was(actions in prop::collection::vec(revocable(), 0..20)) {
        let mut host = Untouchable;
        let mut world = DryRun::of(&mut host);
        let before = seen(&world);
        let changes: Vec<ChangeId> =
            actions.iter().filter_map(|action| change_of(&world.perform(action).unwrap())).collect();
        for change in changes.into_iter().rev() {
            let undone = world.perform(&Action::Undo { change });
            prop_assert!(undone.is_ok());
        }
        prop_assert_eq!(seen(&world), before);
    }
}

#[test]
fn a_script_sees_what_it_has_done() {
    let mut world = DryRun::over(&Untouchable, Duration::from_secs(1));
    let status = |world: &DryRun<'_>| world.fact(&Fact::UnitStatus { unit: web() }).unwrap();
    world.perform(&Action::Unit { verb: UnitVerb::Restart, unit: web() }).unwrap();
    world.wait(Duration::from_secs(5));
    let after = status(&world);
    assert_eq!((&after["active"], &after["active_seconds"]), (&json!("active"), &json!(5)));
    assert!(
        world.find_processes(&ProcessFilter::default()).unwrap().is_empty(),
        "its processes are others now"
    );
    world.perform(&Action::Unit { verb: UnitVerb::Stop, unit: web() }).unwrap();
    assert_eq!(status(&world)["active"], json!("inactive"));

    let mut selection = Selection::old_files("/var/spool", Duration::ZERO, ByteCount(10_000));
    selection.until_used_percent = Some(65);
    let Ok(Outcome::Removed { files, bytes, .. }) = world.perform(&Action::RemoveFiles { selection }) else {
        panic!("it has to be simulated");
    };
    assert_eq!((files, bytes), (3, ByteCount(300)));
    let disk = world.fact(&Fact::DiskUsage { path: "/".into() }).unwrap();
    assert_eq!((&disk["available_bytes"], &disk["used_percent"]), (&json!(400), &json!(60.0)));

    let process = ProcessId { pid: 1, start_ticks: 1 };
    let mut world = DryRun::over(&Untouchable, Duration::from_secs(1));
    world.perform(&Action::SignalProcess { process, signal: Signal::Stop }).unwrap();
    let stopped = ProcessFilter { state: Some('T'), ..ProcessFilter::default() };
    assert_eq!(world.find_processes(&stopped).unwrap().len(), 1);
    world.perform(&Action::SignalProcess { process, signal: Signal::Kill }).unwrap();
    assert_eq!(world.find_processes(&ProcessFilter::default()).unwrap().len(), 1);
}

#[test]
fn a_plan_waits_for_no_service_longer_than_it_may_take() {
    let asked = |within| Fact::HttpGet { url: "http://localhost/".to_owned(), within };
    let answer =
        |seconds, within| DryRun::over(&Untouchable, Duration::from_secs(seconds)).fact(&asked(within));
    assert_eq!(answer(5, Duration::from_mins(1)), Ok(json!(5)));
    assert_eq!(answer(5, Duration::from_secs(2)), Ok(json!(2)));
    assert!(answer(0, Duration::from_secs(2)).unwrap_err().contains("is over"));
}
