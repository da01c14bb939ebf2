//! The host as `node_exporter` names it: how rules see it, and the page for whoever scrapes.
//!
//! The page is that of the last collection. A scrape costs a copy of it, whoever asks and however often; nobody who
//! reaches the listener makes the agent read anything; and all see what the rules saw. It is written only if it is served.

use std::sync::{Mutex, PoisonError, RwLock};

use collectors::node_exporter_metrics;
use series::{ScrapedAs, Store};
use telemetry::{Family, Instrument, LeftOut, MetricSpec, PointView, SampleBuffer, Scope};

use crate::agent::api::page;
use crate::config::NodeExporter;

/// The port of a `node_exporter`, which published dashboards expect in `instance`.
const PORT: u16 = 9100;

/// What is served, and under which labels series are kept.
#[derive(Debug, Default)]
pub(crate) struct NodePage {
    host_name: String,
    in_force: RwLock<bool>,
    page: Mutex<String>,
}

impl NodePage {
    /// Of the host of this name.
    pub(crate) fn new(host_name: String) -> Self {
        Self { host_name, ..Self::default() }
    }

    /// From now on what this says; returns the labels of the scrape that this stands for.
    pub(crate) fn put_in_force(&self, config: &NodeExporter, store: &mut Store) -> ScrapedAs {
        let scraped = self.scraped_as(config);
        store.set_scraped_as(scraped.clone());
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = config.served;
        if !config.served {
            *self.lock() = String::new();
        }
        scraped
    }

    fn scraped_as(&self, config: &NodeExporter) -> ScrapedAs {
        let left_out = node_exporter_metrics().filter(|metric| config.left_out.contains(&metric.name));
        ScrapedAs {
            job: config.job.clone(),
            instance: config.instance.clone().unwrap_or_else(|| format!("{}:{PORT}", self.host_name)),
            left_out: LeftOut::new(left_out),
        }
    }

    /// Writes the page anew from the last collection of each lane, if it is served. `others` are the families that are not
    /// measured, by name.
    pub(crate) fn write(&self, lanes: &[&SampleBuffer], others: impl FnOnce() -> Vec<Family>) {
        if !*self.in_force.read().unwrap_or_else(PoisonError::into_inner) {
            return;
        }
        let text = page_of(lanes, &others(), self.lock().len());
        *self.lock() = text;
    }

    /// The page; `None` until there is one.
    pub(crate) fn read(&self) -> Option<String> {
        Some(self.lock().clone()).filter(|page| !page.is_empty())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every series of the profile, by name. `up` is left out: a scrape has its own.
fn page_of(lanes: &[&SampleBuffer], others: &[Family], capacity: usize) -> String {
    let mut text = String::with_capacity(capacity);
    let points = lanes.iter().flat_map(|lane| lane.entities()).flat_map(|entity| entity.points());
    let is_shown = |point: &PointView<'_>| {
        point.metric.scope == Scope::NodeExporter
            && point.metric.name != "up"
            && point.number.as_f64().is_some()
    };
    let mut points: Vec<PointView<'_>> = points.filter(is_shown).collect();
    points.sort_by_key(|point| point.metric.name);
    let mut before = "";
    let mut others = others.iter().peekable();
    for point in points {
        if before != point.metric.name {
            before = point.metric.name;
            while let Some(other) = others.next_if(|other| other.name.as_str() < before) {
                page::family(&mut text, other);
            }
            page::header(&mut text, before, point.metric.description, kind(point.metric));
        }
        page::series(&mut text, before, &point);
    }
    others.for_each(|other| page::family(&mut text, other));
    text
}

/// Up-down counters are what `node_exporter` gives no type.
fn kind(metric: &MetricSpec) -> &'static str {
    match metric.instrument {
        Instrument::Counter => "counter",
        Instrument::Gauge => "gauge",
        Instrument::UpDownCounter => "untyped",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alerting::GroupState;
    use collectors::{Collection, HostRoot, Options};
    use documents::Trust;
    use series::{Limits, Matcher};
    use telemetry::Timestamp;

    use super::*;
    use crate::config;
    use crate::self_telemetry::environment::Variables;

    fn collect() -> SampleBuffer {
        let switched = node_exporter_metrics().map(|metric| (metric.name.to_owned(), true)).collect();
        let options = Options { switched, ..Options::default() };
        let host = HostRoot::fixture("firecracker-6.18");
        let mut collection = Collection::open(host, options, &|name| name == "node_exporter").unwrap();
        let mut buffer = SampleBuffer::default();
        collection.collect(Timestamp::from_secs(1_800_000_000), &mut || Duration::ZERO, &mut buffer);
        buffer
    }

    #[test]
    fn a_scrape_finds_the_last_collection_by_name_and_nothing_unless_it_is_served() {
        let page = NodePage::new("web-01".to_owned());
        let mut store = Store::new(Limits::default());
        let buffer = collect();
        page.write(&[&buffer], Vec::new);
        assert_eq!(page.read(), None);
        let served = NodeExporter { served: true, job: "node".into(), ..NodeExporter::default() };
        page.put_in_force(&served, &mut store);
        page.write(&[&buffer], Vec::new);
        let text = page.read().unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert!(text.contains("# TYPE node_vmstat_pgfault untyped\nnode_vmstat_pgfault "), "{text}");
        assert!(text.contains("node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} "), "{text}");
        assert!(!text.contains("\nup ") && !text.contains("hostmend"), "{text}");
        page.put_in_force(&NodeExporter { served: false, ..served }, &mut store);
        assert_eq!(page.read(), None);
    }

    /// The mixin's rules and those that are shipped, over a minute of this machine.
    #[test]
    fn rules_that_are_written_for_node_exporter_see_the_host() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hostmend.yaml");
        let rules =
            ["agent/alerting/tests/rules/node_alerts.yaml", "agent/alerting/tests/rules/node_rules.yaml"];
        let rules = rules.map(|file| format!("{root}/{file}")).join(", ");
        std::fs::write(&path, format!("rules: [{rules}, '{root}/config/rules/*.yaml']\n")).unwrap();
        let loaded = config::load(&path, Trust::Anyone, &Variables::default());
        let config = loaded.config.unwrap();

        let shared = NodePage::new("web-01".to_owned());
        let mut store = Store::new(Limits::default());
        shared.put_in_force(&config.collect.node_exporter, &mut store);
        let mut collection = Collection::open(HostRoot::at("/"), config.collect.options, &|_| true).unwrap();
        let begun = Timestamp::from_secs(1_800_000_000);
        let defaults = config.judgement.defaults;
        let groups = config.judgement.groups.into_iter();
        let mut groups: Vec<GroupState> =
            groups.map(|group| GroupState::new(group, &defaults, begun)).collect();
        let mut buffer = SampleBuffer::default();
        for seconds in (0..=60).step_by(10) {
            let now = begun.plus(Duration::from_secs(seconds));
            collection.collect(now, &mut || Duration::ZERO, &mut buffer);
            store.append(&buffer);
            for group in &mut groups {
                let errors = group.evaluate(&mut store, now, &mut || Duration::ZERO).errors;
                assert!(errors.is_empty(), "{errors:?}");
            }
        }
        let series = |name: &str| store.select(&[Matcher::equal("__name__", name)]).len();
        for name in ["instance:node_num_cpu:sum", "instance:node_memory_utilisation:ratio", "node_load1"] {
            assert_eq!(series(name), 1, "{name}");
        }
        assert!(series("node_cpu_seconds_total") >= 8);
        assert_eq!(series("node_entropy_pool_size_bits"), 0, "no rule names it");
        assert_eq!(shared.read(), None);
    }

    #[test]
    fn series_bear_the_name_of_the_host_and_the_port_of_node_exporter() {
        let page = NodePage::new("web-01".to_owned());
        assert_eq!(page.scraped_as(&NodeExporter::default()).instance, "web-01:9100");
        let named = NodeExporter { instance: Some("10.0.0.7:9100".to_owned()), ..NodeExporter::default() };
        assert_eq!(page.scraped_as(&named).instance, "10.0.0.7:9100");
    }
}
