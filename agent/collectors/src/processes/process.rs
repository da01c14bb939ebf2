//! One process: what is remembered of it, how it is read and how it is reported.

use rustix::io::Errno;
use telemetry::{SampleBuffer, Value};

use super::files::{ProcFiles, ProcessFile, is_gone_or_hidden};
use super::identity::Identity;
use super::select::Cost;
use super::stat::{self, COMM_BYTES, Stat, decimal};
use crate::error::{CollectError, Found};
use crate::names;

/// What is kept of a process from cycle to cycle.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    comm: [u8; COMM_BYTES],
    stat: ProcessFile,
    statm: ProcessFile,
    io: ProcessFile,
    pub(super) identity: Option<Box<Identity>>,
    pub(super) now: Reading,
    pub(super) spent_ticks: u64,
    /// As of the last time that `stat` changed.
    memory: Option<Memory>,
    disk_io: Option<DiskIo>,
    pub(super) is_reported: bool,
}

/// What `stat` said in this cycle.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reading {
    user_ticks: u64,
    system_ticks: u64,
    pub(super) wait_ticks: u64,
    minor_faults: u64,
    major_faults: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    resident_bytes: i64,
    virtual_bytes: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskIo {
    read_bytes: i64,
    written_bytes: i64,
}

impl Process {
    /// A process that nothing is known of yet.
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// Reads `stat`. `None` when the process has ended or is hidden from this user.
    pub(super) fn observe(&mut self, files: &mut ProcFiles) -> Result<Option<u8>, CollectError> {
        let pid = self.pid;
        let mut read = files.read(pid, "stat", &mut self.stat);
        if read == Err(Errno::SRCH) && self.stat.is_kept() {
            // The process that we knew has ended; the number may belong to another by now.
            *self = Self::new(pid);
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

    pub(super) fn kept(&self) -> usize {
        [&self.stat, &self.statm, &self.io].into_iter().filter(|file| file.is_kept()).count()
    }

    pub(super) fn cost(&self) -> Cost {
        Cost { pid: self.pid, cpu_ticks: self.spent_ticks, resident_pages: self.now.resident_pages }
    }

    /// Reads `statm`, unless all that `stat` says is as it was: no fault, no tick of CPU, the same size. What can have
    /// changed then is less than the kernel's own rounding of the size in `stat`, some 32 pages per CPU.
    pub(super) fn read_memory(&mut self, files: &mut ProcFiles, page_size_bytes: u64) {
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

    pub(super) fn read_io(&mut self, files: &mut ProcFiles) {
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

    pub(super) fn report(
        &self,
        uptime_ticks: u64,
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
        out.double(&names::PROCESS_UPTIME, &[], seconds(uptime_ticks.saturating_sub(self.start_ticks)));
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
