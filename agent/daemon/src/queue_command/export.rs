//! One JSON object per record, its payload as it would be sent: an OTLP `Export*ServiceRequest`, in base64. Dead letters
//! come last, each with the destination that refused it and why.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otlp::{DeadLetter, DeadLetterQueue};
use queue::Entry;
use serde_json::{Value, json};
use telemetry::{Signal, Timestamp};

use super::Queues;
use crate::exit::Exit;

pub(super) fn run(queues: &Queues) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = all(queues, &mut out)?.and_then(|()| out.flush());
    match written {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(Exit::Done),
    }
}

fn all(queues: &Queues, out: &mut impl Write) -> anyhow::Result<io::Result<()>> {
    for (signal, directory) in &queues.waiting {
        let written = each(directory, 0, out, |seq, entry| waiting(*signal, seq, entry))?;
        if written.is_err() {
            return Ok(written);
        }
    }
    for queue in &queues.dead {
        let from = DeadLetterQueue::oldest_kept(&queue::inspect(&queue.directory)?);
        let written = each(&queue.directory, from, out, |seq, entry| dead(queue, seq, entry))?;
        if written.is_err() {
            return Ok(written);
        }
    }
    Ok(Ok(()))
}

/// Writes a line for each record from the sequence number `from` on.
fn each(
    directory: &Path,
    from: u64,
    out: &mut impl Write,
    line: impl Fn(u64, &Entry) -> Value,
) -> anyhow::Result<io::Result<()>> {
    let mut written = Ok(());
    queue::export(directory, |seq, entry: Entry| {
        if seq >= from {
            written = writeln!(out, "{}", line(seq, &entry));
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(written)
}

fn waiting(signal: Signal, seq: u64, entry: &Entry) -> Value {
    json!({
        "signal": signal.as_str(),
        "record": seq,
        "received": Timestamp::from_nanos(entry.received).to_string(),
        "items": entry.items,
        "request": STANDARD.encode(&entry.payload),
    })
}

fn dead(queue: &DeadLetterQueue, seq: u64, entry: &Entry) -> Value {
    let letter = DeadLetter::read(&entry.payload);
    json!({
        "signal": queue.signal.as_str(),
        "refused_by": queue.destination,
        "reason": letter.as_ref().map(|letter| &letter.reason),
        "record": seq,
        "received": Timestamp::from_nanos(entry.received).to_string(),
        "items": entry.items,
        "request": STANDARD.encode(letter.as_ref().map_or(&entry.payload, |letter| &letter.request)),
    })
}
