//! What the files of a cgroup say, in both versions.
//!
//! A file or a line that a kernel does not have leaves its figures absent. Each parser reads one file and fills in what it
//! says; it refuses a text that no kernel writes.

/// Block devices of a cgroup that are told of; more have no points of their own.
pub(super) const MOST_DEVICES: usize = 64;

/// Nanoseconds of a clock tick of version 1's `cpuacct.stat`: 100 in a second, on every architecture.
const TICK_MICROS: u64 = 10_000;

/// The keys of `memory.events`, in the order in which they are kept.
pub(super) const EVENTS: [&str; 6] = ["low", "high", "max", "oom", "oom_kill", "oom_group_kill"];

/// The figures of one cgroup.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(super) user_micros: Option<u64>,
    pub(super) system_micros: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    pub(super) throttled_micros: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_peak_bytes: Option<u64>,
    pub(super) anonymous_bytes: Option<u64>,
    pub(super) inactive_file_bytes: Option<u64>,
    /// Of itself; in version 1 of what it lies in as well.
    pub(super) memory_limit_bytes: Option<u64>,
    pub(super) events: [Option<u64>; EVENTS.len()],
    pub(super) faults: Option<u64>,
    pub(super) major_faults: Option<u64>,
    pub(super) io: Vec<DeviceIo>,
    pub(super) threads: Option<u64>,
    pub(super) thread_limit: Option<u64>,
    pub(super) cpu_stalls: Stalls,
    pub(super) memory_stalls: Stalls,
    pub(super) io_stalls: Stalls,
}

/// What was read from and written to a block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceIo {
    pub(super) device: (u32, u32),
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

/// Microseconds in which some tasks, and all tasks, waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stalls {
    pub(super) some_micros: Option<u64>,
    pub(super) full_micros: Option<u64>,
}

impl Figures {
    /// Time on CPUs in microseconds, where it is known.
    pub(super) fn cpu_micros(&self) -> Option<u64> {
        Some(self.user_micros?.saturating_add(self.system_micros?))
    }

    /// Keeps what is read at other times than the rest, CPU time and limits: a file that is no longer there then says
    /// nothing.
    pub(super) fn forget_what_is_read_anew(&mut self) {
        let mut io = std::mem::take(&mut self.io);
        io.clear();
        *self = Self {
            user_micros: self.user_micros,
            system_micros: self.system_micros,
            periods: self.periods,
            throttled_periods: self.throttled_periods,
            throttled_micros: self.throttled_micros,
            memory_limit_bytes: self.memory_limit_bytes,
            thread_limit: self.thread_limit,
            io,
            ..Self::default()
        };
    }
}

/// Fills in what the text of one file says; `None` when that is not what the file holds.
pub(crate) type Parse = fn(&str, &mut Figures) -> Option<()>;

/// `user_usec 3493763` and so on, one to a line.
pub(super) fn cpu_stat(text: &str, figures: &mut Figures) -> Option<()> {
    for (key, value) in pairs(text) {
        match key {
            "user_usec" => figures.user_micros = Some(value?),
            "system_usec" => figures.system_micros = Some(value?),
            "nr_periods" => figures.periods = Some(value?),
            "nr_throttled" => figures.throttled_periods = Some(value?),
            "throttled_usec" => figures.throttled_micros = Some(value?),
            "throttled_time" => figures.throttled_micros = Some(value? / 1000),
            _ => {}
        }
    }
    Some(())
}

/// Version 1: `user 123`, `system 45`, in ticks.
pub(super) fn cpuacct_stat(text: &str, figures: &mut Figures) -> Option<()> {
    for (key, value) in pairs(text) {
        match key {
            "user" => figures.user_micros = Some(value?.saturating_mul(TICK_MICROS)),
            "system" => figures.system_micros = Some(value?.saturating_mul(TICK_MICROS)),
            _ => {}
        }
    }
    Some(())
}

pub(super) fn memory_stat(text: &str, figures: &mut Figures) -> Option<()> {
    for (key, value) in pairs(text) {
        match key {
            "anon" => figures.anonymous_bytes = Some(value?),
            "inactive_file" => figures.inactive_file_bytes = Some(value?),
            "pgfault" => figures.faults = Some(value?),
            "pgmajfault" => figures.major_faults = Some(value?),
            _ => {}
        }
    }
    Some(())
}

/// Version 1, where the same keys without `total_` leave out what lies below.
pub(super) fn memory_stat_v1(text: &str, figures: &mut Figures) -> Option<()> {
    for (key, value) in pairs(text) {
        match key {
            "total_rss" => figures.anonymous_bytes = Some(value?),
            "total_inactive_file" => figures.inactive_file_bytes = Some(value?),
            "total_pgfault" => figures.faults = Some(value?),
            "total_pgmajfault" => figures.major_faults = Some(value?),
            "hierarchical_memory_limit" => figures.memory_limit_bytes = bounded(value?),
            _ => {}
        }
    }
    Some(())
}

/// Without a limit version 1 says the largest number of whole pages.
fn bounded(bytes: u64) -> Option<u64> {
    const UNLIMITED: u64 = 1 << 62;
    (bytes < UNLIMITED).then_some(bytes)
}

pub(super) fn memory_events(text: &str, figures: &mut Figures) -> Option<()> {
    for (key, value) in pairs(text) {
        for (kept, _) in figures.events.iter_mut().zip(EVENTS).filter(|(_, name)| *name == key) {
            *kept = Some(value?);
        }
    }
    Some(())
}

/// Version 1: `oom_kill_disable 0`, `under_oom 0`, `oom_kill 1`, of which the last came with Linux 4.13.
pub(super) fn memory_oom_control(text: &str, figures: &mut Figures) -> Option<()> {
    let mut found = pairs(text).filter(|(key, _)| *key == "oom_kill");
    let [.., oom_kill, _] = &mut figures.events;
    if let Some((_, value)) = found.next() {
        *oom_kill = Some(value?);
    }
    Some(())
}

pub(super) fn memory_failcnt(text: &str, figures: &mut Figures) -> Option<()> {
    let [_, _, max, ..] = &mut figures.events;
    *max = Some(number(text)?);
    Some(())
}

pub(super) fn memory_current(text: &str, figures: &mut Figures) -> Option<()> {
    figures.memory_bytes = Some(number(text)?);
    Some(())
}

pub(super) fn memory_peak(text: &str, figures: &mut Figures) -> Option<()> {
    figures.memory_peak_bytes = Some(number(text)?);
    Some(())
}

pub(super) fn memory_max(text: &str, figures: &mut Figures) -> Option<()> {
    set_limit(text, &mut figures.memory_limit_bytes)
}

pub(super) fn pids_current(text: &str, figures: &mut Figures) -> Option<()> {
    figures.threads = Some(number(text)?);
    Some(())
}

pub(super) fn pids_max(text: &str, figures: &mut Figures) -> Option<()> {
    set_limit(text, &mut figures.thread_limit)
}

/// `254:0 rbytes=21049344 wbytes=20971520 rios=22 ...`; a device of which nothing is known stands alone.
pub(super) fn io_stat(text: &str, figures: &mut Figures) -> Option<()> {
    figures.io.clear();
    for line in text.lines().take(MOST_DEVICES) {
        let mut fields = line.split_ascii_whitespace();
        let device = device(fields.next()?)?;
        let mut io = DeviceIo { device, ..DeviceIo::default() };
        let mut known = false;
        for field in fields {
            match field.split_once('=') {
                Some(("rbytes", bytes)) => io.read_bytes = bytes.parse().ok()?,
                Some(("wbytes", bytes)) => io.written_bytes = bytes.parse().ok()?,
                _ => continue,
            }
            known = true;
        }
        if known {
            figures.io.push(io);
        }
    }
    Some(())
}

/// Version 1: `254:0 Read 4096`, `254:0 Write 0` and others of each device, then `Total 4096`.
pub(super) fn blkio(text: &str, figures: &mut Figures) -> Option<()> {
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (first, operation, bytes) = (fields.next()?, fields.next()?, fields.next());
        let Some(bytes) = bytes else { continue };
        let (device, bytes) = (device(first)?, bytes.parse::<u64>().ok()?);
        let known = figures.io.iter().position(|io| io.device == device);
        let place = known.or_else(|| {
            let is_room = figures.io.len() < MOST_DEVICES;
            is_room.then(|| figures.io.push(DeviceIo { device, ..DeviceIo::default() }))?;
            Some(figures.io.len() - 1)
        });
        let Some(io) = place.and_then(|place| figures.io.get_mut(place)) else { continue };
        match operation {
            "Read" => io.read_bytes = bytes,
            "Write" => io.written_bytes = bytes,
            _ => {}
        }
    }
    Some(())
}

pub(super) fn cpu_pressure(text: &str, figures: &mut Figures) -> Option<()> {
    figures.cpu_stalls = stalls(text)?;
    Some(())
}

pub(super) fn memory_pressure(text: &str, figures: &mut Figures) -> Option<()> {
    figures.memory_stalls = stalls(text)?;
    Some(())
}

pub(super) fn io_pressure(text: &str, figures: &mut Figures) -> Option<()> {
    figures.io_stalls = stalls(text)?;
    Some(())
}

/// `some avg10=0.31 avg60=0.30 avg300=0.07 total=274065`, and the same of `full`.
fn stalls(text: &str) -> Option<Stalls> {
    let mut stalls = Stalls::default();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ')?;
        let micros = rest.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
        let micros = Some(micros.parse().ok()?);
        match kind {
            "some" => stalls.some_micros = micros,
            "full" => stalls.full_micros = micros,
            _ => return None,
        }
    }
    Some(stalls)
}

/// `major minor  #blocks  name` of `/proc/partitions`, then `254 0 2097152 vda`.
pub(crate) fn partitions(text: &str) -> impl Iterator<Item = ((u32, u32), &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let device = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((device, fields.nth(1)?))
    })
}

fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, Option<u64>)> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key, value.trim_ascii().parse().ok()))
}

fn number(text: &str) -> Option<u64> {
    text.trim_ascii().parse().ok()
}

fn set_limit(text: &str, limit: &mut Option<u64>) -> Option<()> {
    *limit = if text.trim_ascii() == "max" { None } else { Some(number(text)?) };
    Some(())
}
