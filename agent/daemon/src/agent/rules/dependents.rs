//! Which groups judge what a collector sees, so that they can be evaluated as soon as it has looked.
//!
//! A group depends on a collector by selecting one of its metrics, or a series that a group records that does. Only names
//! are looked at: a group that turns out not to be concerned is evaluated once too often.

use std::collections::{BTreeMap, BTreeSet};

use alerting::{Rule, RuleGroup};
use collectors::{COLLECTORS, EventSource};
use promql::ast::Selector;
use series::prometheus_name;
use telemetry::METRIC_NAME;

/// Collectors that one expression has looked at beside their turn, at most; one that reads of more waits for them.
const MOST_ASKED: usize = 4;

/// By the name of a collector that events ask for: the places of the groups that depend on it, those first whose series
/// others select.
pub(super) type Dependents = BTreeMap<&'static str, Vec<usize>>;

/// The dependents among `groups`.
pub(super) fn dependents<'a>(groups: impl Iterator<Item = &'a RuleGroup>) -> Dependents {
    let groups: Vec<Reads<'_>> = groups.map(Reads::of).collect();
    let collectors: BTreeSet<&str> = EventSource::ALL.into_iter().map(EventSource::collector).collect();
    let rows = COLLECTORS.iter().filter(|row| collectors.contains(row.name));
    rows.map(|row| {
        let metrics = row.metrics.iter();
        let names = metrics.flat_map(|metric| [metric.name.to_owned(), prometheus_name(metric)]);
        (row.name, of(&groups, names.collect()))
    })
    .collect()
}

/// The collectors whose metrics an expression may read, if they are few enough to be asked beside their turn.
pub(in crate::agent) fn collectors_of(expr: &str) -> BTreeSet<&'static str> {
    let Ok(expr) = promql::parse(expr) else { return BTreeSet::new() };
    let selectors = expr.selectors();
    let reads = |name: &str| selectors.iter().any(|selector| may_select(selector, name));
    let rows = COLLECTORS.iter().filter(|row| {
        let mut metrics = row.metrics.iter();
        metrics.any(|metric| reads(metric.name) || reads(&prometheus_name(metric)))
    });
    let found: BTreeSet<&'static str> = rows.map(|row| row.name).collect();
    if found.len() > MOST_ASKED { BTreeSet::new() } else { found }
}

/// What a group selects and records.
pub(super) struct Reads<'a> {
    pub(super) selectors: Vec<Selector>,
    records: Vec<&'a str>,
}

impl<'a> Reads<'a> {
    pub(super) fn of(group: &'a RuleGroup) -> Self {
        let parsed =
            group.rules().iter().flat_map(Rule::expressions).filter_map(|text| promql::parse(text).ok());
        let selectors = parsed.flat_map(|expr| expr.selectors().into_iter().cloned().collect::<Vec<_>>());
        let records = group.rules().iter().filter(|rule| matches!(rule, Rule::Recording(_))).map(Rule::name);
        Self { selectors: selectors.collect(), records: records.collect() }
    }

    fn reads(&self, names: &BTreeSet<String>) -> bool {
        self.selectors.iter().any(|selector| names.iter().any(|name| may_select(selector, name)))
    }
}

pub(super) fn may_select(selector: &Selector, name: &str) -> bool {
    selector
        .matchers
        .iter()
        .filter(|matcher| matcher.name() == METRIC_NAME)
        .all(|matcher| matcher.matches(name))
}

fn of(groups: &[Reads<'_>], mut names: BTreeSet<String>) -> Vec<usize> {
    let mut found = Vec::new();
    loop {
        let next: Vec<usize> = (0..groups.len())
            .filter(|at| !found.contains(at) && groups.get(*at).is_some_and(|group| group.reads(&names)))
            .collect();
        if next.is_empty() {
            return found;
        }
        let records = next.iter().filter_map(|at| groups.get(*at)).flat_map(|group| &group.records);
        names.extend(records.map(|name| (*name).to_owned()));
        found.extend(next);
    }
}

#[cfg(test)]
mod tests {
    use alerting::RuleFile;
    use documents::Document;

    use super::*;

    fn groups(expressions: &[(&str, &str)]) -> Vec<RuleGroup> {
        let group = |(at, (record, expression)): (usize, &(&str, &str))| {
            format!("- name: g{at}\n  rules:\n  - {{ record: {record}, expr: '{expression}' }}\n")
        };
        let groups: Vec<String> = expressions.iter().enumerate().map(group).collect();
        let text = format!("groups:\n{}", groups.concat());
        let document = Document::from_text(std::path::Path::new("rules.yaml"), &text);
        RuleFile::read(&document).unwrap().groups
    }

    #[test]
    fn groups_depend_by_either_name_by_what_others_record_and_by_matchers_that_may_mean_it() {
        for (expressions, expected) in [
            (vec![("a", "hostmend_watch_process_count == 0")], vec![0]),
            (vec![("a", r#"{"hostmend.watch.process.count"} == 0"#)], vec![0]),
            (vec![("a", "up == 0")], vec![]),
            (vec![("a", r#"{__name__=~"hostmend_.+"}"#)], vec![0]),
            (vec![("a", r#"{__name__!="hostmend_watch_process_count",job="x"}"#)], vec![0]),
            (vec![("a", r#"{job="x"}"#)], vec![0]),
            (
                vec![("c", "sum(b)"), ("x", "up"), ("b", "max_over_time(hostmend_watch_process_count[5m])")],
                vec![2, 0],
            ),
        ] {
            let groups = groups(&expressions);
            let found = dependents(groups.iter());
            assert_eq!(found["watch"], expected, "{expressions:?}");
        }
    }

    #[test]
    fn pressure_is_told_apart_from_watches() {
        let groups = groups(&[
            ("a", "rate(system_memory_linux_pressure_seconds_total[1m])"),
            ("b", "hostmend_watch_process_count"),
        ]);
        let found = dependents(groups.iter());
        assert_eq!((&found["pressure"], &found["watch"]), (&vec![0], &vec![1]));
    }
}
