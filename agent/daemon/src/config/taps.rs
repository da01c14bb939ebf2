//! The section about what received telemetry is to the rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use documents::{Review, Spanned};
use otlp::tap::{LogRule, LogRuleError, LogRules, SpanMetrics};

use super::file::{LogRuleSection, SeverityName, SpanMetricsSection, TapsSection};
use crate::taps::{SourceOptions, SpanOptions, TapOptions};

/// Each bucket is a series of its own for each combination of service, name, kind and status.
const MAX_BUCKETS: usize = 100;

/// All patterns are looked for in every line.
const MAX_LOG_RULES: usize = 1_000;

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
            refuse(&section.pattern, &error, review);
            refused = true;
        }
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
    LogRule {
        name: section.name.value.clone(),
        pattern: section.pattern.value.clone(),
        severity: section.severity.map_or(0, SeverityName::least),
    }
}

fn refuse(pattern: &Spanned<String>, error: &LogRuleError, review: &mut Review) {
    match error {
        LogRuleError::Syntax { place, .. } => {
            review.error_within(pattern, place.clone(), error.to_string());
        }
        LogRuleError::TooLarge => {
            review.error(pattern, error.to_string());
        }
    }
}

fn at_least(value: &Spanned<usize>, least: usize, what: &str, review: &mut Review) -> usize {
    if value.value < least {
        review.error(value, format!("at least {least} {what} must fit"));
    }
    value.value
}
