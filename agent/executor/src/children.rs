//! The processes that this executor has started.
//!
//! Each is waited for by a thread of its own, so that its end is seen by the kernel at once and no dead child stays in
//! the process table. The number of such threads is that of live children: at most one for each process of the policy.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::policy::ProcessRule;
use crate::process::Process;
use crate::{ActionError, ProcessId, ProcessName, Signal};

/// How long the children may take to end when the executor ends without having been told how long; then they are killed.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long the kernel may take to end the children that were killed, all together.
pub(crate) const KILLED_WITHIN: Duration = Duration::from_millis(250);

/// A waiting thread needs next to no stack.
const WAITER_STACK_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Started {
    name: ProcessName,
    process: Process,
    stop_with_executor: bool,
}

/// The children, by the name under which the policy defines them; the newest of each name only.
#[derive(Debug, Default)]
pub(crate) struct Children(Vec<Started>);

impl Children {
    /// Starts what the rule defines, with its output going where it was prepared to go, and returns its process number.
    pub(crate) fn start(&mut self, rule: &ProcessRule, output: [Stdio; 2]) -> Result<u32, ActionError> {
        let starting = || format!("starting {} for process {}", rule.program.display(), rule.name);
        let child = spawn(rule, output).map_err(|error| ActionError::failed(starting(), error))?;
        let pid = child.id();
        // Opened before anybody waits for the child: until then its number cannot be used again.
        let process = Process::open(pid);
        wait_in_background(child).map_err(|error| ActionError::failed(starting(), error))?;
        let ended = || ActionError::failed(starting(), "it ended at once");
        let process = process?.ok_or_else(ended)?;
        self.0.retain(|started| started.name != rule.name);
        let stop_with_executor = rule.stop_with_executor;
        self.0.push(Started { name: rule.name.clone(), process, stop_with_executor });
        Ok(pid)
    }

    /// The live process that was last started under the name.
    pub(crate) fn running(&self, name: &ProcessName) -> Result<Option<Process>, ActionError> {
        let started = self.0.iter().find(|started| started.name == *name);
        started.map_or(Ok(None), |started| Process::open_exactly(started.process.id()))
    }

    /// Whether this process is the one that was last started under the name.
    pub(crate) fn started(&self, name: &ProcessName, id: ProcessId) -> bool {
        self.0.iter().any(|started| started.name == *name && started.process.id() == id)
    }

    /// Ends the children whose rule says that they end with the executor: all are asked, then all are waited for until
    /// one deadline, then those that are left are killed.
    pub(crate) fn stop(&mut self, deadline: Deadline) {
        let mut stopping: Vec<Started> = self.0.extract_if(.., |s| s.stop_with_executor).collect();
        for started in &stopping {
            log_failure(started, started.process.signal(Signal::Term));
            // A stopped process sees no signal until it goes on.
            log_failure(started, started.process.signal(Signal::Cont));
        }
        stopping.retain(|started| started.process.ended_within(deadline.remaining()) != Ok(true));
        for started in &stopping {
            log_failure(started, started.process.signal(Signal::Kill));
        }
        let deadline = Deadline::after(KILLED_WITHIN);
        for started in &stopping {
            match started.process.ended_within(deadline.remaining()) {
                Ok(true) => {}
                Ok(false) => tracing::warn!(process = %started.name, "a child was killed and is still there"),
                Err(error) => log_failure(started, Err(error)),
            }
        }
    }
}

/// A moment until which several waits last, all together. It knows no time of day, so a clock that is set does not move it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

#[expect(clippy::disallowed_methods, reason = "what is left of a wait is measured; nothing is decided by it")]
impl Deadline {
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within)
    }

    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

fn log_failure(started: &Started, result: Result<(), ActionError>) {
    if let Err(error) = result {
        tracing::warn!(process = %started.name, error = &error as &dyn std::error::Error, "ending a child failed");
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop(Deadline::after(FAREWELL));
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the executor; program and arguments are the policy's")]
fn spawn(rule: &ProcessRule, [stdout, stderr]: [Stdio; 2]) -> std::io::Result<Child> {
    Command::new(&rule.program)
        .args(&rule.arguments)
        .env_clear()
        .envs(&rule.environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
}

fn wait_in_background(mut child: Child) -> std::io::Result<()> {
    let wait = move || {
        if let Err(error) = child.wait() {
            tracing::warn!(pid = child.id(), %error, "waiting for a child failed");
        }
    };
    std::thread::Builder::new().name("wait-child".into()).stack_size(WAITER_STACK_BYTES).spawn(wait).map(drop)
}
