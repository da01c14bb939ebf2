//! The agent as systemd sees it: through the socket that `NOTIFY_SOCKET` names.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, binary};

const WITHIN: Duration = Duration::from_secs(20);

/// The least that the unit's `WatchdogSec=` may be.
const WATCHDOG: Duration = Duration::from_secs(2);

#[test]
fn systemd_is_told_of_the_start_of_life_and_of_the_stop() {
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("hostmend.yaml");
    std::fs::write(&configuration, "state_directory: state\ncollect: { interval: 1h }\n").unwrap();
    let socket = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(WITHIN)).unwrap();
    let heard = || {
        let mut buffer = [0; 4096];
        let length = systemd.recv(&mut buffer).expect("the agent speaks");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };

    let watchdog = WATCHDOG.as_micros().to_string();
    let mut agent = Running::start(
        binary(),
        &["run", "--config", configuration.to_str().unwrap()],
        &[("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", &watchdog)],
        &directory.path().join("log"),
    );
    assert_eq!(
        heard().lines().collect::<Vec<_>>(),
        [
            "READY=1",
            "STATUS=running: 0 listeners, 0 log sources, 0 destinations, 0 watches, 0 probes, 0 rules, 0 runbooks (0 of them act), 0 policy entries"
        ]
    );
    systemd.set_read_timeout(Some(WATCHDOG)).unwrap();
    for _ in 0..3 {
        assert_eq!(heard(), "WATCHDOG=1\n", "in time, every time");
    }
    agent.signal(Signal::TERM);
    let mut last = heard();
    while last == "WATCHDOG=1\n" {
        last = heard();
    }
    assert_eq!(last, "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(agent.ended(WITHIN).0.code(), Some(0), "{}", agent.log());
}
