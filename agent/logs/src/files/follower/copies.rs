//! What was cut off a file before it was read, and lies in copies of it.
//!
//! Who copies a log and cuts it leaves in the copy what was not read, under a name that rotation gives and changes again. No
//! glob need name it. The file may also be cut again before any of it was read, and then no byte of it tells. So whenever a
//! file is begun again, its new siblings are judged: by what was read of it before each cut, by what was read of its other
//! copies, and by what it holds now.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use telemetry::LogBuffer;

use super::Follower;
use super::succession::Sibling;
use super::turns::Next;
use crate::files::content::Content;
use crate::files::disk::{Disk, Handle as _};
use crate::files::file::{File, Found, Key, Location, Past, Start, held_by_short};
use crate::files::place::{Held, Spot};
use crate::files::reading::Reading;
use crate::files::siblings::is_sibling;

/// How far the times of files may lie behind the clock, in nanoseconds: a tick of the kernel is 10 ms at most.
const TICK: i64 = 20_000_000;

/// How much of two files is compared, in bytes: more than any heading that each generation of a log begins with.
const ALIKE_BYTES: usize = 64 * 1024;

/// What a sibling is to a file that may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It holds what the file holds now.
    Current,
    /// All of it has been read, from the file or from another copy.
    Read,
    /// It holds what was read of the file before this one of its cuts, and perhaps more.
    Rest(usize),
    /// Nothing of it has been read.
    Unread,
}

impl<D: Disk> Follower<D> {
    /// What was read is not in the file any more: it was cut, or is another one with the same identity.
    pub(super) fn replaced(&mut self, key: Key, out: &mut LogBuffer) {
        let now = self.now;
        let Some(file) = self.files.get_mut(&key) else { return };
        file.begin_anew();
        let is_found = self.take_missed(key);
        if let Some(file) = self.files.get_mut(&key) {
            if !is_found {
                file.finish(now, out);
                file.past.iter_mut().for_each(|past| past.from = past.spot.offset);
            }
            if let Some(mut recorder) = file.recorder.take() {
                self.counts.add(&mut recorder);
            }
        }
        if !is_found {
            self.counts.lose("truncated");
        }
        self.unsettle(key);
    }

    /// Has what the file's copies hold and nobody has read be read before the file; whether there is any. Each copy counts as
    /// a cut of which the very last lines may be missing.
    pub(super) fn take_missed(&mut self, key: Key) -> bool {
        let Some(file) = self.files.get(&key).filter(|file| !file.has_moved) else { return false };
        let home = file.home.clone();
        let mut last = None;
        for (sibling, verdict) in self.missed(key) {
            let copy = match verdict {
                Verdict::Current => continue,
                Verdict::Read => {
                    self.pass_over(&sibling, &home);
                    continue;
                }
                Verdict::Rest(cut) => {
                    let copy = self.adopt_whole(&sibling, &home);
                    self.read_rest(copy, key, cut);
                    copy
                }
                Verdict::Unread => self.adopt_whole(&sibling, &home),
            };
            self.counts.lose("copied_and_truncated");
            if let Some(last) = last {
                self.read_after(copy, last);
            }
            last = Some(copy);
        }
        if let Some(last) = last {
            self.read_after(key, last);
        }
        last.is_some()
    }

    /// The file's siblings that may hold something that was missed, the oldest first.
    fn missed(&mut self, key: Key) -> Vec<(Sibling, Verdict)> {
        let Some(file) = self.files.get(&key) else { return Vec::new() };
        let (home, since) = (file.home.clone(), file.read_at.as_nanos() - TICK);
        let is_searched = file.past.iter().any(|past| past.found == Found::No);
        // Whoever wrote to it or cut it since it was read last has touched it.
        let touched = file.handle.as_ref().and_then(|handle| handle.facts().ok()).map(|facts| facts.modified);
        if !is_searched && touched.is_none_or(|touched| touched <= since) {
            return Vec::new();
        }
        let mut found = None;
        let mut missed = Vec::new();
        for sibling in self.siblings(&home) {
            let age = Self::age(&home, &sibling);
            let is_younger = found.as_ref().is_some_and(|found| age.is_younger_than(found));
            let is_new = is_younger || sibling.facts.modified > since;
            if !is_new && !is_searched {
                continue;
            }
            let Some(verdict) = self.judge_sibling(key, &sibling) else { continue };
            if matches!(verdict, Verdict::Rest(_)) {
                found = found.or(Some(age));
            } else if !is_new && (verdict != Verdict::Read || !self.by_id.contains_key(&sibling.facts.id)) {
                continue;
            }
            missed.push((sibling, verdict));
        }
        missed
    }

    fn judge_sibling(&mut self, key: Key, sibling: &Sibling) -> Option<Verdict> {
        let at = &sibling.location;
        let (handle, facts) = self.disk.open(&at.directory, &at.name).ok()?;
        if facts.id != sibling.facts.id || facts.size == 0 {
            return None;
        }
        let known = self.by_id.get(&facts.id).copied();
        let mut content = Content::of(&handle).ok()?;
        let verdict = self.judge(key, known, &mut content).ok()?;
        // How much of a packed copy has been read cannot be said by its size.
        (verdict != Verdict::Read || !content.is_packed()).then_some(verdict)
    }

    /// What `content`, of the file `mine` if that is followed, is to the file `key`.
    fn judge(&mut self, key: Key, mine: Option<Key>, content: &mut Content<D::File>) -> io::Result<Verdict> {
        let Some(file) = self.files.get(&key) else { return Ok(Verdict::Read) };
        let is_other = |(other, copy): &(&Key, &File<D>)| {
            **other != key && Some(**other) != mine && is_of_the_same(&file.home, &copy.home)
        };
        let current = [(file.reading.spot, &*file.begins, Verdict::Current)];
        let past = file.past.iter().enumerate().rev().map(|(cut, past)| {
            let verdict = if past.found == Found::Gone { Verdict::Read } else { Verdict::Rest(cut) };
            (past.spot, &*past.begins, verdict)
        });
        let others = self.files.iter().filter(is_other);
        let others = others.map(|(_, copy)| (copy.reading.spot, &[][..], Verdict::Read));
        let is_found = |verdict| match verdict {
            Verdict::Rest(cut) => file.past.get(cut).is_some_and(|past| past.found == Found::Followed),
            _ => false,
        };
        let mut beginning = None;
        let spots = current.into_iter().chain(past).chain(others);
        // Where no line was taken, nothing has been read.
        for (spot, begins, verdict) in spots.filter(|(spot, ..)| spot.offset > 0) {
            let held = match spot.held_by(content)? {
                Held::Nothing => held_by_short(begins, &spot, content)?,
                held => held,
            };
            match held {
                // Its copy is among the others: what begins like it is a later one that has the same heading.
                Held::All if is_found(verdict) => {}
                Held::All => return Ok(verdict),
                Held::Beginning => _ = beginning.get_or_insert(verdict),
                Held::Nothing => {}
            }
        }
        Ok(match beginning {
            Some(Verdict::Current) => Verdict::Current,
            _ if self.is_alike(key, content)? => Verdict::Current,
            Some(_) => Verdict::Read,
            None => Verdict::Unread,
        })
    }

    /// Whether the file and `content` begin alike, as far as there is something in both.
    fn is_alike(&mut self, key: Key, content: &mut Content<D::File>) -> io::Result<bool> {
        let Some(handle) = self.handle_of(key) else { return Ok(false) };
        let (mut mine, mut others) = (vec![0; ALIKE_BYTES], vec![0; ALIKE_BYTES]);
        // The copy first: if the file is cut in between, the copy is complete.
        let len = content.read_at(&mut mine, 0)?;
        let len = handle.read_at(&mut others, 0)?.min(len);
        Ok(len > 0 && mine.get(..len) == others.get(..len))
    }

    /// The file, though it may be closed.
    fn handle_of(&mut self, key: Key) -> Option<D::File> {
        let file = self.files.get(&key)?;
        if let Some(handle) = &file.handle {
            return Some(handle.clone());
        }
        let at = file.location.as_ref()?;
        let (handle, facts) = self.disk.open(&at.directory, &at.name).ok()?;
        (facts.id == file.id).then_some(handle)
    }

    /// What was read up to that cut of `original` is in the file `copy`: it is read on from there.
    fn read_rest(&mut self, copy: Key, original: Key, cut: usize) {
        let past = self.files.get_mut(&original).and_then(|file| file.past.get_mut(cut));
        let Some((spot, from)) = past.map(|past| {
            past.found = Found::Followed;
            (past.spot, past.from)
        }) else {
            return;
        };
        if let Some(file) = self.files.get_mut(&copy) {
            // Its print may be of more than the copy has.
            let is_short = file.size < spot.head.len as u64;
            let unproven = Spot { offset: spot.offset, is_unproven: true, ..Spot::default() };
            file.reading = Reading::at(if is_short { unproven } else { spot });
            (file.start, file.copy_of) = (Start::Placed(from), None);
        }
    }

    /// A copy is gone: if it was packed, the packed one holds what has been read.
    pub(super) fn remember_copy(&mut self, copy: &File<D>) {
        let (spot, from) = (copy.reading.spot, copy.reading.spot.offset);
        let original = Location::of(&copy.home)
            .and_then(|at| self.directories.get(&at.directory)?.names.get(&at.name).copied());
        if let Some(original) = original.and_then(|key| self.files.get_mut(&key)).filter(|file| file.was_cut)
        {
            original.remember(Past { spot, begins: Vec::new(), from, found: Found::Gone });
        }
    }

    fn pass_over(&mut self, sibling: &Sibling, home: &Path) {
        let key = self.adopt_whole(sibling, home);
        if let Some(file) = self.files.get_mut(&key) {
            file.pass_over();
        }
    }

    /// Whether the file is a copy of one that is followed by a name that rotation may have made its own of, and what of it is
    /// to be read.
    pub(super) fn judge_copy(&mut self, key: Key) -> io::Result<Option<Next>> {
        let Some(file) = self.files.get(&key).filter(|file| !file.may_be_packed) else { return Ok(None) };
        let Some(original) = file.copy_of.or_else(|| self.original_of(file)) else { return Ok(None) };
        // What was begun under that name is no copy of what has it now.
        let is_older = self.files.get(&original).is_some_and(|original| original.home == file.home);
        let Some(handle) = file.handle.clone().filter(|_| !is_older) else { return Ok(None) };
        let facts = handle.facts()?;
        if facts.size == 0 {
            return Ok(None);
        }
        if let Some(file) = self.files.get_mut(&key) {
            file.note(&facts);
        }
        let verdict = self.judge(original, Some(key), &mut Content::Plain(handle))?;
        match verdict {
            Verdict::Unread => {}
            Verdict::Current => {
                if let Some(original) = self.files.get_mut(&original) {
                    original.has_copies = true;
                }
            }
            Verdict::Rest(cut) => self.read_rest(key, original, cut),
            Verdict::Read => {
                if let Some(file) = self.files.get_mut(&key) {
                    file.pass_over();
                }
            }
        }
        if let Some(file) = self.files.get_mut(&key) {
            file.copy_of = (verdict == Verdict::Current).then_some(original);
            if verdict == Verdict::Current {
                file.start = Start::Fresh;
            }
        }
        self.unsettle(key);
        Ok(match verdict {
            Verdict::Unread => None,
            Verdict::Current => Some(Next::Done),
            Verdict::Rest(_) | Verdict::Read => Some(Next::Again),
        })
    }

    /// The file whose rotated copy this one would be by its name.
    fn original_of(&self, file: &File<D>) -> Option<Key> {
        let at = file.location.as_ref()?;
        let names = &self.directories.get(&at.directory)?.names;
        let known = |home: OsString| {
            let key = names.get(&home)?;
            is_sibling(&home, &at.name).then_some(*key)
        };
        origins(&at.name).into_iter().find_map(known)
    }
}

/// Whether what was begun at `other` may be a copy of what is followed at `home`.
fn is_of_the_same(home: &Path, other: &Path) -> bool {
    let names = home.file_name().zip(other.file_name());
    home == other
        || home.parent() == other.parent() && names.is_some_and(|(home, other)| is_sibling(home, other))
}

/// The names from which rotation may have made `name`.
fn origins(name: &OsStr) -> Vec<OsString> {
    let bytes = name.as_bytes();
    let ending = Path::new(name).extension().map_or(bytes.len(), |ending| bytes.len() - ending.len() - 1);
    let mut names = Vec::new();
    for (at, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| b".-_".contains(byte)) {
        let stem = bytes.get(..at).unwrap_or_default();
        names.push(OsString::from_vec(stem.to_vec()));
        if at < ending {
            let ending = bytes.get(ending..).unwrap_or_default();
            names.push(OsString::from_vec([stem, ending].concat()));
        }
    }
    names
}
