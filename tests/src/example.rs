//! `config/example`, as the README offers it.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{Running, binary, free_port, root, skip};

const REPAIRED_WITHIN: Duration = Duration::from_mins(1);
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Copies the example, with a port and a pid file of its own.
fn copy(to: &Path) {
    let port = free_port().to_string();
    let pid_file = to.join("web.pid");
    for entry in std::fs::read_dir(root().join("config/example")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text
                .replace("8765", &port)
                .replace("/tmp/hostmend-example.pid", pid_file.to_str().unwrap())
                .replace("../../remediation-scripts", root().join("remediation-scripts").to_str().unwrap());
            std::fs::write(to.join(path.file_name().unwrap()), text).unwrap();
        }
    }
}

#[test]
fn the_example_starts_its_service_and_repairs_it_when_it_hangs() {
    if !Path::new("/usr/bin/python3").exists() {
        return skip("example", "there is no /usr/bin/python3");
    }
    let directory = tempfile::tempdir().unwrap();
    copy(directory.path());
    let configuration = directory.path().join("hostmend.yaml");
    let log = directory.path().join("log");
    let mut agent =
        Running::start(binary(), &["run", "--config", configuration.to_str().unwrap()], &[], &log);
    let repaired = |times: usize| move |log: &str| (log.matches("repaired: ").count() >= times).then_some(());
    agent.wait_for("first start", REPAIRED_WITHIN, repaired(1));

    let pid = std::fs::read_to_string(directory.path().join("web.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    agent.wait_for("repair of the hung service", REPAIRED_WITHIN, repaired(2));

    agent.signal(Signal::TERM);
    agent.ended(STOPS_WITHIN);
    let now = std::fs::read_to_string(directory.path().join("web.pid")).unwrap_or_default();
    assert!(
        !Path::new("/proc").join(now.trim()).join("stat").exists() || now.trim().is_empty(),
        "left behind: {now}"
    );
}
