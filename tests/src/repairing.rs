//! Repairs by the whole program, with a policy and a victim in a directory of their own: who is told of what, whose word
//! starts a run, what a crash repeats, and that a simulated run changes nothing.

mod escalating;
mod impersonating;
mod resuming;
mod simulating;
mod swapping;

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, run, stderr, stdout};

const WITHIN: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = r"
state_directory: state
collect:
  interval: 500ms
  budget: { cpu: 400% }
  directories: [spool]
  watch: [{ name: victim, pid_file: victim.pid }]
evaluation_interval: 500ms
rules: [rules.yaml]
runbooks: [runbooks.yaml]
scripts: scripts
policy: policy.yaml
";

const RULES: &str = r#"
groups:
  - name: victim
    rules:
      - alert: VictimGone
        expr: hostmend_watch_process_count{hostmend_watch_name="victim"} == 0
"#;

const POLICY: &str = r#"
processes:
  - { name: victim, command: [/usr/bin/sleep, "3600"], pid_file: DIRECTORY/victim.pid, write_pid_file: true,
      stop_timeout: 1s, at_most: 100 per 1h }
directories:
  - { path: DIRECTORY/spool, at_least_age: 1s, at_most_bytes: 1GiB, at_most: 100 per 1h }
"#;

/// An agent that watches a victim, which nothing has started yet.
struct Host {
    directory: TempDir,
}

impl Host {
    /// With the runbook's stage, the script's body, and what else belongs into `hostmend.yaml` and the runbook.
    fn new(stage: &str, body: &str, more: &str, of_runbook: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = Self { directory };
        for part in ["scripts", "spool"] {
            std::fs::create_dir(host.path(part)).unwrap();
        }
        let place = host.directory.path().to_str().unwrap().to_owned();
        // What a script does not call it cannot need, and what it does not need cannot be granted.
        let (needs, grants) = if body.contains("file::remove_old") {
            (", file.remove: [\"${spool}\"]", format!(", file.remove: [{place}/spool]"))
        } else {
            ("", String::new())
        };
        let runbooks = format!(
            "runbooks:\n  - name: restart-victim\n    matchers: ['alertname=~\"Victim.*\"']\n    script: restart.rhai\n    \
             params: {{ process: victim, spool: {place}/spool }}\n    \
             grants: {{ process.restart: [victim]{grants} }}\n    stage: {stage}\n    \
             guards: {{ cooldown: 1s, attempts: 20 per 1h }}\n    timeout: 30s\n{of_runbook}"
        );
        let script = format!(
            "//! summary: Restarts the victim\n//! params: {{ process: {{ type: string }}, spool: {{ type: path }} }}\n\
             //! needs: {{ process.restart: [\"${{process}}\"]{needs} }}\n//! risk: low\n\
             //! timeout: 30s\n\nfn remediate(ctx) {{ let p = ctx.params; {body} }}\n"
        );
        host.write("hostmend.yaml", &format!("{CONFIGURATION}{more}"));
        host.write("rules.yaml", RULES);
        host.write("runbooks.yaml", &runbooks);
        host.write("scripts/restart.rhai", &script);
        host.write("policy.yaml", &POLICY.replace("DIRECTORY", &place));
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn configuration(&self) -> String {
        self.path("hostmend.yaml").to_str().unwrap().to_owned()
    }

    fn start(&self) -> Running {
        let configuration = self.configuration();
        let mut agent =
            Running::start(binary(), &["run", "--config", &configuration], &[], &self.path("log"));
        agent.wait_for("start", WITHIN, |log| log.contains(" running").then_some(()));
        agent
    }

    /// What the program prints when it is asked; its exit code must be `code`.
    fn ask(&self, arguments: &[&str], code: i32) -> String {
        let configuration = self.configuration();
        let output = run(&[arguments, &["--config", &configuration]].concat());
        assert_eq!(output.status.code(), Some(code), "{}{}", stdout(&output), stderr(&output));
        [stdout(&output), stderr(&output)].concat()
    }

    /// The steps of all runs, in order, as the journal has them.
    fn steps(&self) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(self.path("state/runs")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let text: String =
            files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["step"].is_object()).collect()
    }

    /// Those of a kind: `finished`.
    fn steps_of(&self, kind: &str) -> Vec<Value> {
        self.steps().into_iter().filter(|event| event["step"]["step"] == kind).collect()
    }

    /// Waits for the end of a run, and says how it ended and why.
    fn finished(&self, agent: &mut Running, runs: usize) -> (String, String) {
        let finished =
            agent.wait_for("end of a run", WITHIN, |_| self.steps_of("finished").get(runs - 1).cloned());
        let text = |name: &str| finished["step"][name].as_str().unwrap_or_default().to_owned();
        (text("outcome"), text("reason"))
    }

    /// The number in the victim's pid file.
    fn victim(&self) -> Option<u32> {
        std::fs::read_to_string(self.path("victim.pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It outlives the agent, as services do.
        let pid = self.victim().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        let command = pid.map(|pid| format!("/proc/{}/comm", pid.as_raw_nonzero()));
        let is_ours = command
            .and_then(|path| std::fs::read_to_string(path).ok())
            .is_some_and(|name| name.trim() == "sleep");
        if let Some(pid) = pid.filter(|_| is_ours) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

fn stop(mut agent: Running) {
    agent.signal(Signal::TERM);
    assert_eq!(agent.ended(Duration::from_secs(10)).0.code(), Some(0), "{}", agent.log());
}
