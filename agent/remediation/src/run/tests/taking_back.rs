use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use executor::ChangeId;
use proptest::prelude::*;

use super::*;

/// What every parameter is at first.
const INITIAL: i64 = 1;

/// The parameters of a kernel on paper, and what remembers how they were changed. It outlives the agent.
#[derive(Default)]
pub(super) struct Kernel {
    values: BTreeMap<String, i64>,
    /// By its id: what was changed, before and after.
    changes: BTreeMap<String, (String, i64, i64)>,
    taken_back: BTreeSet<String>,
    made: u32,
    /// After how many more moments the agent ends.
    crash_in: Cell<Option<u32>>,
}

impl Kernel {
    pub(super) fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let refused = |reason: &str| Err(ActionError::Refused { reason: reason.to_owned() });
        match action {
            Action::SetSysctl { name, value } => {
                let before = self.values.insert(name.clone(), *value).unwrap_or(INITIAL);
                self.made += 1;
                let id = format!("c{}", self.made);
                self.changes.insert(id.clone(), (name.clone(), before, *value));
                let change = (before != *value).then_some(ChangeId(id));
                let (what, after) = (name.clone(), value.to_string());
                Ok(Outcome::Set { what, before: before.to_string(), after, change })
            }
            Action::Undo { change } if self.taken_back.contains(&change.0) => {
                Err(ActionError::TakenBack { change: change.clone() })
            }
            Action::Undo { change } => {
                let Some((name, before, after)) = self.changes.get(&change.0) else {
                    return refused("not known");
                };
                let value = self.values.get_mut(name).unwrap();
                if *value != *after && *value != *before {
                    return refused("it has changed since");
                }
                *value = *before;
                assert!(self.taken_back.insert(change.0.clone()), "{change} was taken back twice");
                Ok(Outcome::Undone { what: name.clone(), value: before.to_string() })
            }
            other => panic!("{other}"),
        }
    }

    /// One of the moments at which the agent may end has come.
    pub(super) fn moment(&self) {
        match self.crash_in.get() {
            Some(0) => {
                self.crash_in.set(None);
                resume_unwind(Box::new("the agent ends"));
            }
            left => self.crash_in.set(left.map(|left| left - 1)),
        }
    }

    pub(super) fn value(&self, name: &str) -> i64 {
        self.values.get(name).copied().unwrap_or(INITIAL)
    }
}

fn runbook() -> String {
    RUNBOOK.replace("process.restart: [web]", "process.restart: [web], sysctl.set: [vm.a, vm.b]")
}

fn bench(script: &str) -> Bench {
    let mut bench = Bench::new(&runbook(), script);
    bench.world.up_at_once = true;
    bench
}

/// Answers the alert; the agent may end in the middle, at each of these moments in turn. How the run has ended.
fn answer(bench: &mut Bench, script: &str, crashes: &[u32]) -> RunOutcome {
    let mut crashes = crashes.iter().copied();
    bench.world.kernel.crash_in.set(crashes.next());
    let mut ended = catch_unwind(AssertUnwindSafe(|| bench.respond()));
    while ended.is_err() {
        bench.remediator = remediator(&runbook(), script, bench.directory.path());
        bench.world.kernel.crash_in.set(crashes.next());
        ended = catch_unwind(AssertUnwindSafe(|| {
            let runs = bench.remediator.recover(&mut bench.world);
            runs.into_iter().map(|run| run.perform(&mut bench.world)).next()
        }));
    }
    bench.world.kernel.crash_in.set(None);
    let events = bench.world.events.borrow();
    let outcome = events.iter().rev().find_map(|event| match event.step {
        RunStep::Finished { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap_or(RunOutcome::Interrupted)
}

#[test]
fn what_a_failed_run_has_changed_is_taken_back_where_its_script_does_not() {
    let restored = |because: &str| (INITIAL, because.to_owned());
    for (body, (value, because)) in [
        ("sysctl::set(\"vm.a\", 10); failed(\"x\")", restored("taken back: by the agent: vm.a is 1 again")),
        ("sysctl::set(\"vm.a\", 10); throw \"x\"", restored("taken back: by the agent: vm.a is 1 again")),
        ("sysctl::set(\"vm.a\", 10); skip(\"x\")", restored("taken back: by the agent: vm.a is 1 again")),
        (
            "sysctl::set(\"vm.a\", 10); sysctl::set(\"vm.a\", 20); failed(\"x\")",
            restored("vm.a is 10 again, vm.a is 1 again"),
        ),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10)); failed(\"x\")",
            restored("by the agent: vm.a is 1 again"),
        ),
        (
            "step(\"s\", || { sysctl::set(\"vm.a\", 10); throw \"x\" }, || 1); failed(\"x\")",
            restored("by the agent: vm.a is 1 again"),
        ),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10), || sysctl::set(\"vm.a\", 1)); failed(\"x\")",
            restored("taken back: undone: s"),
        ),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10), || sysctl::set(\"vm.a\", 1)); undo(); failed(\"x\")",
            restored("failed: x"),
        ),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10), || { throw \"no\" }); failed(\"x\")",
            restored("by the agent: vm.a is 1 again"),
        ),
        ("sysctl::set(\"vm.a\", 10); sysctl::set(\"vm.a\", 1); failed(\"x\")", restored("failed: x")),
        ("step(\"s\", || sysctl::set(\"vm.a\", 10), || ()); failed(\"x\")", (10, "failed: x".to_owned())),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10), |set| ok()); failed(\"x\")",
            (10, "failed: x".to_owned()),
        ),
        (
            "step(\"s\", || sysctl::set(\"vm.a\", 10), || {}); sysctl::set(\"vm.b\", 5); failed(\"x\")",
            (10, "taken back: by the agent: vm.b is 1 again".to_owned()),
        ),
        ("sysctl::set(\"vm.a\", 10); fixed(\"x\")", (10, "verified: up == 1 gave 1".to_owned())),
    ] {
        let script = format!("fn remediate(ctx) {{\n {body} }}");
        let mut bench = bench(&script);
        answer(&mut bench, &script, &[]);
        let reason = bench.reason();
        assert_eq!(bench.world.kernel.value("vm.a"), value, "{body}: {reason}");
        assert!(reason.contains(&because), "{body}: {reason}");
        assert_eq!(reason.contains("by the agent"), because.contains("again"), "{body}: {reason}");
    }
}

#[test]
fn what_the_verification_does_not_find_repaired_is_taken_back_and_a_person_told() {
    let mut bench = bench("fn remediate(ctx) { sysctl::set(\"vm.a\", 10); fixed(\"x\") }");
    bench.world.up.0 = NOON.plus(Duration::from_hours(1));
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert_eq!(bench.world.kernel.value("vm.a"), INITIAL);
    let steps = bench.steps();
    assert!(steps.contains(&"intended: take change c1 back: set vm.a to 10".to_owned()), "{steps:?}");
    assert!(steps.contains(&"rolled back: true, by the agent: vm.a is 1 again".to_owned()), "{steps:?}");
    let page = bench.world.pages.first().unwrap();
    assert!(page.why.ends_with("taken back: by the agent: vm.a is 1 again"), "{}", page.why);
    assert_eq!(page.tried.last().unwrap(), "take change c1 back: set vm.a to 10: vm.a is 1 again");
}

#[test]
fn a_script_that_rolls_back_itself_keeps_what_it_leaves() {
    for (rollback, value) in [("", 10), ("throw \"no\"", INITIAL)] {
        let script = format!(
            "fn remediate(ctx) {{ sysctl::set(\"vm.a\", 10); failed(\"x\") }} fn rollback(ctx) {{ {rollback} }}"
        );
        let mut bench = bench(&script);
        assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
        assert_eq!(bench.world.kernel.value("vm.a"), value, "{}", bench.reason());
    }
}

#[test]
fn what_cannot_be_taken_back_is_said_and_does_not_keep_the_rest_from_it() {
    let mut bench =
        bench("fn remediate(ctx) { sysctl::set(\"vm.a\", 10); sysctl::set(\"vm.b\", 10); failed(\"x\") }");
    let refused = ActionError::Refused { reason: "a person needs it".to_owned() };
    bench.world.failures = VecDeque::from([None, None, Some(refused)]);
    assert_eq!(bench.respond(), Some(RunOutcome::Escalated));
    assert_eq!((bench.world.kernel.value("vm.a"), bench.world.kernel.value("vm.b")), (INITIAL, 10));
    let said = "not all taken back: by the agent: vm.a is 1 again; set vm.b to 10 stays (change c2): refused: a person needs it";
    assert!(bench.reason().contains(said), "{}", bench.reason());
    assert!(bench.world.pages.first().unwrap().why.contains(said));
}

#[test]
fn a_run_that_does_not_go_on_after_a_crash_is_taken_back_unless_repairs_are_frozen() {
    let script = "fn remediate(ctx) { sysctl::set(\"vm.a\", 10); sysctl::set(\"vm.b\", 10); fixed(\"x\") }";
    for (frozen, value, said) in [
        (false, INITIAL, "taken back: by the agent: vm.b is 1 again, vm.a is 1 again"),
        (true, 10, "set vm.b to 10 stays (change c2): repairs are frozen: by a test"),
    ] {
        let mut bench = bench(script);
        bench.world.kernel.crash_in.set(None);
        bench.respond();
        let path = bench.directory.path().join(JOURNAL);
        let journal = std::fs::read_to_string(&path).unwrap();
        let cut = journal.find("\"step\":\"ended\"").and_then(|at| journal[..at].rfind('\n')).unwrap() + 1;
        std::fs::write(&path, &journal[..cut]).unwrap();
        bench.world.frozen = frozen;
        let other = script.replace("\"x\"", "\"y\"");
        bench.remediator = remediator(&runbook(), &other, bench.directory.path());
        assert!(bench.remediator.recover(&mut bench.world).is_empty());
        assert_eq!(bench.world.kernel.value("vm.a"), value);
        assert!(bench.reason().contains(said), "{}", bench.reason());
        assert!(bench.world.pages.first().unwrap().why.contains(said));
    }
}

#[test]
fn a_run_whose_thread_has_died_is_taken_back() {
    let script = "fn remediate(ctx) { sysctl::set(\"vm.a\", 10); clock::sleep(\"1s\"); fixed(\"x\") }";
    let mut bench = bench(script);
    let Some(Considered::Begun(run)) = bench.remediator.consider(&mut bench.world, &alert()) else {
        panic!()
    };
    let id = run.id().clone();
    bench.world.stops_at = Some(NOON.plus(Duration::from_millis(500)));
    assert_eq!(run.perform(&mut bench.world), RunOutcome::Interrupted);
    bench.remediator.give_up(&mut bench.world, &id);
    assert_eq!(bench.world.kernel.value("vm.a"), INITIAL);
    assert!(bench.reason().contains("taken back: by the agent: vm.a is 1 again"), "{}", bench.reason());
}

#[test]
fn on_paper_it_is_shown_what_would_be_taken_back() {
    let script = "fn remediate(ctx) { sysctl::set(\"vm.a\", 10); failed(\"x\") }";
    let mut bench = Bench::new(&runbook().replace("stage: auto", "stage: shadow"), script);
    let plan = bench.remediator.plan(&bench.world, &alert()).unwrap();
    assert_eq!(plan.actions, ["set vm.a to 10", "take change paper-1 back: set vm.a to 10"]);
    assert_eq!(bench.respond(), Some(RunOutcome::Shadowed));
    let would = "would have: set vm.a to 10: sysctl vm.a is 10; it was 1; failed: x; taken back: by the agent: sysctl vm.a is 1 again";
    assert_eq!(bench.reason(), would);
    assert!(bench.world.performed.is_empty());
}

/// How a change stands in the script.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Plain,
    Step,
    Undone,
    UndoneBadly,
    Kept,
}

/// A change of one of two parameters to a value that no other change sets, and how the script undoes it.
fn statement(number: usize, name: &str, place: Place, before: i64) -> String {
    let set = format!("sysctl::set(\"{name}\", {})", value_of(number));
    match place {
        Place::Plain => format!("{set};"),
        Place::Step => format!("step(\"s{number}\", || {set});"),
        Place::Undone => format!("step(\"s{number}\", || {set}, || sysctl::set(\"{name}\", {before}));"),
        Place::UndoneBadly => format!("step(\"s{number}\", || {set}, || {{ throw \"no\" }});"),
        Place::Kept => format!("step(\"s{number}\", || {set}, || ());"),
    }
}

fn value_of(number: usize) -> i64 {
    100 + number as i64
}

fn script_of(changes: &[(bool, Place)], ending: &str, rollback: bool) -> String {
    let mut before = [INITIAL; 2];
    let statements = changes.iter().enumerate().map(|(number, (other, place))| {
        let at = usize::from(*other);
        let text = statement(number, ["vm.a", "vm.b"][at], *place, before[at]);
        before[at] = value_of(number);
        text
    });
    let statements: String = statements.collect();
    let rollback = if rollback { "fn rollback(ctx) { }" } else { "" };
    format!("fn remediate(ctx) {{ {statements} {ending} }} {rollback}")
}

fn places() -> impl Strategy<Value = Place> {
    use Place::{Kept, Plain, Step, Undone, UndoneBadly};
    prop_oneof![Just(Plain), Just(Step), Just(Undone), Just(UndoneBadly), Just(Kept)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // Each is a journal on disk, and often two or three agents.
        cases: ProptestConfig::default().cases / 4,
        ..ProptestConfig::default()
    })]

    /// Wherever the agent ends, and ends again while it makes up for that: what a run has changed that failed is taken back
    /// once, or named; what it is to keep stays.
    #[test]
    fn every_change_of_a_failed_run_is_taken_back_once_or_named(
        changes in prop::collection::vec((any::<bool>(), places()), 1..5),
        ending in prop_oneof![Just("fixed(\"x\")"), Just("failed(\"x\")"), Just("throw \"x\"")],
        rollback in any::<bool>(),
        helps in any::<bool>(),
        crashes in prop::collection::vec(0_u32..70, 0..3),
    ) {
        let script = script_of(&changes, ending, rollback);
        let mut bench = bench(&script);
        if !helps {
            bench.world.up.0 = NOON.plus(Duration::from_hours(1));
        }
        let outcome = answer(&mut bench, &script, &crashes);
        let (kernel, events) = (&bench.world.kernel, bench.world.events.borrow());
        let verified = events.iter().any(|event| matches!(event.step, RunStep::Verified { ok: true, .. }));
        let undone = |id: Option<&str>| {
            events.iter().any(|event| matches!(&event.step, RunStep::UndoEnded { id: of, ok: true } if of.as_deref() == id))
        };
        let rolled_back = undone(None);
        let mut said: Vec<String> = bench.world.pages.iter().flat_map(|page| page.tried.clone()).collect();
        said.extend(bench.world.pages.iter().map(|page| page.why.clone()));
        for (number, (_, place)) in changes.iter().enumerate() {
            let made = kernel.changes.iter().filter(|(_, (_, _, after))| *after == value_of(number));
            // What an undo sets again is no change of the run.
            let Some((id, (name, ..))) = made.min_by_key(|(id, _)| id[1..].parse::<u32>().unwrap()) else { continue };
            let taken_back = kernel.taken_back.contains(id);
            let may_stay = outcome == RunOutcome::Repaired || verified || *place == Place::Kept;
            if may_stay {
                prop_assert!(!taken_back, "{id} is to stay: {outcome} {script}");
            } else if !rolled_back && !undone(Some(&format!("s{number}"))) {
                let action = format!("set {name} to {}", value_of(number));
                let named = said.iter().any(|line| {
                    line.contains(&format!("(change {id})"))
                        || (line.starts_with(&format!("{action}: ")) && line.contains("it was known whether"))
                });
                prop_assert!(taken_back || named, "{id} was forgotten: {outcome} {said:?} {script}");
            }
        }
        // Only changes of the script are taken back, and nothing that undoing has set.
        let own: BTreeSet<i64> = (0..changes.len()).map(value_of).collect();
        for id in &kernel.taken_back {
            let (_, _, after) = &kernel.changes[id];
            prop_assert!(own.contains(after), "{id} undoes an undo: {script}");
        }
        let simple = changes.iter().all(|(_, place)| matches!(place, Place::Plain | Place::Step));
        let known = !said.iter().any(|line| line.contains("it was known whether"));
        if simple && known && !rolled_back && !verified {
            prop_assert_eq!((kernel.value("vm.a"), kernel.value("vm.b")), (INITIAL, INITIAL), "{} {:?}", script, said);
        }
    }
}
