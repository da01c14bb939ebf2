//! How soon a repair is over: from the kill of a watched process to its verified restart, stage by stage, and what a run costs.
//!
//! An agent of its own with the shipped script `restart-process.rhai` watches a process that sleeps; it is killed again and
//! again, and the run journal tells when what happened. The guard against storms allows few runs in one life of an agent, so
//! there are several.
//!
//!     cargo run --release -p tests --bin repair-bench           30 kills
//!     cargo run --release -p tests --bin repair-bench 90        so many
//!     cargo run --release -p tests --bin repair-bench 30 PROGRAM OTHER
//!                                                               of each of these agents, by turns

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a process is killed, and how long it is missed is measured")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use load::{Program, agent};
use report::{Run, kind};
use serde_json::Value;
use tempfile::TempDir;

/// Kills in one life of an agent: with the first start, fewer than count as a storm.
const KILLS: usize = 8;
const WITHIN: Duration = Duration::from_secs(20);

const CONFIGURATION: &str = r"
state_directory: state
collect: { interval: 10s, budget: { cpu: 100% }, watch: [{ name: victim, pid_file: victim.pid }] }
evaluation_interval: 10s
rules: [rules.yaml]
runbooks: [runbooks.yaml]
scripts: SCRIPTS
policy: policy.yaml
";

const RULES: &str = r#"
groups:
  - name: victim
    rules:
      - alert: VictimGone
        expr: hostmend_watch_process_count{hostmend_watch_name="victim"} == 0
"#;

const RUNBOOKS: &str = r#"
runbooks:
  - name: restart-victim
    matchers: ['alertname="VictimGone"']
    script: SCRIPT
    params: PARAMS
    grants: { process.restart: [victim] }
    stage: auto
    guards: { cooldown: 1ms, attempts: 100 per 1h, flapping: act, pressure_full: 100%, ignore: [packages, login] }
    timeout: 30s
    verify: { expr: 'hostmend_watch_process_count{hostmend_watch_name="victim"} == 1', within: 10s, settle: 0s }
"#;

const POLICY: &str = r#"
processes:
  - { name: victim, command: [/usr/bin/sleep, "3600"], pid_file: DIRECTORY/victim.pid, write_pid_file: true,
      stop_timeout: 1s, stop_with_executor: true, at_most: 100 per 1h }
"#;

/// A script that only waits, so that its process can be looked at.
const IDLE: &str = "//! summary: waits\n//! params: { process: { type: string } }\n\
                    //! needs: { process.restart: [\"${process}\"] }\n//! risk: low\n//! timeout: 30s\n\
                    fn remediate(ctx) { clock::sleep(\"2s\"); proc::restart(ctx.params.process); fixed(\"waited\") }\n";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let kills = arguments.next().map_or(Ok(30), |argument| argument.parse::<usize>())?;
    let mut programs: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    if programs.is_empty() {
        programs.push(agent()?);
    }
    // By turns, so that what else the machine does counts for all of them.
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    while runs.iter().any(|runs| runs.len() < kills) {
        for (program, runs) in programs.iter().zip(&mut runs) {
            let host = Host::start(program, None)?;
            for _ in 0..KILLS {
                runs.push(host.kill()?);
            }
        }
    }
    for (program, runs) in programs.iter().zip(&runs) {
        println!("{}\n", program.display());
        report::stages(runs);
        let Memory { child, own, grown } = Host::start(program, Some(IDLE))?.memory()?;
        println!(
            "\nmemory while a run lasts: its process {child:.1} MB resident at most, of which {own:.1} MB are no part of the \
             program's file; the agent {grown:.1} MB more\n"
        );
    }
    Ok(())
}

/// What a run takes, in MB.
#[derive(Default)]
struct Memory {
    /// What the process of its script has resident at most.
    child: f64,
    /// Of that, what it does not share with the agent.
    own: f64,
    /// By how much the agent grows meanwhile.
    grown: f64,
}

struct Host {
    agent: Program,
    directory: TempDir,
}

impl Host {
    /// An agent that has started the victim, and begins to count from here.
    fn start(program: &Path, script: Option<&str>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("repair-bench-").tempdir()?;
        let at = |name: &str| directory.path().join(name);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository's root")?;
        let scripts = match script {
            Some(text) => {
                std::fs::write(at("bench.rhai"), text)?;
                directory.path().to_owned()
            }
            None => root.join("remediation-scripts"),
        };
        let (name, params) = match script {
            Some(_) => ("bench.rhai", "{ process: victim }"),
            None => ("restart-process.rhai", "{ process: victim, settle: 1ms }"),
        };
        let files = [
            ("hostmend.yaml", CONFIGURATION.replace("SCRIPTS", &scripts.display().to_string())),
            ("rules.yaml", RULES.to_owned()),
            ("runbooks.yaml", RUNBOOKS.replace("SCRIPT", name).replace("PARAMS", params)),
            ("policy.yaml", POLICY.replace("DIRECTORY", &directory.path().display().to_string())),
        ];
        for (name, text) in files {
            std::fs::write(at(name), text)?;
        }
        let configuration = at("hostmend.yaml").display().to_string();
        let agent = Program::start(program, &["run", "--config", &configuration], &at("log"))?;
        let host = Self { agent, directory };
        if script.is_none() {
            // The first run starts what is missing, and is not counted.
            host.finished(1)?;
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(host)
    }

    /// Kills the victim and waits until it is repaired.
    fn kill(&self) -> anyhow::Result<Run> {
        let pid = std::fs::read_to_string(self.directory.path().join("victim.pid"))?;
        let before = self.events()?.len();
        let done = self.finishes()? + 1;
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let status = Command::new("kill").args(["-9", pid.trim()]).status()?;
        ensure!(status.success(), "the victim is gone already");
        self.finished(done)?;
        let run = Run::read(killed, self.events()?.get(before..).unwrap_or_default())?;
        // The next alert is another one: this one has to be over.
        std::thread::sleep(Duration::from_secs(1));
        Ok(run)
    }

    /// What the one run takes that waits.
    fn memory(&self) -> anyhow::Result<Memory> {
        let begun = Instant::now();
        let (mut before, mut most, mut memory): (f64, f64, Memory) = (0.0, 0.0, Memory::default());
        while begun.elapsed() < WITHIN && self.finishes()? == 0 {
            match child_of(self.agent.id(), "script-runner") {
                Some(pid) => {
                    let of_child = |field| status_kib(pid, field).unwrap_or_default() / 1024.0;
                    memory.child = memory.child.max(of_child("VmHWM:"));
                    memory.own = memory.own.max(of_child("RssAnon:"));
                    most = most.max(self.agent.resident_kib()? as f64);
                }
                None if most == 0.0 => before = self.agent.resident_kib()? as f64,
                None => {}
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        ensure!(memory.child > 0.0, "no script ran");
        Ok(Memory { grown: (most - before) / 1024.0, ..memory })
    }

    fn finishes(&self) -> anyhow::Result<usize> {
        Ok(self.events()?.iter().filter(|event| kind(event) == "finished").count())
    }

    fn finished(&self, runs: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.finishes()? < runs {
            if begun.elapsed() > WITHIN {
                bail!("no run: {}", std::fs::read_to_string(self.directory.path().join("log"))?);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// What the run journal has, in order; a line that is being written is left out.
    fn events(&self) -> anyhow::Result<Vec<Value>> {
        let mut files: Vec<PathBuf> = Vec::new();
        if let Ok(entries) = std::fs::read_dir(self.directory.path().join("state/runs")) {
            files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        files.sort();
        let lines = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?.concat();
        Ok(lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

fn child_of(parent: u32, argument: &str) -> Option<u32> {
    let children = std::fs::read_dir(format!("/proc/{parent}/task"))
        .ok()?
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(argument))
    })
}

fn status_kib(pid: u32, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
