//! The status as a page of text. Pure, so that a test can hold what a person sees.

mod judgement;
mod logs;
mod told;

use std::fmt::Write as _;
use std::time::Duration;

use telemetry::{OneLine, format_duration};

use self::judgement::judgement;
use self::logs::logs;
use self::told::told;
use crate::status::{Collecting, Configuration, Destination, Owed, Receiver, Reloaded, Status};

/// The whole page. Texts from outside are kept on their lines.
pub(super) fn page(status: &Status) -> String {
    let mut text = String::new();
    health(&mut text, status);
    configuration(&mut text, &status.configuration);
    received(&mut text, &status.receiver);
    logs(&mut text, &status.logs);
    destinations(&mut text, &status.destinations);
    collecting(&mut text, &status.collecting);
    judgement(&mut text, status);
    told(&mut text, &status.told_of_alerts);
    text
}

fn health(text: &mut String, status: &Status) {
    let agent = &status.agent;
    let uptime = duration(agent.uptime_seconds);
    let word = match (status.health.healthy, &status.repairs.frozen) {
        (false, _) => "IS NOT WELL",
        (true, Some(_)) => "works, but REPAIRS ARE FROZEN",
        (true, None) => "works",
    };
    let _ = writeln!(text, "hostmend {} {word}. Up {uptime}, process {}.", agent.version, agent.process);
    for reason in &status.health.reasons {
        let _ = writeln!(text, "  ! {}", OneLine(reason));
    }
    for note in &status.health.notes {
        let _ = writeln!(text, "  - {}", OneLine(note));
    }
    let reload = status.configuration.last_reload.as_ref();
    if reload.is_some_and(|last| !matches!(last.result, Reloaded::Done { .. })) {
        text.push_str("  - the last reload failed, see below; the configuration from before is in force\n");
    }
    if !status.rules.firing.is_empty() {
        let _ = writeln!(text, "  - alerts that fire: {}", status.rules.firing.len());
    }
    if agent.turned_away > 0 {
        let _ = writeln!(text, "  - {} requests to the API were turned away", agent.turned_away);
    }
}

fn configuration(text: &mut String, configuration: &Configuration) {
    let _ =
        writeln!(text, "\nConfiguration\n  {} since {}", configuration.file.display(), configuration.since);
    let Some(last) = &configuration.last_reload else { return };
    match &last.result {
        Reloaded::Done { changed, .. } if changed.is_empty() => {
            let _ = writeln!(text, "  reloaded at {}; nothing had changed", last.at);
        }
        Reloaded::Done { changed, .. } => {
            let _ = writeln!(text, "  reloaded at {}; changed: {}", last.at, changed.join(", "));
        }
        Reloaded::Errors { problems } => {
            let _ = writeln!(text, "  THE RELOAD AT {} FAILED; what stood before is in force:", last.at);
            for line in problems.lines().filter(|line| !line.is_empty()) {
                let _ = writeln!(text, "    {}", OneLine(line));
            }
        }
        Reloaded::Failed { error } => {
            let _ = writeln!(text, "  THE RELOAD AT {} FAILED; what stood before is in force:", last.at);
            let _ = writeln!(text, "    {}", OneLine(error));
        }
    }
}

fn received(text: &mut String, receiver: &Receiver) {
    if receiver.listeners.is_empty() {
        text.push_str("\nReceived\n  nothing: no listener is configured\n");
        return;
    }
    text.push_str("\nReceived\n");
    let mut rows = vec![["listener", "requests", "items", "bytes", "refused"].map(str::to_owned)];
    for listener in &receiver.listeners {
        let refused: u64 = listener.refused.values().sum();
        let name = OneLine(&listener.name).to_string();
        let [accepted, items, refused] =
            [listener.accepted, listener.items, refused].map(|number| number.to_string());
        rows.push([name, accepted, items, bytes(listener.bytes), refused]);
    }
    table(text, 1, &rows);
    for listener in &receiver.listeners {
        let name = OneLine(&listener.name);
        for (reason, requests) in &listener.refused {
            let _ = writeln!(text, "  {name}: requests refused: {requests} ({})", reason.replace('_', " "));
        }
        if listener.rejected_items > 0 {
            let _ = writeln!(
                text,
                "  {name}: {} items of accepted requests were rejected",
                listener.rejected_items
            );
        }
        if listener.failed_handshakes > 0 {
            let _ = writeln!(text, "  {name}: TLS handshakes failed: {}", listener.failed_handshakes);
        }
    }
    let in_flight = bytes(receiver.in_flight_bytes as u64);
    let _ = writeln!(text, "  open connections: {}, in hand: {in_flight}", receiver.connections);
}

fn destinations(text: &mut String, destinations: &[Destination]) {
    if destinations.is_empty() {
        text.push_str("\nOwed to nobody: no destination is configured\n");
        return;
    }
    text.push_str("\nOwed\n");
    let mut rows = vec![
        ["destination", "signal", "accepted", "delivered", "waiting", "dead letters", "lost"]
            .map(str::to_owned),
    ];
    for destination in destinations {
        for (signal, owed) in &destination.signals {
            let lost: u64 = owed.lost.values().sum();
            let numbers = [owed.accepted, owed.delivered, owed.queued, owed.dead_lettered, lost];
            let [accepted, delivered, queued, dead, lost] = numbers.map(|number| number.to_string());
            let name = OneLine(&destination.name).to_string();
            rows.push([name, signal.clone(), accepted, delivered, queued, dead, lost]);
        }
    }
    table(text, 2, &rows);
    for destination in destinations {
        let name = OneLine(&destination.name);
        let _ = writeln!(text, "  {name}: {} wait", bytes(destination.queued_bytes));
        if destination.failed_attempts > 0 {
            let why = destination.last_error.as_deref().unwrap_or("unknown");
            let since = destination.failing_since.as_ref().map(|since| format!(" since {since}"));
            let (attempts, since) = (destination.failed_attempts, since.unwrap_or_default());
            let _ =
                writeln!(text, "  {name}: failed attempts: {attempts}{since}; the last: {}", OneLine(why));
        }
        for (signal, owed) in &destination.signals {
            losses(text, &format!("{name}: {signal}"), owed);
        }
    }
}

fn losses(text: &mut String, whose: &str, owed: &Owed) {
    if let Some(oldest) = &owed.oldest {
        let _ = writeln!(text, "  {whose}: the oldest has waited since {oldest}");
    }
    if owed.delivered_by_others > 0 {
        let _ =
            writeln!(text, "  {whose}: {} went to a destination that stands in", owed.delivered_by_others);
    }
    if owed.dead_lettered > 0 {
        let _ = writeln!(
            text,
            "  {whose}: {} were refused for good (hostmend queue inspect says why, hostmend queue replay sends them again)",
            owed.dead_lettered
        );
    }
    for (reason, items) in &owed.lost {
        let _ = writeln!(text, "  {whose}: {items} LOST: {}", meaning(reason));
    }
    if owed.not_durable > 0 {
        let _ = writeln!(text, "  {whose}: {} went from memory, because no disk took them", owed.not_durable);
    }
}

/// What a reason of a loss means to a person.
fn meaning(reason: &str) -> &str {
    match reason {
        "refused" => "the destination did not want them",
        "dead_letters" => "they were refused for good, and newer dead letters needed the room",
        "bytes" => "newer ones needed the room (queue.max_bytes)",
        "age" => "they had waited too long (queue.max_age)",
        "disk" => "others needed the room on the disk (queue.min_free_bytes)",
        "damaged" => "what is on disk cannot be read (hostmend queue fsck)",
        "queue_full" => "no disk took them, and newer ones needed the memory",
        "shutdown" => "no disk took them, and the agent stopped",
        other => other,
    }
}

fn collecting(text: &mut String, collecting: &Collecting) {
    let (cpu, memory) = (collecting.cpu * 100.0, bytes(collecting.memory_bytes));
    if collecting.memory_bytes > 0 {
        let _ = writeln!(text, "\nTaken by the agent\n  {cpu:.2} % of a CPU, {memory} of memory");
    }
    if collecting.stretch > 1 {
        let stretch = collecting.stretch;
        let _ = writeln!(
            text,
            "  INTERVALS ARE {stretch} TIMES AS LONG as configured, to keep within collect.budget"
        );
    }
    if !collecting.lacking.is_empty() {
        text.push_str("\nNot seen\n");
        for lack in &collecting.lacking {
            let _ = writeln!(text, "  {}; would help: {}", OneLine(&lack.what), OneLine(&lack.remedy));
        }
    }
}

/// Rows under each other, the first `names` columns to the left and the numbers to the right.
pub(crate) fn table<const COLUMNS: usize>(text: &mut String, names: usize, rows: &[[String; COLUMNS]]) {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ =
                if at < names { write!(text, "  {cell:width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.push('\n');
    }
}

fn duration(seconds: u64) -> String {
    format_duration(Duration::from_secs(seconds))
}

/// A size for people.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(change: &serde_json::Value) -> Status {
        let mut status = serde_json::json!({
            "agent": { "version": "1.2.3", "process": 7, "started": "2026-11-21T03:00:00.000Z", "uptime_seconds": 5400,
                       "state_directory": "/var/lib/hostmend", "turned_away": 0 },
            "health": { "healthy": true, "reasons": [], "notes": [] },
            "configuration": { "file": "/etc/hostmend/hostmend.yaml", "since": "2026-11-21T03:00:00.000Z", "reloads": 0,
                               "failed_reloads": 0, "last_reload": null },
            "receiver": { "connections": 3, "in_flight_bytes": 0, "listeners": [{ "name": "apps", "accepted": 9, "items": 900,
                "bytes": 2_048, "rejected_items": 0, "failed_handshakes": 0, "refused": { "rate_limited": 4 } }] },
            "destinations": [{ "name": "away", "queued_bytes": 3_145_728, "failed_attempts": 2, "last_error": "refused",
                "failing_since": "2026-11-21T02:00:00.000Z", "signals": {
                "metrics": { "accepted": 100, "delivered": 60, "queued": 30, "dead_lettered": 3, "lost": { "age": 7 },
                             "not_durable": 0, "delivered_by_others": 4, "oldest": "2026-11-21T02:00:00.000Z" }
            } }],
            "collecting": { "stretch": 1, "cpu": 0.0, "memory_bytes": 0, "lacking": [] },
            "series": { "kept": 1_500, "at_most": 20_000, "retention_seconds": 7_200, "evicted": 0, "rejected": {} },
            "rules": { "groups": 1, "total": 2, "missed_rounds": 0, "firing": [] },
        });
        for (key, value) in change.as_object().unwrap() {
            status[key] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn what_is_owed_and_what_was_lost_can_be_read_without_the_manual() {
        let page = page(&status(&serde_json::json!({})));
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = page.lines().map(squeezed).collect();
        for line in [
            "hostmend 1.2.3 works. Up 1h30m, process 7.",
            "away metrics 100 60 30 3 7",
            "apps 9 900 2.0 KiB 4",
            "apps: requests refused: 4 (rate limited)",
            "away: 3.0 MiB wait",
            "away: failed attempts: 2 since 2026-11-21T02:00:00.000Z; the last: refused",
            "away: metrics: the oldest has waited since 2026-11-21T02:00:00.000Z",
            "away: metrics: 4 went to a destination that stands in",
            "away: metrics: 3 were refused for good (hostmend queue inspect says why, hostmend queue replay sends them again)",
            "away: metrics: 7 LOST: they had waited too long (queue.max_age)",
            "1500 of 20000 at most, for 2h",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_reload_that_failed_is_shown_with_its_problems() {
        let configuration = serde_json::json!({
            "file": "/etc/hostmend/hostmend.yaml", "since": "2026-11-21T03:00:00.000Z", "reloads": 1, "failed_reloads": 1,
            "last_reload": { "at": "2026-11-21T04:00:00.000Z", "result": "errors", "problems": "error: not a duration\n --> x.yaml:1:2\n" },
        });
        let page = page(&status(&serde_json::json!({ "configuration": configuration })));
        assert!(page.contains("process 7.\n  - the last reload failed, see below"), "{page}");
        assert!(page.contains("RELOAD AT 2026-11-21T04:00:00.000Z FAILED"), "{page}");
        assert!(page.contains("    error: not a duration\n     --> x.yaml:1:2\n"), "{page}");
    }

    #[test]
    fn what_cannot_be_seen_or_afforded_is_shown() {
        assert!(!page(&status(&serde_json::json!({}))).contains("Not seen"));
        let lacking = serde_json::json!([{ "what": "I/O of others' processes", "remedy": "CAP_SYS_PTRACE" }]);
        let collecting = serde_json::json!({ "stretch": 4, "cpu": 0.0175, "memory_bytes": 16_777_216, "lacking": lacking });
        let page = page(&status(&serde_json::json!({ "collecting": collecting })));
        assert!(
            page.contains("\n  1.75 % of a CPU, 16.0 MiB of memory\n  INTERVALS ARE 4 TIMES AS LONG"),
            "{page}"
        );
        assert!(
            page.contains("\nNot seen\n  I/O of others' processes; would help: CAP_SYS_PTRACE\n"),
            "{page}"
        );
    }

    #[test]
    fn what_is_not_well_stands_first() {
        let health =
            serde_json::json!({ "healthy": false, "reasons": ["rules hangs"], "notes": ["b\nforged"] });
        let page = page(&status(&serde_json::json!({ "health": health })));
        assert!(
            page.starts_with(
                "hostmend 1.2.3 IS NOT WELL. Up 1h30m, process 7.\n  ! rules hangs\n  - b\\nforged\n"
            ),
            "{page}"
        );
    }
}
