//! Takes over `runs.jsonl`, in which earlier versions kept the run journal.
//!
//! Its events become the first segment, in one step: a crash before it leaves the old file, a crash after it both, and
//! then the old one is only removed.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use telemetry::RunEvent;

use super::chain::Hash;
use super::segments::{self, Head};
use crate::history::History;

const OLD_NAME: &str = "runs.jsonl";

/// Begins the first segment with the events of the old file, if there is one. Says how many of its lines are no events.
pub(super) fn begin_first(state: &Path) -> std::io::Result<u64> {
    let text = match OpenOptions::new().read(true).open(state.join(OLD_NAME)) {
        Ok(mut file) => segments::read_tail(&mut file)?,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let lines = text.lines().count();
    let events: Vec<RunEvent> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let head = Head {
        segment: 1,
        at: None,
        before: Hash::none().as_str().to_owned(),
        events_before: 0,
        history: History::default(),
    };
    segments::begin(state, &head, &events)?;
    File::open(state)?.sync_all()?;
    Ok((lines - events.len()) as u64)
}

/// Removes the old file, which has been taken over.
pub(super) fn clear(state: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(state.join(OLD_NAME)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
