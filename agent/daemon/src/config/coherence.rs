//! Whether what the files say fits together: names in one that only another could define.
//!
//! Each file may be right by itself and still lead nowhere: a rule about a watch that does not exist never fires. Most
//! of what is found here is a warning, since a part may still be on its way; a verification that holds whatever happens
//! is an error.

mod runbooks;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use collectors::COLLECTORS;
use documents::{Document, Problem};
use otlp::tap::LogRules;
use probes::HttpProbe;
use promql::ast::{Expr, ExprKind, Selector};
use remediation::Runbook;
use series::{HostNames, MatchOp, prometheus_label, prometheus_name};
use telemetry::{Labels, METRIC_NAME, MetricSpec, Origin, Scope};

use super::{AlertOrigins, Collect, Judgement, Repairs, reach};
use crate::list::all_metrics;
use crate::taps::is_of_access_logs;

/// What the taps make of received telemetry; not in the table of metrics, since it exists only with a listener.
const RECEIVED: [&str; 2] = ["traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_"];

const LOG_RULE_MATCHES: &str = "log_rule_matches_total";

/// Everything that was read.
pub(super) struct Whole<'a> {
    pub(super) collect: &'a Collect,
    pub(super) probes: &'a [(HttpProbe, Duration)],
    pub(super) judgement: &'a Judgement,
    pub(super) repairs: &'a Repairs,
    /// Whether the executor is behind a socket, and starts no processes.
    pub(super) own_process: bool,
    /// The listeners by which applications can send telemetry, whose names nobody here knows.
    pub(super) listeners: Vec<&'a str>,
    /// What each alert depends on.
    pub(super) origins: &'a [AlertOrigins],
    /// Whether files can bring any name but the host's.
    pub(super) textfiles: bool,
    pub(super) log_rules: &'a LogRules,
    /// Whether requests are counted in access logs.
    pub(super) access_logs: bool,
    /// The names of the log sources.
    pub(super) sources: Vec<&'a str>,
    /// Rule files by path.
    pub(super) documents: &'a BTreeMap<PathBuf, Document>,
}

/// What does not fit together.
pub(super) fn check(whole: &Whole<'_>) -> Vec<Problem> {
    let known = Known::of(whole);
    let mut problems = Vec::new();
    for group in &whole.judgement.groups {
        let Some(document) = whole.documents.get(group.file()) else { continue };
        for rule in group.rules() {
            let site = Site::of_rule(document, rule.name());
            problems.extend(rule.expressions().flat_map(|text| known.expression(text, &site)));
        }
    }
    for runbook in &whole.repairs.runbooks {
        let site = Site::of_runbook(runbook);
        // What labels will fill in is not known, and left empty.
        let meant = runbook.filled_in(&Labels::empty());
        if let Some(verify) = &meant.verify {
            problems.extend(known.expression(&verify.expr, &site));
        }
        problems.extend(runbook.verify.iter().filter_map(|verify| compares(&verify.expr, &site)));
        let condition = meant.guards.only_if.iter();
        problems.extend(condition.flat_map(|expr| known.expression(expr, &site)));
        problems.extend(runbooks::check(runbook, whole, &site));
        problems.extend(known.alert(runbook, &site));
        problems.extend(reach::policy_reaches(runbook, whole, &site));
    }
    problems
}

/// Where a rule or runbook stands.
pub(super) struct Site<'a> {
    document: &'a Document,
    /// The bytes in which its words are looked for.
    within: Range<usize>,
    /// Its name, which stands for what is not found.
    name: Range<usize>,
}

impl<'a> Site<'a> {
    /// A rule is found again by its name: what was read from it keeps no places.
    pub(super) fn of_rule(document: &'a Document, name: &str) -> Self {
        let start = document.text().find(name).unwrap_or(0);
        Self { document, within: start..document.text().len(), name: start..start + name.len() }
    }

    fn of_runbook(runbook: &'a Runbook) -> Self {
        let written = &runbook.written;
        Self { document: written.document(), within: written.entry(), name: written.name() }
    }

    /// The first `word` in it; in quotes, if it stands in quotes anywhere there.
    fn at(&self, word: &str) -> Range<usize> {
        let text = self.document.text().get(self.within.clone()).unwrap_or("");
        let quoted = text.find(&format!("\"{word}\"")).map(|at| at + 1);
        let found = quoted.or_else(|| text.find(word)).map(|at| self.within.start + at);
        found.map_or(self.name.clone(), |at| at..at + word.len())
    }

    pub(super) fn warning(&self, word: &str, message: String) -> Problem {
        Problem::at(self.document, self.at(word), message).as_warning()
    }

    /// As [`Site::warning`], about a target of the runbook's grants.
    pub(super) fn warning_of_target(&self, target: &str, message: String) -> Problem {
        let text = self.document.text().get(self.within.clone()).unwrap_or("");
        let grants = text.find("grants:").unwrap_or(text.len());
        let is_apart = |at: usize| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + target.len()..).and_then(|after| after.chars().next());
            [before, after].into_iter().flatten().all(|next| " ,[]{}'\"\n".contains(next))
        };
        let mut found = text.match_indices(target).map(|(at, _)| at).filter(|at| *at > grants);
        let place = found.find(|at| is_apart(*at)).map(|at| self.within.start + at);
        let place = place.map_or_else(|| self.at(target), |at| at..at + target.len());
        Problem::at(self.document, place, message).as_warning()
    }
}

/// Names that exist.
struct Known<'a> {
    metrics: BTreeMap<String, &'static MetricSpec>,
    collect: &'a Collect,
    receives: bool,
    /// How many log sources there are.
    sources: usize,
    textfiles: bool,
    access_logs: bool,
    log_rules: BTreeSet<String>,
    computed: BTreeSet<&'a str>,
    alerts: BTreeSet<&'a str>,
    /// What is configured under a label of our own metrics.
    configured: [(&'static str, &'static str, BTreeSet<String>); 3],
}

impl<'a> Known<'a> {
    fn of(whole: &Whole<'a>) -> Self {
        let metrics = all_metrics().into_iter();
        let metrics = metrics.flat_map(|spec| [(spec.name.to_owned(), spec), (prometheus_name(spec), spec)]);
        let rules: Vec<_> = whole.judgement.groups.iter().flat_map(alerting::RuleGroup::rules).collect();
        let recorded = rules.iter().filter(|rule| matches!(rule, alerting::Rule::Recording(_)));
        let alerts = rules.iter().filter(|rule| matches!(rule, alerting::Rule::Alerting(_)));
        let options = &whole.collect.options;
        Self {
            metrics: metrics.collect(),
            collect: whole.collect,
            receives: !whole.listeners.is_empty(),
            sources: whole.sources.len(),
            textfiles: whole.textfiles,
            access_logs: whole.access_logs,
            log_rules: whole.log_rules.rules().iter().map(|rule| rule.name.clone()).collect(),
            computed: recorded.map(|rule| rule.name()).chain(["ALERTS", "ALERTS_FOR_STATE"]).collect(),
            alerts: alerts.map(|rule| rule.name()).collect(),
            configured: [
                ("hostmend.watch.name", "watch", options.watches.iter().map(|w| w.name.clone()).collect()),
                (
                    "hostmend.probe.name",
                    "probe",
                    whole.probes.iter().map(|(p, _)| p.name().to_owned()).collect(),
                ),
                (
                    "hostmend.directory.path",
                    "directory",
                    options.directories.iter().map(|path| path.display().to_string()).collect(),
                ),
            ],
        }
    }

    fn expression(&self, text: &str, site: &Site<'_>) -> Vec<Problem> {
        let Ok(expr) = promql::parse(text) else { return Vec::new() };
        expr.selectors().into_iter().filter_map(|selector| self.selector(selector, site)).collect()
    }

    fn selector(&self, selector: &Selector, site: &Site<'_>) -> Option<Problem> {
        let exact = |label: &str| {
            let mut equal = selector.matchers.iter().filter(|matcher| matcher.op() == MatchOp::Equal);
            equal.find(|matcher| matcher.name() == label).map(|matcher| matcher.value().to_owned())
        };
        let name = exact(METRIC_NAME)?;
        if self.computed.contains(name.as_str()) {
            return None;
        }
        let Some(spec) = self.metrics.get(&name) else {
            if (self.receives || self.sources > 0) && name == LOG_RULE_MATCHES {
                let rule = exact("log_rule_name").filter(|rule| !self.log_rules.contains(rule));
                return rule.map(|rule| not_configured("log rule", &rule, &self.log_rules, site));
            }
            if self.receives && !HostNames::default().has(&name)
                || self.access_logs && is_of_access_logs(&name)
                || self.textfiles && HostNames::default().allow(&Origin::Textfile, &name)
            {
                return None;
            }
            let problem = site.warning(&name, format!("no metric is called {name:?}, so this sees nothing"));
            if name == LOG_RULE_MATCHES {
                let hint = "it counts lines; configure a source in `logs`, or a listener in `receive`";
                return Some(problem.with_hint(hint));
            }
            if RECEIVED.iter().any(|known| name.starts_with(known)) {
                return Some(
                    problem.with_hint("it comes from received telemetry; configure a listener in `receive`"),
                );
            }
            if is_of_access_logs(&name) {
                return Some(
                    problem.with_hint("it counts requests; configure a source of `format: access` in `logs`"),
                );
            }
            let problem = problem.with_hint("`hostmend list metrics` has them all");
            return Some(problem.with_nearest(&name, self.metrics.keys().map(String::as_str)));
        };
        let labels = labels_of(spec, name == spec.name);
        for matcher in selector.matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
            if !labels.contains(matcher.name()) && !matcher.matches("") {
                let message = format!("series of {name} have no label {:?}", matcher.name());
                let all: Vec<&str> = labels.iter().map(String::as_str).collect();
                return Some(
                    site.warning(matcher.name(), message).with_hint(format!("they have {}", all.join(", "))),
                );
            }
        }
        let not_there = self.configured.iter().find_map(|(key, what, names)| {
            let value = exact(key).or_else(|| exact(&prometheus_label(key)))?;
            (!value.is_empty() && !names.contains(&value)).then(|| not_configured(what, &value, names, site))
        });
        not_there.or_else(|| self.not_collected(spec, &name, site))
    }

    /// What is wrong if nobody collects the metric, which a rule calls `name`.
    fn not_collected(&self, spec: &'static MetricSpec, name: &str, site: &Site<'_>) -> Option<Problem> {
        let makes =
            |metrics: &[&'static MetricSpec]| metrics.iter().any(|metric| std::ptr::eq(*metric, spec));
        let collector = COLLECTORS.iter().find(|collector| makes(collector.metrics))?.name;
        let problem = || site.warning(name, format!("{name} is not collected, so this sees nothing"));
        if !self.collect.wants(collector) {
            return Some(problem().with_hint(format!("`collect.disable` names the collector {collector}")));
        }
        if self.collect.options.wants(spec) {
            return None;
        }
        Some(problem().with_hint(match spec.scope {
            Scope::NodeExporter => "`node_exporter: { rules: true }` collects what rules name".to_owned(),
            _ => format!("`collect: {{ metrics: {{ {}: true }} }}` switches it on", spec.name),
        }))
    }

    fn alert(&self, runbook: &Runbook, site: &Site<'_>) -> Option<Problem> {
        let name = runbook.matchers.iter().find_map(|matcher| matcher.exactly(alerting::ALERT_NAME))?;
        if self.alerts.contains(name) {
            return None;
        }
        let problem = site.warning(name, format!("no rule raises the alert {name:?}, so this never runs"));
        Some(problem.with_nearest(name, self.alerts.iter().copied()))
    }
}

fn not_configured(what: &str, value: &str, names: &BTreeSet<String>, site: &Site<'_>) -> Problem {
    let problem = site.warning(value, format!("hostmend.yaml has no {what} {value:?}, so this sees nothing"));
    problem.with_nearest(value, names.iter().map(String::as_str))
}

/// Labels that series of a metric can have, in the spelling of its OpenTelemetry or of its Prometheus name.
fn labels_of(spec: &MetricSpec, as_registered: bool) -> BTreeSet<String> {
    use collectors::names::{CONTAINER, PROCESS, PROCESS_GROUP, UNIT};
    let entities = [
        ("systemd.unit.", &UNIT),
        ("container.", &CONTAINER),
        ("process.", &PROCESS),
        ("hostmend.process.", &PROCESS),
        ("hostmend.process_group.", &PROCESS_GROUP),
    ];
    let entity = entities.iter().find(|(beginning, _)| spec.name.starts_with(beginning));
    let entity = entity.map_or(&[][..], |(_, entity)| entity.attributes);
    let scrape: &[&str] = if spec.scope == Scope::NodeExporter { &["job", "instance"] } else { &[] };
    let keys = spec.attributes.iter().chain(entity).chain(scrape);
    keys.map(|key| if as_registered { (*key).to_owned() } else { prometheus_label(key).into_owned() })
        .collect()
}

/// A verification holds when its expression gives anything, so without a comparison it would hold for a dead service.
fn compares(text: &str, site: &Site<'_>) -> Option<Problem> {
    let expr: Expr = promql::parse(text).ok()?;
    let mut filters = false;
    expr.walk(&mut |part| {
        filters |= match &part.kind {
            ExprKind::Binary(binary) => binary.op.is_comparison() && !binary.bool_modifier,
            ExprKind::Call(function, _) => function.name.starts_with("absent"),
            _ => false,
        };
    });
    let message = "this verification would hold whatever the value is";
    let hint = "it holds when the expression gives anything; compare, as in ... == 1";
    let place = site.at(text.lines().next().unwrap_or(text));
    (!filters).then(|| Problem::at(site.document, place, message).with_hint(hint))
}
