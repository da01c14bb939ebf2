//! Series as a scrape of `node_exporter` would have brought them.
//!
//! To its names and labels come those of the scrape, `job` and `instance`. A collection may hold more of them than rules
//! look at, for whoever scrapes the host; of these the store takes none.

use telemetry::{LabelsBuilder, LeftOut, MetricSpec, Scope};

use super::Store;
use crate::STALE;

/// How series of [`Scope::NodeExporter`] are kept.
#[derive(Clone, Debug, Default)]
pub struct ScrapedAs {
    /// The label `job`.
    pub job: String,
    /// The label `instance`.
    pub instance: String,
    /// The metrics of which no series is kept.
    pub left_out: LeftOut,
}

impl ScrapedAs {
    pub(super) fn keeps(&self, metric: &'static MetricSpec) -> bool {
        metric.scope != Scope::NodeExporter || !self.left_out.has(metric)
    }

    pub(super) fn label(&self, metric: &MetricSpec, labels: &mut LabelsBuilder) {
        if metric.scope == Scope::NodeExporter {
            labels.set("job", &self.job).set("instance", &self.instance);
        }
    }
}

impl Store {
    /// Says how series that bear `node_exporter`'s names are kept from now on. Under other labels they are other series;
    /// the former ones end a millisecond after their newest samples.
    pub fn set_scraped_as(&mut self, scraped: ScrapedAs) {
        let old = std::mem::replace(&mut self.scraped, scraped);
        if (&old.job, &old.instance) == (&self.scraped.job, &self.scraped.instance) {
            return;
        }
        let mut ended = Vec::new();
        for (number, series) in self.series.iter_mut() {
            let entry = series.entries.first().and_then(|entry| self.entries.get(*entry));
            let is_former = entry.is_some_and(|entry| {
                (entry.labels.get("job"), entry.labels.get("instance")) == (&old.job, &old.instance)
            });
            if let Some(fingerprint) = series.fingerprint.take_if(|_| is_former) {
                self.by_fingerprint.remove(&fingerprint);
                let end = series.ring.last().saturating_add(1);
                series.ring.push_own(&self.timeline, end, STALE);
                ended.push(number);
            }
        }
        for number in ended {
            self.note_end(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry::{Instrument, LeftOut, MetricSpec, SampleBuffer, Scope, Timestamp, Value, ValueType};

    use super::*;
    use crate::{Limits, MatchOp, Matcher};

    const fn spec(name: &'static str, scope: Scope) -> MetricSpec {
        MetricSpec {
            name,
            unit: "s",
            instrument: Instrument::Counter,
            value: ValueType::Double,
            attributes: &["cpu"],
            scope,
            description: "",
            source: "",
            shows: None,
            by_default: false,
        }
    }

    static CPU: MetricSpec = spec("node_cpu_seconds_total", Scope::NodeExporter);
    static LOAD: MetricSpec = spec("node_load1", Scope::NodeExporter);
    static OWN: MetricSpec = spec("system.cpu.time", Scope::Conventions);

    fn collect(store: &mut Store, seconds: i64) -> Vec<String> {
        let mut buffer = SampleBuffer::default();
        buffer.reset(Timestamp::from_secs(seconds), Timestamp::EPOCH);
        for metric in [&CPU, &LOAD, &OWN] {
            buffer.double(metric, &[Value::Str("0")], 1.0);
        }
        store.append(&buffer);
        let all = Matcher::new("__name__", MatchOp::Regex, "node_.*|system.*").unwrap();
        let at = seconds * 1000;
        let ids = store.select(&[all]).into_iter().filter(|id| store.latest(*id, at, 300_000).is_some());
        ids.map(|id| store.labels(id).to_string()).collect()
    }

    #[test]
    fn series_of_a_scrape_bear_its_labels_and_only_those_that_are_asked_for_are_kept() {
        let mut store = Store::new(Limits::default());
        let scraped =
            |job: &str, left_out| ScrapedAs { job: job.into(), instance: "web-01:9100".into(), left_out };
        store.set_scraped_as(scraped("node", LeftOut::new([&LOAD])));
        let cpu =
            |job: &str| format!(r#"node_cpu_seconds_total{{cpu="0", instance="web-01:9100", job="{job}"}}"#);
        let own = r#"system_cpu_time_seconds_total{cpu="0"}"#;
        assert_eq!(collect(&mut store, 10).len(), 2);
        assert_eq!(collect(&mut store, 20).first(), Some(&cpu("node")));
        store.set_scraped_as(scraped("host", LeftOut::default()));
        let found = collect(&mut store, 30);
        assert!(found.contains(&cpu("host")) && !found.contains(&cpu("node")), "{found:?}");
        assert!(found.iter().any(|series| series.starts_with("node_load1{")), "{found:?}");
        assert!(found.iter().any(|series| series.contains("system")), "{own}: {found:?}");
    }
}
