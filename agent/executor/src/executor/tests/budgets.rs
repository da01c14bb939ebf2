use super::*;

#[test]
fn a_budget_counts_failures_and_opens_again_after_its_window() {
    let mut host = Host::new("[/nonexistent/web]", "");
    for _ in 0..3 {
        assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
    }
    assert_eq!(refusal(host.restart()), "the budget of processes[0] in policy.yaml is used up: 3 per 1h");
    let action = Action::RestartProcess { process: "web".into() };
    let later = NOON.plus(Duration::from_hours(1));
    assert!(matches!(host.executor.perform(&action, later), Err(ActionError::Failed { .. })));
}

/// A policy for `web` with other rules before it, allowed so many restarts.
fn budgeted(before: &str, at_most: &str) -> Policy {
    policy(&format!(
        "processes:\n{before}- name: web\n  command: [/nonexistent/web]\n  pid_file: /nonexistent/web.pid\n  \
         at_most: {at_most}\n"
    ))
}

#[test]
fn what_was_spent_is_known_after_a_restart_even_if_the_policy_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("budgets.json");
    let action = Action::RestartProcess { process: "web".into() };
    let another =
        "- { name: db, command: [/nonexistent/db], pid_file: /nonexistent/db.pid, at_most: 1 per 1h }\n";
    for before in ["", another] {
        let mut executor = Executor::new(budgeted(before, "2 per 1h"), Some(file.clone()));
        assert!(matches!(executor.perform(&action, NOON), Err(ActionError::Failed { .. })));
    }
    let mut executor = Executor::new(budgeted("", "2 per 1h"), Some(file.clone()));
    assert!(refusal(executor.perform(&action, NOON)).contains("is used up"));
    let later = NOON.plus(Duration::from_hours(1));
    assert!(matches!(executor.perform(&action, later), Err(ActionError::Failed { .. })));
}

#[test]
fn what_was_spent_and_cannot_be_read_refuses_until_the_file_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("budgets.json");
    let action = Action::RestartProcess { process: "web".into() };
    std::fs::write(&file, "{\"process web\": [17").unwrap();
    let mut executor = Executor::new(budgeted("", "1 per 1h"), Some(file.clone()));
    let reason = refusal(executor.perform(&action, NOON));
    let expected = format!(
        "its budget cannot be counted: {} does not say what was spent; remove it to begin with unspent budgets: ",
        file.display()
    );
    assert!(reason.starts_with(&expected), "{reason}");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(executor.perform(&action, NOON), Err(ActionError::Failed { .. })));
    assert!(refusal(executor.perform(&action, NOON)).contains("is used up"));
}

#[test]
fn what_cannot_be_counted_is_not_done_and_counts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let action = Action::RestartProcess { process: "web".into() };
    let mut executor = Executor::new(budgeted("", "1 per 1h"), Some(state.join("budgets.json")));
    for _ in 0..2 {
        let reason = refusal(executor.perform(&action, NOON));
        assert!(reason.contains("cannot be counted: writing "), "{reason}");
    }
    std::fs::create_dir(&state).unwrap();
    assert!(matches!(executor.perform(&action, NOON), Err(ActionError::Failed { .. })));
}
