//! Which names are the host's own.

use alerting::{Rule, RuleGroup};
use series::HostNames;

use crate::list::all_metrics;

/// The names of all metrics of the agent, whether or not this host has them, and those of recording rules.
pub(crate) fn host_names(groups: &[RuleGroup]) -> HostNames {
    let rules = groups.iter().flat_map(RuleGroup::rules);
    let recorded = rules.filter(|rule| matches!(rule, Rule::Recording(_))).map(Rule::name);
    HostNames::new(all_metrics(), recorded)
}
