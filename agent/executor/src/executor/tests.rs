use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use documents::Document;

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

#[expect(clippy::disallowed_methods, reason = "the tests restart and signal real processes")]
fn spawn(arguments: &[&str]) -> Victim {
    let (program, arguments) = arguments.split_first().unwrap();
    let victim = Victim(Command::new(program).args(arguments).spawn().unwrap());
    await_program(victim.0.id());
    victim
}

/// Until the kernel has set up a new program it has neither a command line nor an environment.
fn await_program(pid: u32) {
    while Process::open(pid).unwrap().unwrap().command_line().is_empty() {
        std::thread::yield_now();
    }
}

/// A shell script that ends by no polite signal.
const DEFIANT: &str = "trap '' TERM; while :; do read -r _ < /dev/zero; done";

/// The shell needs a moment until it ignores the signal; from then on its signal mask says so.
fn await_defiance(pid: u32) {
    let ignores = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
        u64::from_str_radix(&line, 16).unwrap() & (1 << 14) != 0
    };
    while !ignores() {
        std::thread::yield_now();
    }
}

/// A process that ends with its test.
struct Victim(Child);

impl Victim {
    fn id(&self) -> ProcessId {
        Process::open(self.0.id()).unwrap().unwrap().id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory with a pid file, and an executor whose policy defines one process.
struct Host {
    directory: tempfile::TempDir,
    executor: Executor,
}

fn policy(text: &str) -> Policy {
    let document = Document::from_text(Path::new("policy.yaml"), text);
    Policy::read(&document).unwrap_or_else(|problems| panic!("{problems:?}"))
}

impl Host {
    fn new(command: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut text = format!(
            "processes:\n- name: web\n  command: {command}\n  pid_file: {}\n  write_pid_file: true\n  \
             stop_timeout: 200ms\n  stop_with_executor: true\n  at_most: 3 per 1h\n",
            directory.path().join("web.pid").display()
        );
        let _ = write!(text, "{more}");
        Self { executor: Executor::new(policy(&text), None), directory }
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.path().join("web.pid")
    }

    fn write_pid(&self, pid: u32) {
        std::fs::write(self.pid_file(), format!("{pid}\n")).unwrap();
    }

    fn restart(&mut self) -> Result<Outcome, ActionError> {
        self.executor.perform(&Action::RestartProcess { process: "web".into() }, NOON)
    }

    fn signal(&mut self, process: ProcessId, signal: Signal) -> Result<Outcome, ActionError> {
        self.executor.perform(&Action::SignalProcess { process, signal }, NOON)
    }
}

fn is_alive(pid: u32) -> bool {
    Process::open(pid).unwrap().is_some()
}

fn refusal(result: Result<Outcome, ActionError>) -> String {
    match result {
        Err(ActionError::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_dead_process_is_started_and_its_pid_file_written() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { ended: None, killed: false, pid, .. }) = host.restart() else { panic!() };
    assert!(is_alive(pid));
    assert_eq!(std::fs::read_to_string(host.pid_file()).unwrap(), format!("{pid}\n"));
    assert!(!host.pid_file().with_file_name("web.pid.new").exists());
}

#[test]
fn a_running_process_is_ended_and_replaced() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let victim = spawn(&["/bin/sleep", "1000"]);
    host.write_pid(victim.0.id());
    let Ok(Outcome::Restarted { ended, killed: false, pid, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(victim.0.id()));
    assert!(!is_alive(victim.0.id()) && is_alive(pid));
}

#[test]
fn a_program_that_cannot_be_started_does_not_cost_the_one_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("web");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host = Host::new(&format!("[{}, \"1000\"]", program.display()), "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    std::fs::remove_file(&program).unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
    assert!(is_alive(pid));
}

#[test]
fn what_could_not_be_started_again_is_not_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (program, logs) = (directory.path().join("web"), directory.path().join("logs"));
    let log = logs.join("web.log");
    std::fs::create_dir(&logs).unwrap();
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host =
        Host::new(&format!("[{}, \"1000\"]\n  log_file: {}", program.display(), log.display()), "");
    let rule = &mut host.executor.policy.processes[0];
    rule.at_most = "99 per 1h".parse().unwrap();
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    let clear = |path: &Path| {
        let _ = std::fs::remove_file(path).or_else(|_| std::fs::remove_dir(path));
    };
    let fifo = |path: &Path| {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    };
    let script = |text: &str| {
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let program_cases: [(&dyn Fn(), &str); 6] = [
        (&|| std::fs::create_dir(&program).unwrap(), "web is not a regular file"),
        (&|| fifo(&program), "web is not a regular file"),
        (&|| script(""), "begins neither as an ELF file nor with `#!`"),
        (&|| script("sleep 1000\n"), "begins neither as an ELF file nor with `#!`"),
        (&|| script("#!/nonexistent/sh -e\n"), "looking for the program /nonexistent/sh"),
        (&|| script("#!\n"), "/ is not a regular file"),
    ];
    let mut stays = |expected: &str| {
        let error = host.restart().unwrap_err().to_string();
        assert!(error.contains(expected), "{error} instead of {expected}");
        assert!(is_alive(pid), "{expected}");
        let left_behind = host.pid_file().with_file_name("web.pid.new");
        assert!(!left_behind.is_file(), "{expected}");
    };
    for (make, expected) in program_cases {
        clear(&program);
        make();
        stays(expected);
    }
    clear(&program);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let log_cases: [(&dyn Fn(), &str); 4] = [
        (&|| fifo(&log), "web.log is not a regular file"),
        (&|| std::fs::create_dir(&log).unwrap(), "web.log is not a regular file"),
        (&|| std::os::unix::fs::symlink("/dev/null", &log).unwrap(), "web.log is not a regular file"),
        (&|| std::fs::remove_dir(&logs).unwrap(), "opening the log file"),
    ];
    for (make, expected) in log_cases {
        clear(&log);
        make();
        stays(expected);
    }
}

#[test]
fn where_no_pid_file_can_be_written_nothing_is_ended() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    let beside = host.pid_file().with_file_name("web.pid.new");
    std::fs::create_dir(&beside).unwrap();
    let error = host.restart().unwrap_err().to_string();
    assert!(error.starts_with("preparing the pid file ") && is_alive(pid), "{error}");
    std::fs::remove_dir(&beside).unwrap();
    std::fs::remove_dir_all(host.directory.path()).unwrap();
    let error = host.restart().unwrap_err().to_string();
    assert!(error.starts_with("preparing the pid file ") && is_alive(pid), "{error}");
}

#[test]
fn output_is_appended_to_the_log_file() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("web.log");
    std::fs::write(&log, "before\n").unwrap();
    let command =
        format!("[/bin/sh, -c, \"echo out; echo err >&2; exec sleep 1000\"]\n  log_file: {}", log.display());
    let mut host = Host::new(&command, "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    while !Process::open(pid).unwrap().unwrap().command_line().join(" ").starts_with("sleep") {
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "before\nout\nerr\n");
}

#[test]
fn a_pid_file_that_does_not_name_the_new_process_is_told_and_leads_to_no_twin() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    host.executor.policy.processes[0].write_pid_file = false;
    let outcome = host.restart().unwrap();
    assert!(outcome.to_string().contains("web.pid does not name it: let the program write it"), "{outcome}");
    let Outcome::Restarted { pid: first, .. } = outcome else { panic!() };
    assert!(is_alive(first));
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    assert!(!is_alive(first) && is_alive(second));
}

#[test]
fn a_process_that_writes_its_pid_file_a_moment_later_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("own.pid");
    let command = format!("[/bin/sh, -c, \"echo $$ > {}; exec sleep 1000\"]", pid_file.display());
    let mut host = Host::new(&command, "");
    let rule = &mut host.executor.policy.processes[0];
    (rule.write_pid_file, rule.pid_file) = (false, pid_file);
    let Ok(Outcome::Restarted { unnamed_by: None, .. }) = host.restart() else { panic!() };
}

#[test]
fn a_program_that_others_can_replace_is_not_started_and_the_one_that_runs_stays() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("web");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let mut host = Host::new(&format!("[{}, \"1000\"]", program.display()), "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    for (path, sound, loose) in [(program.as_path(), 0o755, 0o757), (directory.path(), 0o700, 0o707)] {
        let set = |mode| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        set(loose);
        let reason = refusal(host.restart());
        let expected = format!("process web is not started: {} is not trusted: everybody", path.display());
        assert!(reason.starts_with(&expected), "{reason}");
        set(sound);
    }
    assert!(is_alive(pid));
}

#[test]
fn a_restarted_process_can_be_restarted_again_and_leaves_no_zombie() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    assert!(is_alive(second));
}

#[test]
fn a_child_that_has_lost_its_pid_file_gets_no_twin() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    std::fs::remove_file(host.pid_file()).unwrap();
    let Ok(Outcome::Restarted { ended, pid: second, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
    let mut dead = spawn(&["/bin/sleep", "1000"]);
    dead.0.kill().unwrap();
    dead.0.wait().unwrap();
    host.write_pid(dead.0.id());
    let Ok(Outcome::Restarted { ended, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(second));
    assert!(!is_alive(first) && !is_alive(second));
}

#[test]
fn a_process_that_ignores_term_is_killed_after_its_timeout() {
    let mut host = Host::new(&format!("[/bin/sh, -c, {DEFIANT:?}]"), "");
    let victim = spawn(&["/bin/sh", "-c", DEFIANT]);
    host.write_pid(victim.0.id());
    await_defiance(victim.0.id());
    let Ok(Outcome::Restarted { ended, killed: true, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(victim.0.id()));
    assert!(!is_alive(victim.0.id()));
}

#[test]
fn a_stopped_process_ends_without_being_killed() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let victim = spawn(&["/bin/sleep", "1000"]);
    host.write_pid(victim.0.id());
    let pid = rustix::process::Pid::from_child(&victim.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let Ok(Outcome::Restarted { killed: false, .. }) = host.restart() else { panic!() };
    assert!(!is_alive(victim.0.id()));
}

#[test]
fn a_script_is_recognised_behind_its_interpreter() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("web.sh");
    std::fs::write(&script, "#!/bin/sh\nwhile :; do read -r _ < /dev/zero; done\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut host = Host::new(&format!("[{}, serve]", script.display()), "");
    let Ok(Outcome::Restarted { pid: first, .. }) = host.restart() else { panic!() };
    let name = |pid: u32| Process::open(pid).unwrap().unwrap().command_line().join(" ");
    while !name(first).contains("serve") {
        std::thread::yield_now();
    }
    let Ok(Outcome::Restarted { ended, .. }) = host.restart() else { panic!() };
    assert_eq!(ended, Some(first));
}

#[test]
fn a_pid_file_that_names_another_process_is_refused() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let other = spawn(&["/bin/sleep", "999"]);
    host.write_pid(other.0.id());
    let reason = refusal(host.restart());
    assert!(reason.contains("but that is `/bin/sleep 999`; remove the file if it is stale"), "{reason}");
    assert!(is_alive(other.0.id()));
}

#[test]
fn a_pid_file_cannot_aim_at_what_the_host_needs() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    for pid in [1, std::process::id(), std::os::unix::process::parent_id()] {
        host.write_pid(pid);
        assert!(refusal(host.restart()).contains("is never touched"), "{pid}");
    }
}

#[test]
fn a_pid_file_that_is_a_link_or_no_number_stops_the_restart() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    std::fs::write(host.pid_file(), "web\n").unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
    std::fs::remove_file(host.pid_file()).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", host.pid_file()).unwrap();
    assert!(matches!(host.restart(), Err(ActionError::Failed { .. })));
}

#[test]
fn only_the_listed_environment_reaches_the_process() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]\n  environment: { PORT: \"80\" }", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    await_program(pid);
    let path = format!("/proc/{pid}/environ");
    let environment = std::fs::read_to_string(path).unwrap();
    assert_eq!(environment, "PORT=80\0");
}

#[test]
fn what_was_started_ends_with_the_executor() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let Ok(Outcome::Restarted { pid, .. }) = host.restart() else { panic!() };
    drop(host);
    assert!(!is_alive(pid));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "that the children share one deadline is seen in how long they take"
)]
fn children_that_ignore_term_are_killed_at_one_deadline_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = "processes:\n".to_owned();
    for at in 0..4 {
        let _ = write!(
            text,
            "- name: web{at}\n  command: [/bin/sh, -c, {DEFIANT:?}]\n  pid_file: {}/{at}.pid\n  \
             stop_with_executor: true\n  at_most: 3 per 1h\n",
            directory.path().display()
        );
    }
    let mut executor = Executor::new(policy(&text), None);
    let mut pids = Vec::new();
    for at in 0..4 {
        let action = Action::RestartProcess { process: format!("web{at}").as_str().into() };
        let Ok(Outcome::Restarted { pid, .. }) = executor.perform(&action, NOON) else { panic!() };
        await_defiance(pid);
        pids.push(pid);
    }
    let begun = std::time::Instant::now();
    executor.stop_started(Duration::from_millis(500));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn a_process_without_a_rule_is_refused_with_the_line_that_would_allow_it() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let reason = refusal(host.executor.perform(&Action::RestartProcess { process: "db".into() }, NOON));
    assert_eq!(reason, "nothing under `processes` in policy.yaml allows it; `- name: db` there would");
}

#[test]
fn without_a_policy_the_refusal_says_where_to_name_one() {
    let mut executor = Executor::new(Policy::default(), None);
    let victim = spawn(&["/bin/sleep", "1000"]);
    for action in [
        Action::RestartProcess { process: "web".into() },
        Action::SignalProcess { process: victim.id(), signal: Signal::Term },
        Action::DeleteOldFiles {
            under: PathBuf::from("/srv/web"),
            older_than: Duration::from_secs(1),
            at_most: ByteCount(1),
        },
    ] {
        let reason = refusal(executor.perform(&action, NOON));
        assert_eq!(reason, "no policy is configured; set `policy:` in hostmend.yaml", "{action}");
    }
}

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

const SIGNALS: &str = "signals:\n- { command: sleep, signals: [TERM], at_most: 2 per 1h }\n- { process: web, signals: [KILL], at_most: 1 per 1h }\n";

#[test]
fn a_signal_reaches_exactly_the_process_that_was_meant() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", SIGNALS);
    let victim = spawn(&["/bin/sleep", "1000"]);
    let id = victim.id();
    let recycled = ProcessId { start_ticks: id.start_ticks - 1, ..id };
    assert!(refusal(host.signal(recycled, Signal::Term)).contains("its number may be another's now"));
    assert!(is_alive(id.pid));
    let Ok(Outcome::Signalled { command, .. }) = host.signal(id, Signal::Term) else { panic!() };
    assert_eq!(command, "sleep");
}

#[test]
fn a_signal_needs_a_rule_for_this_process_and_this_signal() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", SIGNALS);
    let victim = spawn(&["/bin/sleep", "999"]);
    let reason = refusal(host.signal(victim.id(), Signal::Kill));
    assert_eq!(
        reason,
        "nothing under `signals` in policy.yaml allows it; `- { command: sleep, signals: [KILL] }` there would"
    );
    let defined = spawn(&["/bin/sleep", "1000"]);
    assert!(host.signal(defined.id(), Signal::Kill).is_ok());
    assert!(refusal(host.signal(spawn(&["/bin/sleep", "1000"]).id(), Signal::Kill)).contains("is used up"));
}

#[test]
fn the_host_s_own_processes_get_no_signal_whatever_the_policy_says() {
    let mut host = Host::new("[/bin/sleep, \"1000\"]", "");
    let me = Process::open(std::process::id()).unwrap().unwrap();
    host.executor.policy.signals.push(SignalRule {
        subject: Subject::Command(me.stat.comm.clone()),
        signals: vec![Signal::Kill],
        at_most: "9 per 1h".parse().unwrap(),
    });
    assert!(refusal(host.signal(me.id(), Signal::Kill)).contains("it is hostmend"));
}

#[test]
fn old_files_are_deleted_only_within_the_rule_s_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    std::fs::write(spool.join("a"), "x").unwrap();
    let text = format!(
        "directories:\n- {{ path: {}, at_least_age: 1m, at_most_bytes: 1MiB, at_most: 9 per 1h }}\n",
        spool.display()
    );
    let mut executor = Executor::new(policy(&text), None);
    let later = Timestamp::from_secs(4_000_000_000);
    let mut delete = |under: PathBuf, age: u64, bytes: u64| {
        let older_than = Duration::from_secs(age);
        executor.perform(&Action::DeleteOldFiles { under, older_than, at_most: ByteCount(bytes) }, later)
    };
    let spool_text = spool.display();
    for (under, age, bytes, expected) in [
        (
            spool.clone(),
            59,
            1,
            format!("for {spool_text}, policy.yaml says at_least_age: 1m keeps files younger than that"),
        ),
        (
            spool.clone(),
            60,
            2 << 20,
            format!(
                "for {spool_text}, policy.yaml says at_most_bytes: 1 MiB is less than the 2 MiB asked for"
            ),
        ),
        (
            spool.join("../spool"),
            60,
            1,
            format!("{spool_text}/../spool is not an absolute path without `.` and `..`"),
        ),
        (PathBuf::from("/etc"), 60, 1, "nothing is ever deleted below /etc".to_owned()),
        (
            PathBuf::from("/srv/other"),
            60,
            1,
            "nothing under `directories` in policy.yaml allows it; `- path: /srv/other` there would"
                .to_owned(),
        ),
    ] {
        assert_eq!(refusal(delete(under, age, bytes)), expected);
    }
    let Ok(Outcome::Deleted { files: 1, .. }) = delete(spool.clone(), 60, 1 << 20) else { panic!() };
    assert!(!spool.join("a").exists());
}
