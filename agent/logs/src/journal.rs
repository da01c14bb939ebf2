//! Follows systemd's journal.
//!
//! The files are read as they lie there, without libsystemd and without `journalctl`: see
//! `docs/decisions/native-journal.md`. [`JournalReader`] reads entries of several files in their order; [`JournalSource`]
//! chooses among them, makes records of them by one table, [`JOURNAL_FIELDS`], and remembers the place.

mod copies;
mod entry;
mod file;
mod groups;
mod layout;
mod mapping;
mod place;
mod reader;
mod sequence;
mod unpack;
mod watch;
mod windows;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use glob::Pattern;
use serde::{Deserialize, Serialize};
use telemetry::{LogBuffer, Timestamp};

use crate::kernel::{self, OomSummary};
use crate::{LogSource, LogSourceError, Positions, Ready, SourceFigures, StartAt};

pub use layout::Id128;
pub use mapping::{JOURNAL_FIELDS, JournalField, JournalTarget};
pub use place::JournalPlace;
pub use reader::{JournalEntry, JournalReader};

pub(crate) use mapping::SEVERITIES;

use groups::Groups;
use mapping::Facts;
use reader::Remembered;
use watch::Watch;

/// How often it looks for what nobody told it of.
const SWEEP: Duration = Duration::from_secs(5);

/// How soon it looks again at what was not complete.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How soon it looks again after there were entries. journald tells of what it wrote twice a second, and under load it does
/// not come to it for seconds.
const WHILE_FLOWING: Duration = Duration::from_millis(100);

/// Entries that are looked at in one call, also when none of them is wanted: about a tenth of a second.
const MAX_ENTRIES: usize = 20_000;

/// Which entries of which journals.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The source's name in the configuration.
    pub name: Arc<str>,
    /// Directories that hold journal files, such as `/var/log/journal/MACHINE-ID`. One that is not there may come.
    pub directories: Vec<PathBuf>,
    /// Globs over units of which one must match; none is all entries, also those of no unit.
    pub units: Vec<String>,
    /// Globs over units whose entries are left out.
    pub exclude_units: Vec<String>,
    /// Entries whose `PRIORITY` is a larger number, 0 to 7, are left out; those without one are not.
    pub priority: u8,
    /// Where the very first start begins.
    pub start: StartAt,
    /// The longest value of a field that is kept whole, in bytes.
    pub max_field_bytes: usize,
}

/// Which entries are wanted.
#[derive(Debug)]
struct Choice {
    units: Vec<Pattern>,
    exclude_units: Vec<Pattern>,
    priority: u8,
}

impl Choice {
    fn new(options: &JournalOptions) -> Result<Self, LogSourceError> {
        Ok(Self {
            units: patterns(&options.units)?,
            exclude_units: patterns(&options.exclude_units)?,
            priority: options.priority,
        })
    }

    fn wants(&self, facts: &Facts<'_>) -> bool {
        let is_of = |patterns: &[Pattern]| {
            let mut units = facts.units().filter_map(|unit| std::str::from_utf8(unit).ok());
            !patterns.is_empty() && units.any(|unit| patterns.iter().any(|pattern| pattern.matches(unit)))
        };
        facts.priority.is_none_or(|priority| priority <= self.priority)
            && (self.units.is_empty() || is_of(&self.units))
            && !is_of(&self.exclude_units)
    }
}

fn patterns(globs: &[String]) -> Result<Vec<Pattern>, LogSourceError> {
    let compiled = globs.iter().map(|glob| {
        Pattern::new(glob).map_err(|error| LogSourceError::Damaged {
            path: PathBuf::from(glob),
            reason: format!("{} is no pattern of units: {}", error.pos, error.msg),
        })
    });
    compiled.collect()
}

/// What is remembered of a journal, beside the places in its files.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Overall {
    last: JournalPlace,
    sequences: Vec<(String, u64)>,
}

/// Follows the journals of some directories as one.
#[derive(Debug)]
pub struct JournalSource {
    name: Arc<str>,
    choice: Choice,
    reader: JournalReader,
    watch: Watch,
    groups: Groups,
    /// What the kernel said last of a kill to come.
    oom: Option<OomSummary>,
    figures: SourceFigures,
    /// When the directories were looked at last.
    swept: Option<Timestamp>,
    /// The last call ended before all was read, or with a problem.
    is_interrupted: bool,
    /// The last call found entries.
    is_flowing: bool,
}

impl JournalSource {
    /// Goes on after what `positions` remember of it.
    ///
    /// # Errors
    ///
    /// A glob cannot be read, or the kernel gives no inotify descriptor.
    pub fn open(options: JournalOptions, positions: &Positions) -> Result<Self, LogSourceError> {
        let choice = Choice::new(&options)?;
        let JournalOptions { name, directories, start, max_field_bytes, .. } = options;
        let watch = Watch::new(directories.clone()).map_err(|source| LogSourceError::File {
            operation: "watching",
            path: directories.first().cloned().unwrap_or_default(),
            source,
        })?;
        let remembered = recall(&name, positions);
        Ok(Self {
            choice,
            reader: JournalReader::resume(directories, start, max_field_bytes, remembered),
            watch,
            groups: Groups::new(Arc::clone(&name)),
            oom: None,
            figures: SourceFigures::default(),
            swept: None,
            is_interrupted: false,
            is_flowing: false,
            name,
        })
    }

    /// Looks what there is, unless the last call did not get through it.
    fn look(&mut self, now: Timestamp) {
        let changes = self.watch.take();
        // A clock that was set back does not stop the sweep.
        let is_due = self.swept.is_none_or(|swept| now < swept || now.since(swept) >= SWEEP);
        if is_due || changes.files {
            self.watch.look_for_directories();
            self.swept = Some(now);
        }
        if !self.is_interrupted || is_due || changes.files {
            self.reader.refresh(now, is_due || changes.files);
        }
    }

    fn read(&mut self, now: Timestamp, out: &mut LogBuffer, max_bytes: usize) -> Ready {
        self.is_flowing = false;
        for _ in 0..MAX_ENTRIES {
            if out.size_bytes() >= max_bytes {
                return Ready::More;
            }
            let Some(entry) = self.reader.next_entry() else { return Ready::CaughtUp };
            self.is_flowing = true;
            let facts = Facts::of(entry.views());
            self.figures.bytes +=
                entry.fields().map(|(name, value)| (name.len() + value.len() + 1) as u64).sum::<u64>();
            if self.choice.wants(&facts) {
                let group = self.groups.of(&facts);
                let realtime = entry.place().realtime;
                let mut record = mapping::write(&entry.views(), &facts, realtime, now, group, out);
                if let Some(message) = facts.kernel_message() {
                    kernel::tell(message, &mut self.oom, &mut record);
                }
                self.figures.records += 1;
                let defects = self.reader.defects();
                self.figures.truncated += defects.cut;
                self.figures.invalid_utf8 += defects.no_text;
            }
        }
        Ready::More
    }
}

impl LogSource for JournalSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn wakes(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.watch.descriptor()]
    }

    fn next_look(&self, now: Timestamp) -> Option<Duration> {
        if self.is_interrupted {
            return Some(Duration::ZERO);
        }
        let sweep = self.swept.map_or(Duration::ZERO, |swept| SWEEP.saturating_sub(now.since(swept)));
        let soon = match (self.is_flowing, self.reader.waits()) {
            (true, _) => WHILE_FLOWING,
            (_, true) => LOOK_AGAIN,
            _ => SWEEP,
        };
        Some(sweep.min(soon))
    }

    fn read_ready(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError> {
        self.look(now);
        let ready = self.read(now, out, max_bytes);
        let problem = self.reader.take_problem();
        self.is_interrupted = ready == Ready::More || self.reader.has_problem();
        problem.map_or(Ok(ready), Err)
    }

    fn settle(&mut self, positions: &mut Positions) {
        let remembered = self.reader.remembered();
        for (id, place) in &remembered.files {
            positions.set(&key(&self.name, &id.to_string()), place);
        }
        let sequences = remembered.sequences.iter().map(|(id, highest)| (id.to_string(), *highest));
        let overall = Overall { last: remembered.last.unwrap_or_default(), sequences: sequences.collect() };
        positions.set(&key(&self.name, ""), &overall);
        forget(&self.name, &remembered.files, positions);
    }

    fn figures(&self) -> SourceFigures {
        let losses = self.reader.losses();
        let (behind_bytes, files) = self.reader.backlog();
        let lost = vec![
            ("rotated_away", losses.rotated_away),
            ("damaged", losses.damaged),
            ("unreadable_fields", losses.unreadable_fields),
        ];
        SourceFigures { lost, behind_bytes, files, ..self.figures.clone() }
    }
}

/// The key of what is remembered of a file, or with an empty id of the journal as a whole.
fn key(name: &str, id: &str) -> String {
    format!("journal/{name}/{id}")
}

fn recall(name: &str, positions: &Positions) -> Remembered {
    let prefix = key(name, "");
    let files = positions.keys(&prefix).filter_map(|key| {
        let id = Id128::try_from(key.strip_prefix(&prefix)?.to_owned()).ok()?;
        Some((id, positions.get(key)?))
    });
    let overall: Option<Overall> = positions.get(&prefix);
    let sequences = overall.iter().flat_map(|overall| &overall.sequences);
    Remembered {
        files: files.collect(),
        sequences: sequences
            .filter_map(|(id, highest)| Some((Id128::try_from(id.clone()).ok()?, *highest)))
            .collect(),
        last: overall.map(|overall| overall.last),
    }
}

fn forget(name: &str, files: &BTreeMap<Id128, JournalPlace>, positions: &mut Positions) {
    let prefix = key(name, "");
    let is_gone = |key: &&str| {
        let id = key.strip_prefix(&prefix).and_then(|id| Id128::try_from(id.to_owned()).ok());
        id.is_some_and(|id| !files.contains_key(&id))
    };
    let gone: Vec<String> = positions.keys(&prefix).filter(is_gone).map(str::to_owned).collect();
    for key in gone {
        positions.remove(&key);
    }
}

#[cfg(test)]
mod tests;
