//! Where the host is short of something, from the last samples of the series and from what the status uses.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::PoisonError;

use collectors::names;
use series::{Matcher, Samples, Scratch, Store, is_stale};
use telemetry::{METRIC_NAME, MetricSpec, Timestamp};

use super::routes::Reply;
use super::{Facts, health, report};
use crate::clock;
use crate::top::{Cpu, Disk, Filesystem, Interface, Memory, Owed, Pressure, Task, Top};

/// As far back as rules look for the newest sample of a series.
const LOOKBACK_MILLIS: i64 = 300_000;

/// Of each kind, by each of the three orders: more than any screen shows.
const MOST: usize = 64;

pub(super) fn reply(facts: &Facts, _query: &str) -> Reply {
    let now = clock::now();
    let store = facts.shared.store.read().unwrap_or_else(PoisonError::into_inner);
    let mut top = of(&store, now);
    drop(store);
    top.host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    top.unwell = health::of(facts, now).reasons;
    top.firing = report::firing(facts, now);
    top.destinations = facts
        .sender
        .figures()
        .destinations
        .iter()
        .map(|figures| Owed {
            name: figures.name.clone(),
            queued_bytes: figures.queued_bytes,
            failing_since: facts.failing.of(&figures.name).map(|since| since.to_string()),
        })
        .collect();
    Reply::json(200, &top)
}

/// What the series say.
fn of(store: &Store, now: Timestamp) -> Top {
    let look = Look { store, now: now.as_millis() };
    Top {
        at: now.to_string(),
        uptime_seconds: look.level(&names::UPTIME),
        load: [&names::LOAD_1M, &names::LOAD_5M, &names::LOAD_15M].map(|metric| look.level(metric)),
        cpus: look.level(&names::CPU_LOGICAL_COUNT),
        stretch: look.named_level("hostmend.collect.stretch"),
        pressure: pressure(&look),
        cpu: cpu(&look),
        memory: memory(&look),
        disks: disks(&look),
        interfaces: interfaces(&look),
        tcp_retransmits_per_second: look.rate(&names::TCP_RETRANSMITS),
        filesystems: filesystems(&look),
        groups: groups(&look),
        processes: processes(&look),
        ..Top::default()
    }
}

/// The newest values of the series of a metric.
struct Look<'a> {
    store: &'a Store,
    now: i64,
}

impl Look<'_> {
    /// Adds up by the value of a label what `value` makes of the samples of each series.
    fn by(&self, name: &str, label: &str, value: fn(&Samples<'_>) -> Option<f64>) -> BTreeMap<String, f64> {
        let (mut sums, mut scratch) = (BTreeMap::new(), Scratch::default());
        for id in self.store.select(&[Matcher::equal(METRIC_NAME, name)]) {
            let from = self.now.saturating_sub(LOOKBACK_MILLIS);
            let samples = self.store.samples(id, from, self.now, &mut scratch);
            if let Some(value) = value(&samples) {
                *sums.entry(self.store.labels(id).get(label).to_owned()).or_default() += value;
            }
        }
        sums
    }

    fn levels(&self, metric: &MetricSpec, label: &str) -> BTreeMap<String, f64> {
        self.by(metric.name, label, |samples| newest(samples).map(|(_, value)| value))
    }

    /// Per second.
    fn rates(&self, metric: &MetricSpec, label: &str) -> BTreeMap<String, f64> {
        self.by(metric.name, label, growth)
    }

    /// Of a metric with one series.
    fn level(&self, metric: &MetricSpec) -> Option<f64> {
        self.named_level(metric.name)
    }

    fn named_level(&self, name: &str) -> Option<f64> {
        let all = self.by(name, "", |samples| newest(samples).map(|(_, value)| value));
        all.into_values().next()
    }

    fn rate(&self, metric: &MetricSpec) -> Option<f64> {
        self.rates(metric, "").into_values().next()
    }
}

/// The last sample, unless the series has ended.
fn newest(samples: &Samples<'_>) -> Option<(i64, f64)> {
    let (at, value) = (samples.times.last()?, samples.values.last()?);
    (!is_stale(*value)).then_some((*at, *value))
}

/// How fast a counter grows between its last two samples.
fn growth(samples: &Samples<'_>) -> Option<f64> {
    growth_over(samples, 1)
}

/// The kernel adds to its totals of pressure every 2 s; between two samples within that time they stand still.
fn growth_of_pressure(samples: &Samples<'_>) -> Option<f64> {
    growth_over(samples, 4_000)
}

/// How fast a counter grows up to its last sample, from the one that is so many milliseconds older, or the oldest.
fn growth_over(samples: &Samples<'_>, millis: i64) -> Option<f64> {
    let (at, value) = newest(samples)?;
    let older = samples.times.partition_point(|time| *time <= at - millis).saturating_sub(1);
    let (before, was) = (samples.times.get(older)?, samples.values.get(older)?);
    let seconds = (at - before) as f64 / 1_000.0;
    (!is_stale(*was) && value >= *was && seconds > 0.0).then(|| (value - was) / seconds)
}

fn pressure(look: &Look<'_>) -> Vec<Pressure> {
    [
        ("cpu", &names::CPU_PRESSURE),
        ("memory", &names::MEMORY_PRESSURE),
        ("io", &names::IO_PRESSURE),
        ("irq", &names::IRQ_PRESSURE),
    ]
    .into_iter()
    .map(|(of, metric)| {
        let rates = look.by(metric.name, "system.linux.pressure.stall_type", growth_of_pressure);
        let share = |stall: &str| rates.get(stall).map(|share| share.min(1.0));
        Pressure { of: of.to_owned(), some: share("some"), full: share("full") }
    })
    .filter(|pressure| pressure.some.is_some() || pressure.full.is_some())
    .collect()
}

fn cpu(look: &Look<'_>) -> Cpu {
    let modes = look.rates(&names::CPU_TIME, "cpu.mode");
    let all: f64 = modes.values().sum();
    let share = |mode: &str| modes.get(mode).filter(|_| all > 0.0).map(|time| time / all);
    let idle = |mode| share(mode).unwrap_or(0.0);
    Cpu {
        busy: (all > 0.0).then(|| 1.0 - idle("idle") - idle("iowait")),
        iowait: share("iowait"),
        steal: share("steal"),
        run_queue: look.level(&names::RUN_QUEUE_LENGTH),
        blocked: look.level(&names::BLOCKED_COUNT),
    }
}

fn memory(look: &Look<'_>) -> Memory {
    let limit = look.level(&names::MEMORY_LIMIT);
    let available = look.level(&names::MEMORY_AVAILABLE);
    let swap = look.levels(&names::PAGING_USAGE, "system.paging.state");
    let (used, size) = (swap.get("used"), swap.values().sum::<f64>());
    let swapped = look.rates(&names::PAGING_OPERATIONS, "system.paging.direction");
    Memory {
        limit_bytes: limit,
        used_share: limit
            .zip(available)
            .filter(|(limit, _)| *limit > 0.0)
            .map(|(limit, free)| 1.0 - free / limit),
        swap_used_share: used.filter(|_| size > 0.0).map(|used| used / size),
        swap_in: swapped.get("in").copied(),
        swap_out: swapped.get("out").copied(),
        oom_kills: look.level(&names::OOM_KILLS),
    }
}

fn disks(look: &Look<'_>) -> Vec<Disk> {
    let busy = look.rates(&names::DISK_IO_TIME, "system.device");
    let queues = look.rates(&names::DISK_WEIGHTED_IO_TIME, "system.device");
    let moved = by_both(look, &names::DISK_IO, "system.device", "disk.io.direction");
    let of = |device: &str, direction: &str| {
        moved.get(&(device.to_owned(), direction.to_owned())).copied().unwrap_or(0.0)
    };
    let mut disks: Vec<Disk> = busy
        .into_iter()
        .map(|(device, busy)| Disk {
            busy: busy.min(1.0),
            queue: queues.get(&device).copied().unwrap_or(0.0),
            read_bytes_per_second: of(&device, "read"),
            written_bytes_per_second: of(&device, "write"),
            device,
        })
        .collect();
    disks.sort_by(|one, other| descending(one.busy, other.busy).then(descending(one.queue, other.queue)));
    disks.truncate(MOST);
    disks
}

fn interfaces(look: &Look<'_>) -> Vec<Interface> {
    let name = "network.interface.name";
    let moved = by_both(look, &names::NETWORK_IO, name, "network.io.direction");
    let drops = look.rates(&names::NETWORK_PACKET_DROPPED, name);
    let errors = look.rates(&names::NETWORK_ERRORS, name);
    let mut found: BTreeMap<String, Interface> = BTreeMap::new();
    for ((name, direction), rate) in moved {
        let interface =
            found.entry(name.clone()).or_insert_with(|| Interface { name, ..Interface::default() });
        *(if direction == "receive" {
            &mut interface.received_bytes_per_second
        } else {
            &mut interface.sent_bytes_per_second
        }) += rate;
    }
    for (name, interface) in &mut found {
        interface.drops_per_second = drops.get(name).copied().unwrap_or(0.0);
        interface.errors_per_second = errors.get(name).copied().unwrap_or(0.0);
    }
    let lost = |interface: &Interface| interface.drops_per_second + interface.errors_per_second;
    let moved = |interface: &Interface| interface.received_bytes_per_second + interface.sent_bytes_per_second;
    let mut interfaces: Vec<Interface> = found.into_values().collect();
    interfaces
        .sort_by(|one, other| descending(lost(one), lost(other)).then(descending(moved(one), moved(other))));
    interfaces.truncate(MOST);
    interfaces
}

/// Rates by two labels.
fn by_both(
    look: &Look<'_>,
    metric: &MetricSpec,
    label: &str,
    other: &str,
) -> BTreeMap<(String, String), f64> {
    let (mut rates, mut scratch) = (BTreeMap::new(), Scratch::default());
    for id in look.store.select(&[Matcher::equal(METRIC_NAME, metric.name)]) {
        let from = look.now.saturating_sub(LOOKBACK_MILLIS);
        let samples = look.store.samples(id, from, look.now, &mut scratch);
        if let Some(rate) = growth(&samples) {
            let labels = look.store.labels(id);
            *rates.entry((labels.get(label).to_owned(), labels.get(other).to_owned())).or_default() += rate;
        }
    }
    rates
}

fn filesystems(look: &Look<'_>) -> Vec<Filesystem> {
    let states = [
        Matcher::equal(METRIC_NAME, names::FILESYSTEM_UTILIZATION.name),
        Matcher::equal("system.filesystem.state", "used"),
    ];
    let mut found = Vec::new();
    for id in look.store.select(&states) {
        let mountpoint = look.store.labels(id).get("system.filesystem.mountpoint").to_owned();
        if let Some((_, used_share)) = look.store.latest(id, look.now, LOOKBACK_MILLIS) {
            found.push(Filesystem { mountpoint, used_share });
        }
    }
    found.sort_by(|one, other| descending(one.used_share, other.used_share));
    found.truncate(MOST);
    found
}

/// CPUs used. The time in which a task waited for block I/O is among the modes, and no use of a CPU.
fn on_cpu(look: &Look<'_>, metric: &MetricSpec, label: &str) -> BTreeMap<String, f64> {
    let mut used = BTreeMap::new();
    for ((name, mode), rate) in by_both(look, metric, label, "cpu.mode") {
        *used.entry(name).or_default() += if mode == "wait" { 0.0 } else { rate };
    }
    used
}

fn groups(look: &Look<'_>) -> Vec<Task> {
    let label = "hostmend.process_group.name";
    let figures = Figures {
        cpu: on_cpu(look, &names::GROUP_CPU_TIME, label),
        memory: look.levels(&names::GROUP_MEMORY_USAGE, label),
        io: look.rates(&names::GROUP_DISK_IO, label),
    };
    figures.tasks(|name| (name.to_owned(), None))
}

fn processes(look: &Look<'_>) -> Vec<Task> {
    let label = "process.pid";
    let figures = Figures {
        cpu: on_cpu(look, &names::PROCESS_CPU_TIME, label),
        memory: look.levels(&names::PROCESS_MEMORY_USAGE, label),
        io: look.rates(&names::PROCESS_DISK_IO, label),
    };
    let mut called = BTreeMap::new();
    for id in look.store.select(&[Matcher::equal(METRIC_NAME, names::PROCESS_MEMORY_USAGE.name)]) {
        let labels = look.store.labels(id);
        let names = ["process.executable.name", "process.command"].map(|key| labels.get(key));
        let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or("?");
        if look.store.latest(id, look.now, LOOKBACK_MILLIS).is_some() {
            called.insert(labels.get(label).to_owned(), name.to_owned());
        }
    }
    figures.tasks(|pid| (called.get(pid).cloned().unwrap_or_else(|| "?".to_owned()), pid.parse().ok()))
}

/// What single processes use, as far as they are reported, by their number.
pub(in crate::agent) struct ProcessRates {
    cpus: BTreeMap<String, f64>,
    io: BTreeMap<String, f64>,
}

impl ProcessRates {
    /// Over the time between the last two collections.
    pub(in crate::agent) fn of(store: &Store, now: Timestamp) -> Self {
        let look = Look { store, now: now.as_millis() };
        Self {
            cpus: on_cpu(&look, &names::PROCESS_CPU_TIME, "process.pid"),
            io: look.rates(&names::PROCESS_DISK_IO, "process.pid"),
        }
    }

    /// CPUs that it keeps busy.
    pub(in crate::agent) fn cpus_of(&self, pid: u32) -> Option<f64> {
        self.cpus.get(&pid.to_string()).copied()
    }

    /// Bytes read and written per second.
    pub(in crate::agent) fn io_of(&self, pid: u32) -> Option<f64> {
        self.io.get(&pid.to_string()).copied()
    }
}

/// What each uses, by its name or number.
struct Figures {
    cpu: BTreeMap<String, f64>,
    memory: BTreeMap<String, f64>,
    io: BTreeMap<String, f64>,
}

impl Figures {
    /// Those that use most of anything, by CPU.
    fn tasks(&self, call: impl Fn(&str) -> (String, Option<u32>)) -> Vec<Task> {
        let of = |figures: &BTreeMap<String, f64>, key: &str| figures.get(key).copied().unwrap_or(0.0);
        let mut tasks: Vec<Task> = self
            .memory
            .keys()
            .map(|key| {
                let (name, pid) = call(key);
                let (cpu, memory_bytes) = (of(&self.cpu, key), of(&self.memory, key));
                Task { name, pid, cpu, memory_bytes, io_bytes_per_second: of(&self.io, key) }
            })
            .collect();
        let mut kept: Vec<Task> = Vec::new();
        let orders: [fn(&Task) -> f64; 3] =
            [|task| task.io_bytes_per_second, |task| task.memory_bytes, |task| task.cpu];
        for by in orders {
            tasks.sort_by(|one, other| descending(by(one), by(other)));
            for task in tasks.iter().take(MOST) {
                if !kept.iter().any(|known| (known.pid, &known.name) == (task.pid, &task.name)) {
                    kept.push(task.clone());
                }
            }
        }
        kept.sort_by(|one, other| descending(one.cpu, other.cpu));
        kept
    }
}

fn descending(one: f64, other: f64) -> Ordering {
    other.total_cmp(&one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use collectors::{Collection, HostRoot, Options};
    use series::Limits;
    use std::time::Duration;
    use telemetry::{SampleBuffer, Value};

    #[test]
    fn a_captured_host_is_told_by_its_last_two_collections() {
        let mut collection =
            Collection::open(HostRoot::fixture("firecracker-6.18"), Options::default(), &|_| true).unwrap();
        let mut store = Store::new(Limits::default());
        let mut buffer = SampleBuffer::default();
        let at = Timestamp::from_secs(1_800_000_000);
        for at in [at, at.plus(Duration::from_secs(10))] {
            collection.collect(at, &mut Duration::default, &mut buffer);
            store.append(&buffer);
        }
        let top = of(&store, at.plus(Duration::from_secs(11)));
        assert!(top.uptime_seconds.is_some() && top.load.iter().all(Option::is_some));
        assert_eq!(
            top.disks.iter().map(|disk| (&*disk.device, disk.busy)).collect::<Vec<_>>(),
            [("vda", 0.0)]
        );
        assert!(top.pressure.iter().any(|pressure| pressure.of == "memory" && pressure.full == Some(0.0)));
        assert!(top.memory.used_share.is_some_and(|share| (0.0..1.0).contains(&share)));
        assert!(top.filesystems.iter().any(|filesystem| filesystem.mountpoint == "/"));
        assert!(top.processes.iter().all(|process| process.pid.is_some() && process.name != "?"));
        assert!(top.processes.len() > 1);
    }

    #[test]
    fn rates_are_those_of_the_last_two_samples_and_those_of_pressure_of_4_seconds() {
        let mut store = Store::new(Limits::default());
        let mut buffer = SampleBuffer::default();
        let second = |second: i64| Timestamp::from_secs(1_800_000_000 + second);
        for (at, busy, full) in [(0, 0.0, 7.0), (8, 1.0, 0.0), (10, 1.0, 1.0), (12, 2.0, 1.0)] {
            buffer.reset(second(at), second(-100));
            buffer.double(&names::DISK_IO_TIME, &[Value::Str("vda")], busy);
            buffer.double(&names::MEMORY_PRESSURE, &[Value::Str("full")], full);
            if at == 12 {
                buffer.gone(&names::IO_PRESSURE, &[Value::Str("full")]);
            } else {
                buffer.double(&names::IO_PRESSURE, &[Value::Str("full")], full);
            }
            store.append(&buffer);
        }
        let top = of(&store, second(13));
        assert_eq!(top.disks.iter().map(|disk| disk.busy).collect::<Vec<_>>(), [0.5]);
        let pressure: Vec<_> = top.pressure.iter().map(|pressure| (&*pressure.of, pressure.full)).collect();
        assert_eq!(pressure, [("memory", Some(0.25))]);
        assert_eq!(of(&store, second(1_000)).disks.len(), 0, "long ago");
    }
    #[test]
    fn a_task_that_waits_for_its_disk_uses_no_cpu_by_it() {
        let mut store = Store::new(Limits::default());
        let mut buffer = SampleBuffer::default();
        let second = |second: i64| Timestamp::from_secs(1_800_000_000 + second);
        for at in [0, 10] {
            buffer.reset(second(at), second(-100));
            buffer.entity(&names::PROCESS_GROUP, second(-100), &[Value::Str("backup.service")]);
            for (mode, share) in [("user", 0.2), ("system", 0.3), ("wait", 0.9)] {
                buffer.double(&names::GROUP_CPU_TIME, &[Value::Str(mode)], at as f64 * share);
            }
            buffer.int(&names::GROUP_MEMORY_USAGE, &[], 1);
            store.append(&buffer);
        }
        let groups = of(&store, second(11)).groups;
        assert_eq!(groups.iter().map(|group| group.cpu).collect::<Vec<_>>(), [0.5]);
    }
}
