//! Whether the series are kept for as long as the rules look back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use alerting::{Rule, RuleGroup};
use documents::{Document, Problem};
use series::Limits;
use telemetry::format_duration;

use super::coherence::Site;

/// A warning for each rule that reads further back than any series is kept.
pub(super) fn check(
    groups: &[RuleGroup],
    documents: &BTreeMap<PathBuf, Document>,
    limits: &Limits,
) -> Vec<Problem> {
    let kept = limits.retention.max(limits.max_retention);
    let mut problems = Vec::new();
    for group in groups {
        let Some(document) = documents.get(group.file()) else { continue };
        for rule in group.rules() {
            let Some(reach) = reach(group, rule).filter(|reach| *reach > kept) else { continue };
            let message = format!(
                "{} looks {} back, and no series is kept for more than {}; it sees only what is kept",
                rule.name(),
                format_duration(reach),
                format_duration(kept),
            );
            let site = Site::of_rule(document, rule.name());
            let hint = "raise `series: { max_retention: … }`, or look back less";
            problems.push(site.warning(rule.name(), message).with_hint(hint));
        }
    }
    problems
}

/// How far the rule looks back, apart from what a fixed time says.
fn reach(group: &RuleGroup, rule: &Rule) -> Option<Duration> {
    let all = group.reads(rule).into_iter().map(|(_, reach)| reach);
    all.filter(|reach| *reach != Duration::MAX).max()
}

#[cfg(test)]
mod tests {
    use crate::config::{Trust, Variables, load};

    #[test]
    fn a_rule_that_looks_further_back_than_anything_is_kept_is_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        let rule = |name: &str, expr: &str| format!("  - {{ alert: {name}, expr: '{expr}' }}\n");
        let rules = [
            rule("Far", "rate(system_cpu_time_seconds_total[30m] offset 3h) > 9"),
            rule("Near", "rate(system_cpu_time_seconds_total[30m]) > 9"),
            rule("Fixed", "system_cpu_time_seconds_total @ 0 > 9"),
        ];
        let late = rule("Late", "system_cpu_time_seconds_total offset 2h > 9");
        let rules = format!(
            "groups:\n- name: g\n  rules:\n{}- name: h\n  query_offset: 1h\n  rules:\n{late}",
            rules.concat()
        );
        std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
        let path = directory.path().join("hostmend.yaml");
        std::fs::write(&path, "rules: [rules.yaml]\nseries: { max_retention: 3h }\n").unwrap();
        let loaded = load(&path, Trust::Anyone, &Variables::new());
        let found: Vec<&str> = loaded.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            found,
            [
                "Far looks 3h30m back, and no series is kept for more than 3h; it sees only what is kept",
                "Late looks 3h5m back, and no series is kept for more than 3h; it sees only what is kept",
            ]
        );
    }
}
