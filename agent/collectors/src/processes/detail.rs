//! What is read of processes that are reported one by one, and how they are reported.
//!
//! Some of it is dear: context switches take a file per thread, and the proportional share of memory a walk of the page
//! tables by the kernel, 30 ms for a gigabyte. So threads are read only of processes that did something, and so many in a
//! cycle; the share once a minute at most, and what a large process costs beyond the allowance of a cycle is saved in those
//! that follow.

use std::time::Duration;

use rustix::io::Errno;
use telemetry::{MetricSpec, SampleBuffer, Timestamp, Value};

use super::REFRESH;
use super::files::ProcFiles;
use super::groups::Scale;
use super::process::{Age, Process};
use super::text::{self, Status};
use super::threads::{MOST_THREADS, Threads};
use crate::names;

/// Threads that are looked at in one cycle, of all processes.
const THREADS_IN_A_CYCLE: usize = 200;

/// Memory of which the proportional share is asked in one cycle, on average: half a millisecond of CPU.
const SHARE_IN_A_CYCLE: i64 = 16 << 20;

/// Of a larger process the share is not asked: it would hold up the process and us for more than 30 ms.
const LARGEST_SHARE: u64 = 1 << 30;

/// What is remembered of a process since it was reported for the first time.
#[derive(Debug, Default)]
pub(super) struct Detail {
    /// As of the last time that `stat` changed.
    memory: Option<Memory>,
    threads: Threads,
    threads_at: Option<Timestamp>,
    threads_are_stale: bool,
    share: Option<u64>,
    share_due: Timestamp,
    descriptor_limit: Option<u64>,
    limits_at: Option<Timestamp>,
    status: Option<Status>,
}

#[derive(Clone, Copy, Debug)]
struct Memory {
    resident_bytes: u64,
    virtual_bytes: u64,
}

impl Detail {
    /// `stat` has changed.
    pub(super) fn outdate(&mut self) {
        self.memory = None;
        self.threads_are_stale = true;
    }
}

/// Which of the metrics that cost something are wanted.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one for each, independent of the others")]
pub(super) struct Wanted {
    pub(super) switches: bool,
    pub(super) waiting: bool,
    pub(super) share: bool,
    pub(super) limits: bool,
    pub(super) status: bool,
}

impl Wanted {
    pub(super) fn by(out: &SampleBuffer) -> Self {
        Self {
            switches: out.takes(&names::PROCESS_CONTEXT_SWITCHES),
            waiting: out.takes(&names::PROCESS_RUN_QUEUE_TIME),
            share: out.takes(&names::PROCESS_MEMORY_PSS),
            limits: out.takes(&names::PROCESS_DESCRIPTOR_LIMIT),
            status: out.takes(&names::PROCESS_CPU_UTILIZATION) || out.takes(&names::PROCESS_SIGNALS_PENDING),
        }
    }
}

/// What reading the details of one cycle may still cost.
#[derive(Debug)]
pub(super) struct Purse {
    now: Timestamp,
    threads: usize,
    /// Less than nothing while a large process is saved up for.
    pub(super) share_bytes: i64,
    /// The process at which threads were used up; the next cycle begins there.
    pub(super) stopped_at: Option<u32>,
    /// Threads that were left out.
    pub(super) skipped: u64,
}

impl Purse {
    /// With what the cycle before left of the share, or owes.
    pub(super) fn new(now: Timestamp, share_bytes: i64) -> Self {
        let share_bytes = share_bytes.saturating_add(SHARE_IN_A_CYCLE).min(SHARE_IN_A_CYCLE);
        Self { now, threads: THREADS_IN_A_CYCLE, share_bytes, stopped_at: None, skipped: 0 }
    }
}

impl Process {
    fn detail(&mut self) -> &mut Detail {
        self.detail.get_or_insert_with(|| Box::new(Detail { threads_are_stale: true, ..Detail::default() }))
    }

    /// Whether there are files of memory and descriptors: a zombie and a kernel thread have none.
    fn has_memory(&self) -> bool {
        self.now.virtual_bytes > 0
    }

    /// Reads `statm`, unless all that `stat` says is as it was: no fault, no tick of CPU, the same size. What can have
    /// changed then is less than the kernel's own rounding of the size in `stat`, some 32 pages per CPU.
    pub(super) fn read_memory(&mut self, files: &mut ProcFiles, page_size_bytes: u64) {
        if self.detail().memory.is_some() {
            return;
        }
        let pages = if self.has_memory() {
            let length = files.read(self.pid, "statm", &mut self.statm).ok();
            length.and_then(|length| text::parse_statm(files.bytes(length)))
        } else {
            Some([0, 0])
        };
        self.detail().memory = pages.map(|[reserved, resident]| Memory {
            resident_bytes: resident.saturating_mul(page_size_bytes),
            virtual_bytes: reserved.saturating_mul(page_size_bytes),
        });
    }

    /// Reads the context switches of all threads, if any can have happened; of more threads than a cycle allows in one of
    /// the next.
    pub(super) fn read_threads(
        &mut self,
        wanted: Wanted,
        purse: &mut Purse,
        files: &mut ProcFiles,
        numbers: &mut Vec<u32>,
    ) {
        let (pid, count, now) = (self.pid, self.now.threads, purse.now);
        let detail = self.detail();
        let is_due = detail.threads_at.is_none_or(|at| now.since(at) >= REFRESH);
        if !(wanted.switches || wanted.waiting) || !(detail.threads_are_stale || is_due) {
            return;
        }
        purse.skipped += count.saturating_sub(MOST_THREADS as u64);
        let looked_at = count.min(MOST_THREADS as u64) as usize;
        if looked_at > purse.threads {
            purse.skipped += looked_at as u64;
            purse.stopped_at.get_or_insert(pid);
            return;
        }
        purse.threads -= looked_at;
        detail.threads.read(pid, count, wanted.waiting, files, numbers);
        (detail.threads_at, detail.threads_are_stale) = (Some(now), false);
    }

    /// Counts the descriptors. Says why not, if this user may not look.
    pub(super) fn count_descriptors(&mut self, files: &mut ProcFiles) -> Result<(), Errno> {
        self.descriptors = if self.now.is_kernel_thread { Some(0) } else { None };
        if self.descriptors.is_none() {
            self.descriptors = Some(files.descriptor_count(self.pid)?);
        }
        Ok(())
    }

    /// When the share of memory is due to be read; `None` when it is not read of such a process.
    pub(super) fn share_due(&self, page_size_bytes: u64) -> Option<Timestamp> {
        let bytes = self.now.resident_pages.saturating_mul(page_size_bytes);
        let is_asked = self.is_large && self.has_memory() && bytes <= LARGEST_SHARE;
        is_asked.then(|| self.detail.as_ref().map_or(Timestamp::EPOCH, |detail| detail.share_due))
    }

    /// Reads the share of memory, if the cycle can bear it. Says why not, if this user may not look.
    pub(super) fn read_share(
        &mut self,
        purse: &mut Purse,
        files: &mut ProcFiles,
        page_size_bytes: u64,
    ) -> Result<(), Errno> {
        if purse.share_bytes <= 0 {
            return Ok(());
        }
        let (pid, bytes) = (self.pid, self.now.resident_pages.saturating_mul(page_size_bytes));
        purse.share_bytes = purse.share_bytes.saturating_sub_unsigned(bytes.max(1 << 20));
        let detail = self.detail();
        detail.share_due = purse.now.plus(REFRESH);
        let read = files.read_once(pid, "smaps_rollup").map(text::parse_pss);
        detail.share = read.unwrap_or_default();
        if matches!(read, Err(Errno::ACCESS | Errno::PERM)) {
            detail.share_due = purse.now.plus(Duration::MAX);
        }
        read.map(|_| ())
    }

    /// Reads what is off by default, where it is wanted.
    pub(super) fn read_rest(&mut self, wanted: Wanted, now: Timestamp, files: &mut ProcFiles) {
        let pid = self.pid;
        let detail = self.detail();
        if wanted.limits && detail.limits_at.is_none_or(|at| now.since(at) >= REFRESH) {
            detail.descriptor_limit =
                files.read_once(pid, "limits").ok().and_then(text::parse_descriptor_limit);
            detail.limits_at = Some(now);
        }
        if wanted.status {
            detail.status = files.read_once(pid, "status").ok().and_then(text::parse_status);
        }
    }
}

/// What the whole host has, against which shares are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) uptime_ticks: u64,
    /// Since the cycle before.
    pub(super) elapsed_ticks: u64,
    /// Only where a metric needs it.
    pub(super) memory_bytes: Option<u64>,
    pub(super) cpus: u32,
}

impl Process {
    pub(super) fn report(&self, scale: &Scale, host: &Host, out: &mut SampleBuffer) {
        let (Some(identity), Some(detail)) = (&self.identity, &self.detail) else { return };
        out.entity(&names::PROCESS, identity.created, &identity.values(self.pid));
        self.report_cpu(scale, host, detail, out);
        let now = &self.now;
        let fault = |kind| [Value::Str(kind)];
        out.int(&names::PROCESS_PAGING_FAULTS, &fault("major"), now.major_faults as i64);
        out.int(&names::PROCESS_PAGING_FAULTS, &fault("minor"), now.minor_faults as i64);
        out.int(&names::PROCESS_THREAD_COUNT, &[], now.threads as i64);
        if detail.threads_at.is_some() {
            let sum = &detail.threads.sum;
            pair(
                &names::PROCESS_CONTEXT_SWITCHES,
                ["voluntary", "involuntary"],
                [sum.voluntary, sum.involuntary],
                out,
            );
            if detail.threads.waiting_is_told {
                out.double(&names::PROCESS_RUN_QUEUE_TIME, &[], sum.waited_ns as f64 / 1e9);
            }
        }
        detail.report_memory(host, out);
        if let Some(io) = self.disk_io {
            pair(&names::PROCESS_DISK_IO, ["read", "write"], [io.read_bytes, io.written_bytes], out);
            pair(&names::PROCESS_DISK_OPERATIONS, ["read", "write"], [io.reads, io.writes], out);
        }
        if let Some(count) = self.descriptors {
            out.int(&names::PROCESS_DESCRIPTOR_COUNT, &[], count as i64);
        }
        if let Some(limit) = detail.descriptor_limit {
            out.int(&names::PROCESS_DESCRIPTOR_LIMIT, &[], limit as i64);
        }
        if let Some(status) = detail.status {
            out.int(&names::PROCESS_SIGNALS_PENDING, &[], i64::from(status.signals_pending));
        }
        let age_ticks = host.uptime_ticks.saturating_sub(self.start_ticks);
        out.double(&names::PROCESS_UPTIME, &[], age_ticks as f64 / scale.ticks_per_second);
    }

    fn report_cpu(&self, scale: &Scale, host: &Host, detail: &Detail, out: &mut SampleBuffer) {
        let (now, used) = (&self.now, &self.used);
        let modes = [
            ("user", now.user_ticks, used.user_ticks),
            ("system", now.system_ticks, used.system_ticks),
            ("wait", now.wait_ticks, used.wait_ticks),
        ];
        let modes = modes.get(..if scale.waits_are_counted { 3 } else { 2 }).unwrap_or_default();
        for (mode, ticks, _) in modes {
            out.double(&names::PROCESS_CPU_TIME, &[Value::Str(mode)], *ticks as f64 / scale.ticks_per_second);
        }
        let elapsed = match self.age {
            Age::Known => host.elapsed_ticks,
            Age::Born => host.uptime_ticks.saturating_sub(self.start_ticks),
            Age::Found => 0,
        };
        let Some(status) = detail.status.filter(|_| elapsed > 0) else { return };
        let cpus = status.cpus_allowed.clamp(1, host.cpus.max(1));
        for (mode, _, ticks) in modes {
            let share = *ticks as f64 / (elapsed as f64 * f64::from(cpus));
            out.double(&names::PROCESS_CPU_UTILIZATION, &[Value::Str(mode)], share);
        }
    }
}

impl Detail {
    fn report_memory(&self, host: &Host, out: &mut SampleBuffer) {
        if let Some(memory) = self.memory {
            out.int(&names::PROCESS_MEMORY_USAGE, &[], memory.resident_bytes as i64);
            out.int(&names::PROCESS_MEMORY_VIRTUAL, &[], memory.virtual_bytes as i64);
            if let Some(all) = host.memory_bytes.filter(|all| *all > 0) {
                let share = memory.resident_bytes as f64 / all as f64;
                out.double(&names::PROCESS_MEMORY_UTILIZATION, &[], share);
            }
        }
        if let Some(share) = self.share {
            out.int(&names::PROCESS_MEMORY_PSS, &[], share as i64);
        }
    }
}

fn pair(metric: &'static MetricSpec, keys: [&str; 2], values: [u64; 2], out: &mut SampleBuffer) {
    for (key, value) in keys.into_iter().zip(values) {
        out.int(metric, &[Value::Str(key)], value as i64);
    }
}
