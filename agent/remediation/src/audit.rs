//! Reads the run journal beside the agent that writes it: what was done, and whether anybody has changed the record.
//!
//! Knows the files and nothing of the agent, so it works when the agent does not. What is being written just now is a
//! line without an end, which is left out. The chain shows that lines were changed, taken out or put in; whoever can
//! write all of the files can make a whole new chain, and only a hash that was kept elsewhere shows that.

use std::path::{Path, PathBuf};

use telemetry::{RunEvent, RunId, RunStep, Timestamp};

use crate::ledger::{Hash, Line, follows, list, opened, read, read_bytes};

/// How often the files are listed anew because one went while they were read.
const ATTEMPTS: u32 = 3;

/// A run journal whose lines hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub segments: usize,
    /// Events in them.
    pub events: u64,
    /// Events before them, which are no longer kept.
    pub events_gone: u64,
    /// When the first and the last event that is kept happened.
    pub between: Option<(Timestamp, Timestamp)>,
    /// The hash of the last line.
    pub head: Hash,
    /// Whether a last line is without an end: cut short by a crash, or being written.
    pub unfinished: bool,
}

/// A run journal that cannot be vouched for.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its files cannot be read.
    #[error("reading the run journal in {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is none.
    #[error("there is no run journal in {}; name the state directory of the agent", path.display())]
    Missing {
        /// The state directory.
        path: PathBuf,
    },
    /// Its lines do not hang together.
    #[error("{} line {line}: {why}", file.display())]
    Broken {
        /// The file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The lines hang together, and a hash that was seen earlier is not among them.
    #[error(
        "no line has the hash {hash}: the journal was written anew since that hash was seen, or was cut short{}",
        if *events_gone > 0 { format!(", or it is of one of the {events_gone} events that are no longer kept") } else { String::new() }
    )]
    Unknown {
        /// The hash.
        hash: Hash,
        /// Events that are no longer kept.
        events_gone: u64,
    },
}

/// Checks the run journal of a state directory, and that each of the hashes `expected` is one of its lines'.
///
/// # Errors
///
/// See [`AuditError`]; of several breaks the first.
pub fn verify(state: &Path, expected: &[Hash]) -> Result<Verified, AuditError> {
    let failed = |source| AuditError::Read { path: state.to_owned(), source };
    let mut attempts = ATTEMPTS;
    loop {
        let there = list(state).map_err(failed)?;
        let checked = check(state, &there, expected);
        attempts -= 1;
        // The agent may have let go of the oldest meanwhile.
        if checked.is_ok() || attempts == 0 || list(state).map_err(failed)?.first() == there.first() {
            return checked;
        }
    }
}

fn check(state: &Path, there: &[(u64, PathBuf)], expected: &[Hash]) -> Result<Verified, AuditError> {
    let Some((first_number, _)) = there.first() else {
        return Err(AuditError::Missing { path: state.to_owned() });
    };
    let mut chain = Chain::default();
    let mut missing: Vec<&Hash> = expected.iter().collect();
    for (number, (found, path)) in (*first_number..).zip(there) {
        let broken = |line, why| AuditError::Broken { file: path.clone(), line, why };
        if *found != number {
            return Err(broken(1, format!("the segment before it, {number:06}.jsonl, is missing")));
        }
        let bytes = read_bytes(path).map_err(|source| AuditError::Read { path: path.clone(), source })?;
        let last_segment = there.last().is_some_and(|(last, _)| last == found);
        for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Some(line) = line.strip_suffix(b"\n") else {
                chain.unfinished = true;
                if last_segment {
                    break;
                }
                return Err(broken(at + 1, "the line has no end".to_owned()));
            };
            let text = str::from_utf8(line).map_err(|_| "the line is no text".to_owned());
            text.and_then(|text| chain.take(number, at, text)).map_err(|why| broken(at + 1, why))?;
            missing.retain(|hash| Some(*hash) != chain.last.as_ref());
        }
        if chain.segment != Some(number) {
            return Err(broken(1, "the file is empty, or was removed".to_owned()));
        }
    }
    if let Some(hash) = missing.first() {
        return Err(AuditError::Unknown { hash: (*hash).clone(), events_gone: chain.gone });
    }
    Ok(Verified {
        segments: there.len(),
        events: chain.events - chain.gone,
        events_gone: chain.gone,
        between: chain.between,
        head: chain.last.unwrap_or_else(Hash::none),
        unfinished: chain.unfinished,
    })
}

/// How far the check has come.
#[derive(Default)]
struct Chain {
    last: Option<Hash>,
    segment: Option<u64>,
    events: u64,
    gone: u64,
    between: Option<(Timestamp, Timestamp)>,
    unfinished: bool,
}

impl Chain {
    fn take(&mut self, segment: u64, at: usize, text: &str) -> Result<(), String> {
        let (body, hash) = opened(text).ok_or("the line does not end with a hash")?;
        match Line::parse(&body).ok_or("the line is neither a run's event nor the head of a segment")? {
            Line::Head(head) => {
                if at != 0 || head.segment != segment {
                    return Err(format!("the head of segment {} stands here", head.segment));
                }
                let before = Hash::parse(&head.before).ok_or("the head names no hash before it")?;
                if self.last.get_or_insert_with(|| before.clone()) != &before {
                    return Err("the head does not follow the segment before it".to_owned());
                }
                if self.segment.is_none() {
                    (self.events, self.gone) = (head.events_before, head.events_before);
                } else if head.events_before != self.events {
                    let (counted, said) = (self.events, head.events_before);
                    return Err(format!("{counted} events stand before it, and it says {said}"));
                }
                self.segment = Some(segment);
            }
            Line::Event(_) if at == 0 => return Err("the segment has no head".to_owned()),
            Line::Event(event) => {
                self.events += 1;
                self.between = Some((self.between.map_or(event.at, |(first, _)| first), event.at));
            }
        }
        let before = self.last.as_ref().ok_or("nothing stands before the line")?;
        if !follows(before, &body, &hash) {
            return Err("its hash does not follow from the line and the one before it: one of them was \
                        changed, taken out or put in"
                .to_owned());
        }
        self.last = Some(hash);
        Ok(())
    }
}

/// The events of one run, in their order, as far as they are kept.
///
/// # Errors
///
/// The files cannot be read.
pub fn events_of(state: &Path, run: &RunId) -> std::io::Result<Vec<RunEvent>> {
    let mut events = Vec::new();
    backwards(state, |event| {
        if event.run == *run {
            let first = matches!(event.step, RunStep::Matched { .. });
            events.push(event);
            return !first;
        }
        true
    })?;
    events.reverse();
    Ok(events)
}

/// The newest runs of which `wanted` holds, given their events, `at_most` of them, the newest first.
///
/// # Errors
///
/// The files cannot be read.
pub fn runs(
    state: &Path,
    at_most: usize,
    wanted: impl Fn(&[RunEvent]) -> bool,
) -> std::io::Result<Vec<Vec<RunEvent>>> {
    let mut begun: std::collections::HashMap<RunId, Vec<RunEvent>> = std::collections::HashMap::new();
    let mut found = Vec::new();
    if at_most == 0 {
        return Ok(found);
    }
    backwards(state, |event| {
        let first = matches!(event.step, RunStep::Matched { .. });
        let run = event.run.clone();
        let events = begun.entry(run.clone()).or_default();
        events.push(event);
        if first && let Some(mut events) = begun.remove(&run) {
            events.reverse();
            if wanted(&events) {
                found.push(events);
            }
        }
        found.len() < at_most
    })?;
    Ok(found)
}

/// Shows every event that can be read, the newest first, until `each` has seen enough.
fn backwards(state: &Path, mut each: impl FnMut(RunEvent) -> bool) -> std::io::Result<()> {
    for (_, path) in list(state)?.into_iter().rev() {
        let text = read(&path)?;
        let whole = text.rfind('\n').map_or("", |at| text.split_at(at).0);
        for line in whole.lines().rev() {
            let Some((body, _)) = opened(line) else { continue };
            if let Some(Line::Event(event)) = Line::parse(&body)
                && !each(*event)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
