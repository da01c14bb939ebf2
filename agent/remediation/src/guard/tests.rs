mod pauses;

use std::fmt::Write as _;
use std::path::Path;

use documents::Document;
use proptest::prelude::*;
use telemetry::{Alert, AlertState, Labels, Origin, RunEvent, RunId, RunOutcome, RunStep, Stage};

use super::*;
use crate::circumstances::{Hold, HoldKind};
use crate::runbook::Runbook;
use crate::world::Answer;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A question about the runbook `web`, and what it is answered from. Nothing stands in the way unless a test says so.
#[derive(Clone)]
struct Case {
    runbook: Runbook,
    alert: Alert,
    circumstances: Circumstances,
    settings: HostGuards,
    journal_writable: bool,
    spares_error_budget: bool,
    history: History,
}

impl Case {
    /// With these settings in the runbook's `guards`.
    fn new(guards: &str) -> Self {
        let text = format!(
            "runbooks:\n- name: web\n  matchers: ['alertname=\"WebDown\"']\n  script: x.rhai\n  params: {{ unit: web.service }}\n  grants: {{ unit.restart: [web.service] }}\n  stage: auto\n  verify: {{ expr: up }}\n  guards: {{ cooldown: 1m, attempts: 3 per 10m{guards} }}\n"
        );
        let read = Runbook::read(&Document::from_text(Path::new("r.yaml"), text.as_str()));
        Self {
            runbook: read.unwrap().pop().unwrap(),
            alert: Alert::new(Labels::empty(), AlertState::Firing, NOON.minus(Duration::from_hours(1))),
            circumstances: Circumstances { seen_firing: Some(NOON), ..Circumstances::default() },
            settings: HostGuards::default(),
            journal_writable: true,
            spares_error_budget: false,
            history: History::default(),
        }
    }

    fn judge_all(&self, now: Timestamp) -> Vec<(&'static str, Verdict)> {
        let subject = Subject { alert: &self.alert, runbook: &self.runbook };
        let question = Question {
            subject: &subject,
            circumstances: &self.circumstances,
            settings: &self.settings,
            journal_writable: self.journal_writable,
            spares_error_budget: self.spares_error_budget,
        };
        judge(&question, &self.history, now)
    }

    fn judge(&self, name: &str, now: Timestamp) -> (bool, String) {
        let verdicts = self.judge_all(now);
        let (_, verdict) = verdicts.into_iter().find(|(guard, _)| *guard == name).unwrap();
        (verdict.allowed, verdict.reason)
    }

    #[track_caller]
    fn refuses(&self, name: &str, now: Timestamp, reason: &str) {
        assert_eq!(self.judge(name, now), (false, reason.to_owned()));
    }

    #[track_caller]
    fn allows(&self, name: &str, now: Timestamp, reason: &str) {
        assert_eq!(self.judge(name, now), (true, reason.to_owned()));
    }

    fn apply(&mut self, run: &str, at: Timestamp, step: RunStep) {
        self.history.apply(&RunEvent { run: RunId(run.to_owned()), at, step });
    }

    /// A run of some runbook on some target begins to act.
    fn begin(&mut self, run: &str, runbook: &str, touches: &str, at: Timestamp) {
        let is_web = runbook == "web";
        let target = if is_web { self.runbook.printed_params() } else { String::new() };
        let matched = matched(runbook, Stage::Auto, &target, touches);
        self.apply(run, at, matched);
        self.apply(run, at, RunStep::Started { parameters: target });
    }

    /// An action of a run is over.
    fn act(&mut self, run: &str, at: Timestamp, ok: bool, outcome: &str) {
        let intended = RunStep::ActionIntended { number: 1, action: String::new(), simulated: false };
        self.apply(run, at, intended);
        let (outcome, took) = (outcome.to_owned(), Duration::ZERO);
        self.apply(run, at, RunStep::ActionDone { number: 1, ok, outcome, answer: None, took });
    }

    fn finish(&mut self, run: &str, at: Timestamp, outcome: RunOutcome) {
        self.apply(run, at, RunStep::Finished { outcome, reason: String::new() });
    }

    /// A simulated run, from its start to its end.
    fn rehearsed(&mut self, run: &str, from: u64, to: u64) {
        let target = self.runbook.printed_params();
        self.apply(run, after(from), matched("web", Stage::Shadow, &target, "unit web.service"));
        self.apply(run, after(from), RunStep::Started { parameters: target });
        self.finish(run, after(to), RunOutcome::Shadowed);
    }

    /// What a run was about has been well for long enough.
    fn stays_well(&mut self, run: &str, at: Timestamp) {
        self.apply(run, at, RunStep::StayedWell { well_for: self.runbook.guards.stable });
    }

    fn ran(&mut self, run: &str, from: u64, to: u64, outcome: RunOutcome) {
        self.begin(run, "web", "unit web.service", after(from));
        self.act(run, after(from), true, "done");
        self.finish(run, after(to), outcome);
    }
}

fn matched(runbook: &str, stage: Stage, target: &str, touches: &str) -> RunStep {
    RunStep::Matched {
        alert: String::new(),
        runbook: runbook.to_owned(),
        stage,
        script: String::new(),
        script_sha256: String::new(),
        target: target.to_owned(),
        runbook_sha256: String::new(),
        touches: vec![touches.to_owned()],
    }
}

fn after(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

#[test]
fn nothing_stands_in_the_way_of_the_first_run() {
    for (name, verdict) in Case::new("").judge_all(NOON) {
        assert!(verdict.allowed, "{name}: {}", verdict.reason);
    }
}

#[test]
fn the_kill_switch_stops_everything() {
    let mut case = Case::new("");
    case.circumstances.frozen = Some("deploy; by alice".to_owned());
    case.refuses("kill switch", NOON, "repairs are frozen: deploy; by alice");
    case.journal_writable = false;
    case.refuses("journal", NOON, "the run journal takes no events");
}

#[test]
fn an_alert_that_others_have_a_word_in_starts_nothing_that_does_not_trust_them() {
    let mut case = Case::new("");
    case.alert.origins.extend([Origin::Host, Origin::Rule, Origin::Otlp("apps".into())]);
    let reason = "the alert depends on otlp:apps; the runbook would have to say trust: [otlp:apps]";
    case.refuses("trust", NOON, reason);
    case.runbook.trust.insert("otlp:other".to_owned());
    case.refuses("trust", NOON, reason);
    case.runbook.trust.insert("otlp:apps".to_owned());
    case.allows("trust", NOON, "the alert depends on otlp:apps, which the runbook trusts");
    case.alert.origins.insert(Origin::Textfile);
    assert!(!case.judge("trust", NOON).0);
}

#[test]
fn labels_cannot_choose_what_no_grant_reaches() {
    let mut case = Case::new("");
    case.runbook.params.insert("unit".to_owned(), "${labels.unit}".into());
    let labels = |unit: &str| [("unit", unit)].into_iter().collect::<Labels>();
    let chosen = case.runbook.clone();
    case.runbook = chosen.filled_in(&labels("sshd.service"));
    case.refuses(
        "parameters",
        NOON,
        "the alert's labels make it unit=\"sshd.service\", which no grant reaches",
    );
    case.runbook = chosen.filled_in(&labels("web.service"));
    case.allows("parameters", NOON, "it would run with unit=\"web.service\"");
    case.runbook = chosen.filled_in(&Labels::empty());
    assert!(!case.judge("parameters", NOON).0);
}

#[test]
fn a_stale_alert_and_one_from_the_future_start_nothing() {
    let mut case = Case::new("");
    assert!(case.judge("freshness", after(60)).0);
    case.refuses("freshness", after(61), "seen firing 1m1s ago, at most 1m");
    let (allowed, reason) = case.judge("freshness", NOON.minus(Duration::from_mins(2)));
    assert!(!allowed && reason.contains("the clock has jumped"), "{reason}");
    case.circumstances.seen_firing = None;
    case.refuses("freshness", NOON, "the alert no longer fires");
}

#[test]
fn a_clock_that_was_just_set_starts_nothing() {
    let mut case = Case::new("");
    for set in [NOON.minus(Duration::from_secs(59)), after(59)] {
        case.circumstances.clock_set = Some(set);
        case.refuses(
            "freshness",
            NOON,
            "the clock was set 59s ago, at least 1m: nobody knows how old the alert is",
        );
    }
    case.circumstances.clock_set = Some(NOON.minus(Duration::from_mins(1)));
    assert!(case.judge("freshness", NOON).0);
}

#[test]
fn flapping_suspends_the_automation_unless_the_runbook_acts_all_the_same() {
    let mut case = Case::new("");
    case.circumstances.flapping = Some("7 times within 1h".to_owned());
    case.refuses("flapping", NOON, "the alert is flapping: 7 times within 1h");
    case.runbook = Case::new(", flapping: act").runbook;
    assert!(case.judge("flapping", NOON).0);
}

#[test]
fn a_condition_must_have_a_result() {
    let mut case = Case::new(", only_if: 'count(up) > 2'");
    case.refuses("condition", NOON, "count(up) > 2 was not asked");
    case.circumstances.only_if = Some(Err("the newest sample is 5m old".to_owned()));
    case.refuses("condition", NOON, "count(up) > 2 cannot be told: the newest sample is 5m old");
    case.circumstances.only_if = Some(Ok(Answer::default()));
    case.refuses("condition", NOON, "count(up) > 2 gave no result");
    case.circumstances.only_if = Some(Ok(Answer { values: vec![(Labels::empty(), 3.0)] }));
    case.allows("condition", NOON, "count(up) > 2 gave 3");
}

#[test]
fn a_runbook_keeps_its_hours() {
    // The noon of these tests is a Tuesday, 22:13:20 UTC.
    for (window, allowed, reason) in [
        (
            "only: Mon-Fri 09:00-17:00 UTC",
            false,
            "it is not Mon-Fri 09:00-17:00 UTC, outside of which this runbook does not run",
        ),
        ("only: Tue 22:00-06:00 UTC", true, "it is Tue 22:00-06:00 UTC"),
        ("not: Tue 22:00-23:00 UTC", false, "it is Tue 22:00-23:00 UTC, in which this runbook does not run"),
        ("not: Sat,Sun 00:00-24:00 UTC", true, "it is not Sat,Sun 00:00-24:00 UTC"),
    ] {
        let case = Case::new(&format!(", window: {{ {} }}", window.replacen(' ', " \"", 1) + "\""));
        assert_eq!(case.judge("window", NOON), (allowed, reason.to_owned()), "{window}");
    }
}

#[test]
fn what_people_do_goes_first_and_what_they_stopped_stays_stopped() {
    let hold = |kind, what: &str| Hold { kind, what: what.to_owned() };
    let mut case = Case::new(", ignore: [login, packages]");
    case.circumstances.holds =
        vec![hold(HoldKind::Login, "alice is logged in"), hold(HoldKind::Packages, "dpkg holds its lock")];
    case.allows("operator", NOON, "the runbook ignores that alice is logged in, dpkg holds its lock");
    case.runbook.guards.ignore.clear();
    case.refuses("operator", NOON, "alice is logged in, dpkg holds its lock");
    case.circumstances.holds = vec![hold(HoldKind::Stopped, "web.service was stopped by alice")];
    case.runbook.guards.ignore.extend([HoldKind::Stopped, HoldKind::Login]);
    case.refuses("operator", NOON, "web.service was stopped by alice");
}

#[test]
fn what_others_look_after_and_what_stands_on_broken_ground_is_left_alone() {
    let mut case = Case::new(", depends_on: [db.service]");
    case.allows("dependencies", NOON, "db.service and all else that it depends on are well");
    case.circumstances.owners = vec![("process web".to_owned(), "Monit".to_owned())];
    case.refuses("other controllers", NOON, "process web belongs to Monit");
    case.circumstances.unwell_dependencies = vec![("db.service".to_owned(), "failed".to_owned())];
    case.refuses("dependencies", NOON, "what it depends on is not well: db.service is failed");
}

#[test]
fn a_starving_host_is_not_made_to_work_harder() {
    let mut case = Case::new("");
    case.circumstances.pressure_full = vec![("memory", 41.0), ("io", 12.0)];
    case.refuses(
        "starvation",
        NOON,
        "everything waits for memory 41% of the time, more than 40%: what is slow is starving",
    );
    case.circumstances.pressure_full = vec![("memory", f64::NAN)];
    assert!(!case.judge("starvation", NOON).0);
    case.circumstances.pressure_full = vec![("memory", 40.0)];
    case.allows("starvation", NOON, "everything waits for memory 40% of the time, at most 40%");
    case.runbook = Case::new(", pressure_full: 5.5%").runbook;
    assert!(!case.judge("starvation", NOON).0);
}

#[test]
fn a_runbook_waits_for_its_own_run_and_a_target_for_any() {
    let mut case = Case::new("");
    case.begin("r1", "db", "unit db.service", NOON);
    assert!(case.judge("one at a time", after(1)).0);
    assert!(case.judge("one per target", after(1)).0);
    case.begin("r2", "cache", "unit web.service", NOON);
    case.refuses("one per target", after(1), "run r2 of cache is at work on unit web.service");
    case.refuses("at once", after(1), "2 of 2 runs at work on this host");
    case.finish("r2", after(2), RunOutcome::Repaired);
    assert!(case.judge("one per target", after(3)).0);
    case.allows("at once", after(3), "1 of 2 runs at work on this host");
    case.begin("r3", "web", "unit web.service", after(3));
    case.refuses("one at a time", after(4), "run r3 has not ended");
}

#[test]
fn a_directory_is_one_target_with_what_lies_below_it() {
    let mut case = Case::new("");
    let mut grants = crate::grants::Grants::default();
    grants.add(crate::grants::Capability::FileRemove, "/var/log/web").unwrap();
    case.runbook.grants = grants;
    for (path, free) in [("/var/log", false), ("/var/log/web/old", false), ("/var/log/website", true)] {
        case.history = History::default();
        case.begin("r1", "sweep", &format!("path {path}"), NOON);
        assert_eq!(case.judge("one per target", after(1)).0, free, "{path}");
    }
}

#[test]
fn two_runbooks_that_fight_over_a_target_are_both_held_back_until_it_is_released() {
    let mut case = Case::new("");
    case.begin("r1", "cache", "unit web.service", NOON);
    case.act("r1", NOON, true, "done");
    case.finish("r1", after(5), RunOutcome::Repaired);
    assert!(case.judge("conflict", after(10)).0);
    case.ran("r2", 600, 610, RunOutcome::Repaired);
    let fight = "cache ran on unit web.service 20m ago and web 10m ago; both wait for 50m, or for `hostmend unfreeze 'unit web.service'`";
    case.refuses("conflict", after(1200), fight);
    assert!(!case.judge("conflict", after(4199)).0);
    assert!(case.judge("conflict", after(4200)).0);
    let released = RunStep::Released { what: "unit web.service".to_owned(), by: "alice".to_owned() };
    case.apply("x", after(1300), released);
    assert!(case.judge("conflict", after(1301)).0);
}

#[test]
fn a_run_that_changed_nothing_is_in_conflict_with_none() {
    let refused = executor::ActionError::Refused { reason: "no rule".to_owned() }.to_string();
    let unknown = executor::ActionError::NoAnswer { waited: Duration::from_secs(1) }.to_string();
    let failed = "restarting it failed: no such file";
    for (outcome, free) in
        [(None, true), (Some(refused.as_str()), true), (Some(failed), false), (Some(&unknown), false)]
    {
        let mut case = Case::new("");
        case.begin("r1", "cache", "unit web.service", NOON);
        if let Some(outcome) = outcome {
            case.act("r1", NOON, false, outcome);
        }
        case.finish("r1", NOON, RunOutcome::Escalated);
        case.ran("r2", 600, 610, RunOutcome::Repaired);
        assert_eq!(case.judge("conflict", after(1200)).0, free, "{outcome:?}");
    }
}

#[test]
fn an_overspent_error_budget_holds_back_what_is_risky() {
    let mut case = Case::new(", error_budget: { objective: checkout, at_least: 10% }");
    case.refuses(
        "error budget",
        NOON,
        "what is left of the error budget of checkout is not known: nobody has asked",
    );
    case.circumstances.error_budget = Some(Ok(0.05));
    case.refuses("error budget", NOON, "5.0% of the error budget of checkout is left, at least 10%");
    case.spares_error_budget = true;
    assert!(case.judge("error budget", NOON).0);
    case.spares_error_budget = false;
    case.circumstances.error_budget = Some(Ok(0.5));
    assert!(case.judge("error budget", NOON).0);
}

#[test]
fn a_host_waits_for_its_place_in_the_fleet() {
    let mut case = Case::new(", fleet_lock: { group: web, max: 1 }");
    case.refuses("fleet lock", NOON, "no place among 1 of web: nobody has asked for it");
    case.circumstances.fleet_lock = Some(Err("b1 holds it for 5m more".to_owned()));
    case.refuses("fleet lock", NOON, "no place among 1 of web: b1 holds it for 5m more");
    case.circumstances.fleet_lock = Some(Ok(()));
    assert!(case.judge("fleet lock", NOON).0);
}

#[test]
fn the_reference_of_guards_is_made_from_their_table() {
    let mut table = "| guard | refuses | set by |\n|---|---|---|\n".to_owned();
    for guard in GUARDS {
        let set_by = if guard.set_by.is_empty() { "nothing" } else { guard.set_by };
        writeln!(table, "| {} | {} | {set_by} |", guard.name, guard.refuses).unwrap();
    }
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/runbooks.md")).unwrap();
    assert!(page.contains(&table), "docs/runbooks.md should hold:\n{table}");
}

proptest! {
    #[test]
    fn rehearsals_change_nothing_that_a_guard_says_of_a_run_that_acts(
        runs in proptest::collection::vec((any::<bool>(), 0_u64..900, 0_u64..90), 0..130),
        later in 0_u64..1200,
    ) {
        let (mut with, mut without) = (Case::new(""), Case::new(""));
        let mut at = 0;
        for (number, (acts, pause, takes)) in runs.into_iter().enumerate() {
            let (run, from, to) = (format!("r{number}"), at + pause, at + pause + takes);
            if acts {
                with.ran(&run, from, to, RunOutcome::Escalated);
                without.ran(&run, from, to, RunOutcome::Escalated);
            } else {
                with.rehearsed(&run, from, to);
            }
            at = to;
        }
        prop_assert_eq!(with.judge_all(after(at + later)), without.judge_all(after(at + later)));
    }

    #[test]
    fn a_clock_that_goes_backwards_opens_no_gate(back in 0_u64..100_000, since in 0_u64..59) {
        let mut case = Case::new("");
        case.ran("r1", 0, 0, RunOutcome::Escalated);
        let now = after(since);
        prop_assert!(!case.judge("cooldown", now).0);
        prop_assert!(!case.judge("cooldown", now.minus(Duration::from_secs(back))).0);
    }
}
