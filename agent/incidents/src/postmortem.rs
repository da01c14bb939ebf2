//! The draft of a post-mortem: every fact filled in, every judgement left to people, in lines with TODO.
//!
//! Blameless: it tells what happened and what the system did, and names nobody.

use std::fmt::Write as _;
use std::time::Duration;

use telemetry::{RunOutcome, format_duration};

use crate::{Entry, Incident, Source};

/// Writes the draft as Markdown. `host` is the host's name, as people know it.
pub fn draft(incident: &Incident, host: &str) -> String {
    let mut text = String::new();
    let mut section = |title: &str, body: String| {
        let _ = write!(text, "{title}\n\n{body}\n\n");
    };
    section(&format!("# Post-mortem: {} on {host}", incident.alert_name()), header(incident));
    section("## Summary", summary(incident, host));
    section(
        "## Impact",
        "TODO: who noticed, what did not work for them, how much of the error budget it took.".into(),
    );
    section("## Timeline", timeline(incident));
    section("## Guards", guards(incident));
    section("## Detection", detection(incident));
    section("## Root cause", "TODO: the cause, and why it was possible. The timeline shows symptoms.".into());
    section("## Repair", repair(incident));
    section("## What went well, what went badly", lessons(incident));
    section("## Actions", actions(incident));
    let body = text.trim_end().to_owned();
    body + "\n"
}

fn header(incident: &Incident) -> String {
    let open = if incident.resolved.is_none() { " It was not over when this was written." } else { "" };
    format!("Incident {}, drafted from the record; lines with TODO need a person.{open}", incident.id)
}

fn summary(incident: &Incident, host: &str) -> String {
    let what = incident.annotations.get("summary").or_else(|| incident.annotations.get("description"));
    let what = what.map_or_else(|| format!("{} fired", incident.labels), |text| text.trim().to_owned());
    let end = match incident.outcome {
        Some(RunOutcome::Repaired) => "It was repaired automatically and the repair was verified.",
        Some(RunOutcome::Escalated) => "The automatic repair did not work; it was escalated to a person.",
        Some(RunOutcome::Refused) => "A guard refused the automatic repair.",
        Some(RunOutcome::Observed) => "The runbook only observes; nothing was run.",
        Some(RunOutcome::Shadowed) => "The runbook only simulates; the script ran, and nothing was changed.",
        Some(RunOutcome::Denied) => "Nobody approved the automatic repair.",
        Some(RunOutcome::Skipped) => "The script found nothing to do.",
        Some(RunOutcome::Interrupted) => "The automatic repair was interrupted.",
        None => "No runbook answered.",
    };
    format!("On {host}, from {}: {what}. {end}", incident.started)
}

fn timeline(incident: &Incident) -> String {
    let mut table = "| Time (UTC) | Since start | Source | Event |\n|---|---:|---|---|".to_owned();
    // A run asks two dozen guards at once; those that let it pass are one row, and told below.
    for entries in incident.timeline.chunk_by(|one, next| one.at == next.at && allows(one) && allows(next)) {
        let Some(entry) = entries.first() else { continue };
        let since = format_duration(entry.at.since(incident.started));
        let text = match entries.len() {
            1 => entry.text.replace('|', "\\|").replace('\n', " "),
            several => format!("{several} guards allow; their values are below"),
        };
        let _ = write!(table, "\n| {} | {since} | {} | {text} |", entry.at, entry.source.as_str());
    }
    if incident.entries_left_out > 0 {
        let _ = write!(table, "\n\n{} further entries were left out.", incident.entries_left_out);
    }
    table
}

/// What each guard said and by which values, those that refuse first.
fn guards(incident: &Incident) -> String {
    let asked: Vec<&Entry> = incident.timeline.iter().filter(|entry| entry.source == Source::Guard).collect();
    let mut text = String::new();
    for entries in asked.chunk_by(|one, next| one.at == next.at) {
        let Some(first) = entries.first() else { continue };
        let refusing = entries.iter().filter(|entry| refuses(entry));
        let _ = write!(text, "At {}:\n\n", first.at);
        for entry in refusing.chain(entries.iter().filter(|entry| !refuses(entry))) {
            let _ = writeln!(text, "- {}", entry.text.replace('\n', " "));
        }
        text.push('\n');
    }
    if text.is_empty() { "None was asked.".to_owned() } else { text.trim_end().to_owned() }
}

fn allows(entry: &Entry) -> bool {
    entry.source == Source::Guard && !refuses(entry)
}

/// Whether it is a guard that held the repair back; its values, which follow, may say anything.
fn refuses(entry: &Entry) -> bool {
    let verdict = entry.text.split_once(": ").map_or(entry.text.as_str(), |(verdict, _)| verdict);
    entry.source == Source::Guard && verdict.ends_with(" refuses")
}

fn detection(incident: &Incident) -> String {
    let time =
        |duration: Option<Duration>| duration.map_or_else(|| "not reached".to_owned(), format_duration);
    format!(
        "- Alert: `{}`\n- From the first bad sample to the alert: {}\n- From the first bad sample to the first action: {}\n\
         - From the first bad sample to the verified repair: {}\n- From the first bad sample to the end of the alert: {}",
        incident.labels,
        time(incident.time_to_detect()),
        time(incident.acted.map(|at| at.since(incident.started))),
        time(incident.verified.map(|at| at.since(incident.started))),
        time(incident.resolved.map(|at| at.since(incident.started))),
    )
}

fn repair(incident: &Incident) -> String {
    let Some(repair) = &incident.repair else {
        return "No runbook answered this alert. TODO: what people did.".to_owned();
    };
    let mut text = format!(
        "Runbook `{}`, script `{}` (SHA-256 `{}`).",
        repair.runbook, repair.script, repair.script_sha256
    );
    for entry in incident.timeline.iter().filter(|entry| entry.source == Source::Action) {
        let _ = write!(text, "\n- {}", entry.text);
    }
    text
}

fn lessons(incident: &Incident) -> String {
    let mut lines = Vec::new();
    match incident.outcome {
        Some(RunOutcome::Repaired) => {
            lines.push("- Well: repaired without a person, and verified.".to_owned());
        }
        Some(outcome) => lines.push(format!("- Badly: the automatic repair ended as {outcome}.")),
        None => lines.push("- Badly: there was no runbook for this alert.".to_owned()),
    }
    let refused = incident.timeline.iter().filter(|entry| refuses(entry));
    lines.extend(refused.map(|entry| format!("- A guard held the repair back: {}.", entry.text)));
    lines.push("- TODO: what else helped or stood in the way.".to_owned());
    lines.join("\n")
}

fn actions(incident: &Incident) -> String {
    let first = match incident.outcome {
        Some(RunOutcome::Repaired) => "Remove the cause, so that the repair is not needed again",
        Some(_) => "Mend the runbook or its script, and test it against this timeline",
        None => "Write a runbook for this alert, at stage observe",
    };
    let second = "Add a test that would have caught the fault before it reached this host";
    format!("| Action | Owner, due |\n|---|---|\n| {first} | TODO |\n| {second} | TODO |")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{alert, repaired_incident, second};
    use telemetry::{AlertState, RunStep};

    #[test]
    fn the_draft_of_a_repaired_incident_holds_every_fact_of_the_record() {
        let incident = repaired_incident();
        let text = draft(&incident, "web-01");
        assert!(text.starts_with("# Post-mortem: WebDown on web-01\n"), "{text}");
        assert!(text.contains("web a is down. It was repaired automatically and the repair was verified."));
        assert!(
            text.contains("| 2023-11-14T22:13:24.000Z | 4s | action | #1 asked for: restart process web |")
        );
        assert!(text.contains("verified repair: 6s"));
        assert!(text.contains("- #1 done in 12ms: started as pid 7"));
        for entry in &incident.timeline {
            assert!(text.contains(&entry.text), "{}", entry.text);
        }
    }

    #[test]
    fn the_guards_are_told_with_their_values_and_do_not_drown_the_timeline() {
        let mut incident = Incident::open("1".into(), alert(AlertState::Firing, 0).labels, second(0));
        for (at, guard, allowed, reason) in [
            (1, "cooldown", true, "never run before"),
            (1, "attempts", true, "0 of 3 per 1h"),
            (1, "condition", true, "up refuses: 1"),
            (9, "window", true, "always"),
            (9, "cooldown", false, "4m of 5m are left"),
        ] {
            let (guard, reason) = (guard.to_owned(), reason.to_owned());
            let (source, text) = crate::sentence(&RunStep::Guard { guard, allowed, reason });
            incident.add(second(at), source, text);
        }
        let text = draft(&incident, "h");
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("| guard |")).collect();
        let row = |at: i64, text: &str| format!("| {} | {at}s | guard | {text} |", second(at));
        assert_eq!(
            rows,
            [
                row(1, "3 guards allow; their values are below"),
                row(9, "window allows: always"),
                row(9, "cooldown refuses: 4m of 5m are left"),
            ]
        );
        let told = format!(
            "## Guards\n\nAt {}:\n\n- cooldown allows: never run before\n- attempts allows: 0 of 3 per 1h\n\
             - condition allows: up refuses: 1\n\nAt {}:\n\n- cooldown refuses: 4m of 5m are left\n- window allows: always\n\n##",
            second(1),
            second(9)
        );
        assert!(text.contains(&told), "{text}");
        let held = text.lines().filter(|line| line.starts_with("- A guard held the repair back"));
        assert_eq!(
            held.collect::<Vec<_>>(),
            ["- A guard held the repair back: cooldown refuses: 4m of 5m are left."]
        );
    }

    #[test]
    fn a_text_from_outside_cannot_break_the_table() {
        let mut incident = Incident::open("1".into(), alert(AlertState::Firing, 0).labels, second(0));
        incident.add(second(1), Source::Script, "notes: a | b\nc".into());
        assert!(draft(&incident, "h").contains("| script | notes: a \\| b c |"));
    }

    #[test]
    fn without_a_runbook_the_draft_asks_for_one() {
        let incident = Incident::open("1".into(), alert(AlertState::Firing, 0).labels, second(0));
        let text = draft(&incident, "h");
        assert!(text.contains("No runbook answered.") && text.contains("Write a runbook for this alert"));
    }
}
