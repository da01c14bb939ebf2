//! Processes: how many there are, and what each costs.
//!
//! Each cycle reads `stat` of every process, then `statm` and `io` of those that are reported. A process is its number
//! and its start time, so a number that is used again is another process. One that ends while it is read costs
//! nothing. This is the hot path: with 1,000 processes it is most of what the agent does.

pub(crate) mod files;
pub(crate) mod identity;
mod process;
mod select;
pub(crate) mod stat;

use std::time::Duration;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::{cpu, names, uptime};
use files::ProcFiles;
use identity::{Identity, Users};
use process::Process;
#[cfg(test)]
pub(crate) use process::{parse_io, parse_statm};
use select::{Cost, costliest};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "processes",
    summary: "Processes by state, and CPU time, memory, faults, threads and disk I/O of each.",
    metrics: &[
        &names::PROCESS_COUNT,
        &names::PROCESS_LIMIT,
        &names::PROCESS_CPU_TIME,
        &names::PROCESS_MEMORY_USAGE,
        &names::PROCESS_MEMORY_VIRTUAL,
        &names::PROCESS_PAGING_FAULTS,
        &names::PROCESS_THREAD_COUNT,
        &names::PROCESS_DISK_IO,
        &names::PROCESS_UPTIME,
    ],
    interval: None,
    open: |host, options| Ok(Box::new(Processes::open(host, options.processes_top)?)),
};

/// Processes that are reported, 10 series each; beyond it the collector fails after reporting so many.
const MOST_REPORTED: usize = 10_000;

struct Processes {
    top: Option<usize>,
    files: ProcFiles,
    users: Users,
    /// Sorted by number.
    known: Vec<Process>,
    /// Those of the cycle before; empty between cycles, kept for its memory.
    before: Vec<Process>,
    pids: Vec<u32>,
    /// Whether the kernel accounts for delays; without it all waiting times are 0 and say nothing.
    waits_are_counted: bool,
}

impl Processes {
    fn open(host: &HostRoot, top: Option<usize>) -> Result<Self, CollectError> {
        Ok(Self {
            top,
            files: ProcFiles::open(host)?,
            users: Users::default(),
            known: Vec::new(),
            before: Vec::new(),
            pids: Vec::new(),
            waits_are_counted: false,
        })
    }

    /// Reads `stat` of every process, forgets those that ended and counts the states. A process that cannot be read
    /// costs only itself and is the error that comes with the counts.
    fn observe(&mut self) -> Result<(StateCounts, Option<CollectError>), CollectError> {
        self.pids.clear();
        let pids = &mut self.pids;
        self.files.list(|pid, _| pids.push(pid))?;
        self.pids.sort_unstable();
        std::mem::swap(&mut self.known, &mut self.before);
        let mut before = self.before.drain(..).peekable();
        let mut counts = StateCounts::default();
        let mut first_error = None;
        for pid in self.pids.iter().copied() {
            while before.next_if(|process| process.pid < pid).is_some() {}
            let known = before.next_if(|process| process.pid == pid);
            let mut process = known.unwrap_or_else(|| Process::new(pid));
            match process.observe(&mut self.files) {
                Ok(Some(state)) => {
                    counts.add(state);
                    self.waits_are_counted |= process.now.wait_ticks > 0;
                    self.known.push(process);
                }
                Ok(None) => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        drop(before);
        self.files.set_kept(self.known.iter().map(Process::kept).sum());
        Ok((counts, first_error))
    }

    /// Marks the processes that are reported and says how many should have been.
    fn choose(&mut self) -> usize {
        let chosen = self.top.map(|top| {
            let mut costs: Vec<Cost> = self.known.iter().map(Process::cost).collect();
            costliest(&mut costs, top)
        });
        let mut count = 0;
        for process in &mut self.known {
            let is_chosen = chosen.as_ref().is_none_or(|pids| pids.binary_search(&process.pid).is_ok());
            count += usize::from(is_chosen);
            process.is_reported = is_chosen && count <= MOST_REPORTED;
        }
        count
    }

    /// Reads the rest of the processes that are reported. File by file rather than process by process: the kernel then
    /// stays on the same path, which costs it about a seventh less.
    fn read_reported(&mut self, host: &HostRoot) -> Result<(), CollectError> {
        let Self { known, files, users, .. } = self;
        users.expire();
        let mut boot = None;
        for process in known.iter_mut().filter(|process| process.is_reported) {
            if process.identity.is_none() {
                let boot = match boot {
                    Some(boot) => boot,
                    None => *boot.insert(cpu::boot_time(host)?),
                };
                let created = boot.plus(since_boot(process.start_ticks, host));
                process.identity = Some(Box::new(Identity::read(process.pid, created, files, users, host)));
            }
        }
        for process in known.iter_mut().filter(|process| process.is_reported) {
            process.read_io(files);
        }
        // Last, because it is needed least often: the others come first where descriptors are short.
        for process in known.iter_mut().filter(|process| process.is_reported) {
            process.read_memory(files, host.page_size_bytes());
        }
        Ok(())
    }
}

impl Collector for Processes {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (counts, first_error) = self.observe()?;
        for (state, count) in counts.states() {
            out.int(&names::PROCESS_COUNT, &[Value::Str(state)], count);
        }
        let chosen = self.choose();
        self.read_reported(host)?;
        let uptime_ticks = (uptime::seconds(host)? * host.ticks_per_second()).round() as u64;
        for process in self.known.iter().filter(|process| process.is_reported) {
            process.report(uptime_ticks, self.waits_are_counted, host.ticks_per_second(), out);
        }
        out.host();
        let pid_max = limit(&host.read("proc/sys/kernel/pid_max")?)?;
        let threads_max = limit(&host.read("proc/sys/kernel/threads-max")?)?;
        out.int(&names::PROCESS_LIMIT, &[], pid_max.min(threads_max));
        first_error.map_or(Ok(()), Err)?;
        at_most(MOST_REPORTED, chosen, self.files.path(), "processes")
    }
}

pub(crate) fn since_boot(ticks: u64, host: &HostRoot) -> Duration {
    // Beyond any uptime the text is not the kernel's; the largest duration serves as well as any.
    Duration::try_from_secs_f64(ticks as f64 / host.ticks_per_second()).unwrap_or(Duration::MAX)
}

/// Processes by `process.state`.
#[derive(Debug, Default, PartialEq)]
struct StateCounts {
    running: i64,
    sleeping: i64,
    stopped: i64,
    defunct: i64,
}

impl StateCounts {
    /// `proc_pid_stat(5)`, field 3; D and I are kinds of sleep.
    fn add(&mut self, state: u8) {
        match state {
            b'R' => self.running += 1,
            b'T' | b't' => self.stopped += 1,
            b'Z' => self.defunct += 1,
            b'X' | b'x' => {}
            _ => self.sleeping += 1,
        }
    }

    fn states(&self) -> [(&'static str, i64); 4] {
        [
            ("running", self.running),
            ("sleeping", self.sleeping),
            ("stopped", self.stopped),
            ("defunct", self.defunct),
        ]
    }
}

/// Parses the one number of a file below `/proc/sys/kernel`.
pub(crate) fn limit(file: &HostFile<'_>) -> Result<i64, CollectError> {
    file.number(&mut file.text().split_ascii_whitespace(), "a number", file.text())
}

#[cfg(test)]
mod tests;
