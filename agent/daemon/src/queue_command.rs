//! `hostmend queue`: a look into the queues on disk, also while the agent uses them, and sending again what was refused.

mod dead_letters;
mod export;
mod fsck;
mod inspect;
mod replay;

use std::path::PathBuf;

use anyhow::bail;
use otlp::DeadLetterQueue;
use queue::Totals;
use telemetry::Signal;

use crate::agent::{QUEUE, default_directory};
use crate::cli::{QueueArgs, QueueLook};
use crate::config;
use crate::exit::Exit;

/// The queues below one directory.
struct Queues {
    /// The directory.
    root: PathBuf,
    waiting: Vec<(Signal, PathBuf)>,
    dead: Vec<DeadLetterQueue>,
}

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
    let dead = DeadLetterQueue::all(&directory)?;
    let queues = Queues { root: directory, waiting: queues, dead };
    match args.look {
        QueueLook::Inspect => inspect::run(&queues, args.json),
        QueueLook::Fsck => fsck::run(&queues, args.json),
        QueueLook::Export => export::run(&queues),
        QueueLook::Replay => replay::run(&queues, args),
    }
}

/// The directory with a queue for each signal. `None` when the configuration, which was to name it, has errors.
fn directory(args: &QueueArgs) -> anyhow::Result<Option<PathBuf>> {
    if let Some(directory) = &args.directory {
        return Ok(Some(directory.clone()));
    }
    // Whoever looks for what was lost is not to mend the configuration first.
    if let Some(state) = config::where_the_agent_listens(&args.config).state_directory {
        return Ok(Some(state.join(QUEUE)));
    }
    let Some(config) = config::load_or_report(&args.config)? else { return Ok(None) };
    let state = config.state_directory.map_or_else(default_directory, Ok)?;
    Ok(Some(state.join(QUEUE)))
}

fn amount(signal: Signal, totals: Totals) -> String {
    format!("{} {} in {} records", totals.items, signal.items(), totals.records)
}

fn amount_as_json(totals: Totals) -> serde_json::Value {
    serde_json::json!({ "records": totals.records, "items": totals.items, "bytes": totals.bytes })
}
