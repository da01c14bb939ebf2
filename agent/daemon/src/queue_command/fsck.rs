//! Reads everything, and says what is damaged.

use std::fmt::Write as _;
use std::path::Path;

use queue::{SegmentCheck, Totals};
use serde_json::{Value, json};
use telemetry::Signal;

use super::{Queues, amount, amount_as_json};
use crate::exit::Exit;
use crate::print;

pub(super) fn run(queues: &Queues, as_json: bool) -> anyhow::Result<Exit> {
    let waiting = queues.waiting.iter().map(|(signal, directory)| (*signal, None, directory.as_path()));
    let dead = queues.dead.iter().map(|queue| {
        let directory: &Path = &queue.directory;
        (queue.signal, Some(queue.destination.as_str()), directory)
    });
    let mut is_whole = true;
    let mut all = Vec::new();
    for (signal, dead_letters_of, directory) in waiting.chain(dead) {
        let checks = queue::fsck(directory)?;
        is_whole &= checks.iter().all(SegmentCheck::is_whole);
        if as_json {
            all.push(json_of(signal, dead_letters_of, &checks));
        } else {
            print::out(&described(signal, dead_letters_of, &checks))?;
        }
    }
    if as_json {
        print::out(&format!("{}\n", json!({ "whole": is_whole, "queues": all })))?;
    }
    Ok(if is_whole { Exit::Done } else { Exit::Errors })
}

fn good(checks: &[SegmentCheck]) -> Totals {
    checks.iter().map(|check| check.good).sum()
}

fn described(signal: Signal, dead_letters_of: Option<&str>, checks: &[SegmentCheck]) -> String {
    let damaged: Vec<&SegmentCheck> = checks.iter().filter(|check| !check.is_whole()).collect();
    let whose = dead_letters_of.map_or_else(String::new, |name| format!(", dead letters of {name}"));
    let mut text = format!(
        "{signal}{whose}: {} segments, {} can be read; {} damaged\n",
        checks.len(),
        amount(signal, good(checks)),
        damaged.len()
    );
    for check in damaged {
        let _ = writeln!(text, "  {}: {}", check.file, complaints(signal, check).join("; "));
    }
    text
}

fn complaints(signal: Signal, check: &SegmentCheck) -> Vec<String> {
    let found = [
        (check.missing.records > 0).then(|| format!("{} are missing", amount(signal, check.missing))),
        (check.damaged_payloads > 0).then(|| format!("{} records are damaged", check.damaged_payloads)),
        (check.unrecognised_bytes > 0).then(|| format!("{} bytes are no record", check.unrecognised_bytes)),
        (check.torn_bytes > 0)
            .then(|| format!("{} bytes at the end are half a record, or being written", check.torn_bytes)),
        check.complaint.clone(),
    ];
    found.into_iter().flatten().collect()
}

fn json_of(signal: Signal, dead_letters_of: Option<&str>, checks: &[SegmentCheck]) -> Value {
    let damaged: Vec<Value> = checks
        .iter()
        .filter(|check| !check.is_whole())
        .map(|check| {
            json!({
                "file": check.file,
                "missing": amount_as_json(check.missing),
                "damaged_records": check.damaged_payloads,
                "unrecognised_bytes": check.unrecognised_bytes,
                "torn_bytes": check.torn_bytes,
                "complaint": check.complaint,
            })
        })
        .collect();
    json!({
        "signal": signal.as_str(),
        "dead_letters_of": dead_letters_of,
        "segments": checks.len(),
        "good": amount_as_json(good(checks)),
        "damaged": damaged,
    })
}
