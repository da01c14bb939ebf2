//! The agent ends in the middle of a run, and the next one goes on with it: what was done is not done again.

use rustix::process::Signal;

use super::{Host, WITHIN, stop};

const TWO_STEPS: &str = "step(\"restart\", || proc::restart(p.process)); clock::sleep(\"2s\"); \
                         step(\"clean\", || file::remove_old(p.spool, \"1s\", \"1MiB\")); fixed(\"both\")";
const VERIFY: &str = "    verify: { expr: 'hostmend_watch_process_count{hostmend_watch_name=\"victim\"} == 1', within: 10s }\n";

#[test]
fn a_run_that_a_crash_cut_off_goes_on_under_its_id_and_repeats_nothing() {
    let host = Host::new("auto", TWO_STEPS, "", VERIFY);
    let mut agent = host.start();
    agent.wait_for("first step", WITHIN, |_| host.steps_of("step_done").first().cloned());
    let victim = host.victim().unwrap();
    agent.signal(Signal::KILL);
    agent.ended(WITHIN);

    let mut agent = host.start();
    let (outcome, reason) = host.finished(&mut agent, 1);
    assert_eq!(outcome, "repaired", "{reason}\n{}", agent.log());
    assert_eq!(host.steps_of("started").len(), 1, "it began anew");
    assert_eq!(host.steps_of("resumed").len(), 1);
    let runs: std::collections::BTreeSet<String> =
        host.steps().iter().map(|event| event["run"].to_string()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(host.victim(), Some(victim), "restarted a second time");
    assert_eq!(host.steps_of("action_intended").len(), 2);
    host.ask(&["audit", "verify"], 0);
    stop(agent);
}

#[test]
fn twenty_crashes_at_any_moment_never_do_a_step_twice() {
    for delay in 0..20_u64 {
        let host = Host::new("auto", TWO_STEPS, "", VERIFY);
        let mut agent = host.start();
        agent.wait_for("a run", WITHIN, |_| host.steps_of("matched").first().cloned());
        std::thread::park_timeout(std::time::Duration::from_millis(delay * 7));
        agent.signal(Signal::KILL);
        agent.ended(WITHIN);
        let mut agent = host.start();
        host.finished(&mut agent, 1);
        // Whatever was uncertain is told, not repeated.
        let restarts = host.steps_of("action_intended");
        let restarts = restarts.iter().filter(|event| event["step"]["action"] == "restart process victim");
        let runs: std::collections::BTreeSet<String> =
            restarts.clone().map(|event| event["run"].to_string()).collect();
        assert!(restarts.count() <= runs.len(), "after {} ms: {:#?}", delay * 7, host.steps());
        stop(agent);
    }
}
