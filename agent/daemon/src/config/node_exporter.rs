//! The section about `node_exporter`'s names, and which of them anybody wants.
//!
//! Rules say it by their selectors: a metric is wanted if a selector could mean one of its series. A selector that names
//! nothing may mean all of them.

use collectors::node_exporter_metrics;
use documents::{Review, Spanned};
use promql::ast::Selector;
use serde::Deserialize;
use series::Matcher;
use telemetry::{METRIC_NAME, MetricSpec};

use super::{Collect, Judgement, NodeExporter, Repairs};

/// Who collects them.
const COLLECTOR: &str = "node_exporter";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NodeExporterSection {
    /// Collect all of them, and serve them at `/metrics/node` of `api.listen`. Default `false`.
    pub(super) enabled: Option<Spanned<bool>>,
    /// Collect those that rules and verifications name. Default `true`.
    pub(super) rules: Option<Spanned<bool>>,
    /// Which are kept for rules and queries: `rules`, those that rules name; `all`, all. Default `rules`.
    pub(super) keep: Option<KeepName>,
    /// The label `job` of their series. Default `node`.
    pub(super) job: Option<Spanned<String>>,
    /// The label `instance` of their series. Default: the host's name and `:9100`.
    pub(super) instance: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeepName {
    Rules,
    All,
}

/// What the section says, once it is known what rules name.
pub(super) fn node_exporter(
    section: &NodeExporterSection,
    (judgement, repairs): (&Judgement, &Repairs),
    collect: &mut Collect,
    review: &mut Review,
) {
    for label in [&section.job, &section.instance].into_iter().flatten() {
        if label.value.is_empty() {
            review.error(label, "the label needs a value; leave the key out for the default");
        }
    }
    if let Some(enabled) = section.enabled.as_ref().filter(|enabled| enabled.value)
        && !collect.wants(COLLECTOR)
    {
        let problem = review.error(enabled, "there would be nothing to serve");
        problem.hint = Some(format!("`collect.disable` names the collector {COLLECTOR}"));
    }
    let value = |label: &Option<Spanned<String>>| label.as_ref().map(|label| label.value.clone());
    let all = section.keep == Some(KeepName::All);
    let served = section.enabled.as_ref().is_some_and(|enabled| enabled.value);
    let job = value(&section.job).unwrap_or_else(|| "node".to_owned());
    let instance = value(&section.instance);
    let wanted = Wanted { job: &job, instance: instance.as_deref() };
    let selectors = if section.rules.as_ref().is_none_or(|rules| rules.value) {
        selectors(judgement, repairs)
    } else {
        Vec::new()
    };
    let is_named = |metric: &MetricSpec| selectors.iter().any(|selector| wanted.by(selector, metric));
    let mut left_out = Vec::new();
    for metric in node_exporter_metrics() {
        let kept = all || is_named(metric);
        if !kept {
            left_out.push(metric.name);
        }
        if kept || served {
            collect.options.switched.entry(metric.name.to_owned()).or_insert(true);
        }
    }
    collect.node_exporter = NodeExporter { served, job, instance, left_out };
}

fn selectors(judgement: &Judgement, repairs: &Repairs) -> Vec<Selector> {
    let rules = judgement.groups.iter().flat_map(alerting::RuleGroup::rules).map(alerting::Rule::expression);
    let verifications =
        repairs.runbooks.iter().filter_map(|runbook| Some(runbook.verify.as_ref()?.expr.as_str()));
    let parsed = rules.chain(verifications).filter_map(|text| promql::parse(text).ok());
    parsed.flat_map(|expr| expr.selectors().into_iter().cloned().collect::<Vec<_>>()).collect()
}

/// The labels that series get beside those of their metric.
struct Wanted<'a> {
    job: &'a str,
    /// `None` while the host's name is not known.
    instance: Option<&'a str>,
}

impl Wanted<'_> {
    /// Whether a series of the metric could satisfy the selector.
    fn by(&self, selector: &Selector, metric: &MetricSpec) -> bool {
        selector.matchers.iter().all(|matcher: &Matcher| match matcher.name() {
            METRIC_NAME => matcher.matches(metric.name),
            "job" => matcher.matches(self.job),
            "instance" => self.instance.is_none_or(|instance| matcher.matches(instance)),
            label => metric.attributes.contains(&label) || matcher.matches(""),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(expr: &str) -> Vec<&'static str> {
        let wanted = Wanted { job: "node", instance: None };
        let expr = promql::parse(expr).unwrap();
        let by = |metric: &&'static MetricSpec| {
            expr.selectors().into_iter().any(|selector| wanted.by(selector, metric))
        };
        node_exporter_metrics().filter(by).map(|metric| metric.name).collect()
    }

    #[test]
    fn a_metric_is_wanted_if_a_selector_could_mean_it() {
        for (expr, names) in [
            ("rate(node_forks_total[5m]) > node_load1", vec!["node_load1", "node_forks_total"]),
            (r#"{__name__=~"node_load.*", job="node"}"#, vec!["node_load1", "node_load5", "node_load15"]),
            (r#"node_load1{job="other"}"#, vec![]),
            (r#"node_load1{cpu="0"}"#, vec![]),
            (r#"up{job=~"node|web"} == 0"#, vec!["up"]),
            (r#"{"system.cpu.time"}"#, vec![]),
            (r#"{governor!=""}"#, vec!["node_cpu_scaling_governor"]),
        ] {
            assert_eq!(wanted(expr), names, "{expr}");
        }
        assert_eq!(wanted(r#"{job="node"}"#).len(), node_exporter_metrics().count());
    }
}
