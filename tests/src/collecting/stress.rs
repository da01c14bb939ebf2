//! A host in trouble: what is told of it while stress-ng keeps it busy.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Point, collect_points};
use crate::program::{assert_follows_conventions, run, skip};

/// Keeps processors, memory, a disk and the scheduler busy until it is dropped.
struct Stress(Child);

impl Stress {
    #[expect(clippy::disallowed_methods, reason = "the host of the test is to be in trouble")]
    fn start(directory: &std::path::Path) -> std::io::Result<Self> {
        let arguments =
            "--cpu 4 --vm 1 --vm-bytes 64m --hdd 1 --hdd-bytes 16m --switch 2 --sock 1 --timeout 60";
        Command::new("stress-ng").arg("--version").output()?;
        // Other tests run meanwhile, and come first.
        let child = Command::new("nice")
            .args(["-n", "19", "stress-ng"])
            .args(arguments.split(' '))
            .arg("--temp-path")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Stress {
    fn drop(&mut self) {
        // It ends its children when it is asked to.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

fn value(points: &[Point], metric: &str) -> f64 {
    points.iter().filter(|point| point.metric == metric).map(|point| point.value).sum()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "load takes a while to show")]
fn a_host_under_stress_is_told_by_the_conventions_and_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let before = collect_points();
    let _stress = match Stress::start(directory.path()) {
        Ok(stress) => stress,
        Err(error) => return skip("stress", &format!("stress-ng: {error}")),
    };
    let is_told = |metric| before.iter().any(|point| point.metric == metric);
    let begun = Instant::now();
    let shows = loop {
        let now = collect_points();
        let grew = |metric| value(&now, metric) > value(&before, metric);
        let shows = value(&now, "system.cpu.linux.run_queue.length") >= 3.0
            && (grew("system.cpu.linux.pressure.total") || !is_told("system.cpu.linux.pressure.total"))
            && grew("system.cpu.linux.context_switches")
            && grew("system.paging.faults");
        if shows || begun.elapsed() > Duration::from_secs(20) {
            break shows;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    };
    assert!(shows, "a host that stress-ng keeps busy looks idle");
    let dump = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(dump.path(), run(&["collect", "--once", "--format", "otlp-json"]).stdout).unwrap();
    assert_follows_conventions(dump.path());
}
