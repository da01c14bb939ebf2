//! What must hold after every story, whatever it did to the machine.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{Machine, until};

/// The agent's unit.
pub(crate) const AGENT: &str = "hostmend.service";

/// How soon after the end of a fault something new must have arrived, once it was due: as installed the agent collects
/// every 10 s.
const FRESH_WITHIN: Duration = Duration::from_secs(10);
const COLLECTS_EVERY: Duration = Duration::from_secs(10);
/// The most that the agent may ever have had resident.
const RESIDENT_KIB: u64 = 128 * 1024;
const STOPS_WITHIN: Duration = Duration::from_secs(5);

impl Machine {
    /// The story restarts the agent so often by what it does: its watchdog, a kill.
    pub(crate) fn expect_restarts(&self, restarts: u32) {
        self.restarts_expected.set(restarts);
    }

    /// The story costs what waits in memory at the end of a life of the agent, by a kill or a power loss.
    pub(crate) fn expect_losses(&self) {
        self.losses_expected.set(true);
    }

    /// Whatever happened: something new arrives, memory was bounded, nothing restarted that should not, the agent stops
    /// in time, and every numbered record arrived. A host without the agent has nothing to hold.
    pub(super) fn holds_what_must_always_hold(&self) -> anyhow::Result<()> {
        if self.show(AGENT, "ActiveState")? != "active" {
            ensure!(self.show(AGENT, "LoadState")? == "not-found", "the agent does not run at the end");
            return Ok(());
        }
        self.something_new_arrives()?;
        self.memory_was_bounded()?;
        let restarts: u32 = self.show(AGENT, "NRestarts")?.parse()?;
        let expected = self.restarts_expected.get();
        ensure!(restarts == expected, "the agent was restarted {restarts} times, expected {expected}");
        self.stops_in_time()?;
        self.nothing_is_lost()
    }

    fn something_new_arrives(&self) -> anyhow::Result<()> {
        let before = self.sink.received().collections;
        until("a new collection arrives", COLLECTS_EVERY + FRESH_WITHIN, || {
            Ok(self.sink.received().collections > before + 1)
        })
    }

    fn memory_was_bounded(&self) -> anyhow::Result<()> {
        let status = self.does(&["cat", &format!("/proc/{}/status", self.main_pid(AGENT)?)])?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
        ensure!(peak < RESIDENT_KIB, "the agent had {peak} KiB resident, at most {RESIDENT_KIB} are allowed");
        Ok(())
    }

    fn stops_in_time(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        self.does(&["systemctl", "stop", AGENT])?;
        let took = begun.elapsed();
        ensure!(took < STOPS_WITHIN, "the agent took {took:?} to stop");
        let result = self.show(AGENT, "Result")?;
        ensure!(result == "success", "the agent's stop ended as {result}");
        Ok(())
    }

    /// A kill costs what waits in memory, the end of a life; a hole within one is a loss whatever happened.
    fn nothing_is_lost(&self) -> anyhow::Result<()> {
        let received = self.sink.received();
        ensure!(received.holes().is_empty(), "collections that never arrived: {:?}", received.holes());
        let journal = self.journal(AGENT)?;
        ensure!(!journal.contains("panicked"), "a thread of the agent panicked");
        if self.losses_expected.get() {
            return Ok(());
        }
        ensure!(!journal.contains("telemetry was lost"), "the agent says that telemetry was lost");
        self.every_run_arrived(&received.records)
    }

    /// What the agent's run journal holds, the sink has.
    fn every_run_arrived(&self, records: &[String]) -> anyhow::Result<()> {
        let Ok(journal) = self.read("/var/lib/hostmend/runs.jsonl") else { return Ok(()) };
        for line in journal.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).context("a line of runs.jsonl")?;
            let run = entry["run"].as_str().context("a line of runs.jsonl names its run")?;
            ensure!(records.iter().any(|record| record.contains(run)), "run {run} never arrived");
        }
        Ok(())
    }
}
