//! `hostmend queue`: a look into the queues on disk, also while the agent uses them. Nothing is changed.

use std::fmt::Write as _;
use std::io::{BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use queue::{Entry, Inspection, LossReason, Lost, PositionSummary, SegmentCheck, Totals};
use serde_json::json;
use telemetry::{Signal, Timestamp};

use crate::agent::{QUEUE, default_directory};
use crate::cli::{QueueArgs, QueueLook};
use crate::config;
use crate::exit::Exit;
use crate::print;

pub(crate) fn run(args: &QueueArgs) -> anyhow::Result<Exit> {
    let Some(directory) = directory(args)? else { return Ok(Exit::Errors) };
    let queues: Vec<(Signal, PathBuf)> = Signal::ALL
        .into_iter()
        .map(|signal| (signal, directory.join(signal.as_str())))
        .filter(|(_, queue)| queue.is_dir())
        .collect();
    if queues.is_empty() {
        bail!(
            "no telemetry waits in {}, or this user may not look; name the directory that holds metrics, traces and logs",
            directory.display()
        );
    }
    match args.look {
        QueueLook::Inspect => inspect(&queues),
        QueueLook::Fsck => fsck(&queues),
        QueueLook::Export => export(&queues),
    }
}

/// The directory with a queue for each signal. `None` when the configuration, which was to name it, has errors.
fn directory(args: &QueueArgs) -> anyhow::Result<Option<PathBuf>> {
    if let Some(directory) = &args.directory {
        return Ok(Some(directory.clone()));
    }
    let Some(config) = config::load_or_report(&args.config)? else { return Ok(None) };
    let state = config.state_directory.map_or_else(default_directory, Ok)?;
    Ok(Some(state.join(QUEUE)))
}

fn inspect(queues: &[(Signal, PathBuf)]) -> anyhow::Result<Exit> {
    for (signal, directory) in queues {
        print::out(&described(*signal, &queue::inspect(directory)?))?;
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

fn amount(signal: Signal, totals: Totals) -> String {
    format!("{} {} in {} records", totals.items, signal.items(), totals.records)
}

fn fsck(queues: &[(Signal, PathBuf)]) -> anyhow::Result<Exit> {
    let mut is_whole = true;
    for (signal, directory) in queues {
        let checks = queue::fsck(directory)?;
        let good: Totals = checks.iter().map(|check| check.good).sum();
        let damaged: Vec<&SegmentCheck> = checks.iter().filter(|check| !check.is_whole()).collect();
        print::out(&format!(
            "{signal}: {} segments, {} can be read; {} damaged\n",
            checks.len(),
            amount(*signal, good),
            damaged.len()
        ))?;
        for check in damaged {
            is_whole = false;
            print::out(&complaint(*signal, check))?;
        }
    }
    Ok(if is_whole { Exit::Done } else { Exit::Errors })
}

fn complaint(signal: Signal, check: &SegmentCheck) -> String {
    let found = [
        (check.missing.records > 0).then(|| format!("{} are missing", amount(signal, check.missing))),
        (check.damaged_payloads > 0).then(|| format!("{} records are damaged", check.damaged_payloads)),
        (check.unrecognised_bytes > 0).then(|| format!("{} bytes are no record", check.unrecognised_bytes)),
        (check.torn_bytes > 0)
            .then(|| format!("{} bytes at the end are half a record, or being written", check.torn_bytes)),
        check.complaint.clone(),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    format!("  {}: {}\n", check.file, found.join("; "))
}

/// One JSON object per record, its payload as it would be sent: an OTLP `Export*ServiceRequest`, in base64.
fn export(queues: &[(Signal, PathBuf)]) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for (signal, directory) in queues {
        if let Err(error) = export_one(*signal, directory, &mut out)?.and_then(|()| out.flush()) {
            // A reader that has seen enough (`| head`) is no error.
            return if error.kind() == ErrorKind::BrokenPipe { Ok(Exit::Done) } else { Err(error.into()) };
        }
    }
    Ok(Exit::Done)
}

fn export_one(signal: Signal, directory: &Path, out: &mut impl Write) -> anyhow::Result<std::io::Result<()>> {
    let mut written = Ok(());
    queue::export(directory, |seq, entry: Entry| {
        let line = json!({
            "signal": signal.as_str(),
            "record": seq,
            "received": Timestamp::from_nanos(entry.received).to_string(),
            "items": entry.items,
            "request": STANDARD.encode(&entry.payload),
        });
        written = writeln!(out, "{line}");
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(written)
}
