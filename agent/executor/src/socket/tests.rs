use std::os::unix::net::UnixListener;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn restart() -> Action {
    Action::RestartProcess { process: "web".into() }
}

fn ask(path: &Path, deadline: Duration) -> String {
    let error = ExecutorSocket::at(path.to_owned(), deadline).perform(&restart()).unwrap_err();
    with_causes(&error)
}

/// Accepts one connection, and holds it until the request is there.
fn accept(listener: UnixListener) -> std::thread::JoinHandle<UnixStream> {
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let _: Action = frame::receive(&stream, Deadline::after(DEADLINE)).unwrap();
        stream
    })
}

#[test]
fn a_missing_socket_says_what_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("executor.sock");
    assert_eq!(
        ask(&path, DEADLINE),
        format!(
            "the executor cannot be reached at {}: nothing listens there; `systemctl restart hostmend-executor.socket`, \
             or correct `executor:` in hostmend.yaml: No such file or directory (os error 2)",
            path.display()
        )
    );
}

#[test]
fn a_dead_socket_says_what_to_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("executor.sock");
    // Bound and never listened at: a listener that is dropped may live on for a moment in a child of another test.
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    assert!(ask(&path, DEADLINE).contains("`systemctl restart hostmend-executor.socket`"));
}

#[test]
fn a_connection_lost_after_the_request_leaves_the_outcome_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("executor.sock");
    let listener = accept(UnixListener::bind(&path).unwrap());
    let asked = std::thread::spawn({
        let path = path.clone();
        move || ExecutorSocket::at(path, DEADLINE).perform(&restart())
    });
    drop(listener.join().unwrap());
    let error = asked.join().unwrap().unwrap_err();
    assert!(matches!(error, ActionError::HungUp { .. }), "{error:?}");
    assert!(with_causes(&error).contains("it is not known whether the action was done"));
}

#[test]
fn nobody_waits_longer_than_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("executor.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let waited = Duration::from_millis(50);
    let answer = ExecutorSocket::at(path.clone(), waited).perform(&restart());
    assert_eq!(answer, Err(ActionError::NoAnswer { waited }));
}

#[test]
fn a_full_backlog_is_waited_for_no_longer_than_the_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("executor.sock");
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    assert!(ask(&path, Duration::from_millis(50)).contains("it takes no connection"));
}
