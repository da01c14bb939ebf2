//! The program under test, as a user has it: built, on a path, run with arguments.

#![expect(
    clippy::disallowed_methods,
    reason = "tests start the program and measure how long it takes to end"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// The binary, built in the same profile as this test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "daemon"])
            .current_dir(root())
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the program does not build");
        let tests = std::env::current_exe().expect("a test has a path");
        let profile = tests.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
        profile.join("hostmend")
    })
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

/// What the program printed to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the program printed to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program in the background, killed when the value is dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `program`; its output goes to `log`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Self {
        let output = std::fs::File::create(log).expect("the log can be made");
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor is free"))
            .stderr(output)
            .spawn()
            .expect("the program starts");
        Self { child, log: log.to_owned() }
    }

    /// What it printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the program is there");
    }

    /// Waits for the end and says how long it took; panics with the log when it takes longer than `within`.
    pub(crate) fn ended(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < within, "still running after {within:?}:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Waits until `seen` gives something; panics with the log when it takes longer than `within`.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut seen: impl FnMut(&str) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = seen(&self.log()) {
                return found;
            }
            if let Some(status) = self.child.try_wait().expect("the child is ours") {
                panic!("ended with {status} before {what}:\n{}", self.log());
            }
            assert!(begun.elapsed() < within, "no {what} after {within:?}:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port is free")
        .port()
}

/// Whether this is CI, where a check that cannot run is a failed one.
pub(crate) fn skip(what: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "in CI nothing is skipped: {what}: {why}");
    println!("skipped: {what}: {why}");
}

/// Holds a dump of OTLP/JSON lines against the semantic conventions and our draft names.
pub(crate) fn assert_follows_conventions(dump: &Path) {
    let semconv = root().join("tests/semconv");
    let checked = Command::new("python3")
        .arg(semconv.join("check.py"))
        .args(["--ext".as_ref(), semconv.join("ext/saturation.yaml").as_os_str(), dump.as_os_str()])
        .output();
    let Ok(checked) = checked.inspect_err(|error| skip("conventions", &error.to_string())) else { return };
    let report = format!("{}{}", stdout(&checked), stderr(&checked));
    if report.contains("No module named 'yaml'") {
        return skip("conventions", "PyYAML is missing");
    }
    assert!(checked.status.success() && report.contains(", 0 failed"), "{report}");
}
