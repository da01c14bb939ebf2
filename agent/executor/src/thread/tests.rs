use std::path::Path;

use documents::Document;

use super::*;

fn start(text: &str, deadline: Duration) -> ExecutorThread {
    let document = Document::from_text(Path::new("policy.yaml"), text);
    let policy = Policy::read(&document).unwrap();
    ExecutorThread::start(policy, None, || Timestamp::from_secs(1), deadline, None).unwrap()
}

fn process(pid_file: &Path, command: &str) -> String {
    format!(
        "processes:\n- name: web\n  command: {command}\n  pid_file: {}\n  write_pid_file: true\n  \
         stop_timeout: 100ms\n  stop_with_executor: true\n  at_most: 9 per 1h\n",
        pid_file.display()
    )
}

#[test]
fn the_answer_comes_back_and_nothing_stays_behind() {
    let directory = tempfile::tempdir().unwrap();
    let text = process(&directory.path().join("web.pid"), "[/bin/sleep, \"1000\"]");
    let mut executor = start(&text, Duration::from_secs(20));
    let action = Action::RestartProcess { process: "web".into() };
    let Ok(Outcome::Restarted { pid: first, .. }) = executor.perform(&action) else { panic!() };
    executor.stop_started(Duration::from_secs(10));
    assert!(crate::process::Process::open(first).unwrap().is_none());
    let Ok(Outcome::Restarted { pid: second, .. }) = executor.perform(&action) else { panic!() };
    drop(executor);
    assert!(crate::process::Process::open(second).unwrap().is_none());
}

#[test]
fn a_refusal_crosses_the_thread() {
    let mut executor = start("processes: []", Duration::from_secs(20));
    let action = Action::RestartProcess { process: "web".into() };
    assert!(matches!(executor.perform(&action), Err(ActionError::Refused { .. })));
}

#[test]
fn nobody_waits_longer_than_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("web.pid");
    let text = process(&pid_file, "[/bin/sh, -c, \"trap '' TERM; while :; do read -r _ < /dev/zero; done\"]")
        .replace("100ms", "2s");
    let mut executor = start(&text, Duration::from_millis(500));
    let action = Action::RestartProcess { process: "web".into() };
    let Ok(Outcome::Restarted { pid, .. }) = executor.perform(&action) else { panic!() };
    let ignores_term = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap() & (1 << 14) != 0
    };
    while !ignores_term() {
        std::thread::yield_now();
    }
    assert_eq!(executor.perform(&action), Err(ActionError::NoAnswer { waited: Duration::from_millis(500) }));
}

#[test]
fn a_policy_is_replaced_while_the_thread_runs_and_what_was_spent_stays_spent() {
    let directory = tempfile::tempdir().unwrap();
    let text = process(&directory.path().join("web.pid"), "[/bin/sleep, \"1000\"]").replace("9 per", "1 per");
    let mut executor = start("processes: []", Duration::from_secs(20));
    let action = Action::RestartProcess { process: "web".into() };
    assert!(matches!(executor.perform(&action), Err(ActionError::Refused { .. })));
    let policy = |text: &str| Policy::read(&Document::from_text(Path::new("policy.yaml"), text)).unwrap();
    executor.policy().replace(policy(&text));
    assert!(executor.perform(&action).is_ok());
    executor.policy().replace(policy(&text));
    let refused = executor.perform(&action).unwrap_err().to_string();
    assert!(refused.contains("1 per 1h"), "{refused}");
}

#[test]
fn what_was_taken_out_of_the_policy_s_file_is_refused_without_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.yaml");
    let text = process(&directory.path().join("web.pid"), "[/bin/sleep, \"1000\"]");
    std::fs::write(&file, &text).unwrap();
    let trust = Trust::invoking_user();
    let policy = Policy::read(&Document::open(&file, trust).unwrap()).unwrap();
    let clock = || Timestamp::from_secs(1);
    let mut executor =
        ExecutorThread::start(policy, None, clock, Duration::from_secs(20), Some(trust)).unwrap();
    let action = Action::RestartProcess { process: "web".into() };
    assert!(executor.perform(&action).is_ok());
    for narrowed in ["processes: []\n", "nonsense: 1\n"] {
        std::fs::write(&file, narrowed).unwrap();
        let refused = executor.perform(&action);
        assert!(matches!(refused, Err(ActionError::Refused { .. })), "{refused:?}");
    }
    std::fs::write(&file, &text).unwrap();
    assert!(executor.perform(&action).is_ok());
}
