//! The host as `node_exporter` 1.9 tells it: its names, labels, units and choices of what to tell.
//!
//! For rules and dashboards that were written for it. The series stay on the host: rules see them, and whoever scrapes;
//! over OTLP go the metrics of the semantic conventions. A source of which nobody wants a metric is not read. What would
//! surprise: the values are read anew rather than taken from the other collectors, whose choices differ.

#![expect(clippy::unnecessary_wraps, reason = "all sources have one shape, also those that cannot fail")]

mod cpu;
mod disk;
mod filesystem;
mod hwmon;
mod md;
mod memory;
mod network;
mod rows;
mod sensors;
mod sockets;
mod system;
mod systemd;
mod timex;

#[cfg(test)]
mod beside_tests;
#[cfg(test)]
mod tests;

use telemetry::{MetricSpec, SampleBuffer, Scope, Timestamp, Value};

use crate::collector::{COLLECTORS, Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::{HostFile, HostRoot};

/// One of `node_exporter`'s collectors.
struct Source {
    /// Its name there, the label `collector` of `node_scrape_collector_success`.
    name: &'static str,
    /// The tables of its metrics.
    tables: &'static [&'static [MetricSpec]],
    collect: fn(&HostRoot, &mut Out<'_>) -> Result<(), CollectError>,
}

const fn source(
    name: &'static str,
    tables: &'static [&'static [MetricSpec]],
    collect: fn(&HostRoot, &mut Out<'_>) -> Result<(), CollectError>,
) -> Source {
    Source { name, tables, collect }
}

static SOURCES: [Source; 35] = [
    source("arp", &[&network::ARP], network::arp),
    source("bonding", &[&network::BONDING], network::bonding),
    source("conntrack", &[&sockets::CONNTRACK], sockets::conntrack),
    source("cpu", &[&cpu::CPU], cpu::cpu),
    source("cpufreq", &[&cpu::CPUFREQ], cpu::cpufreq),
    source("diskstats", &[&disk::DISKSTATS], disk::diskstats),
    source("dmi", &[&system::DMI], system::dmi),
    source("edac", &[&sensors::EDAC], sensors::edac),
    source("entropy", &[&system::ENTROPY], system::entropy),
    source("filefd", &[&system::FILEFD], system::filefd),
    source("filesystem", &[&filesystem::FILESYSTEM], filesystem::filesystem),
    source("hwmon", &[&hwmon::HWMON, &hwmon::HWMON_OTHER], hwmon::hwmon),
    source("loadavg", &[&cpu::LOADAVG], cpu::loadavg),
    source("mdadm", &[&md::MDADM], md::mdadm),
    source("meminfo", &[&memory::MEMINFO], memory::meminfo),
    source("netclass", &[&network::NETCLASS, &network::NETCLASS_INFO], network::netclass),
    source("netdev", &[&network::NETDEV], network::netdev),
    source("netstat", &[&sockets::NETSTAT], sockets::netstat),
    source("nvme", &[&disk::NVME], disk::nvme),
    source("os", &[&system::OS], system::os),
    source("powersupplyclass", &[&sensors::POWER_SUPPLY, &sensors::POWER_INFO], sensors::power_supply),
    source("pressure", &[&system::PRESSURE], system::pressure),
    source("rapl", &[&sensors::RAPL], sensors::rapl),
    source("schedstat", &[&cpu::SCHEDSTAT], cpu::schedstat),
    source("selinux", &[&system::SELINUX], system::selinux),
    source("sockstat", &[&sockets::SOCKSTAT], sockets::sockstat),
    source("softnet", &[&sockets::SOFTNET], sockets::softnet),
    source("stat", &[&cpu::STAT], cpu::stat),
    source("thermal_zone", &[&sensors::THERMAL_ZONE], sensors::thermal_zone),
    source("time", &[&system::TIME], system::time),
    source("timex", &[&timex::TIMEX], timex::timex),
    source("udp_queues", &[&sockets::UDP_QUEUES], sockets::udp_queues),
    source("uname", &[&system::UNAME], system::uname),
    source("vmstat", &[&memory::VMSTAT], memory::vmstat),
    source("watchdog", &[&sensors::WATCHDOG], sensors::watchdog),
];

/// What a scrape adds of itself.
static SCRAPE: [MetricSpec; 2] = rows::from(
    "the collection",
    [
        rows::gauge("node_scrape_collector_success", &["collector"], "Whether a source could be read."),
        rows::gauge("up", &[], "1: the host is being told. Prometheus adds this to what it scrapes."),
    ],
);

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the lengths")]
const COUNT: usize = {
    let (mut count, mut at) = (SCRAPE.len(), 0);
    while at < SOURCES.len() {
        let mut table = 0;
        while table < SOURCES[at].tables.len() {
            count += SOURCES[at].tables[table].len();
            table += 1;
        }
        at += 1;
    }
    count
};

pub(crate) use systemd::{SYSTEMD, tell_services};

/// All metrics that bear `node_exporter`'s names, whichever collector tells them.
pub fn node_exporter_metrics() -> impl Iterator<Item = &'static MetricSpec> {
    let all = COLLECTORS.iter().flat_map(|row| row.metrics.iter().copied());
    all.filter(|metric| metric.scope == Scope::NodeExporter)
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the lengths")]
static METRICS: [&MetricSpec; COUNT] = {
    let mut all = [&SCRAPE[0]; COUNT];
    all[1] = &SCRAPE[1];
    let (mut next, mut at) = (SCRAPE.len(), 0);
    while at < SOURCES.len() {
        let mut table = 0;
        while table < SOURCES[at].tables.len() {
            let rows = SOURCES[at].tables[table];
            let mut row = 0;
            while row < rows.len() {
                all[next] = &rows[row];
                next += 1;
                row += 1;
            }
            table += 1;
        }
        at += 1;
    }
    all
};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "node_exporter",
    summary: "The host as node_exporter names it, for rules that are written for it and for whoever scrapes.",
    metrics: &METRICS,
    interval: None,
    open: |_, options| {
        let wants = |source: &&Source| source.metrics().any(|metric| options.wants(metric));
        let sources: Vec<&'static Source> = SOURCES.iter().filter(wants).collect();
        if sources.is_empty() && !SCRAPE.iter().any(|metric| options.wants(metric)) {
            return Err(CollectError::Absent { what: "use for node_exporter's names" });
        }
        Ok(Box::new(NodeExporter { sources, kept: Kept::default() }))
    },
};

impl Source {
    fn metrics(&self) -> impl Iterator<Item = &'static MetricSpec> {
        self.tables.iter().flat_map(|table| table.iter())
    }
}

/// What sources keep from one collection to the next.
#[derive(Default)]
struct Kept {
    ticks: cpu::Ticks,
}

struct NodeExporter {
    sources: Vec<&'static Source>,
    kept: Kept,
}

impl Collector for NodeExporter {
    fn collect(&mut self, host: &HostRoot, buffer: &mut SampleBuffer) -> Result<(), CollectError> {
        let [success, up] = &SCRAPE;
        let mut first_error = None;
        let mut successes = Vec::with_capacity(self.sources.len());
        for source in &self.sources {
            let result = {
                let mut out = Out { buffer, tables: source.tables, next: 0, kept: &mut self.kept };
                (source.collect)(host, &mut out)
            };
            successes.push((source.name, result.is_ok()));
            match result {
                Ok(()) | Err(CollectError::Absent { .. }) => {}
                // node_exporter calls it a failure of this source alone, and so does the row above.
                Err(error) if error.is_out_of_reach() => {}
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        for (name, worked) in successes {
            buffer.double(success, &[Value::Str(name)], f64::from(u8::from(worked)));
        }
        buffer.double(up, &[], 1.0);
        first_error.map_or(Ok(()), Err)
    }
}

/// Where a source puts its values, by name.
struct Out<'a> {
    buffer: &'a mut SampleBuffer,
    tables: &'static [&'static [MetricSpec]],
    /// Where in its table the last one was found: the next is mostly the one after it.
    next: usize,
    kept: &'a mut Kept,
}

impl Out<'_> {
    /// Puts the value of a metric of this source.
    fn put(&mut self, name: &str, labels: &[Value<'_>], value: f64) {
        let known = self.put_known(name, labels, value);
        debug_assert!(known, "{name} has no row");
    }

    /// Puts a value whose name was made of what the kernel says, if the name is known; says whether it is.
    fn put_known(&mut self, name: &str, labels: &[Value<'_>], value: f64) -> bool {
        let Some(metric) = self.find(name) else { return false };
        self.buffer.double(metric, labels, value);
        true
    }

    /// Whether somebody wants the metric.
    fn takes(&mut self, name: &str) -> bool {
        self.find(name).is_some_and(|metric| self.buffer.takes(metric))
    }

    /// When the collection began.
    fn at(&self) -> Timestamp {
        self.buffer.at()
    }

    fn find(&mut self, name: &str) -> Option<&'static MetricSpec> {
        for table in self.tables {
            let from = self.next.min(table.len());
            let around = (from..table.len()).chain(0..from);
            for at in around {
                if let Some(metric) = table.get(at).filter(|metric| metric.name == name) {
                    self.next = at + 1;
                    return Some(metric);
                }
            }
        }
        None
    }
}

/// The file, or that this host has none.
fn present<'a>(file: Option<HostFile<'a>>, what: &'static str) -> Result<HostFile<'a>, CollectError> {
    file.ok_or(CollectError::Absent { what })
}

/// Every parser of this profile, for the test that no bytes make one panic.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn parse_as_everything(file: &HostFile<'_>) {
    let _ = cpu::parse_cpus(file);
    let _ = cpu::parse_list(file.text()).count();
    let _ = md::parse(file);
    let _ = filesystem::parse(file);
    let _ = sockets::pairs(file).count();
    let _ = sockets::sum_of_column(file, "found");
    let _ = hwmon::explode(file.text());
    let _ = hwmon::clean(file.text());
    let _ = crate::sysfs::parse(file.text());
    system::parse_as_everything(file.text());
}
