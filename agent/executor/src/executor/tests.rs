use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use documents::Document;

use super::*;
use crate::policy::{SignalRule, Subject};
use crate::{ByteCount, ProcessId, Selection, Signal, UnitVerb};

mod budgets;
mod files;
mod kernel;
mod restarts;

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
        Action::RemoveFiles {
            selection: Selection::old_files("/srv/web", Duration::from_secs(1), ByteCount(1)),
        },
    ] {
        let reason = refusal(executor.perform(&action, NOON));
        assert_eq!(reason, "no policy is configured; set `policy:` in hostmend.yaml", "{action}");
    }
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
fn no_process_of_the_asker_s_user_gets_a_signal_unless_the_executor_has_that_user_itself() {
    let victim = spawn(&["/bin/sleep", "1000"]);
    let process = Process::open(victim.0.id()).unwrap().unwrap();
    let mine = rustix::process::geteuid().as_raw();
    assert!(!Asker { pid: 1, user: mine }.has(&process).unwrap());
    assert!(!Asker { pid: 1, user: mine + 1 }.has(&process).unwrap());
    assert!(Asker { pid: process.pid, user: mine }.has(&process).unwrap());
    #[expect(clippy::disallowed_methods, reason = "a process of another user is signalled")]
    let other = {
        use std::os::unix::process::CommandExt;
        Command::new("/bin/sleep").arg("1000").uid(65534).spawn()
    };
    // Only root can start one.
    let Ok(other) = other.map(Victim) else { return };
    await_program(other.0.id());
    let mut host = Host::new("[/bin/sleep, \"9\"]", SIGNALS);
    let kill = Action::SignalProcess { process: other.id(), signal: Signal::Term };
    let reason = refusal(host.executor.perform_for(Asker { pid: 1, user: 65534 }, &kill, NOON));
    assert!(reason.ends_with("is never touched: it is hostmend or belongs to its user"), "{reason}");
    assert!(host.executor.perform_for(Asker { pid: 1, user: 65533 }, &kill, NOON).is_ok());
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
        let selection = Selection::old_files(under, older_than, ByteCount(bytes));
        executor.perform(&Action::RemoveFiles { selection }, later)
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
            format!("{spool_text}/../spool is not an absolute path without `.`, `..` and control characters"),
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
    let Ok(Outcome::Removed { files: 1, .. }) = delete(spool.clone(), 60, 1 << 20) else { panic!() };
    assert!(!spool.join("a").exists());
}

#[test]
fn a_service_is_restarted_only_if_the_policy_names_it_and_the_host_can_do_without() {
    let text = "units:\n- { name: web.service, at_most: 1 per 1h }\n";
    let mut executor = Executor::new(policy(text), None);
    executor.systemd = Systemd::nowhere();
    let mut restart = |name: &str| {
        let result =
            executor.perform(&Action::Unit { verb: UnitVerb::Restart, unit: name.parse().unwrap() }, NOON);
        telemetry::with_causes(&result.unwrap_err())
    };
    assert_eq!(
        restart("db.service"),
        "refused: nothing under `units` in policy.yaml allows it; `- name: db.service` there would"
    );
    assert!(restart("sshd.service").contains("sshd.service is never touched"));
    for _ in 0..2 {
        let said = restart("web.service");
        assert!(said.starts_with("connecting to systemd at /nowhere"), "nothing was spent: {said}");
    }
}
