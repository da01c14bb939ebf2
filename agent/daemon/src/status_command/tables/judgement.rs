//! What is kept for rules, what they say, and what a restart will not forget.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{OneLine, bytes, duration};
use crate::status::{Kept, Repairs, Rules, Series, Status};

/// Alerts and rules shown one by one; more fill the screen.
const MOST_SHOWN: usize = 10;

pub(super) fn judgement(text: &mut String, status: &Status) {
    series(text, &status.series);
    rules(text, &status.rules);
    kept(text, &status.kept);
    repairs(text, &status.repairs);
}

fn repairs(text: &mut String, repairs: &Repairs) {
    if repairs.frozen.is_none() && repairs.in_hand.is_empty() && repairs.outcomes.is_empty() {
        return;
    }
    text.push_str("\nRepairs\n");
    if let Some(why) = &repairs.frozen {
        let _ = writeln!(text, "  ! FROZEN: {}; `hostmend unfreeze` lets them go on", OneLine(why));
    }
    for run in &repairs.in_hand {
        let (id, runbook, alert) = (OneLine(&run.id), OneLine(&run.runbook), OneLine(&run.alert));
        let _ = match &run.waits_until {
            Some(until) => writeln!(
                text,
                "  ! {id} {runbook} waits until {until} to be approved because of {alert}; it would {}",
                OneLine(if run.plan.is_empty() { "do nothing".to_owned() } else { run.plan.join("; ") })
            ),
            None => {
                writeln!(text, "  {id} {runbook} for {} because of {alert}", duration(run.for_seconds))
            }
        };
    }
    if repairs.untold_refusals > 0 {
        let _ = writeln!(
            text,
            "  - {} refusals were not written down, because too many came in a minute: alerts on the word of others, \
             or many at once",
            repairs.untold_refusals
        );
    }
    if !repairs.outcomes.is_empty() {
        let outcomes: Vec<String> =
            repairs.outcomes.iter().map(|(outcome, runs)| format!("{} {runs}", OneLine(outcome))).collect();
        let _ = writeln!(text, "  since the start: {}", outcomes.join(", "));
    }
}

fn series(text: &mut String, series: &Series) {
    let retention = duration(series.retention_seconds);
    let _ = writeln!(text, "\nSeries\n  {} of {} at most, for {retention}", series.kept, series.at_most);
    if series.samples > 0 {
        let _ = writeln!(text, "  {} samples take {}", series.samples, bytes(series.bytes));
    }
    if series.squeezed > 0 {
        let _ = writeln!(text, "  {} samples were given up early, to save memory", series.squeezed);
    }
    for (reason, samples) in &series.rejected {
        let _ = writeln!(text, "  {samples} samples were not kept: {reason}");
    }
    if series.evicted > 0 {
        let _ = writeln!(text, "  {} series that had ended made room for others", series.evicted);
    }
}

fn rules(text: &mut String, rules: &Rules) {
    let (total, groups, firing) = (rules.total, rules.groups, rules.firing.len());
    let _ = writeln!(
        text,
        "\nRules\n  rules: {total}, groups: {groups}, firing: {firing}, pending: {}",
        rules.pending
    );
    if rules.evaluations > 0 {
        let each = rules.seconds / rules.evaluations as f64 * 1e6;
        let _ =
            writeln!(text, "  {} evaluations of {each:.0} µs, {} failed", rules.evaluations, rules.failures);
    }
    if rules.missed_rounds > 0 {
        let _ =
            writeln!(text, "  {} rounds were left out because the one before was late", rules.missed_rounds);
    }
    for alert in rules.firing.iter().take(MOST_SHOWN) {
        let quiet = match (&alert.silenced, &alert.held_until) {
            (Some(_), _) => " (silenced)".to_owned(),
            (None, Some(until)) => format!(" (held back until {until}, to be repaired first)"),
            (None, None) => String::new(),
        };
        let _ = writeln!(text, "  ! {}{quiet}", Alert(&alert.labels, Some(alert.for_seconds)));
        if let Some(repair) = &alert.repair {
            let _ = writeln!(text, "      {}", OneLine(repair));
        }
    }
    more(text, "! ", rules.firing.len());
    for labels in rules.flapping.iter().take(MOST_SHOWN) {
        let _ = writeln!(text, "  - fires and ends again and again: {}", Alert(labels, None));
    }
    more(text, "- ", rules.flapping.len());
    for rule in rules.matching_nothing.iter().take(MOST_SHOWN) {
        let (name, selectors) = (OneLine(&rule.rule), OneLine(rule.selectors.join(", ")));
        let _ = writeln!(text, "  - {name} selects series that do not exist: {selectors}");
    }
    more(text, "- ", rules.no_series_for);
}

fn more(text: &mut String, sign: &str, count: usize) {
    if count > MOST_SHOWN {
        let _ = writeln!(text, "  {sign}and {} more; --json has them", count - MOST_SHOWN);
    }
}

/// Its name, for how many seconds it has fired, and its labels.
struct Alert<'a>(&'a BTreeMap<String, String>, Option<u64>);

impl std::fmt::Display for Alert<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels = self.0.iter().filter(|(name, _)| *name != "alertname");
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{}", OneLine(self.0.get("alertname").map_or("", String::as_str)))?;
        if let Some(seconds) = self.1 {
            write!(f, " for {}", duration(seconds))?;
        }
        write!(f, " {}", OneLine(labels.join(" ")))
    }
}

fn kept(text: &mut String, kept: &[Kept]) {
    let told: Vec<String> = kept
        .iter()
        .filter_map(|kept| {
            let ago = duration(kept.seconds_ago?);
            Some(format!("{} ({}, {ago} ago)", OneLine(&kept.what), bytes(kept.bytes)))
        })
        .collect();
    if !told.is_empty() {
        let _ = writeln!(text, "\nKept for a restart\n  {}", told.join(", "));
    }
    for Kept { what, failed, unusable, .. } in kept {
        let what = OneLine(what);
        if *failed > 0 {
            let _ = writeln!(text, "  {what} could not be written {failed} times; the log says why");
        }
        if *unusable > 0 {
            let _ = writeln!(text, "  {what} of before could not be used; the log says where they lie");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::status::{Kept, Repairs, Run};

    #[test]
    fn repairs_that_stand_still_or_wait_for_a_person_are_marked() {
        let waiting = Run {
            id: "r1".to_owned(),
            alert: "{alertname=\"Web\"}".to_owned(),
            runbook: "restart".to_owned(),
            target: "web".to_owned(),
            stage: "ask".to_owned(),
            for_seconds: 5,
            plan: vec!["restart unit web.service".to_owned()],
            waits_until: Some("2026-11-22T02:00:00.000Z".to_owned()),
        };
        let under_way = Run {
            id: "r2".to_owned(),
            plan: Vec::new(),
            waits_until: None,
            ..serde_json::from_value(serde_json::json!({
                "run": "", "alert": "{}", "runbook": "free", "target": "", "stage": "auto", "for_seconds": 65,
            }))
            .unwrap()
        };
        let repairs = Repairs {
            frozen: Some("disk swap\n; by ann".to_owned()),
            in_hand: vec![waiting, under_way],
            outcomes: [("repaired".to_owned(), 2)].into(),
            journal_events: 9,
            untold_refusals: 890,
        };
        let mut text = String::new();
        super::repairs(&mut text, &repairs);
        for line in [
            "  ! FROZEN: disk swap\\n; by ann; `hostmend unfreeze` lets them go on",
            "  ! r1 restart waits until 2026-11-22T02:00:00.000Z to be approved because of {alertname=\"Web\"}; it would restart unit web.service",
            "  r2 free for 1m5s because of {}",
            "  - 890 refusals were not written down, because too many came in a minute: alerts on the word of others, or many at once",
            "  since the start: repaired 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let mut none = String::new();
        super::repairs(&mut none, &Repairs::default());
        assert_eq!(none, "");
    }

    #[test]
    fn rules_that_can_say_nothing_and_what_is_not_kept_are_shown() {
        let rules = serde_json::from_value(serde_json::json!({
            "groups": 1, "total": 2, "missed_rounds": 0, "firing": [{ "labels": { "alertname": "Web" }, "value": 1.0, "for_seconds": 5, "repair": "escalated in run r1: no" }],
            "evaluations": 10, "failures": 1, "seconds": 0.001,
            "flapping": [{ "alertname": "Web", "host": "a" }], "no_series_for": 12,
            "matching_nothing": [{ "group": "g", "rule": "Gone", "selectors": ["nosuch", "{job=\"x\"}"] }],
        }));
        let kept = serde_json::from_value(serde_json::json!({
            "what": "alerts", "seconds_ago": 65, "bytes": 2_048, "written": 1, "failed": 3, "unusable": 1
        }));
        let mut text = String::new();
        super::rules(&mut text, &rules.unwrap());
        let kept: Kept = kept.unwrap();
        super::kept(&mut text, &[kept]);
        for line in [
            "  rules: 2, groups: 1, firing: 1, pending: 0",
            "      escalated in run r1: no",
            "  10 evaluations of 100 µs, 1 failed",
            "  - fires and ends again and again: Web host=\"a\"",
            "  - Gone selects series that do not exist: nosuch, {job=\"x\"}",
            "  - and 2 more; --json has them",
            "  alerts (2.0 KiB, 1m5s ago)",
            "  alerts could not be written 3 times; the log says why",
            "  alerts of before could not be used; the log says where they lie",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
