//! What a replay found, for a person and for a program.

use std::fmt::Write as _;
use std::time::Duration;

use alerting::{Firing, Replay, ReplayedAlert};
use serde_json::{Value, json};
use telemetry::{Labels, Timestamp, format_duration};

/// Times of one alert that a person is shown; `--json` has more.
const SHOWN: usize = 5;

pub(super) fn page(replay: &Replay) -> String {
    let mut page = span(replay);
    for alert in replay.alerts.iter().filter(|alert| alert.fired > 0) {
        page.push_str(&fired(alert, replay.to));
    }
    let quiet = replay.alerts.iter().filter(|alert| alert.fired == 0);
    let quiet: Vec<String> = quiet
        .map(|alert| match alert.nearly {
            0 => alert.alert.clone(),
            nearly => format!("{} (nearly, {nearly} times)", alert.alert),
        })
        .collect();
    if !quiet.is_empty() {
        let _ = writeln!(page, "would not have fired: {}", quiet.join(", "));
    }
    for failure in &replay.failures {
        let (group, rule, rounds) = (&failure.group, &failure.rule, failure.rounds);
        let _ = writeln!(page, "failed in {rounds} rounds: {rule} of {group}: {}", failure.first);
    }
    page
}

/// What was asked, and what there was.
fn span(replay: &Replay) -> String {
    let asked = format_duration(whole_seconds(replay.to.since(replay.from)));
    let rounds = replay.rounds;
    let mut text = format!("{asked} up to {}, {rounds} rounds; ", replay.to);
    match replay.held_since {
        None => text.push_str("no samples are held of what these rules read\n"),
        Some(since) if since > replay.from => {
            let held = format_duration(whole_seconds(replay.to.since(since)));
            let _ = writeln!(text, "{held} held, so before {since} the rules saw nothing");
        }
        Some(_) => text.push_str("all of it is held\n"),
    }
    text
}

fn fired(alert: &ReplayedAlert, end: Timestamp) -> String {
    let times = if alert.fired == 1 { "once".to_owned() } else { format!("{} times", alert.fired) };
    let mut text = format!("{} would have fired {times}", alert.alert);
    if let (Some(first), Some(last)) = (alert.firings.first(), alert.firings.last()) {
        let longest = alert.firings.iter().map(|firing| lasted(firing, end)).max().unwrap_or_default();
        let longest = format_duration(whole_seconds(longest));
        let _ = write!(text, ", first {}, last {}, {longest} at the longest", first.from, last.from);
    }
    if alert.nearly > 0 {
        let _ = write!(text, "; nearly {} more times", alert.nearly);
    }
    text.push('\n');
    for firing in alert.firings.iter().take(SHOWN) {
        let lasted = format_duration(whole_seconds(lasted(firing, end)));
        let still = if firing.until.is_none() { ", and still" } else { "" };
        let _ = writeln!(text, "  {} for {lasted}{still}  {}", firing.from, shown(&firing.labels));
    }
    if alert.fired > SHOWN {
        let _ = writeln!(text, "  and {} more", alert.fired - SHOWN);
    }
    text
}

/// The labels without the alert's name, which stands above.
fn shown(labels: &Labels) -> Labels {
    labels.filtered(|name| name != alerting::ALERT_NAME)
}

fn lasted(firing: &Firing, end: Timestamp) -> Duration {
    firing.until.unwrap_or(end).since(firing.from)
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

pub(super) fn json(replay: &Replay) -> String {
    let time = |at: Timestamp| at.to_string();
    let alerts = replay.alerts.iter().map(|alert| {
        let longest = alert.firings.iter().map(|firing| lasted(firing, replay.to)).max();
        let firings = alert.firings.iter().map(|firing| {
            json!({ "labels": firing.labels, "from": time(firing.from), "until": firing.until.map(time) })
        });
        json!({
            "file": alert.file,
            "group": alert.group,
            "alert": alert.alert,
            "fired": alert.fired,
            "nearly": alert.nearly,
            "longest_seconds": longest.map(|longest| longest.as_secs_f64()),
            "firings": firings.collect::<Vec<Value>>(),
        })
    });
    let failures = replay.failures.iter().map(|failure| {
        let (group, rule, rounds, first) = (&failure.group, &failure.rule, failure.rounds, &failure.first);
        json!({ "group": group, "rule": rule, "rounds": rounds, "error": first })
    });
    let all = json!({
        "from": time(replay.from),
        "to": time(replay.to),
        "held_since": replay.held_since.map(time),
        "rounds": replay.rounds,
        "alerts": alerts.collect::<Vec<Value>>(),
        "failures": failures.collect::<Vec<Value>>(),
    });
    format!("{all}\n")
}
