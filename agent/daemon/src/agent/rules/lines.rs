//! Which groups judge what log rules count, and how often they are woken by it.
//!
//! A count that has changed is fetched and judged at once, and then again after [`PACE`] at the soonest: what comes meanwhile
//! is one look at its end. So the first line of a burst is noticed as soon as it is durable, and a burst costs one
//! evaluation, and one sample of each series, a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alerting::{Rule, RuleGroup};
use promql::ast::Selector;

use super::dependents::{Reads, may_select};
use crate::taps::{LOG_MATCHES, LOG_RULE};

/// The shortest time between two looks at one log rule.
const PACE: Duration = Duration::from_secs(1);

/// Log rules whose last look is remembered: more than there can be.
const MOST_REMEMBERED: usize = 2_000;

/// The groups that read counts of log rules, each with the selectors by which it does, those first whose series others
/// select.
#[derive(Debug, Default)]
pub(super) struct LineReaders {
    groups: Vec<(usize, Vec<Selector>)>,
}

/// By which selectors each alert reads counts of log rules, by its name.
#[derive(Debug, Default)]
pub(crate) struct AlertReads(BTreeMap<String, Vec<Selector>>);

impl AlertReads {
    /// Whether the alert reads counts of any log rule.
    pub(crate) fn has(&self, alert: &str) -> bool {
        self.0.contains_key(alert)
    }

    /// Whether the alert reads counts of this log rule.
    pub(crate) fn reads(&self, alert: &str, rule: &str) -> bool {
        self.0.get(alert).is_some_and(|all| all.iter().any(|selector| counts(selector, rule)))
    }
}

impl LineReaders {
    pub(super) fn of<'a>(groups: impl Iterator<Item = &'a RuleGroup>) -> (Self, AlertReads) {
        let groups: Vec<&RuleGroup> = groups.collect();
        let mut names: BTreeSet<String> = LOG_MATCHES.map(str::to_owned).into();
        let mut found: Vec<(usize, Vec<Selector>)> = Vec::new();
        loop {
            let before = found.len();
            for (at, group) in groups.iter().enumerate() {
                let selectors = reading(group, &names);
                if !selectors.is_empty() && !found.iter().any(|(known, _)| *known == at) {
                    found.push((at, selectors));
                }
            }
            for (at, _) in found.get(before..).unwrap_or_default() {
                let rules = groups.get(*at).into_iter().flat_map(|group| group.rules());
                names.extend(
                    rules
                        .filter(|rule| matches!(rule, Rule::Recording(_)))
                        .map(|rule| rule.name().to_owned()),
                );
            }
            if found.len() == before {
                return (Self { groups: found }, alerts(&groups, &names));
            }
        }
    }

    /// The places of the groups that read counts of any of these log rules.
    pub(super) fn reading(&self, rules: &BTreeSet<String>) -> Vec<usize> {
        let reads = |selector: &Selector| rules.iter().any(|rule| counts(selector, rule));
        self.groups.iter().filter(|(_, all)| all.iter().any(reads)).map(|(at, _)| *at).collect()
    }
}

fn alerts(groups: &[&RuleGroup], names: &BTreeSet<String>) -> AlertReads {
    let mut alerts: BTreeMap<String, Vec<Selector>> = BTreeMap::new();
    for rule in groups.iter().flat_map(|group| group.rules()).filter(|rule| matches!(rule, Rule::Alerting(_)))
    {
        for expression in rule.expressions().filter_map(|text| promql::parse(text).ok()) {
            let selectors = expression.selectors().into_iter();
            let reading = selectors.filter(|selector| names.iter().any(|name| may_select(selector, name)));
            let reading: Vec<Selector> = reading.cloned().collect();
            if !reading.is_empty() {
                alerts.entry(rule.name().to_owned()).or_default().extend(reading);
            }
        }
    }
    AlertReads(alerts)
}

/// Selectors of the group that may see series of any of these names.
fn reading(group: &RuleGroup, names: &BTreeSet<String>) -> Vec<Selector> {
    let mut selectors = Reads::of(group).selectors;
    selectors.retain(|selector| names.iter().any(|name| may_select(selector, name)));
    selectors
}

/// Whether the selector may see the counts of this log rule. What is recorded of them may have lost the name.
fn counts(selector: &Selector, rule: &str) -> bool {
    let is_direct = LOG_MATCHES.iter().any(|name| may_select(selector, name));
    let mut of_rule = selector.matchers.iter().filter(|matcher| LOG_RULE.contains(&matcher.name()));
    !is_direct || of_rule.all(|matcher| matcher.matches(rule))
}

/// Lets each log rule through once in [`PACE`].
#[derive(Debug, Default)]
pub(super) struct LinePace {
    last: BTreeMap<String, Instant>,
    waiting: BTreeSet<String>,
}

impl LinePace {
    /// Lets these wait for their turn.
    pub(super) fn offer(&mut self, rules: BTreeSet<String>) {
        self.waiting.extend(rules);
    }

    /// Those whose turn has come.
    pub(super) fn due(&mut self, now: Instant) -> BTreeSet<String> {
        let last = &self.last;
        let is_due = |rule: &String| last.get(rule).is_none_or(|last| now.duration_since(*last) >= PACE);
        let (due, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_due);
        self.waiting = waiting;
        if self.last.len() >= MOST_REMEMBERED {
            self.last.retain(|_, last| now.duration_since(*last) < PACE);
        }
        self.last.extend(due.iter().map(|rule: &String| (rule.clone(), now)));
        due
    }

    /// When the next turn comes; none if nothing waits.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.iter().filter_map(|rule| self.last.get(rule)).map(|last| *last + PACE).min()
    }
}

#[cfg(test)]
mod tests {
    use alerting::RuleFile;
    use documents::Document;

    use super::*;
    use crate::clock;

    fn reading(expressions: &[(&str, &str)], rules: &[&str]) -> Vec<usize> {
        let group = |(at, (record, expression)): (usize, &(&str, &str))| {
            format!("- name: g{at}\n  rules:\n  - {{ record: {record}, expr: '{expression}' }}\n")
        };
        let groups: Vec<String> = expressions.iter().enumerate().map(group).collect();
        let text = format!("groups:\n{}", groups.concat());
        let document = Document::from_text(std::path::Path::new("rules.yaml"), &text);
        let groups = RuleFile::read(&document).unwrap().groups;
        LineReaders::of(groups.iter()).0.reading(&rules.iter().map(|rule| (*rule).to_owned()).collect())
    }

    #[test]
    fn groups_read_a_log_rule_by_its_name_by_matchers_that_may_mean_it_and_by_what_others_record() {
        for (expression, expected) in [
            (r#"increase(log_rule_matches_total{log_rule_name="oom"}[1m]) > 0"#, true),
            (r#"{"log.rule.matches","log.rule.name"="oom"}"#, true),
            (r#"log_rule_matches_total{log_rule_name=~"o.*"}"#, true),
            ("log_rule_matches_total", true),
            (r#"log_rule_matches_total{log_rule_name="disk"}"#, false),
            ("up == 0", false),
        ] {
            assert_eq!(reading(&[("a", expression)], &["oom"]), [0][..usize::from(expected)], "{expression}");
        }
        let chain = [("c", "sum(b) > 1"), ("x", "up"), ("b", "rate(log_rule_matches_total[5m])")];
        assert_eq!(reading(&chain, &["any"]), [2, 0]);
    }

    #[test]
    fn an_alert_is_shown_the_lines_of_the_log_rules_that_it_reads() {
        let text = "groups:\n- name: g\n  rules:\n  - { record: b, expr: 'sum(log_rule_matches_total)' }\n  \
                    - { alert: A, expr: 'log_rule_matches_total{log_rule_name=\"oom\"} > 0' }\n  \
                    - { alert: B, expr: 'b > 0' }\n  - { alert: C, expr: 'up == 0' }\n";
        let document = Document::from_text(std::path::Path::new("rules.yaml"), text);
        let (_, alerts) = LineReaders::of(RuleFile::read(&document).unwrap().groups.iter());
        for (alert, rule, expected) in [
            ("A", "oom", true),
            ("A", "disk", false),
            ("B", "disk", true),
            ("C", "oom", false),
            ("D", "oom", false),
        ] {
            assert_eq!(alerts.reads(alert, rule), expected, "{alert} {rule}");
        }
    }

    #[test]
    fn a_log_rule_is_let_through_at_once_and_then_once_a_second() {
        let begun = clock::monotonic();
        let at = |millis| begun + Duration::from_millis(millis);
        let rules =
            |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let mut pace = LinePace::default();
        pace.offer(rules(&["a"]));
        assert_eq!(pace.due(at(0)), rules(&["a"]));
        pace.offer(rules(&["a", "b"]));
        assert_eq!(pace.due(at(300)), rules(&["b"]));
        assert_eq!((pace.due(at(999)), pace.next()), (rules(&[]), Some(at(1_000))));
        assert_eq!((pace.due(at(1_000)), pace.next()), (rules(&["a"]), None));
    }
}
