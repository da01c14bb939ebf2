//! What must hold after every story, whatever it did to the machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

use super::{Machine, until};

/// The agent's unit.
pub(crate) const AGENT: &str = "hostmend.service";

/// How soon after the end of a fault something that was measured since must have arrived, once it was due.
const FRESH_WITHIN: Duration = Duration::from_secs(10);
/// As installed. The configurations of stories collect at least every second.
const COLLECTS_EVERY: Duration = Duration::from_secs(10);
/// The most that the agent may ever have had resident.
const RESIDENT_KIB: u64 = 128 * 1024;
const STOPS_WITHIN: Duration = Duration::from_secs(5);

impl Machine {
    /// The story restarts the agent so often by what it does: its watchdog, a kill.
    pub(crate) fn expect_restarts(&self, restarts: usize) {
        self.restarts_expected.set(restarts);
    }

    /// The story costs what waits in memory at the end of a life of the agent, by a kill or a power loss.
    pub(crate) fn expect_losses(&self) {
        self.losses_expected.set(true);
    }

    /// Whatever happened: something new arrives, memory was bounded, nothing restarted that should not, the agent stops
    /// in time, and every numbered record arrived. Where the story removed the agent, the last two are left.
    pub(super) fn holds_what_must_always_hold(&self) -> anyhow::Result<()> {
        if self.show(AGENT, "LoadState")? != "not-found" {
            ensure!(self.show(AGENT, "ActiveState")? == "active", "the agent does not run at the end");
            self.something_new_arrives()?;
            self.memory_was_bounded()?;
            self.stops_in_time()?;
        }
        self.nothing_restarted_by_itself()?;
        self.nothing_is_lost()
    }

    fn something_new_arrives(&self) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let due = if self.configured.get() { Duration::ZERO } else { COLLECTS_EVERY };
        until("a new collection arrives", due + FRESH_WITHIN, || {
            Ok(u128::from(self.sink.received().newest) > now)
        })
    }

    /// What the agent had resident at most in its life so far. Asked before whatever ends a life.
    pub(super) fn memory_was_bounded(&self) -> anyhow::Result<()> {
        let pid = self.main_pid(AGENT)?;
        if pid == 0 {
            return Ok(());
        }
        let status = self.does(&["cat", &format!("/proc/{pid}/status")])?;
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

    /// By the journal, since systemd's own count begins anew with each start by hand.
    fn nothing_restarted_by_itself(&self) -> anyhow::Result<()> {
        let restarts = self.journal(AGENT)?.matches("Scheduled restart job").count();
        let expected = self.restarts_expected.get();
        ensure!(restarts == expected, "the agent was restarted {restarts} times, expected {expected}");
        Ok(())
    }

    /// A kill costs what waits in memory, the end of a life; a hole within one is a loss whatever happened.
    fn nothing_is_lost(&self) -> anyhow::Result<()> {
        let received = self.sink.received();
        ensure!(received.holes().is_empty(), "collections that never arrived: {:?}", received.holes());
        let journal = self.journal("hostmend*")?;
        ensure!(!journal.contains("panicked"), "a thread of the agent panicked");
        let mut lasts = received.lasts();
        // Of a life that was stopped in its first collection nothing has to arrive.
        for made in last_collections(&journal).filter(|made| *made > 0) {
            let arrived = lasts.iter().position(|last| *last == made);
            let arrived = arrived.with_context(|| format!("{made} collections, but arrived: {lasts:?}"))?;
            lasts.remove(arrived);
        }
        if self.losses_expected.get() {
            return Ok(());
        }
        ensure!(lasts.is_empty(), "lives that ended without a word, after so many collections: {lasts:?}");
        ensure!(!journal.contains("telemetry was lost"), "the agent says that telemetry was lost");
        self.every_run_arrived(&received.records)
    }

    /// What the agent's run journal holds, the sink has: each event is a log record too.
    fn every_run_arrived(&self, records: &[String]) -> anyhow::Result<()> {
        let journal = "/var/lib/hostmend/runs/000001.jsonl";
        if self.run(&["test", "-e", journal])?.status != 0 {
            return Ok(());
        }
        let mut runs = BTreeMap::<String, usize>::new();
        for line in self.read(journal)?.lines() {
            let entry: serde_json::Value = serde_json::from_str(line).context("a line of the run journal")?;
            // The first line is about the file.
            let Some(run) = entry["run"].as_str() else { continue };
            *runs.entry(run.to_owned()).or_default() += 1;
        }
        for (run, events) in runs {
            let arrived = records.iter().filter(|record| record.contains(&run)).count();
            ensure!(arrived >= events, "of {events} events of run {run} {arrived} arrived");
        }
        Ok(())
    }
}

/// How many collections each life made that came to its end in order.
fn last_collections(journal: &str) -> impl Iterator<Item = i64> {
    let ends = journal.lines().filter_map(|line| line.split_once(" stopped collections="));
    ends.filter_map(|(_, made)| made.trim().parse().ok())
}
