//! Processes: how many there are, and what each costs.
//!
//! Each cycle reads `stat` of every process, then `statm` and `io` of those that are reported. A process is its number
//! and its start time, so a number that is used again is another process. One that ends while it is read costs
//! nothing. This is the hot path: with 1,000 processes it is most of what the agent does.

pub(crate) mod files;
pub(crate) mod identity;
mod select;
pub(crate) mod stat;

use std::time::Duration;

use rustix::io::Errno;
use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, Found, at_most};
use crate::host::{HostFile, HostRoot};
use crate::{cpu, names, uptime};
use files::{ProcFiles, ProcessFile, is_gone_or_hidden};
use identity::{Identity, Users};
use select::{Cost, costliest};
use stat::{COMM_BYTES, Stat, decimal};

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
    on_by_default: true,
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

/// What is kept of a process from cycle to cycle.
#[derive(Debug, Default)]
struct Process {
    pid: u32,
    start_ticks: u64,
    comm: [u8; COMM_BYTES],
    stat: ProcessFile,
    statm: ProcessFile,
    io: ProcessFile,
    identity: Option<Box<Identity>>,
    now: Reading,
    spent_ticks: u64,
    /// As of the last time that `stat` changed.
    memory: Option<Memory>,
    disk_io: Option<DiskIo>,
    is_reported: bool,
}

/// What `stat` said in this cycle.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    user_ticks: u64,
    system_ticks: u64,
    wait_ticks: u64,
    minor_faults: u64,
    major_faults: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
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
            let mut process = known.unwrap_or_else(|| Process { pid, ..Process::default() });
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
    /// stays on the same path, which costs it a fifth less.
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
        let pid_max = limit(&host.read("proc/sys/kernel/pid_max")?)?;
        let threads_max = limit(&host.read("proc/sys/kernel/threads-max")?)?;
        out.int(&names::PROCESS_LIMIT, &[], pid_max.min(threads_max));

        let chosen = self.choose();
        self.read_reported(host)?;
        let uptime_seconds = uptime::seconds(host)?;
        for process in self.known.iter().filter(|process| process.is_reported) {
            process.report(uptime_seconds, self.waits_are_counted, host.ticks_per_second(), out);
        }
        first_error.map_or(Ok(()), Err)?;
        at_most(MOST_REPORTED, chosen, self.files.path(), "processes")
    }
}

#[derive(Clone, Copy, Debug)]
struct Memory {
    resident_bytes: i64,
    virtual_bytes: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskIo {
    read_bytes: i64,
    written_bytes: i64,
}

impl Process {
    /// Reads `stat`. `None` when the process has ended or is hidden from this user.
    fn observe(&mut self, files: &mut ProcFiles) -> Result<Option<u8>, CollectError> {
        let pid = self.pid;
        let mut read = files.read(pid, "stat", &mut self.stat);
        if read == Err(Errno::SRCH) && self.stat.is_kept() {
            // The process that we knew has ended; the number may belong to another by now.
            *self = Self { pid, ..Self::default() };
            read = files.read(pid, "stat", &mut self.stat);
        }
        let length = match read {
            Ok(length) => length,
            Err(error) if is_gone_or_hidden(error) => return Ok(None),
            // Descriptors or memory are used up: the next process fares no better, so none is named.
            Err(source) => {
                return Err(CollectError::Read { path: format!("{}/PID/stat", files.path()), source });
            }
        };
        let Some(stat) = stat::parse(files.bytes(length)) else {
            let found = Found::new(&String::from_utf8_lossy(files.bytes(length)));
            return Err(CollectError::Malformed {
                path: files.path_of(pid, "stat"),
                expected: stat::EXPECTED,
                found,
            });
        };
        self.take(&stat);
        Ok(Some(stat.state))
    }

    fn take(&mut self, stat: &Stat<'_>) {
        if self.start_ticks != stat.start_ticks {
            *self = Self {
                pid: self.pid,
                start_ticks: stat.start_ticks,
                stat: std::mem::take(&mut self.stat),
                ..Self::default()
            };
        }
        let mut comm = [0; COMM_BYTES];
        for (kept, byte) in comm.iter_mut().zip(stat.comm) {
            *kept = *byte;
        }
        // A new name means a new program, most often; a kernel worker is renamed all the time and means nothing by it.
        if self.comm != comm && !stat.is_kernel_thread {
            self.identity = None;
        }
        self.comm = comm;
        let before = self.now.user_ticks.saturating_add(self.now.system_ticks);
        self.spent_ticks = stat.user_ticks.saturating_add(stat.system_ticks).saturating_sub(before);
        let now = Reading {
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            wait_ticks: stat.wait_ticks,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            threads: stat.threads,
            virtual_bytes: stat.virtual_bytes,
            resident_pages: stat.resident_pages,
        };
        if self.now != now {
            self.memory = None;
        }
        self.now = now;
    }

    fn kept(&self) -> usize {
        [&self.stat, &self.statm, &self.io].into_iter().filter(|file| file.is_kept()).count()
    }

    fn cost(&self) -> Cost {
        Cost { pid: self.pid, cpu_ticks: self.spent_ticks, resident_pages: self.now.resident_pages }
    }

    /// Reads `statm`, unless all that `stat` says is as it was: no fault, no tick of CPU, the same size. What can have
    /// changed then is less than the kernel's own rounding of the size in `stat`, some 32 pages per CPU.
    fn read_memory(&mut self, files: &mut ProcFiles, page_size_bytes: u64) {
        if self.memory.is_some() {
            return;
        }
        // A zombie or a kernel thread has no address space, and `statm` would say 0 at the price of a system call.
        let pages = if self.now.virtual_bytes == 0 {
            Some([0, 0])
        } else {
            let length = files.read(self.pid, "statm", &mut self.statm).ok();
            length.and_then(|length| parse_statm(files.bytes(length)))
        };
        let bytes = |pages: u64| pages.saturating_mul(page_size_bytes) as i64;
        self.memory = pages.map(|[reserved, resident]| Memory {
            resident_bytes: bytes(resident),
            virtual_bytes: bytes(reserved),
        });
    }

    fn read_io(&mut self, files: &mut ProcFiles) {
        self.disk_io = match files.read(self.pid, "io", &mut self.io) {
            Ok(length) => parse_io(files.bytes(length)),
            // Ended: the next cycle will notice.
            Err(Errno::SRCH) => None,
            Err(_) => {
                self.io = ProcessFile::Unreadable;
                None
            }
        };
    }

    fn report(
        &self,
        uptime_seconds: f64,
        waits_are_counted: bool,
        ticks_per_second: f64,
        out: &mut SampleBuffer,
    ) {
        let Some(identity) = &self.identity else { return };
        out.entity(&names::PROCESS, identity.created, &identity.values(self.pid));
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second;
        let now = &self.now;
        out.double(&names::PROCESS_CPU_TIME, &[Value::Str("user")], seconds(now.user_ticks));
        out.double(&names::PROCESS_CPU_TIME, &[Value::Str("system")], seconds(now.system_ticks));
        if waits_are_counted {
            out.double(&names::PROCESS_CPU_TIME, &[Value::Str("wait")], seconds(now.wait_ticks));
        }
        out.int(&names::PROCESS_PAGING_FAULTS, &[Value::Str("major")], now.major_faults as i64);
        out.int(&names::PROCESS_PAGING_FAULTS, &[Value::Str("minor")], now.minor_faults as i64);
        out.int(&names::PROCESS_THREAD_COUNT, &[], now.threads as i64);
        if let Some(memory) = self.memory {
            out.int(&names::PROCESS_MEMORY_USAGE, &[], memory.resident_bytes);
            out.int(&names::PROCESS_MEMORY_VIRTUAL, &[], memory.virtual_bytes);
        }
        if let Some(io) = self.disk_io {
            out.int(&names::PROCESS_DISK_IO, &[Value::Str("read")], io.read_bytes);
            out.int(&names::PROCESS_DISK_IO, &[Value::Str("write")], io.written_bytes);
        }
        out.double(&names::PROCESS_UPTIME, &[], (uptime_seconds - seconds(self.start_ticks)).max(0.0));
    }
}

fn since_boot(ticks: u64, host: &HostRoot) -> Duration {
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

/// Parses `2294 383 …` of `statm`: pages of address space, then resident ones.
pub(crate) fn parse_statm(line: &[u8]) -> Option<[u64; 2]> {
    let mut fields = line.split(|byte| *byte == b' ');
    Some([decimal(fields.next()?)?, decimal(fields.next()?)?])
}

/// Finds `read_bytes: 0` and `write_bytes: 4096` in `io`.
pub(crate) fn parse_io(text: &[u8]) -> Option<DiskIo> {
    let value = |name: &[u8]| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name)).and_then(decimal).map(|bytes| bytes as i64)
    };
    Some(DiskIo { read_bytes: value(b"read_bytes: ")?, written_bytes: value(b"write_bytes: ")? })
}

/// Parses the one number of a file below `/proc/sys/kernel`.
pub(crate) fn limit(file: &HostFile<'_>) -> Result<i64, CollectError> {
    file.number(&mut file.text().split_ascii_whitespace(), "a number", file.text())
}

#[cfg(test)]
mod tests;
