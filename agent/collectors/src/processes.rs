//! Processes: how many there are, what each group costs, and what those cost that matter.
//!
//! Each cycle reads `stat` of every process, and `io` of those that can have done any I/O: one that used no tick of CPU
//! and had no fault since `io` was last read is asked once a minute only, and every eight minutes in the end. From both
//! grow the counters of the groups. The rest is read of those that are reported one by one: the costliest, and those that a rule or a watch names. A process is
//! its number and its start time, so a number that is used again is another process. One that ends while it is read costs
//! nothing. This is the hot path: with 1,000 processes it is most of what the agent does.

mod command_line;
mod detail;
pub(crate) mod files;
mod groups;
pub(crate) mod identity;
mod named;
mod process;
mod roster;
mod select;
pub(crate) mod stat;
mod text;
mod threads;

use std::time::Duration;

use rustix::io::Errno;
use telemetry::{SampleBuffer, Timestamp, Value};

use crate::collector::{Collector, CollectorSpec, Options};
use crate::error::{CollectError, Lack, at_most};
use crate::host::HostRoot;
use crate::{cpu, names, uptime};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use command_line::masked;
use detail::{Host, Purse, Wanted};
use files::ProcFiles;
use groups::{Groups, MOST_GROUPS, Scale};
use identity::{Identity, Users};
use named::{MOST_NAMED, Named, oldest};
use process::Process;
use roster::Roster;
use select::{By, Cost, costliest};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use text::{
    parse_descriptor_limit, parse_io, parse_pss, parse_schedstat, parse_statm, parse_status,
};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "processes",
    summary: "Processes by state, what those of each unit cost together, and what the costliest cost one by one.",
    metrics: &[
        &names::PROCESS_COUNT,
        &names::PROCESS_LIMIT,
        &names::PROCESS_CPU_TIME,
        &names::PROCESS_CPU_UTILIZATION,
        &names::PROCESS_CONTEXT_SWITCHES,
        &names::PROCESS_RUN_QUEUE_TIME,
        &names::PROCESS_MEMORY_USAGE,
        &names::PROCESS_MEMORY_VIRTUAL,
        &names::PROCESS_MEMORY_UTILIZATION,
        &names::PROCESS_MEMORY_PSS,
        &names::PROCESS_PAGING_FAULTS,
        &names::PROCESS_THREAD_COUNT,
        &names::PROCESS_DISK_IO,
        &names::PROCESS_DISK_OPERATIONS,
        &names::PROCESS_SIGNALS_PENDING,
        &names::PROCESS_DESCRIPTOR_COUNT,
        &names::PROCESS_DESCRIPTOR_LIMIT,
        &names::PROCESS_UPTIME,
        &names::GROUP_CPU_TIME,
        &names::GROUP_PAGING_FAULTS,
        &names::GROUP_DISK_IO,
        &names::GROUP_COUNT,
        &names::GROUP_UNINTERRUPTIBLE,
        &names::GROUP_MEMORY_USAGE,
        &names::GROUP_THREAD_COUNT,
        &names::GROUP_DESCRIPTOR_COUNT,
        &names::THREAD_SKIPS,
    ],
    interval: None,
    open: |host, options| Ok(Box::new(Processes::open(host, options)?)),
};

/// Processes that are reported one by one, 18 series each; beyond it the collector fails after reporting so many.
const MOST_REPORTED: usize = 10_000;

/// After how long is read again what may have changed without a sign.
const REFRESH: Duration = Duration::from_mins(1);

static IO: Lack = Lack {
    what: "disk I/O of other users' processes (/proc/PID/io)",
    remedy: "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
};
static SHARES: Lack = Lack {
    what: "proportional share of memory of other users' processes (/proc/PID/smaps_rollup)",
    remedy: "CAP_SYS_PTRACE",
};
static DESCRIPTORS: Lack = Lack {
    what: "descriptors of other users' processes (/proc/PID/fd)",
    remedy: "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, or Linux 6.2",
};
static HIDDEN: Lack = Lack {
    what: "other users' processes (/proc is mounted with hidepid)",
    remedy: "mounting /proc without hidepid, or with gid= of a group of this user",
};

struct Processes {
    top: Option<usize>,
    with_command_lines: bool,
    named: Named,
    files: ProcFiles,
    users: Users,
    roster: Roster,
    groups: Groups,
    pids: Vec<u32>,
    costs: Vec<Cost>,
    threads: Vec<u32>,
    due: Vec<(Timestamp, usize)>,
    /// Whether the kernel accounts for delays; without it all waiting times are 0 and say nothing.
    waits_are_counted: bool,
    io_is_read: bool,
    /// Since boot, when the cycle before began.
    last_ticks: Option<u64>,
    /// The process at which reading of threads goes on.
    threads_from: u32,
    threads_skipped: u64,
    /// What is left, or owed, of the memory of which the share may be read.
    share_bytes: i64,
}

impl Processes {
    fn open(host: &HostRoot, options: &Options) -> Result<Self, CollectError> {
        let mut files = ProcFiles::open(host)?;
        if let Err(CollectError::Hidden { .. }) = files.check_none_is_hidden() {
            host.lacks(&HIDDEN);
        }
        Ok(Self {
            top: options.processes_top,
            with_command_lines: options.command_lines,
            named: Named::by(options),
            files,
            users: Users::default(),
            roster: Roster::default(),
            groups: Groups::default(),
            pids: Vec::new(),
            costs: Vec::new(),
            threads: Vec::new(),
            due: Vec::new(),
            waits_are_counted: false,
            io_is_read: false,
            last_ticks: None,
            threads_from: 0,
            threads_skipped: 0,
            share_bytes: 0,
        })
    }

    /// Reads `stat` of every process, forgets those that ended and counts the states. A process that cannot be read
    /// costs only itself and is the error that comes with the counts.
    fn observe(&mut self) -> Result<(StateCounts, Option<CollectError>), CollectError> {
        let Self { files, pids, roster, .. } = self;
        pids.clear();
        files.list(|pid, _| pids.push(pid))?;
        pids.sort_unstable();
        let mut counts = StateCounts::default();
        let mut first_error = None;
        let (last_ticks, mut waited) = (self.last_ticks, false);
        roster.renew(pids.iter().copied(), |process| match process.observe(last_ticks, files) {
            Ok(is_there) => {
                if is_there {
                    counts.add(process.state);
                    waited |= process.now.wait_ticks > 0;
                }
                is_there
            }
            Err(error) => {
                first_error.get_or_insert(error);
                false
            }
        });
        self.waits_are_counted |= waited;
        Ok((counts, first_error))
    }

    /// Reads of every process what a group needs and adds it to its group. Says how many groups had no room.
    fn group(&mut self, host: &HostRoot, now: Timestamp) -> usize {
        let Self { files, roster, groups, .. } = self;
        groups.begin(now);
        for process in &mut roster.known {
            let is_due = process.is_due(now);
            if is_due && files.has_descriptor_sizes() {
                let _ = process.count_descriptors(files);
            }
            // Those that are reported are told as they are now.
            if is_denied(process.read_io(is_due || process.is_reported, files)) {
                host.lacks(&IO);
            }
            self.io_is_read |= process.disk_io.is_some();
        }
        for process in &mut roster.known {
            let group = process.group(files, |unit| groups.find(unit));
            groups.count(group, &process.has());
            groups.add(group, &process.used);
        }
        groups.finish()
    }

    /// Marks the processes that are reported and says how many should have been, and how many by their name.
    fn choose(&mut self, host: &HostRoot) -> (usize, usize) {
        let Self { roster: Roster { known, .. }, costs, named, files, .. } = self;
        let is_all = self.top.is_none();
        let mut bearers = Vec::new();
        for (at, process) in known.iter_mut().enumerate() {
            if named.has(process, files) {
                bearers.push((process.start_ticks, at));
            }
            (process.is_reported, process.is_large) = (is_all, is_all);
        }
        let named_count = bearers.len();
        for at in oldest(bearers) {
            if let Some(process) = known.get_mut(at) {
                (process.is_reported, process.is_large) = (true, true);
            }
        }
        if let Some(top) = self.top {
            costs.clear();
            let has_sizes = files.has_descriptor_sizes();
            costs.extend(known.iter().enumerate().map(|(at, process)| process.cost(at, has_sizes)));
            costliest(costs, top, |at, by| {
                if let Some(process) = known.get_mut(at) {
                    process.is_reported = true;
                    process.is_large |= by == By::Memory;
                }
            });
        }
        let place = |known: &[Process], pid| known.binary_search_by_key(&pid, |process| process.pid);
        let mut in_files = Vec::new();
        let start_of = |pid| known.get(place(known, pid).ok()?).map(|process| process.start_ticks);
        named.in_files(host, files, start_of, |pid| in_files.push(pid));
        for pid in in_files {
            if let Some(process) = place(known, pid).ok().and_then(|at| known.get_mut(at)) {
                (process.is_reported, process.is_large) = (true, true);
            }
        }
        let mut count = 0;
        for process in known.iter_mut().filter(|process| process.is_reported) {
            count += 1;
            process.is_reported = count <= MOST_REPORTED;
        }
        (count, named_count)
    }

    fn identify(&mut self, host: &HostRoot) -> Result<(), CollectError> {
        let Self { roster, files, users, .. } = self;
        users.expire();
        let mut boot = None;
        for process in roster.known.iter_mut().filter(|process| process.is_reported) {
            if process.identity.is_none() {
                let boot = match boot {
                    Some(boot) => boot,
                    None => *boot.insert(cpu::boot_time(host)?),
                };
                let created = boot.plus(since_boot(process.start_ticks, host));
                let identity =
                    Identity::read(process.pid, created, files, users, host, self.with_command_lines);
                process.identity = Some(Box::new(identity));
            }
        }
        Ok(())
    }

    /// Reads the rest of the processes that are reported. File by file rather than process by process: the kernel then
    /// stays on the same path, which costs it about a seventh less.
    fn read_reported(&mut self, host: &HostRoot, wanted: Wanted, now: Timestamp) {
        let Self { roster: Roster { known, .. }, files, threads, .. } = self;
        let page_size = host.page_size_bytes();
        for process in known.iter_mut().filter(|process| process.is_reported) {
            process.read_memory(files, page_size);
        }
        for process in known.iter_mut().filter(|process| process.is_reported) {
            if is_denied(process.count_descriptors(files)) {
                host.lacks(&DESCRIPTORS);
            }
        }
        let mut purse = Purse::new(now, self.share_bytes);
        let middle = known.partition_point(|process| process.pid < self.threads_from);
        let (first, last) = known.split_at_mut(middle);
        for process in last.iter_mut().chain(first).filter(|process| process.is_reported) {
            process.read_threads(wanted, &mut purse, files, threads);
            process.read_rest(wanted, now, files);
        }
        if wanted.share {
            read_shares(known, &mut self.due, &mut purse, now, files, host);
        }
        self.share_bytes = purse.share_bytes;
        self.threads_from = purse.stopped_at.unwrap_or(0);
        self.threads_skipped = self.threads_skipped.saturating_add(purse.skipped);
    }
}

/// Reads the shares of memory that are due, the longest due first. `due` is room to work in.
fn read_shares(
    known: &mut [Process],
    due: &mut Vec<(Timestamp, usize)>,
    purse: &mut Purse,
    now: Timestamp,
    files: &mut ProcFiles,
    host: &HostRoot,
) {
    let page_size = host.page_size_bytes();
    due.clear();
    let reported = known.iter().enumerate().filter(|(_, process)| process.is_reported);
    due.extend(reported.filter_map(|(at, process)| Some((process.share_due(page_size)?, at))));
    due.retain(|(at, _)| *at <= now);
    due.sort_unstable();
    for (_, at) in due.iter() {
        let read = known.get_mut(*at).map_or(Ok(()), |process| process.read_share(purse, files, page_size));
        if is_denied(read) {
            host.lacks(&SHARES);
        }
    }
}

impl Collector for Processes {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let uptime_ticks = (uptime::seconds(host)? * host.ticks_per_second()).round() as u64;
        let (counts, first_error) = self.observe()?;
        for (state, count) in counts.states() {
            out.int(&names::PROCESS_COUNT, &[Value::Str(state)], count);
        }
        let refused_groups = self.group(host, out.at());
        let (chosen, named_count) = self.choose(host);
        self.identify(host)?;
        self.read_reported(host, Wanted::by(out), out.at());
        let elapsed_ticks = self.last_ticks.map_or(0, |last| uptime_ticks.saturating_sub(last));
        self.last_ticks = Some(uptime_ticks);
        let scale = Scale {
            ticks_per_second: host.ticks_per_second(),
            page_size_bytes: host.page_size_bytes(),
            waits_are_counted: self.waits_are_counted,
            has_descriptor_sizes: self.files.has_descriptor_sizes(),
            io_is_read: self.io_is_read,
        };
        let whole = whole_host(host, uptime_ticks, elapsed_ticks, out);
        self.groups.report(&scale, out);
        for process in self.roster.known.iter().filter(|process| process.is_reported) {
            process.report(&scale, &whole, out);
        }
        out.host();
        out.int(&names::THREAD_SKIPS, &[], self.threads_skipped as i64);
        let pid_max: i64 = host.read("proc/sys/kernel/pid_max")?.first_number("a number")?;
        let threads_max = host.read("proc/sys/kernel/threads-max")?.first_number("a number")?;
        out.int(&names::PROCESS_LIMIT, &[], pid_max.min(threads_max));
        first_error.map_or(Ok(()), Err)?;
        at_most(MOST_GROUPS, MOST_GROUPS + refused_groups, self.files.path(), "units with processes")?;
        at_most(MOST_NAMED, named_count, self.files.path(), "processes named by rules and watches")?;
        at_most(MOST_REPORTED, chosen, self.files.path(), "processes")
    }
}

/// What shares are told against, as far as somebody wants them.
fn whole_host(host: &HostRoot, uptime_ticks: u64, elapsed_ticks: u64, out: &SampleBuffer) -> Host {
    let memory_bytes = out.takes(&names::PROCESS_MEMORY_UTILIZATION).then(|| {
        let file = host.read("proc/meminfo").ok()?;
        let line = file.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kibibytes: u64 = line.trim_end_matches("kB").trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    });
    let cpus = out.takes(&names::PROCESS_CPU_UTILIZATION).then(|| {
        let file = host.read("proc/stat").ok()?;
        Some(file.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count() as u32)
    });
    Host {
        uptime_ticks,
        elapsed_ticks,
        memory_bytes: memory_bytes.flatten(),
        cpus: cpus.flatten().unwrap_or(1),
    }
}

fn is_denied(result: Result<(), Errno>) -> bool {
    matches!(result, Err(Errno::ACCESS | Errno::PERM))
}

pub(crate) fn since_boot(ticks: u64, host: &HostRoot) -> Duration {
    // Beyond any uptime the text is not the kernel's; the largest duration serves as well as any.
    Duration::try_from_secs_f64(ticks as f64 / host.ticks_per_second()).unwrap_or(Duration::MAX)
}

/// Processes by `process.state`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

#[cfg(test)]
mod tests;
