//! How far back rules read, so that the series that they select are kept for as long.

use std::time::Duration;

use alerting::{Rule, RuleGroup};
use series::Need;
use telemetry::format_duration;

/// Rules that are named in one line of the log at most.
const MOST_NAMED: usize = 5;

/// What all rules read, each selection once.
pub(crate) fn needs<'a>(groups: impl Iterator<Item = &'a RuleGroup>) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for group in groups {
        for rule in group.rules() {
            for need in of_rule(group, rule) {
                match needs.iter_mut().find(|known| known.matchers == need.matchers) {
                    Some(known) => known.reach = known.reach.max(need.reach),
                    None => needs.push(need),
                }
            }
        }
    }
    needs
}

/// Says which rules read further back than anything is kept.
pub(crate) fn say_shortfalls<'a>(groups: impl Iterator<Item = &'a RuleGroup>, longest: Duration) {
    let rules = groups.flat_map(|group| group.rules().iter().map(move |rule| (group, rule)));
    let short: Vec<String> = rules
        .filter_map(|(group, rule)| {
            let reach = of_rule(group, rule).map(|need| need.reach).max()?;
            (reach > longest).then(|| format!("{} ({})", rule.name(), length(reach)))
        })
        .collect();
    if !short.is_empty() {
        let named: Vec<&str> = short.iter().take(MOST_NAMED).map(String::as_str).collect();
        let (kept, more) = (format_duration(longest), short.len() - named.len());
        tracing::warn!(
            kept,
            more,
            "rules read further back than series are kept; raise series.max_retention: {}",
            named.join(", ")
        );
    }
}

fn of_rule(group: &RuleGroup, rule: &Rule) -> impl Iterator<Item = Need> {
    group.reads(rule).into_iter().map(|(matchers, reach)| Need { matchers, reach })
}

fn length(reach: Duration) -> String {
    if reach == Duration::MAX { "a fixed time".to_owned() } else { format_duration(reach) }
}

#[cfg(test)]
mod tests {
    use alerting::RuleFile;
    use documents::Document;

    use super::*;

    #[test]
    fn a_selection_is_needed_as_far_back_as_the_rule_that_reads_most_of_it() {
        let text = "groups:
- name: a
  query_offset: 1m
  rules:
  - { alert: A, expr: 'rate(requests_total[10m]) > 1' }
  - { alert: B, expr: 'up == 0 and rate(requests_total[1h]) > 1' }
- name: b
  rules:
  - { alert: C, expr: 'up offset 1w == 0', clear_when: 'max_over_time(up[2w]) == 1' }
";
        let document = Document::from_text(std::path::Path::new("rules.yaml"), text);
        let groups = RuleFile::read(&document).unwrap().groups;
        let found = needs(groups.iter());
        let minutes: Vec<u64> = found.iter().map(|need| need.reach.as_secs() / 60).collect();
        assert_eq!(minutes, [61, 14 * 24 * 60]);
    }
}
