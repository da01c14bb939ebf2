//! What there is, and how far each destination has come.

use std::fmt::Write as _;

use queue::{Inspection, LossReason, Lost, PositionSummary};
use serde_json::{Value, json};
use telemetry::{Signal, Timestamp};

use super::dead_letters::DeadLetters;
use super::{Queues, amount, amount_as_json};
use crate::exit::Exit;
use crate::print;

pub(super) fn run(queues: &Queues, as_json: bool) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for (signal, directory) in &queues.waiting {
        let found = queue::inspect(directory)?;
        if as_json {
            all.push(json_of(*signal, &found));
        } else {
            print::out(&described(*signal, &found))?;
        }
    }
    let mut dead = Vec::new();
    for queue in &queues.dead {
        let letters = DeadLetters::of(queue)?;
        if as_json {
            dead.push(letters.as_json());
        } else {
            print::out(&letters.described())?;
        }
    }
    if as_json {
        print::out(&format!("{}\n", json!({ "queues": all, "dead_letters": dead })))?;
    }
    Ok(Exit::Done)
}

fn described(signal: Signal, found: &Inspection) -> String {
    let mut text = String::new();
    let bytes: u64 = found.segments.iter().map(|segment| segment.bytes).sum();
    let reserve = found.reserve_bytes.unwrap_or(0);
    let _ =
        writeln!(text, "{signal}: {} segments, {bytes} bytes; reserve {reserve} bytes", found.segments.len());
    for segment in &found.segments {
        let opened = segment
            .opened
            .map_or_else(|| "an unknown time".to_owned(), |at| Timestamp::from_nanos(at).to_string());
        let held = segment.held.map_or_else(String::new, |held| format!(", {}", amount(signal, held)));
        let complaint =
            segment.complaint.as_ref().map_or_else(String::new, |complaint| format!("; {complaint}"));
        let _ = writeln!(text, "  {}: {} bytes, from {opened}{held}{complaint}", segment.file, segment.bytes);
    }
    for position in &found.positions {
        let _ = writeln!(text, "  {}", place(signal, position));
    }
    for file in &found.set_aside {
        let _ = writeln!(text, "  {file}: set aside, since it could not be read");
    }
    for file in &found.orphans {
        let _ = writeln!(text, "  {file}: none of the queue's");
    }
    text
}

fn place(signal: Signal, PositionSummary { cursor, saved }: &PositionSummary) -> String {
    let Some(saved) = saved else {
        return format!(
            "destination {cursor}: its position cannot be read; it would be sent everything again"
        );
    };
    let delivered = amount(signal, saved.delivered);
    format!(
        "destination {cursor}: at record {}, done with {delivered}{}",
        saved.next,
        lost(signal, &saved.lost)
    )
}

fn lost(signal: Signal, lost: &Lost) -> String {
    let mut text = String::new();
    for reason in LossReason::ALL.into_iter().filter(|reason| lost.to(*reason).records > 0) {
        let _ = write!(text, "; lost ({}) {}", reason.as_str(), amount(signal, lost.to(reason)));
    }
    text
}

fn json_of(signal: Signal, found: &Inspection) -> Value {
    let segments: Vec<Value> = found
        .segments
        .iter()
        .map(|segment| {
            json!({
                "file": segment.file,
                "bytes": segment.bytes,
                "first": segment.first,
                "from": segment.opened.map(|at| Timestamp::from_nanos(at).to_string()),
                "held": segment.held.map(amount_as_json),
                "complaint": segment.complaint,
            })
        })
        .collect();
    let destinations: Vec<Value> = found
        .positions
        .iter()
        .map(|PositionSummary { cursor, saved }| {
            let lost = |reason: LossReason| {
                saved.map(|saved| (reason.as_str().to_owned(), amount_as_json(saved.lost.to(reason))))
            };
            json!({
                "destination": cursor,
                "next": saved.map(|saved| saved.next),
                "done": saved.map(|saved| amount_as_json(saved.delivered)),
                "lost": LossReason::ALL.into_iter().filter_map(lost).collect::<serde_json::Map<_, _>>(),
            })
        })
        .collect();
    json!({
        "signal": signal.as_str(),
        "segments": segments,
        "reserve_bytes": found.reserve_bytes,
        "destinations": destinations,
        "set_aside": found.set_aside,
        "orphans": found.orphans,
    })
}
