//! The section about what received telemetry is to the rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use documents::{Review, Severity, Spanned, nearest};
use otlp::tap::{AccessOptions, LogRule, LogRuleError, LogRules, RouteTemplate, SpanMetrics};

use super::ReceiveConfig;
use super::file::{AccessLogsSection, LogRuleSection, SeverityName, SpanMetricsSection, TapsSection};
use crate::taps::{SourceOptions, SpanOptions, TapOptions};

/// Each bucket is a series of its own for each combination of service, name, kind and status.
const MAX_BUCKETS: usize = 100;

/// All patterns are looked for in every line.
const MAX_LOG_RULES: usize = 1_000;

/// Each is compared with the path of every request.
const MAX_ROUTES: usize = 200;

/// A rule with more would take megabytes.
const MAX_SERIES: usize = 10_000;

/// `sources` are the log sources that there are; `budgets` says how many series a listener may have, by its name.
pub(super) fn taps(
    section: &TapsSection,
    sources: BTreeMap<String, SourceOptions>,
    budgets: BTreeMap<String, usize>,
    review: &mut Review,
) -> TapOptions {
    let default = TapOptions::default();
    let points = section.received_points.max_series.as_ref();
    let points = points.map(|value| at_least(value, 1, "series", review)).or(default.points);
    TapOptions {
        spans: section.span_metrics.enabled.then(|| spans(&section.span_metrics, review)),
        log_rules: Arc::new(log_rules(&section.log_rules, review)),
        access: section.access_logs.enabled.then(|| Arc::new(access(&section.access_logs, review))),
        points: points.filter(|_| section.received_points.enabled),
        sources,
        budgets,
    }
}

fn spans(section: &SpanMetricsSection, review: &mut Review) -> SpanOptions {
    let default = SpanOptions::default();
    let bounds = section.buckets.as_ref().map_or(default.bounds, |values| buckets(values, review));
    // One combination, and the overflow.
    let least = 2 * SpanMetrics::series_of_each(bounds.len());
    let max_series = section.max_series.as_ref();
    let max_series = max_series.map_or(default.max_series, |value| at_least(value, least, "series", review));
    SpanOptions { bounds, max_series, export: section.export }
}

fn access(section: &AccessLogsSection, review: &mut Review) -> AccessOptions {
    let mut options = AccessOptions::default();
    if let Some(values) = &section.buckets {
        options.bounds = buckets(values, review);
    }
    if let Some(value) = &section.max_series {
        options.max_series = at_least(value, options.least_series(), "series", review);
    }
    let routes = section.routes.iter().take(MAX_ROUTES);
    options.routes = routes.filter_map(|route| review.read(route, RouteTemplate::new)).collect();
    if let Some(route) = section.routes.get(MAX_ROUTES) {
        review.error(route, format!("more than {MAX_ROUTES} routes; leave some out"));
    }
    options
}

fn buckets(values: &[Spanned<String>], review: &mut Review) -> Vec<Duration> {
    let mut bounds: Vec<Duration> = Vec::new();
    for (number, value) in values.iter().enumerate() {
        let Some(bound) = review.duration(value) else { continue };
        if bounds.last().is_some_and(|last| bound <= *last) || bound.is_zero() {
            review.error(value, "buckets ascend, each above the one before it and above 0");
        }
        if number == MAX_BUCKETS {
            review.error(value, format!("more than {MAX_BUCKETS} buckets; leave some out"));
        }
        bounds.push(bound);
    }
    bounds
}

fn log_rules(sections: &[LogRuleSection], review: &mut Review) -> LogRules {
    let mut refused = false;
    let mut rules: Vec<LogRule> = Vec::new();
    for section in sections {
        let rule = log_rule(section);
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            let message = format!("two log rules are named {:?}; name them apart", rule.name);
            review.error(&section.name, message);
        }
        if rule.name.is_empty() {
            review.error(&section.name, "a log rule needs a name");
        }
        if rules.len() == MAX_LOG_RULES {
            review.error(&section.name, format!("more than {MAX_LOG_RULES} log rules; leave some out"));
        }
        if let Err(error) = LogRules::new(vec![rule.clone()]) {
            refuse(section, &error, review);
            refused = true;
        }
        series_fit(section, &rule, review);
        rules.push(rule);
    }
    // One by one they may fit and together not.
    LogRules::new(rules).unwrap_or_else(|error| {
        if let Some(section) = sections.last().filter(|_| !refused) {
            review.error(&section.pattern, error.to_string());
        }
        LogRules::new(Vec::new()).expect("no patterns are no problem")
    })
}

fn log_rule(section: &LogRuleSection) -> LogRule {
    let labels = section.labels.0.iter().map(|(name, value)| (name.value.clone(), value.value.clone()));
    LogRule {
        severity: section.severity.map_or(0, SeverityName::least),
        sources: section.sources.iter().map(|source| source.value.clone()).collect(),
        field: section.field.as_ref().map(|field| field.value.clone()).filter(|field| field != "body"),
        labels: labels.collect(),
        max_series: section.max_series.as_ref().map_or(LogRule::DEFAULT_MAX_SERIES, |most| most.value),
        ..LogRule::new(&section.name.value, &section.pattern.value)
    }
}

fn series_fit(section: &LogRuleSection, rule: &LogRule, review: &mut Review) {
    let Some(most) = &section.max_series else { return };
    if rule.labels.is_empty() {
        review.error(most, "a rule without labels makes one series of each source; leave max_series out");
    }
    if at_least(most, 1, "series", review) > MAX_SERIES {
        review.error(most, format!("at most {MAX_SERIES} series of one rule; count by fewer labels"));
    }
}

/// Tells of log rules that name a source or listener that is not there.
pub(super) fn unknown_sources(
    section: &TapsSection,
    taps: &TapOptions,
    receive: Option<&ReceiveConfig>,
    review: &mut Review,
) {
    let listeners = receive.into_iter().flat_map(|receive| &receive.listeners);
    let listeners = listeners.map(|listener| format!("otlp:{}", listener.name));
    let known: Vec<String> = taps.sources.keys().cloned().chain(listeners).collect();
    for glob in section.log_rules.iter().flat_map(|rule| &rule.sources) {
        let rule = LogRule { sources: vec![glob.value.clone()], ..LogRule::new("", "") };
        if !known.iter().any(|name| rule.counts(name)) {
            let message = format!("no log source or listener is called {:?}", glob.value);
            let problem = review.error(glob, message);
            problem.severity = Severity::Warning;
            problem.hint = nearest(&glob.value, known.iter().map(String::as_str))
                .map(|near| format!("did you mean `{near}`?"));
        }
    }
}

fn refuse(section: &LogRuleSection, error: &LogRuleError, review: &mut Review) {
    match error {
        LogRuleError::Syntax { place, .. } => {
            review.error_within(&section.pattern, place.clone(), error.to_string());
        }
        LogRuleError::TooLarge => {
            review.error(&section.pattern, error.to_string());
        }
        LogRuleError::Label { label, .. } => {
            let place = section.labels.0.iter().map(|(name, _)| name).find(|name| name.value == *label);
            review.error(place.unwrap_or(&section.name), error.to_string());
        }
    }
}

fn at_least(value: &Spanned<usize>, least: usize, what: &str, review: &mut Review) -> usize {
    if value.value < least {
        review.error(value, format!("at least {least} {what} must fit"));
    }
    value.value
}
