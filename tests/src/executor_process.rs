//! The executor as a process of its own, asked as the agent asks it.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use executor::{Action, ActionError, Actuator, ByteCount, ExecutorSocket, Outcome, Selection};
use rustix::process::Signal;

use crate::program::{Running, binary, skip};

const WITHIN: Duration = Duration::from_secs(20);

/// What SIGTERM may take.
const STOP_WITHIN: Duration = Duration::from_secs(5);

fn start(directory: &Path, user: u32) -> Running {
    let notify = directory.join("notify");
    let systemd = UnixDatagram::bind(&notify).unwrap();
    systemd.set_read_timeout(Some(WITHIN)).unwrap();
    let path = |name: &str| directory.join(name).display().to_string();
    let arguments = [
        "executor",
        "--policy",
        &path("policy.yaml"),
        "--socket",
        &path("socket"),
        "--agent-user",
        &user.to_string(),
    ];
    let environment = [("NOTIFY_SOCKET", path("notify")), ("STATE_DIRECTORY", path("state"))];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let running = Running::start(binary(), &arguments, &environment, &directory.join("log"));
    let mut heard = [0; 64];
    let length = systemd.recv(&mut heard).expect("the executor speaks");
    assert_eq!(&heard[..length], b"READY=1\n");
    std::fs::remove_file(notify).unwrap();
    running
}

#[test]
fn the_executor_does_what_the_policy_allows_for_one_user_and_ends_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    std::fs::write(spool.join("old"), "x").unwrap();
    let policy = format!(
        "directories:\n- {{ path: {}, at_least_age: 0s, at_most_bytes: 1MiB, at_most: 1 per 1h }}\n",
        spool.display()
    );
    std::fs::write(directory.path().join("policy.yaml"), policy).unwrap();
    let sweep = Action::RemoveFiles {
        selection: Selection::old_files(spool.clone(), Duration::ZERO, ByteCount(65536)),
    };
    let ask = || ExecutorSocket::at(directory.path().join("socket"), WITHIN).perform(&sweep);
    let me = rustix::process::geteuid().as_raw();

    let mut executor = start(directory.path(), me);
    let Ok(Outcome::Removed { files: 1, .. }) = ask() else { panic!("{}", executor.log()) };
    assert!(!spool.join("old").exists());
    executor.signal(Signal::TERM);
    let (status, _) = executor.ended(STOP_WITHIN);
    assert!(status.success(), "{}", executor.log());
    assert!(matches!(ask(), Err(ActionError::Unreachable { .. })));

    // What was spent stays spent.
    let executor = start(directory.path(), me);
    assert!(matches!(ask(), Err(ActionError::Refused { reason }) if reason.contains("is used up: 1 per 1h")));
    drop(executor);

    if me != 0 {
        return skip("another user's executor", "only root can give its socket to another user");
    }
    let _of_another = start(directory.path(), me + 1);
    assert_eq!(directory.path().join("socket").metadata().unwrap().uid(), me + 1);
    assert!(matches!(ask(), Err(ActionError::Refused { reason }) if reason.contains("listens to user")));
}
