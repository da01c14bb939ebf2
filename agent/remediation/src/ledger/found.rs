//! What the segments of the journal say when they are opened, or only looked at: from the last head that can be read on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Hash, LedgerError, Line, follows, list, opened, read, segments};
use crate::history::History;

/// The last segment, open for appending.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) bytes: u64,
    pub(super) head_bytes: u64,
    pub(super) torn: bool,
    pub(super) told: Told,
}

/// What the lines from the last head on say.
#[derive(Default)]
pub(super) struct Told {
    pub(super) last: Option<Hash>,
    pub(super) history: History,
    pub(super) events: u64,
    pub(super) dropped: u64,
}

/// What counts of the runs of a state directory, without opening its journal for appending.
///
/// # Errors
///
/// [`LedgerError::Missing`] and [`LedgerError::Open`].
pub(crate) fn history_of(state: &Path) -> Result<History, LedgerError> {
    let failed = |source| LedgerError::Open { path: state.to_owned(), source };
    let there = list(state).map_err(failed)?;
    let Some((_, last)) = there.last() else { return Err(LedgerError::Missing { path: state.to_owned() }) };
    let mut text = read(last).map_err(failed)?;
    // What is being written, or was cut short.
    text.truncate(text.rfind('\n').map_or(0, |at| at + 1));
    Ok(Told::by(text, &there).map_err(failed)?.history)
}

/// Opens the last segment, and finds out what counts.
pub(super) fn find(there: &[(u64, PathBuf)], last: &Path) -> std::io::Result<Found> {
    let mut file = OpenOptions::new().read(true).append(true).open(last)?;
    let mut text = segments::read_tail(&mut file)?;
    let torn = cut_torn_line(&mut file, &mut text)?;
    let bytes = file.metadata()?.len();
    let head_bytes = text.split_inclusive('\n').next().map_or(0, str::len) as u64;
    Ok(Found { file, bytes, head_bytes, torn, told: Told::by(text, there)? })
}

impl Told {
    /// By the text of the last segment, and those of earlier ones while there is no head.
    fn by(text: String, there: &[(u64, PathBuf)]) -> std::io::Result<Self> {
        let mut texts = vec![text];
        let has_head = |text: &String| {
            let first = text.lines().next().and_then(opened);
            first.is_some_and(|(body, _)| matches!(Line::parse(&body), Some(Line::Head(_))))
        };
        let mut older = there.iter().rev().skip(1);
        while texts.last().is_some_and(|text| !has_head(text))
            && let Some((_, path)) = older.next()
        {
            texts.push(read(path)?);
        }
        let mut told = Self::default();
        let mut headed = false;
        for line in texts.iter().rev().flat_map(|text| text.lines()) {
            headed |= told.take(line, headed);
        }
        Ok(told)
    }

    /// Takes a line into account; says whether it was a head. Only the first head counts: events follow it.
    fn take(&mut self, line: &str, headed: bool) -> bool {
        let Some((body, hash)) = opened(line) else {
            self.dropped += 1;
            return false;
        };
        let parsed = Line::parse(&body);
        let first = !headed && matches!(parsed, Some(Line::Head(_)));
        if !first && !follows(self.last.as_ref().unwrap_or(&Hash::none()), &body, &hash) {
            self.dropped += 1;
        }
        self.last = Some(hash);
        match parsed {
            Some(Line::Head(head)) if !headed => {
                (self.history, self.events) = (head.history, head.events_before);
                return true;
            }
            Some(Line::Head(_)) => return true,
            Some(Line::Event(event)) => {
                self.history.apply(&event);
                self.events += 1;
            }
            None => self.dropped += 1,
        }
        false
    }
}

/// Makes the file end with a whole line, and says whether it did not. `text` is what was read of its end.
fn cut_torn_line(file: &mut File, text: &mut String) -> std::io::Result<bool> {
    // A crash in the middle of a line; what follows the last newline was never promised to anybody.
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let torn = (text.len() - whole) as u64;
    if torn == 0 {
        return Ok(false);
    }
    let length = file.metadata()?.len();
    if whole == 0 && length > torn {
        // Its beginning was not read. It becomes a line of its own, which is no event.
        file.write_all(b"\n")?;
    } else {
        file.set_len(length.saturating_sub(torn))?;
    }
    text.truncate(whole);
    Ok(true)
}
