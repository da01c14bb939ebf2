//! Which files there are.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::journal::file::{self, JournalFile};
use crate::journal::layout::Header;
use crate::journal::place::{After, JournalPlace};
use crate::{LogSourceError, StartAt};

use super::JournalReader;
use super::follow::Follow;

/// Files that are held open at once. journald keeps 100 at most, for the system and users each; the oldest come first, and
/// the next one is opened when one has been read.
const MAX_OPEN: usize = 128;

/// Files that are looked at in one directory; more are not, until those are gone.
const MAX_FILES: usize = 4096;

/// Places of files that are gone are forgotten beyond so many.
const MAX_PLACES: usize = 1024;

/// The directories, and what is known of their files.
#[derive(Debug)]
pub(super) struct Directories {
    pub(super) paths: Vec<PathBuf>,
    /// Files that need not be opened until they change, by device and inode: read to their end, or of no use.
    settled: BTreeMap<(u64, u64), i64>,
    numbers: u32,
}

impl Directories {
    pub(super) const fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, settled: BTreeMap::new(), numbers: 0 }
    }
}

struct Candidate {
    path: PathBuf,
    identity: (u64, u64),
    /// When it was changed last, in any way.
    changed: i64,
    file: JournalFile,
}

impl JournalReader {
    pub(super) fn look_for_files(&mut self) {
        self.follows.iter_mut().for_each(|follow| follow.is_there = false);
        let mut candidates = Vec::new();
        let mut settled = BTreeMap::new();
        for directory in self.directories.paths.clone() {
            for path in journals_in(&directory) {
                self.look_at(path, &mut candidates, &mut settled);
            }
        }
        self.directories.settled = settled;
        candidates.sort_by_key(|candidate| candidate.file.header.head_entry_realtime);
        let room = MAX_OPEN.saturating_sub(self.follows.len());
        let is_last_look = candidates.len() <= room;
        for candidate in candidates.into_iter().take(room) {
            self.follow(candidate);
        }
        // Files that come from now on are read whole.
        if is_last_look {
            self.first_start = None;
            self.has_looked = true;
            self.remembered.last.get_or_insert_default();
        }
        self.forget_places();
    }

    fn look_at(
        &mut self,
        path: PathBuf,
        candidates: &mut Vec<Candidate>,
        settled: &mut BTreeMap<(u64, u64), i64>,
    ) {
        let Ok(metadata) = std::fs::symlink_metadata(&path) else { return };
        let identity = (metadata.dev(), metadata.ino());
        if let Some(follow) = self.follows.iter_mut().find(|follow| follow.identity == identity) {
            (follow.is_there, follow.path) = (true, path);
            return;
        }
        let changed = changed(&metadata);
        if self.directories.settled.get(&identity) == Some(&changed) {
            settled.insert(identity, changed);
            return;
        }
        self.directories.numbers = self.directories.numbers.wrapping_add(1);
        let opened = file::open(&path).map(|handle| JournalFile::new(handle, self.directories.numbers));
        match opened {
            Ok(Ok(file)) if self.is_followed_already(&file.header, candidates) => {}
            Ok(Ok(file)) => candidates.push(Candidate { path, identity, changed, file }),
            // journald makes the file before it writes the header.
            Ok(Err(_)) if metadata.len() == 0 => {}
            Ok(Err(reason)) => {
                settled.insert(identity, changed);
                let reason = reason.to_owned();
                self.report_once(identity, LogSourceError::Damaged { path, reason });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => {
                // Where there are no descriptors left, for instance, it is tried again.
                let is_final = matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput);
                if is_final || source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
                    settled.insert(identity, changed);
                }
                self.report_once(identity, LogSourceError::File { operation: "opening", path, source });
            }
        }
    }

    /// Tells of a file of which was not told before.
    fn report_once(&mut self, identity: (u64, u64), problem: LogSourceError) {
        if !self.directories.settled.contains_key(&identity) {
            self.report(problem);
        }
    }

    /// A copy of a file that is followed is the same file.
    fn is_followed_already(&self, header: &Header, candidates: &[Candidate]) -> bool {
        let mut followed = self.follows.iter().map(|follow| &follow.file.header);
        let mut others = candidates.iter().map(|candidate| &candidate.file.header);
        followed.any(|it| it.file_id == header.file_id) || others.any(|it| it.file_id == header.file_id)
    }

    fn follow(&mut self, candidate: Candidate) {
        let Candidate { path, identity, changed, mut file } = candidate;
        let (id, sequence) = (file.header.file_id, file.header.seqnum_id);
        let start = JournalPlace { seqnum_id: sequence, ..JournalPlace::default() };
        let known = self.remembered.files.get(&id).copied();
        let (after, place) = match (known, self.first_start, self.remembered.last) {
            (Some(place), ..) => (After::Number(place.seqnum), place),
            (None, Some(StartAt::End), _) => {
                let place = end_of(&mut file, &mut self.windows);
                self.sequence(sequence).saw(place.seqnum);
                (After::Number(place.seqnum), place)
            }
            (None, None, Some(last)) if self.is_unknown(sequence, &last) => (After::Place(last), start),
            (None, ..) => (After::Nothing, start),
        };
        self.remembered.files.insert(id, place);
        let mut follow = Follow::new(path, identity, file, after, place, self.now);
        if !follow.is_live() && place.seqnum >= follow.file.header.tail_entry_seqnum {
            self.directories.settled.insert(identity, changed);
            return;
        }
        follow.seek(&mut self.windows);
        self.follows.push(follow);
    }

    /// Whether a sequence began while nobody looked: as far as it was there before, its entries are passed over.
    fn is_unknown(&self, sequence: crate::Id128, last: &JournalPlace) -> bool {
        last.seqnum > 0 && !self.has_looked && self.sequences.iter().all(|known| known.id != sequence)
    }

    /// Closes the files that have been read to their end.
    pub(super) fn close_files(&mut self) {
        let now = self.now;
        let (done, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.follows).into_iter().partition(|follow| follow.is_done(now));
        self.follows = open;
        if done.is_empty() {
            return;
        }
        for follow in done {
            self.remembered.files.insert(follow.file.header.file_id, follow.place);
            if let Ok(metadata) = follow.file.handle.metadata() {
                self.directories.settled.insert(follow.identity, changed(&metadata));
            }
        }
        self.fields.forget();
    }

    fn forget_places(&mut self) {
        let files = &mut self.remembered.files;
        if files.len() <= MAX_PLACES {
            return;
        }
        let held: Vec<_> = self.follows.iter().map(|follow| follow.file.header.file_id).collect();
        let mut by_age: Vec<_> = files
            .iter()
            .map(|(id, place)| (place.realtime, *id))
            .filter(|(_, id)| !held.contains(id))
            .collect();
        by_age.sort_unstable();
        for (_, id) in by_age.iter().take(files.len() - MAX_PLACES) {
            files.remove(id);
        }
    }
}

/// When a file was changed last, in nanoseconds; also by being renamed, or in who may read it.
fn changed(metadata: &std::fs::Metadata) -> i64 {
    metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec())
}

/// The journal files in a directory: `.journal`, and `.journal~` for those that journald found damaged.
fn journals_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_journal = |path: &PathBuf| {
        let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
        name.ends_with(b".journal") || name.ends_with(b".journal~")
    };
    paths.filter(is_journal).take(MAX_FILES).collect()
}

/// After the last entry of a file.
fn end_of(file: &mut JournalFile, windows: &mut crate::journal::windows::Windows) -> JournalPlace {
    let (seqnum_id, seqnum) = (file.header.seqnum_id, file.header.tail_entry_seqnum);
    let last = file.header.n_entries.checked_sub(1).and_then(|last| file.entry_at(last, windows).ok());
    match last {
        Some(last) => JournalPlace::of(&last.entry, seqnum_id),
        None => JournalPlace { seqnum_id, seqnum, ..JournalPlace::default() },
    }
}
