//! The names that only the host's own series may bear.

use std::collections::HashSet;

use telemetry::{MetricSpec, Origin};

use crate::names::prometheus_name;

/// Names of which a rule expects that nobody but the agent says them, whether or not this host has such a series now:
/// `up` and those of alerts are Prometheus' own, and what begins as below is `node_exporter`'s or ours.
const WORDS: [&str; 3] = ["up", "ALERTS", "ALERTS_FOR_STATE"];
const BEGINNINGS: [&str; 3] = ["node_", "hostmend_", "hostmend."];

/// The names of the host's own series, in all spellings.
#[derive(Clone, Debug, Default)]
pub struct HostNames(HashSet<Box<str>>);

impl HostNames {
    /// The names of these metrics and their translations, and `others`, such as those of recording rules.
    pub fn new<'a>(
        metrics: impl IntoIterator<Item = &'a MetricSpec>,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let metrics =
            metrics.into_iter().flat_map(|metric| [metric.name.into(), prometheus_name(metric).into()]);
        Self(metrics.chain(others.into_iter().map(Box::from)).collect())
    }

    /// Whether a series from there may bear the name. In files stand names below `node_` that `node_exporter` has not,
    /// by a custom as old as it.
    pub fn allow(&self, origin: &Origin, name: &str) -> bool {
        !self.has(name)
            || (*origin == Origin::Textfile && name.starts_with("node_") && !self.0.contains(name))
    }

    /// Whether only the host's own series may bear the name.
    pub fn has(&self, name: &str) -> bool {
        WORDS.contains(&name)
            || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            || self.0.contains(name)
    }
}
