use std::io::{Read, Write};
use std::thread::JoinHandle;

use proptest::prelude::*;

use super::*;
use crate::{
    Actuator, ByteCount, Cause, ExecutorSocket, ProcessId, Selection, Signal, UnitName, UnitState, UnitVerb,
};

mod hostile;

const DEADLINE: Duration = Duration::from_secs(20);

/// A server on a thread, with its socket, its policy and a spool in a directory of their own.
struct Bench {
    directory: tempfile::TempDir,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<Stopped>>,
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl Bench {
    fn start(policy: &str, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("spool")).unwrap();
        let mut options = ServerOptions {
            user: me(),
            policy: directory.path().join("policy.yaml"),
            trust: Trust::invoking_user(),
            budgets: Some(directory.path().join("budgets.json")),
            idle_exit: None,
            clock: || Timestamp::from_secs(4_000_000_000),
        };
        change(&mut options);
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let mut bench = Self { directory, stop: Some(stop), thread: None };
        bench.write_policy(policy);
        let serve = move || ExecutorServer::new(options).serve(&listener, &stopped).unwrap();
        bench.thread = Some(std::thread::spawn(serve));
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write_policy(&self, text: &str) {
        let text = text.replace("SPOOL", &self.path("spool").display().to_string());
        std::fs::write(self.path("policy.yaml"), text).unwrap();
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path("socket")).unwrap()
    }

    fn perform(&self, action: &Action) -> Result<Outcome, ActionError> {
        ExecutorSocket::at(self.path("socket"), DEADLINE).perform(action)
    }

    fn sweep(&self) -> Action {
        let selection = Selection::old_files(self.path("spool"), Duration::from_mins(1), ByteCount(4096));
        Action::RemoveFiles { selection }
    }

    fn refusal(&self, action: &Action) -> String {
        match self.perform(action) {
            Err(ActionError::Refused { reason }) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn stop(&mut self) -> Stopped {
        self.stop = None;
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

const POLICY: &str =
    "directories:\n- { path: SPOOL, at_least_age: 1m, at_most_bytes: 1MiB, at_most: 3 per 1h }\n";

#[test]
fn what_the_policy_allows_is_done_and_its_outcome_comes_back() {
    let mut bench = Bench::start(POLICY, |_| {});
    std::fs::write(bench.path("spool/a"), "x").unwrap();
    let Ok(Outcome::Removed { files: 1, .. }) = bench.perform(&bench.sweep()) else { panic!() };
    assert!(!bench.path("spool/a").exists());
    assert_eq!(bench.stop(), Stopped::Asked);
}

#[test]
fn another_user_is_refused_and_nothing_is_done() {
    let bench = Bench::start(POLICY, |options| options.user = me() + 1);
    std::fs::write(bench.path("spool/a"), "x").unwrap();
    let expected = format!(
        "the executor listens to user {} only, and this is user {}; --agent-user names the one",
        me() + 1,
        me()
    );
    assert_eq!(bench.refusal(&bench.sweep()), expected);
    assert!(bench.path("spool/a").exists());
}

#[test]
fn nonsense_is_answered_and_the_next_connection_is_served() {
    let bench = Bench::start(POLICY, |_| {});
    let long = vec![b'x'; frame::MAX_FRAME_BYTES + 1];
    for (sent, expected) in [
        (&b"{\"action\":\"reboot\"}\n"[..], "it is not a message of this version: unknown variant `reboot`"),
        (b"\xff\xfe\n", "it is not a message of this version"),
        (b"{\"action\":\"restart_process\"}\n", "missing field `process`"),
        (b"{\"action\":", "the connection ended after 10 bytes, before the end of the line"),
        (b"", "the connection ended after 0 bytes"),
        (&long, "it is longer than 65536 bytes"),
    ] {
        let stream = bench.connect();
        // It may hang up as soon as it has read too much.
        let _ = (&stream).write_all(sent);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = (&stream).read_to_string(&mut answer);
        assert!(
            answer.starts_with("{\"Err\":{\"error\":\"refused\"") && answer.contains(expected),
            "{answer}"
        );
    }
    assert!(bench.perform(&bench.sweep()).is_ok());
}

#[test]
fn whoever_says_nothing_costs_seconds() {
    let bench = Bench::start(POLICY, |_| {});
    let _silent = bench.connect();
    assert!(bench.perform(&bench.sweep()).is_ok());
}

#[test]
fn an_action_nobody_waits_for_is_not_begun() {
    let bench = Bench::start(POLICY, |_| {});
    std::fs::write(bench.path("spool/a"), "x").unwrap();
    let silent = bench.connect();
    let gone = bench.connect();
    frame::send(&gone, &bench.sweep(), Deadline::after(DEADLINE)).unwrap();
    drop(gone);
    drop(silent);
    // Answered only after both.
    bench.refusal(&Action::RestartProcess { process: "web".into() });
    assert!(bench.path("spool/a").exists());
}

#[test]
fn a_narrower_policy_holds_at_the_next_action_and_what_was_spent_stays_spent() {
    let bench = Bench::start(POLICY, |_| {});
    assert!(bench.perform(&bench.sweep()).is_ok());
    bench.write_policy("");
    assert!(bench.refusal(&bench.sweep()).contains("it says nothing"));
    bench.write_policy("directories: []\n");
    assert!(bench.refusal(&bench.sweep()).contains("nothing under `directories`"));
    bench.write_policy(POLICY);
    assert!(bench.perform(&bench.sweep()).is_ok());
    bench.write_policy(&POLICY.replace("3 per 1h", "1 per 1h"));
    assert!(bench.refusal(&bench.sweep()).contains("is used up: 1 per 1h"));
}

#[test]
fn a_policy_with_problems_refuses_everything_and_names_the_first_with_its_place() {
    let bench = Bench::start(POLICY, |_| {});
    assert!(bench.perform(&bench.sweep()).is_ok());
    bench.write_policy(&POLICY.replace("1MiB", "much").replace("1m,", "some,"));
    let policy = bench.path("policy.yaml").display().to_string();
    let reason = bench.refusal(&bench.sweep());
    assert!(
        reason.contains(&format!("{policy}:2:")) && reason.contains("\"some\" is not a duration"),
        "{reason}"
    );
    assert!(reason.contains(&format!("(and 1 more; `hostmend check {policy}`)")), "{reason}");
    std::fs::remove_file(bench.path("policy.yaml")).unwrap();
    assert!(bench.refusal(&bench.sweep()).contains("cannot read"));
    bench.write_policy(POLICY);
    assert!(bench.perform(&bench.sweep()).is_ok());
}

#[test]
fn budgets_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let budgets = directory.path().join("budgets.json");
    let spool = directory.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let policy = POLICY.replace("SPOOL", &spool.display().to_string()).replace("3 per", "1 per");
    let action = Action::RemoveFiles {
        selection: Selection::old_files(spool, Duration::from_mins(1), ByteCount(4096)),
    };
    let start = || Bench::start(&policy, |options| options.budgets = Some(budgets.clone()));
    assert!(start().perform(&action).is_ok());
    assert!(start().refusal(&action).contains("is used up"));
}

#[test]
fn an_executor_behind_a_socket_starts_no_processes_and_says_what_would_be_right() {
    let text = "processes:\n- { name: web, command: [/bin/sleep, \"9\"], pid_file: /run/web.pid, at_most: 1 per 1h }\n";
    let bench = Bench::start(text, |_| {});
    let reason = bench.refusal(&Action::RestartProcess { process: "web".into() });
    assert!(reason.contains("let a unit run web, name that unit under `units`"), "{reason}");
}

#[test]
fn whoever_asks_is_never_the_victim() {
    let me = crate::process::Process::open(std::process::id()).unwrap().unwrap();
    let text = format!("signals:\n- {{ command: {}, signals: [KILL], at_most: 1 per 1h }}\n", me.stat.comm);
    let bench = Bench::start(&text, |_| {});
    let reason = bench.refusal(&Action::SignalProcess { process: me.id(), signal: Signal::Kill });
    assert!(reason.contains("is never touched: it is hostmend or"), "{reason}");
}

#[test]
fn without_visitors_it_ends() {
    let mut bench = Bench::start(POLICY, |options| options.idle_exit = Some(Duration::from_millis(1)));
    assert_eq!(bench.thread.take().unwrap().join().unwrap(), Stopped::Idle);
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,20}", any::<String>()]
}

fn durations() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos))
}

fn processes() -> impl Strategy<Value = ProcessId> {
    any::<(u32, u64)>().prop_map(|(pid, start_ticks)| ProcessId { pid, start_ticks })
}

fn signals() -> impl Strategy<Value = Signal> {
    const NAMES: [&str; 9] = ["HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "TERM", "CONT"];
    proptest::sample::select(&NAMES).prop_map(|name| name.parse().unwrap())
}

fn units() -> impl Strategy<Value = UnitName> {
    "[a-z]{1,9}(@[a-z0-9.:-]{1,9})?".prop_map(|stem| format!("{stem}.service").parse().unwrap())
}

fn states() -> impl Strategy<Value = UnitState> {
    (texts(), texts(), any::<Option<u32>>()).prop_map(|(active, sub, main_pid)| UnitState {
        active,
        sub,
        main_pid,
    })
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        texts().prop_map(|name| Action::RestartProcess { process: name.as_str().into() }),
        units().prop_map(|unit| Action::Unit { verb: UnitVerb::Restart, unit }),
        (processes(), signals()).prop_map(|(process, signal)| Action::SignalProcess { process, signal }),
        (texts(), durations(), any::<u64>()).prop_map(|(under, older_than, bytes)| Action::RemoveFiles {
            selection: Selection::old_files(under, older_than, ByteCount(bytes))
        }),
    ]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let restarted =
        (texts(), any::<Option<u32>>(), any::<bool>(), any::<u32>(), proptest::option::of(texts()));
    let deleted = (any::<[u64; 4]>(), proptest::option::of(texts()), any::<bool>());
    prop_oneof![
        restarted.prop_map(|(name, ended, killed, pid, path)| Outcome::Restarted {
            process: name.as_str().into(),
            ended,
            killed,
            pid,
            unnamed_by: path.map(PathBuf::from),
        }),
        (units(), states(), states()).prop_map(|(unit, before, after)| Outcome::UnitChanged {
            verb: UnitVerb::Restart,
            unit,
            before,
            after
        }),
        (processes(), texts(), signals()).prop_map(|(process, command, signal)| Outcome::Signalled {
            process,
            command,
            signal
        }),
        deleted.prop_map(|([files, bytes, too_large, failed], first_failure, incomplete)| Outcome::Removed {
            quarantined: false,
            change: None,
            files,
            bytes: ByteCount(bytes),
            too_large,
            failed,
            first_failure,
            incomplete,
        }),
    ]
}

fn errors() -> impl Strategy<Value = ActionError> {
    let cause = || texts().prop_map(Cause);
    prop_oneof![
        texts().prop_map(|reason| ActionError::Refused { reason }),
        (texts(), cause()).prop_map(|(doing, cause)| ActionError::Failed { doing, cause }),
        durations().prop_map(|waited| ActionError::NoAnswer { waited }),
        (texts(), texts(), cause()).prop_map(|(socket, remedy, cause)| ActionError::Unreachable {
            socket: socket.into(),
            remedy,
            cause
        }),
        cause().prop_map(|cause| ActionError::HungUp { cause }),
        Just(ActionError::Stopped),
    ]
}

proptest! {
    #[test]
    fn every_request_and_every_answer_survives_the_crossing(
        action in actions(),
        answer in prop_oneof![outcomes().prop_map(Ok), errors().prop_map(Err)],
    ) {
        let (near, far) = UnixStream::pair().unwrap();
        let until = Deadline::after(DEADLINE);
        frame::send(&near, &action, until).unwrap();
        prop_assert_eq!(frame::receive::<Action>(&far, until).unwrap(), action);
        frame::send(&far, &answer, until).unwrap();
        prop_assert_eq!(frame::receive::<Result<Outcome, ActionError>>(&near, until).unwrap(), answer);
    }
}

#[test]
fn the_longest_error_fits_into_a_frame() {
    let error = ActionError::failed("\u{1}".repeat(1 << 20), "\u{1}".repeat(1 << 20));
    let (near, far) = UnixStream::pair().unwrap();
    let until = Deadline::after(DEADLINE);
    frame::send(&near, &Err::<Outcome, _>(&error), until).unwrap();
    assert_eq!(frame::receive::<Result<Outcome, ActionError>>(&far, until).unwrap(), Err(error));
}
