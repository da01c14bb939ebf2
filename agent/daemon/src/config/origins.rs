//! Whose word each alert takes: the origins of the series that its expression may read.
//!
//! Told from the names alone, before anything has been collected or received: a name that the host's own series bear is
//! the host's and nobody else's, one that a rule records is that of what the rule reads, and any other can come by every
//! listener and file that the configuration lets in. What would surprise you: a selector that names no series may read
//! them all.

use std::collections::BTreeSet;
use std::path::PathBuf;

use alerting::{ALERT_NAME, Rule, RuleGroup};
use otlp::Listener;
use promql::ast::Selector;
use series::{HostNames, MatchOp, Matcher, prometheus_label};
use telemetry::{METRIC_NAME, Origin, Origins};

use super::ReceiveConfig;
use crate::taps::{LOG_MATCHES, LOG_RULE, ORIGIN, SourceOptions, TapOptions, host_names, is_of_access_logs};

/// An alert and the origins that it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlertOrigins {
    pub(crate) alert: String,
    pub(crate) group: String,
    pub(crate) file: PathBuf,
    /// Empty if the expression reads no series.
    pub(crate) origins: Origins,
}

/// What the configuration lets in, and what the rules call their own.
pub(super) struct Sources<'a> {
    pub(super) groups: &'a [RuleGroup],
    pub(super) receive: Option<&'a ReceiveConfig>,
    pub(super) taps: &'a TapOptions,
    pub(super) textfiles: bool,
}

impl Sources<'_> {
    /// The origins of every alert, in the order of the rules.
    pub(super) fn of_alerts(&self) -> Vec<AlertOrigins> {
        let mut finder = Finder { sources: self, host_names: host_names(self.groups), seen: BTreeSet::new() };
        let mut all = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            for (place, rule) in group.rules().iter().enumerate() {
                if let Rule::Alerting(alert) = rule {
                    finder.seen = BTreeSet::from([(number, place)]);
                    let mut origins = Origins::new();
                    finder.rule(rule, &mut origins);
                    all.push(AlertOrigins {
                        alert: alert.name().to_owned(),
                        group: group.name().to_owned(),
                        file: group.file().to_owned(),
                        origins,
                    });
                }
            }
        }
        all
    }

    /// Everybody outside who can bring a series that the selector reads; `name` is the only one that it can have.
    fn outside(&self, selector: &Selector, name: Option<&str>, host_names: &HostNames) -> Vec<Origin> {
        let spans =
            |name: &str| name.starts_with("traces_span_metrics_") || name.starts_with("traces.span.metrics.");
        let has_spans = self.taps.spans.is_some() && name.is_none_or(spans);
        let has_points = self.taps.points.is_some() && name.is_none_or(|name| !host_names.has(name));
        let received = |listener: &Listener| {
            let origin = Origin::Otlp(listener.name.as_str().into());
            let counted = self.counts_lines(selector, name, &origin.to_string());
            (has_spans || has_points || counted).then_some(origin)
        };
        let has_requests = self.taps.access.is_some() && name.is_none_or(is_of_access_logs);
        let read = |(source, options): (&String, &SourceOptions)| {
            let counted = self.counts_lines(selector, name, source) || (has_requests && options.access);
            counted.then(|| Origin::Log(source.as_str().into()))
        };
        let listeners = self.receive.into_iter().flat_map(|receive| &receive.listeners);
        let textfile = self.textfiles && name.is_none_or(|name| host_names.allow(&Origin::Textfile, name));
        let textfile = textfile.then_some(Origin::Textfile);
        listeners
            .filter_map(received)
            .chain(self.taps.sources.iter().filter_map(read))
            .chain(textfile)
            .collect()
    }

    /// Whether a log rule counts lines of `source` into a series that the selector reads.
    fn counts_lines(&self, selector: &Selector, name: Option<&str>, source: &str) -> bool {
        name.is_none_or(|name| LOG_MATCHES.contains(&name))
            && self.taps.log_rules.rules().iter().any(|rule| {
                let mut of_rule =
                    selector.matchers.iter().filter(|matcher| LOG_RULE.contains(&matcher.name()));
                rule.counts(source) && of_rule.all(|matcher| matcher.matches(&rule.name))
            })
    }
}

struct Finder<'a> {
    sources: &'a Sources<'a>,
    host_names: HostNames,
    /// The rules that have been looked at, by group and place. They may read one another.
    seen: BTreeSet<(usize, usize)>,
}

impl Finder<'_> {
    fn rule(&mut self, rule: &Rule, origins: &mut Origins) {
        for expression in rule.expressions() {
            let Ok(expression) = promql::parse(expression) else { continue };
            for selector in expression.selectors() {
                self.selector(selector, origins);
            }
        }
    }

    fn selector(&mut self, selector: &Selector, origins: &mut Origins) {
        let of_name: Vec<&Matcher> =
            selector.matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME).collect();
        let named = |name: &str| of_name.iter().all(|matcher| matcher.matches(name));
        let exact =
            of_name.iter().find(|matcher| matcher.op() == MatchOp::Equal).map(|matcher| matcher.value());
        self.recorded(selector, &named, origins);
        let is_recorded = exact.is_some_and(|name| self.is_recorded(name));
        let is_host = exact.is_none_or(|name| self.host_names.has(name) && !is_alerts(name)) && !is_recorded;
        // The label of who said it is on nothing but what is received and what is made of lines.
        let label = prometheus_label(ORIGIN);
        let says = |origin: &str| {
            let mut of_origin = selector
                .matchers
                .iter()
                .filter(|matcher| matcher.name() == label || matcher.name() == ORIGIN);
            of_origin.all(|matcher| matcher.matches(origin))
        };
        if is_host && says("") {
            origins.insert(Origin::Host);
        }
        for origin in self.sources.outside(selector, exact, &self.host_names) {
            let is_labelled = matches!(origin, Origin::Otlp(_) | Origin::Log(_));
            let label = if is_labelled { origin.to_string() } else { String::new() };
            if says(&label) {
                origins.insert(origin);
            }
        }
    }

    fn is_recorded(&self, name: &str) -> bool {
        let mut rules = self.sources.groups.iter().flat_map(RuleGroup::rules);
        rules.any(|rule| matches!(rule, Rule::Recording(_)) && rule.name() == name)
    }

    /// What the rules read whose series the selector may see.
    fn recorded(&mut self, selector: &Selector, named: &dyn Fn(&str) -> bool, origins: &mut Origins) {
        let alert_named = |alert: &str| {
            let mut of_alert = selector.matchers.iter().filter(|matcher| matcher.name() == ALERT_NAME);
            of_alert.all(|matcher| matcher.matches(alert))
        };
        let groups = self.sources.groups;
        for (number, group) in groups.iter().enumerate() {
            for (place, rule) in group.rules().iter().enumerate() {
                let sees = match rule {
                    Rule::Recording(_) => named(rule.name()),
                    Rule::Alerting(_) => {
                        (named("ALERTS") || named("ALERTS_FOR_STATE")) && alert_named(rule.name())
                    }
                };
                if sees && self.seen.insert((number, place)) {
                    self.rule(rule, origins);
                }
            }
        }
    }
}

fn is_alerts(name: &str) -> bool {
    matches!(name, "ALERTS" | "ALERTS_FOR_STATE")
}

#[cfg(test)]
mod tests;
