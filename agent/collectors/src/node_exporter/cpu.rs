//! `cpu`, `cpufreq`, `loadavg`, `schedstat` and `stat`.
//!
//! Times of a CPU never fall here: the kernel's iowait and idle do, a little, and a rate would take that for a restart.

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{counter, from, gauge};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};
use crate::sysfs;

pub(super) static CPU: [MetricSpec; 6] = from(
    "/proc/stat, /sys/devices/system/cpu",
    [
        counter("node_cpu_seconds_total", &["cpu", "mode"], "Seconds that a CPU spent in a mode."),
        counter(
            "node_cpu_guest_seconds_total",
            &["cpu", "mode"],
            "Seconds that a CPU ran virtual machines; they are within user and nice as well.",
        ),
        counter(
            "node_cpu_core_throttles_total",
            &["package", "core"],
            "How often a core was slowed down for its heat.",
        ),
        counter(
            "node_cpu_package_throttles_total",
            &["package"],
            "How often a package was slowed down for its heat.",
        ),
        gauge("node_cpu_isolated", &["cpu"], "1 for each CPU that the scheduler is kept from."),
        gauge("node_cpu_online", &["cpu"], "Whether a CPU is online."),
    ],
);

pub(super) static CPUFREQ: [MetricSpec; 7] = from(
    "/sys/devices/system/cpu/cpuN/cpufreq",
    [
        gauge("node_cpu_frequency_hertz", &["cpu"], "Frequency of a CPU, as the hardware tells it."),
        gauge("node_cpu_frequency_min_hertz", &["cpu"], "Lowest frequency of a CPU."),
        gauge("node_cpu_frequency_max_hertz", &["cpu"], "Highest frequency of a CPU."),
        gauge("node_cpu_scaling_frequency_hertz", &["cpu"], "Frequency of a CPU, as its governor set it."),
        gauge(
            "node_cpu_scaling_frequency_min_hertz",
            &["cpu"],
            "Lowest frequency that the governor may set.",
        ),
        gauge(
            "node_cpu_scaling_frequency_max_hertz",
            &["cpu"],
            "Highest frequency that the governor may set.",
        ),
        gauge(
            "node_cpu_scaling_governor",
            &["cpu", "governor"],
            "1 for the governor in force, 0 for others.",
        ),
    ],
);

pub(super) static LOADAVG: [MetricSpec; 3] = from(
    "/proc/loadavg",
    [
        gauge("node_load1", &[], "Load average over 1 minute."),
        gauge("node_load5", &[], "Load average over 5 minutes."),
        gauge("node_load15", &[], "Load average over 15 minutes."),
    ],
);

pub(super) static SCHEDSTAT: [MetricSpec; 3] = from(
    "/proc/schedstat",
    [
        counter("node_schedstat_running_seconds_total", &["cpu"], "Seconds that a CPU ran tasks."),
        counter("node_schedstat_waiting_seconds_total", &["cpu"], "Seconds that tasks waited for a CPU."),
        counter("node_schedstat_timeslices_total", &["cpu"], "Time slices that a CPU has run."),
    ],
);

pub(super) static STAT: [MetricSpec; 6] = from(
    "/proc/stat",
    [
        counter("node_intr_total", &[], "Interrupts that were served."),
        counter("node_context_switches_total", &[], "Context switches of all CPUs."),
        counter("node_forks_total", &[], "Processes and threads created since boot."),
        gauge("node_boot_time_seconds", &[], "When the host was booted, in seconds since 1970."),
        gauge("node_procs_running", &[], "Tasks that run or could run."),
        gauge("node_procs_blocked", &[], "Tasks that wait for I/O."),
    ],
);

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const GUEST_MODES: [&str; 2] = ["user", "nice"];
const IDLE: usize = 3;

/// The highest counts seen of each CPU, in ticks: the modes, then the guests.
pub(super) type Ticks = Vec<(u32, [u64; 10])>;

/// A CPU whose idle time falls by more than this many seconds went away and came back: it counts anew.
const COMES_BACK_SECONDS: f64 = 3.0;

pub(super) fn cpu(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/stat")?;
    let hertz = host.ticks_per_second();
    let new = parse_cpus(&file)?;
    rise(&mut out.kept.ticks, new, (COMES_BACK_SECONDS * hertz) as u64);
    let cpus = std::mem::take(&mut out.kept.ticks);
    for (number, ticks) in &cpus {
        let number = number.to_string();
        for (mode, ticks) in MODES.iter().zip(ticks) {
            let labels = [Value::Str(&number), Value::Str(mode)];
            out.put("node_cpu_seconds_total", &labels, *ticks as f64 / hertz);
        }
        for (mode, ticks) in GUEST_MODES.iter().zip(ticks.iter().skip(MODES.len())) {
            let labels = [Value::Str(&number), Value::Str(mode)];
            out.put("node_cpu_guest_seconds_total", &labels, *ticks as f64 / hertz);
        }
    }
    out.kept.ticks = cpus;
    isolated(host, out);
    if out.takes("node_cpu_core_throttles_total") || out.takes("node_cpu_package_throttles_total") {
        throttles(host, out);
    }
    if out.takes("node_cpu_online") {
        online(host, out);
    }
    Ok(())
}

/// The lines `cpuN` of `/proc/stat`; old kernels have fewer columns.
pub(super) fn parse_cpus(file: &HostFile<'_>) -> Result<Ticks, CollectError> {
    let mut cpus = Vec::new();
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let key = fields.next().unwrap_or_default();
        let Some(number) = key.strip_prefix("cpu").and_then(|number| number.parse().ok()) else { continue };
        let mut ticks = [0; 10];
        for (slot, field) in ticks.iter_mut().zip(fields) {
            *slot = field.parse().map_err(|_| file.malformed("counts of ticks after cpuN", line))?;
        }
        cpus.push((number, ticks));
    }
    Ok(cpus)
}

/// Makes `kept` the new counts, none lower than it was. CPUs that went away are forgotten.
fn rise(kept: &mut Ticks, mut new: Ticks, back: u64) {
    for (number, ticks) in &mut new {
        let Some((_, old)) = kept.iter().find(|(known, _)| known == number) else { continue };
        let fell =
            old.get(IDLE).zip(ticks.get(IDLE)).is_some_and(|(old, new)| old.saturating_sub(*new) >= back);
        if !fell {
            ticks.iter_mut().zip(old).for_each(|(new, old)| *new = (*new).max(*old));
        }
    }
    *kept = new;
}

const CPUS: &str = "sys/devices/system/cpu";

fn isolated(host: &HostRoot, out: &mut Out<'_>) {
    if !out.takes("node_cpu_isolated") {
        return;
    }
    let Some(list) = sysfs::text(host, &format!("{CPUS}/isolated")) else { return };
    for number in parse_list(&list) {
        out.put("node_cpu_isolated", &[Value::Str(&number.to_string())], 1.0);
    }
}

/// CPUs that a list is taken to name at most.
const MOST_CPUS: usize = 8_192;

/// `0-3,8` as the kernel writes lists of CPUs.
pub(super) fn parse_list(text: &str) -> impl Iterator<Item = u32> {
    let range = |part: &str| {
        let (first, end) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=end.parse::<u32>().ok()?)
    };
    text.split(',').filter_map(range).flatten().take(MOST_CPUS)
}

fn throttles(host: &HostRoot, out: &mut Out<'_>) {
    let (mut packages, mut cores) = (Vec::new(), Vec::new());
    for (cpu, _) in sysfs::numbered(host, CPUS, "cpu") {
        let topology = |name: &str| sysfs::text(host, &format!("{CPUS}/{cpu}/topology/{name}"));
        let (Some(package), Some(core)) = (topology("physical_package_id"), topology("core_id")) else {
            continue;
        };
        let throttled = |name: &str| sysfs::number(host, &format!("{CPUS}/{cpu}/thermal_throttle/{name}"));
        let place = (package.clone(), core);
        if !cores.contains(&place) {
            if let Some(count) = throttled("core_throttle_count") {
                let labels = [Value::Str(&package), Value::Str(&place.1)];
                out.put("node_cpu_core_throttles_total", &labels, count);
            }
            cores.push(place);
        }
        if !packages.contains(&package) {
            if let Some(count) = throttled("package_throttle_count") {
                out.put("node_cpu_package_throttles_total", &[Value::Str(&package)], count);
            }
            packages.push(package);
        }
    }
}

/// Only where the first CPU can be taken offline does the kernel say of each whether it is.
fn online(host: &HostRoot, out: &mut Out<'_>) {
    let cpus = sysfs::numbered(host, CPUS, "cpu");
    let state = |cpu: &str| sysfs::number(host, &format!("{CPUS}/{cpu}/online"));
    if cpus.first().is_none_or(|(cpu, _)| state(cpu).is_none()) {
        return;
    }
    for (cpu, number) in cpus {
        let online = state(&cpu).is_some_and(|online| online > 0.0);
        out.put("node_cpu_online", &[Value::Str(&number)], f64::from(u8::from(online)));
    }
}

const FREQUENCIES: [(&str, &str); 6] = [
    ("cpuinfo_cur_freq", "node_cpu_frequency_hertz"),
    ("cpuinfo_min_freq", "node_cpu_frequency_min_hertz"),
    ("cpuinfo_max_freq", "node_cpu_frequency_max_hertz"),
    ("scaling_cur_freq", "node_cpu_scaling_frequency_hertz"),
    ("scaling_min_freq", "node_cpu_scaling_frequency_min_hertz"),
    ("scaling_max_freq", "node_cpu_scaling_frequency_max_hertz"),
];

pub(super) fn cpufreq(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    for (cpu, number) in sysfs::numbered(host, CPUS, "cpu") {
        let directory = format!("{CPUS}/{cpu}/cpufreq");
        for (name, metric) in FREQUENCIES {
            if out.takes(metric)
                && let Some(kilohertz) = sysfs::number(host, &format!("{directory}/{name}"))
            {
                out.put(metric, &[Value::Str(&number)], kilohertz * 1000.0);
            }
        }
        let Some(chosen) = sysfs::text(host, &format!("{directory}/scaling_governor")) else { continue };
        let all = sysfs::text(host, &format!("{directory}/scaling_available_governors")).unwrap_or_default();
        for governor in all.split_ascii_whitespace() {
            let labels = [Value::Str(&number), Value::Str(governor)];
            out.put("node_cpu_scaling_governor", &labels, f64::from(u8::from(governor == chosen)));
        }
    }
    Ok(())
}

pub(super) fn loadavg(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/loadavg")?;
    let mut fields = file.text().split_ascii_whitespace();
    for metric in ["node_load1", "node_load5", "node_load15"] {
        let load = file.number(&mut fields, "three load averages", file.text())?;
        out.put(metric, &[], load);
    }
    Ok(())
}

pub(super) fn schedstat(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = super::present(host.read_optional("proc/schedstat")?, "/proc/schedstat")?;
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(cpu) = fields.next().and_then(|key| key.strip_prefix("cpu")) else { continue };
        let mut fields = fields.skip(6);
        let mut next = || file.number::<u64>(&mut fields, "nine counts after cpuN", line);
        let (ran, waited, slices) = (next()?, next()?, next()?);
        let cpu = [Value::Str(cpu)];
        out.put("node_schedstat_running_seconds_total", &cpu, ran as f64 / 1e9);
        out.put("node_schedstat_waiting_seconds_total", &cpu, waited as f64 / 1e9);
        out.put("node_schedstat_timeslices_total", &cpu, slices as f64);
    }
    Ok(())
}

const STAT_LINES: [(&str, &str); 6] = [
    ("intr", "node_intr_total"),
    ("ctxt", "node_context_switches_total"),
    ("btime", "node_boot_time_seconds"),
    ("processes", "node_forks_total"),
    ("procs_running", "node_procs_running"),
    ("procs_blocked", "node_procs_blocked"),
];

pub(super) fn stat(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let file = host.read("proc/stat")?;
    for line in file.lines() {
        let mut fields = line.split_ascii_whitespace();
        let key = fields.next().unwrap_or_default();
        let Some((_, metric)) = STAT_LINES.iter().find(|(name, _)| *name == key) else { continue };
        let value: u64 = file.number(&mut fields, "a number after the name", line)?;
        out.put(metric, &[], value as f64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(idle: u64, iowait: u64) -> [u64; 10] {
        [1, 1, 1, idle, iowait, 1, 1, 1, 0, 0]
    }

    #[test]
    fn the_time_of_a_cpu_never_falls_unless_it_went_away_and_came_back() {
        let mut kept = vec![(0, ticks(1_000, 50)), (1, ticks(1_000, 50))];
        rise(&mut kept, vec![(0, ticks(1_001, 49))], 300);
        assert_eq!(kept, [(0, ticks(1_001, 50))]);
        rise(&mut kept, vec![(0, ticks(10, 2)), (1, ticks(3, 3))], 300);
        assert_eq!(kept, [(0, ticks(10, 2)), (1, ticks(3, 3))]);
    }

    #[test]
    fn lists_of_cpus_are_read_as_the_kernel_writes_them() {
        assert_eq!(parse_list("1,3-5,9").collect::<Vec<_>>(), [1, 3, 4, 5, 9]);
        assert_eq!(parse_list("").count(), 0);
        assert!(parse_list("0-4294967295").count() == MOST_CPUS);
    }
}
