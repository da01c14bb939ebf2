//! One process: what is remembered of it from cycle to cycle, and what it used since the last one.

use rustix::io::Errno;
use telemetry::Timestamp;

use super::REFRESH;
use super::detail::Detail;
use super::files::{ProcFiles, ProcessFile, is_gone_or_hidden};
use super::groups::{GroupId, Has, Used};
use super::identity::Identity;
use super::select::Cost;
use super::stat::{self, COMM_BYTES, Stat};
use super::text::{DiskIo, parse_io};
use crate::cgroup;
use crate::error::{CollectError, Found};

/// What is kept of a process from cycle to cycle.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    comm: [u8; COMM_BYTES],
    stat: ProcessFile,
    pub(super) statm: ProcessFile,
    io: ProcessFile,
    pub(super) identity: Option<Box<Identity>>,
    pub(super) detail: Option<Box<Detail>>,
    pub(super) now: Reading,
    pub(super) state: u8,
    /// What it used since the cycle before.
    pub(super) used: Used,
    /// As last read, never less than before.
    pub(super) disk_io: Option<DiskIo>,
    io_is_stale: bool,
    pub(super) descriptors: Option<u64>,
    /// When what tells nothing of its changes is read again.
    refresh_at: Option<Timestamp>,
    /// How often that was read since `stat` changed.
    quiet: u32,
    group: Option<GroupId>,
    pub(super) age: Age,
    /// Whether a rule or a watch names it; not known yet of a new program.
    pub(super) is_named: Option<bool>,
    pub(super) is_reported: bool,
    pub(super) is_large: bool,
}

/// How a process came to be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Age {
    /// It was seen before.
    Known,
    /// It is seen for the first time and began since the last cycle, so all that it has it used since then.
    Born,
    /// It is seen for the first time and was there before: what it had by now is nobody's.
    #[default]
    Found,
}

/// What `stat` said, with counters that never fall.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reading {
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) wait_ticks: u64,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    pub(super) threads: u64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
    pub(super) is_kernel_thread: bool,
}

impl Process {
    /// A process that nothing is known of yet.
    pub(super) fn new(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// Reads `stat`. `false` when the process has ended or is hidden from this user. `last_ticks` is when the cycle before
    /// began, since boot.
    pub(super) fn observe(
        &mut self,
        last_ticks: Option<u64>,
        files: &mut ProcFiles,
    ) -> Result<bool, CollectError> {
        let pid = self.pid;
        let mut read = files.read(pid, "stat", &mut self.stat);
        if read == Err(Errno::SRCH) && self.stat.is_kept() {
            // The process that we knew has ended; the number may belong to another by now.
            *self = Self::new(pid);
            read = files.read(pid, "stat", &mut self.stat);
        }
        let length = match read {
            Ok(length) => length,
            Err(error) if is_gone_or_hidden(error) => return Ok(false),
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
        self.take(&stat, last_ticks);
        Ok(true)
    }

    /// Takes what `stat` said in this cycle.
    pub(super) fn take(&mut self, stat: &Stat<'_>, last_ticks: Option<u64>) {
        let is_new = self.state == 0 || self.start_ticks != stat.start_ticks;
        if is_new {
            let file = std::mem::take(&mut self.stat);
            *self = Self { pid: self.pid, start_ticks: stat.start_ticks, stat: file, ..Self::default() };
        }
        let is_born = last_ticks.is_some_and(|last| stat.start_ticks >= last);
        self.age = match (is_new, is_born) {
            (false, _) => Age::Known,
            (true, true) => Age::Born,
            (true, false) => Age::Found,
        };
        self.take_name(stat);
        let before = if self.age == Age::Found { Reading::of(stat) } else { self.now };
        let now = Reading::of(stat).not_less_than(&before);
        if is_new || self.now != now {
            (self.io_is_stale, self.quiet) = (true, 0);
            if let Some(detail) = &mut self.detail {
                detail.outdate();
            }
        }
        self.used = now.since(&before);
        self.now = now;
        self.state = stat.state;
    }

    fn take_name(&mut self, stat: &Stat<'_>) {
        let mut comm = [0; COMM_BYTES];
        for (kept, byte) in comm.iter_mut().zip(stat.comm) {
            *kept = *byte;
        }
        // A new name means a new program, most often; a kernel worker is renamed all the time and means nothing by it.
        if self.comm != comm && !stat.is_kernel_thread {
            (self.identity, self.group, self.is_named) = (None, None, None);
            if matches!(self.io, ProcessFile::Unreadable) {
                self.io = ProcessFile::Closed;
            }
        }
        self.comm = comm;
    }

    /// The kernel's name of it.
    pub(super) fn comm(&self) -> &[u8] {
        self.comm.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The group it belongs to, which `find` knows by the name of the unit.
    pub(super) fn group(
        &mut self,
        files: &mut ProcFiles,
        find: impl FnOnce(Option<&str>) -> GroupId,
    ) -> GroupId {
        let pid = self.pid;
        self.group_or(|| {
            let text = files.read_once(pid, "cgroup").map(String::from_utf8_lossy).unwrap_or_default();
            find(cgroup::path_of_process(&text).and_then(cgroup::unit_of))
        })
    }

    /// The group it belongs to, which `find` knows if it is new.
    pub(super) fn group_or(&mut self, find: impl FnOnce() -> GroupId) -> GroupId {
        *self.group.get_or_insert_with(find)
    }

    /// Whether what tells nothing of its changes is to be read again: a minute after the last time, and while `stat` does
    /// not change after 2, 4 and 8 minutes. The first times are spread, so that not all are due in the same cycle.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let soon = now.plus(REFRESH.mul_f64(f64::from(self.pid % 64) / 64.0));
        match self.refresh_at {
            None => self.refresh_at = Some(soon),
            Some(at) if at <= now => self.refresh_at = Some(now.plus(REFRESH * (1 << self.quiet.min(3)))),
            Some(at) => {
                if self.quiet == 0 && at > now.plus(REFRESH) {
                    self.refresh_at = Some(soon);
                }
                return false;
            }
        }
        self.quiet += 1;
        true
    }

    /// What it has and is.
    pub(super) fn has(&self) -> Has {
        Has {
            state: self.state,
            resident_pages: self.now.resident_pages,
            threads: self.now.threads,
            descriptors: self.descriptors.unwrap_or(0),
        }
    }

    /// What it costs, of which descriptors count where they are known of all processes.
    pub(super) fn cost(&self, at: usize, has_descriptor_sizes: bool) -> Cost {
        // Of a process that was found nobody knows what it used lately; what it used in all ranks it.
        let (user_ticks, system_ticks) = match self.age {
            Age::Found => (self.now.user_ticks, self.now.system_ticks),
            Age::Known | Age::Born => (self.used.user_ticks, self.used.system_ticks),
        };
        Cost {
            at,
            cpu_ticks: user_ticks.saturating_add(system_ticks),
            resident_pages: self.now.resident_pages,
            io_bytes: self.used.read_bytes.saturating_add(self.used.written_bytes),
            descriptors: if has_descriptor_sizes { self.descriptors.unwrap_or(0) } else { 0 },
        }
    }

    /// Reads `io`, if it can have changed or `is_due`: a process that used no tick of CPU and had no fault has most likely
    /// done no I/O. What is new counts in [`Self::used`].
    pub(super) fn read_io(&mut self, is_due: bool, files: &mut ProcFiles) -> Result<(), Errno> {
        if !(self.io_is_stale || is_due) || matches!(self.io, ProcessFile::Unreadable) {
            return Ok(());
        }
        // Descriptors are kept for those that do something.
        let read = if self.age == Age::Known && self.io_is_stale || self.io.is_kept() {
            files.read(self.pid, "io", &mut self.io)
        } else {
            files.read_once(self.pid, "io").map(<[u8]>::len)
        };
        let length = match read {
            Ok(length) => length,
            // Ended: the next cycle will notice.
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => {
                (self.io, self.disk_io) = (ProcessFile::Unreadable, None);
                return Err(error);
            }
        };
        self.io_is_stale = false;
        if let Some(io) = parse_io(files.bytes(length)) {
            self.take_io(io);
        }
        Ok(())
    }

    pub(super) fn take_io(&mut self, io: DiskIo) {
        let first = if self.age == Age::Born { DiskIo::default() } else { io };
        let before = self.disk_io.unwrap_or(first);
        let io = DiskIo {
            read_bytes: io.read_bytes.max(before.read_bytes),
            written_bytes: io.written_bytes.max(before.written_bytes),
            reads: io.reads.max(before.reads),
            writes: io.writes.max(before.writes),
        };
        self.used.read_bytes = io.read_bytes - before.read_bytes;
        self.used.written_bytes = io.written_bytes - before.written_bytes;
        self.disk_io = Some(io);
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        [&self.stat, &self.statm, &self.io].into_iter().filter(|file| file.is_kept()).count()
    }
}

impl Reading {
    fn of(stat: &Stat<'_>) -> Self {
        Self {
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            wait_ticks: stat.wait_ticks,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            threads: stat.threads,
            virtual_bytes: stat.virtual_bytes,
            resident_pages: stat.resident_pages,
            is_kernel_thread: stat.is_kernel_thread,
        }
    }

    /// With counters that did not fall, as those of some kernels do by a tick.
    fn not_less_than(self, before: &Self) -> Self {
        Self {
            user_ticks: self.user_ticks.max(before.user_ticks),
            system_ticks: self.system_ticks.max(before.system_ticks),
            wait_ticks: self.wait_ticks.max(before.wait_ticks),
            minor_faults: self.minor_faults.max(before.minor_faults),
            major_faults: self.major_faults.max(before.major_faults),
            ..self
        }
    }

    fn since(&self, before: &Self) -> Used {
        Used {
            user_ticks: self.user_ticks - before.user_ticks,
            system_ticks: self.system_ticks - before.system_ticks,
            wait_ticks: self.wait_ticks - before.wait_ticks,
            minor_faults: self.minor_faults - before.minor_faults,
            major_faults: self.major_faults - before.major_faults,
            ..Used::default()
        }
    }
}
