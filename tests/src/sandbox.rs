//! Hostile scripts, each in the process that the program runs scripts in.

mod hostile;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use documents::Document;
use executor::{Action, ActionError, Outcome};
use remediation::{
    Answer, Circumstances, Considered, Fact, FoundProcess, Ledger, Page, ProcessFilter, Remediator, Runbook,
    Sandbox, Script, Subject, World,
};
use telemetry::{Alert, AlertState, Labels, RunEvent, RunId, RunOutcome, RunStep, Timestamp};

use crate::program::binary;

/// A host where every action succeeds and the clock is real.
struct Host {
    begin: Instant,
    performed: Vec<Action>,
    reason: String,
    stops_after: Duration,
}

#[expect(clippy::disallowed_methods, reason = "how long a hostile script takes is what these tests measure")]
fn instant() -> Instant {
    Instant::now()
}

impl World for Host {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_700_000_000).plus(self.begin.elapsed())
    }

    fn query(&self, _: &str, _: Option<Timestamp>) -> Result<Answer, String> {
        Ok(Answer { values: vec![(Labels::empty(), 1.0)] })
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        self.performed.push(action.clone());
        Ok(Outcome::Restarted {
            process: "web".into(),
            ended: None,
            killed: false,
            pid: 77,
            unnamed_by: None,
        })
    }

    fn find_processes(&self, _: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        Ok(Vec::new())
    }

    fn fact(&self, _: &Fact) -> Result<serde_json::Value, String> {
        Ok(serde_json::Value::from(0))
    }

    fn attach(&mut self, _: &RunId, name: &str, _: &str) -> Result<String, String> {
        Ok(name.to_owned())
    }

    fn page(&mut self, _: &Page) -> Vec<String> {
        Vec::new()
    }

    fn circumstances(&self, _: &Subject<'_>) -> Circumstances {
        Circumstances::default()
    }

    fn wait(&self, _: Duration) -> bool {
        self.begin.elapsed() < self.stops_after
    }

    fn record(&mut self, event: &RunEvent) {
        if let RunStep::Finished { reason, .. } = &event.step {
            self.reason.clone_from(reason);
        }
    }

    fn frozen(&self) -> Option<String> {
        None
    }

    fn seen_firing(&self, _: &Alert) -> Option<Timestamp> {
        Some(self.now())
    }
}

struct Ran {
    outcome: RunOutcome,
    reason: String,
    performed: usize,
    took: Duration,
}

fn run(body: &str) -> Ran {
    run_within("1s", body, Duration::from_mins(1))
}

fn run_within(timeout: &str, body: &str, stops_after: Duration) -> Ran {
    let runbook = format!(
        "runbooks:\n- name: x\n  matchers: ['alertname=\"A\"']\n  script: s.rhai\n  \
         grants: {{ process.restart: [web] }}\n  stage: auto\n  timeout: {timeout}\n  \
         verify: {{ expr: up, within: 1s, settle: 0s }}\n"
    );
    let runbooks = Runbook::read(&Document::from_text(Path::new("r.yaml"), &runbook)).unwrap();
    let script = format!(
        "//! {{ summary: Test, risk: low, needs: {{ process.restart: [web] }} }}\nfn remediate(ctx) {{ {body} }}"
    );
    let script = Script::read(Document::from_text(Path::new("s.rhai"), &script)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::process(binary().to_owned(), vec!["script-runner".to_owned()]);
    let scripts = BTreeMap::from([("s.rhai".to_owned(), script)]);
    let ledger = Ledger::open(directory.path()).unwrap();
    let mut remediator = Remediator::new(runbooks, scripts, ledger, sandbox);
    let mut host = Host { begin: instant(), performed: Vec::new(), reason: String::new(), stops_after };
    let labels = [("alertname", "A")].into_iter().collect();
    let alert = Alert::new(labels, AlertState::Firing, host.now());
    let Some(Considered::Begun(run)) = remediator.consider(&mut host, &alert) else {
        panic!("it has to begin")
    };
    let outcome = run.perform(&mut host);
    Ran { outcome, reason: host.reason, performed: host.performed.len(), took: host.begin.elapsed() }
}

#[test]
fn a_sound_script_repairs() {
    let ran = run("proc::restart(\"web\"); fixed(`restarted for ${ctx.alert.labels.alertname}`)");
    assert_eq!((ran.outcome, ran.performed), (RunOutcome::Repaired, 1), "{}", ran.reason);
}

#[test]
fn an_endless_loop_is_ended_in_time() {
    // Sorting ticks no counter of the language, so only the clock ends this one, and before the processor time is used up.
    let ran = run_within(
        "400ms",
        "let a = []; for i in 0..9999 { a.push(i % 97); } loop { for i in 0..9999 { let b = a; b.sort(); } }",
        Duration::from_mins(1),
    );
    assert_eq!(ran.outcome, RunOutcome::Escalated);
    assert!(ran.reason.contains("ended at its timeout of 400ms"), "{}", ran.reason);
    assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
}

#[test]
fn a_replace_bomb_ends_itself_and_nothing_else() {
    let before = resident_kib();
    let ran = run("let s = \"\"; s.pad(60000, \"x\"); s.replace(\"x\", s); fixed(s)");
    assert_eq!(ran.outcome, RunOutcome::Escalated);
    assert!(ran.reason.contains("replace would make a text of more than"), "{}", ran.reason);
    assert!(ran.took < Duration::from_secs(2), "{:?}", ran.took);
    assert!(resident_kib() < before + 64 * 1024);
}

#[test]
fn a_map_bomb_ends_itself_and_nothing_else() {
    let ran = run("let m = #{}; for i in 0..900 { let s = \"\"; s.pad(60000, \"x\"); let a = []; \
         for k in 0..20 { a.push(s + k); } m[`k${i}`] = a; } fixed(\"x\")");
    assert_eq!(ran.outcome, RunOutcome::Escalated, "{}", ran.reason);
    assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
}

#[test]
fn a_sleep_inside_the_sandbox_is_refused() {
    let ran = run("sleep(20); fixed(\"x\")");
    assert!(ran.reason.contains("use clock::sleep"), "{}", ran.reason);
    assert!(ran.took < Duration::from_secs(1), "{:?}", ran.took);
}

#[test]
fn a_function_without_a_grant_is_refused() {
    let ran = run("proc::restart(\"db\"); fixed(\"x\")");
    assert!(ran.reason.contains("permission denied"), "{}", ran.reason);
    let ran = run("file::remove_old(\"/var/spool\", \"1m\", 1); fixed(\"x\")");
    assert_eq!((ran.outcome, ran.performed), (RunOutcome::Escalated, 0), "{}", ran.reason);
}

#[test]
fn a_script_that_waits_for_nothing_is_ended_by_a_stop() {
    let ran = run_within(
        "1s",
        "let a = []; for i in 0..9999 { a.push(i % 97); } loop { a.sort(); }",
        Duration::from_millis(300),
    );
    assert_eq!(ran.outcome, RunOutcome::Interrupted, "{}", ran.reason);
    assert!(ran.took < Duration::from_secs(1), "{:?}", ran.took);
}

#[test]
fn the_script_s_process_goes_before_the_agent_when_memory_is_short() {
    let (_agent, socket) = std::os::unix::net::UnixStream::pair().unwrap();
    #[expect(clippy::disallowed_methods, reason = "tests start programs")]
    let mut runner = std::process::Command::new(binary())
        .arg("script-runner")
        .stdin(std::os::fd::OwnedFd::from(socket))
        .spawn()
        .unwrap();
    let score = || {
        let path = format!("/proc/{}/oom_score_adj", runner.id());
        // The kernel writes the number anew for each read: what follows the first line may be the end of another.
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().next().unwrap().parse::<i32>().unwrap()
    };
    let begun = instant();
    while score() < 500 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    let score = score();
    runner.kill().and_then(|()| runner.wait()).unwrap();
    assert!(score >= 500, "{score}");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
