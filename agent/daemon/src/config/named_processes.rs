//! The processes that rules and verifications name, so that they are reported whatever they cost.

use std::collections::BTreeSet;

use promql::ast::Selector;
use series::MatchOp;
use telemetry::METRIC_NAME;

use super::{Judgement, Repairs};

/// Labels that name a process, in the spelling of its Prometheus and of its OpenTelemetry names.
const LABELS: [&str; 4] =
    ["process_executable_name", "process_command", "process.executable.name", "process.command"];

/// How metrics of single processes begin.
const METRICS: [&str; 4] = ["process_", "process.", "hostmend_process_memory_", "hostmend.process.memory."];

/// The names that selectors of metrics of processes ask for. A regular expression gives those of its alternatives that are
/// plain texts.
pub(super) fn named_processes(judgement: &Judgement, repairs: &Repairs) -> Vec<String> {
    let rules = judgement.groups.iter().flat_map(alerting::RuleGroup::rules).map(alerting::Rule::expression);
    let verifications =
        repairs.runbooks.iter().filter_map(|runbook| Some(runbook.verify.as_ref()?.expr.as_str()));
    let mut names = BTreeSet::new();
    for text in rules.chain(verifications) {
        let Ok(expr) = promql::parse(text) else { continue };
        for selector in expr.selectors() {
            names.extend(names_in(selector));
        }
    }
    names.into_iter().collect()
}

fn names_in(selector: &Selector) -> Vec<String> {
    let is_of_processes = selector.matchers.iter().any(|matcher| {
        let is_name = matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
        is_name && METRICS.iter().any(|beginning| matcher.value().starts_with(beginning))
    });
    let named =
        selector.matchers.iter().filter(|matcher| is_of_processes && LABELS.contains(&matcher.name()));
    let texts = named.flat_map(|matcher| match matcher.op() {
        MatchOp::Equal => vec![matcher.value().to_owned()],
        MatchOp::Regex => alternatives(matcher.value()),
        MatchOp::NotEqual | MatchOp::NotRegex => Vec::new(),
    });
    texts.filter(|text| !text.is_empty()).collect()
}

/// The plain texts among `a|b` and `(a|b)`.
fn alternatives(regex: &str) -> Vec<String> {
    let inner =
        regex.strip_prefix("(?:").or_else(|| regex.strip_prefix('(')).and_then(|r| r.strip_suffix(')'));
    inner.unwrap_or(regex).split('|').filter_map(plain).collect()
}

/// The text that this part of a regular expression stands for, if it is one only.
fn plain(part: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next().filter(|escaped| !escaped.is_alphanumeric())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            _ => text.push(character),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_are_plain_texts() {
        for (expression, expected) in [
            (r#"rate(process_cpu_time_seconds_total{process_executable_name="nginx"}[5m])"#, &["nginx"][..]),
            (r#"{"process.memory.usage", "process.command"="/usr/bin/web"}"#, &["/usr/bin/web"]),
            (r#"process_uptime_seconds{process_command=~"(a|b\\.sh|c.*|d)"} > 1"#, &["a", "b.sh", "d"]),
            (r#"process_uptime_seconds{process_command=~"a(b|c)d"}"#, &[]),
            (r#"process_uptime_seconds{process_command!="x", process_owner="y"}"#, &[]),
            (r#"hostmend_process_memory_pss_bytes{process_executable_name="java"}"#, &["java"]),
            (r#"system_uptime_seconds{process_command="x"}"#, &[]),
            (r#"a{process_command="x"} / on () process_uptime_seconds{process_command="y"}"#, &["y"]),
        ] {
            let expr = promql::parse(expression).unwrap();
            let found: Vec<String> = expr.selectors().into_iter().flat_map(names_in).collect();
            assert_eq!(found, expected, "{expression}");
        }
    }
}
