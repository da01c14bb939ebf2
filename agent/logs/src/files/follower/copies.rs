//! What was cut off a file before it was read, and lies in copies of it.
//!
//! Who copies a log and cuts it leaves in the copy what was not read, under a name that rotation gives and changes again. No
//! glob need name it. The file may also be cut again before any of it was read, and then no byte of it tells. So whenever a
//! file is begun again, its new siblings are judged: by what was read of it before each cut, by what was read of its other
//! copies, and by what it holds now.

use std::io;
use std::path::Path;

use memchr::memchr;
use telemetry::LogBuffer;

use super::Follower;
use super::succession::Sibling;
use super::turns::Next;
use crate::files::content::Content;
use crate::files::disk::{Disk, Handle as _};
use crate::files::file::{File, Key, Start, held_by_short};
use crate::files::place::{Held, Spot};
use crate::files::reading::Reading;
use crate::files::siblings::is_sibling;

/// How much of two files is compared, in bytes: more than any heading that each generation of a log begins with.
const ALIKE_BYTES: usize = 64 * 1024;

/// What a sibling is to a file that may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds what the file holds now.
    Current,
    /// All of it has been read, from the file or from another copy.
    Read,
    /// It holds what was read of the file before this one of its cuts, and perhaps more.
    Rest(usize),
    /// This file, which is followed, holds it and will be read.
    Pending(Key),
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
        let (home, was_cut) = (file.home.clone(), file.was_cut);
        let mut last = file.after;
        let mut is_any = false;
        for (sibling, verdict) in self.missed(key) {
            let copy = match verdict {
                Verdict::Current => {
                    self.files.entry(key).and_modify(|file| file.has_copies = true);
                    continue;
                }
                Verdict::Read => {
                    self.pass_over(&sibling, &home);
                    continue;
                }
                Verdict::Rest(cut) => {
                    let copy = self.adopt_whole(&sibling, &home);
                    self.read_rest(copy, key, cut);
                    copy
                }
                Verdict::Pending(_) => continue,
                Verdict::Unread => self.adopt_whole(&sibling, &home),
            };
            if was_cut {
                self.counts.lose("copied_and_truncated");
            }
            if let Some(last) = last {
                self.read_after(copy, last);
            }
            (last, is_any) = (Some(copy), true);
        }
        if let Some(last) = last.filter(|_| is_any) {
            self.read_after(key, last);
            self.files.entry(key).and_modify(|file| file.was_cut = true);
            self.unsettle(key);
        }
        is_any
    }

    /// Whether someone wrote to the file or cut it since it was looked at.
    pub(super) fn is_touched(&self, key: Key) -> bool {
        let handle = self.files.get(&key).and_then(|file| file.handle.as_ref());
        let facts = handle.and_then(|handle| handle.facts().ok());
        facts.zip(self.stock_of(key)).is_some_and(|(facts, stock)| stock.is_news(&facts))
    }

    /// The file's siblings that may hold something that was missed, the oldest first.
    fn missed(&mut self, key: Key) -> Vec<(Sibling, Verdict)> {
        let Some(file) = self.files.get(&key) else { return Vec::new() };
        let home = file.home.clone();
        let is_searched = file.past.iter().any(|past| !past.is_followed);
        let mut found = None;
        let mut missed = Vec::new();
        for sibling in self.siblings(&home) {
            let age = Self::age(&home, &sibling);
            let is_younger = found.as_ref().is_some_and(|found| age.is_younger_than(found));
            let stock = self.stock_of(key);
            let is_settled = stock.is_some_and(|stock| stock.is_settled(&sibling.facts));
            let is_new = is_younger || stock.is_some_and(|stock| stock.is_news(&sibling.facts));
            if is_settled || !is_new && !is_searched {
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
        if sibling.facts.size == 0 {
            return None;
        }
        let verdict = match self.packed_from(sibling) {
            Some(plain) => Ok(plain.map(Verdict::Pending)),
            None => match self.open_sibling(sibling) {
                Some(handle) => self.judge_handle(key, sibling, &handle),
                None => return None,
            },
        };
        let (_, directory) = self.directory(&sibling.location.directory);
        match verdict {
            Ok(Some(Verdict::Current)) => directory.stock.keep_open(&sibling.facts, None),
            Ok(Some(Verdict::Pending(other))) => directory.stock.keep_open(&sibling.facts, Some(other)),
            Ok(Some(_)) => directory.stock.close(&sibling.facts),
            Ok(None) => {}
            // One that is not whole will change.
            Err(_) => directory.stock.settle(&sibling.facts),
        }
        verdict.ok().flatten()
    }

    /// Nothing of a packed copy that has been read: how much of it that is cannot be said by its size.
    fn judge_handle(&mut self, key: Key, sibling: &Sibling, handle: &D::File) -> io::Result<Option<Verdict>> {
        let mut content = Content::of(handle)?;
        let home = self.files.get(&key).map(|file| file.home.clone()).unwrap_or_default();
        let is_packed = content.is_packed();
        let mine = self.by_id.get(&sibling.facts.id).copied();
        let made = if is_packed { self.made_of(&home, &sibling.facts, &mut content)? } else { None };
        let verdict = match made {
            Some(verdict) => verdict,
            None => self.judge(key, mine, &mut content)?,
        };
        if is_packed && verdict == Verdict::Read {
            let (_, directory) = self.directory(&sibling.location.directory);
            directory.stock.settle(&sibling.facts);
            return Ok(None);
        }
        Ok(Some(verdict))
    }

    /// The file, though rotation may have renamed it since it was found.
    pub(super) fn open_sibling(&mut self, sibling: &Sibling) -> Option<D::File> {
        /// As often it may be renamed while it is looked for.
        const TRIES: usize = 4;
        let (at, id) = (&sibling.location, sibling.facts.id);
        let mut name = at.name.clone();
        for _ in 0..TRIES {
            if let Ok((handle, facts)) = self.disk.open(&at.directory, &name)
                && facts.id == id
            {
                return Some(handle);
            }
            if let Some((other, _)) = self.names_of(&at.directory, id).pop() {
                name = other;
            }
        }
        None
    }

    /// The file whose rotated copy this one would be by its name.
    fn original_of_file(&self, file: &File<D>) -> Option<Key> {
        let at = file.location.as_ref()?;
        self.directories.get(&at.directory)?.original_of(&at.name)
    }

    /// What `content`, of the file `mine` if that is followed, is to the file `key`.
    fn judge(&mut self, key: Key, mine: Option<Key>, content: &mut Content<D::File>) -> io::Result<Verdict> {
        let Some(file) = self.files.get(&key) else { return Ok(Verdict::Read) };
        let is_other = |(other, copy): &(&Key, &File<D>)| {
            **other != key && Some(**other) != mine && is_of_the_same(&file.home, &copy.home)
        };
        let current = [(file.reading.spot, &*file.begins, Verdict::Current)];
        let past = file
            .past
            .iter()
            .enumerate()
            .rev()
            .map(|(cut, past)| (past.spot, &*past.begins, Verdict::Rest(cut)));
        let others = self.files.iter().filter(is_other);
        let others = others.map(|(_, copy)| (copy.reading.spot, &[][..], Verdict::Read));
        let is_found = |verdict| match verdict {
            Verdict::Rest(cut) => file.past.get(cut).is_some_and(|past| past.is_followed),
            _ => false,
        };
        let mut beginning = None;
        let gone = self.gone_from(&file.home).map(|spot| (spot, &[][..], Verdict::Read));
        let spots = current.into_iter().chain(past).chain(others).chain(gone);
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
        let unread = self.files.iter().filter(is_other).filter(|(_, other)| other.reading.spot.offset == 0);
        let unread: Vec<Key> = unread.map(|(other, _)| *other).collect();
        for other in unread {
            if self.is_part(content, other)? {
                return Ok(Verdict::Pending(other));
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

    /// Whether the file holds all of `content`, as far as is looked: it will be read itself.
    fn is_part(&mut self, content: &mut Content<D::File>, key: Key) -> io::Result<bool> {
        let Some(handle) = self.handle_of(key) else { return Ok(false) };
        let (mut bytes, mut others) = (vec![0; ALIKE_BYTES], vec![0; ALIKE_BYTES]);
        let len = content.read_at(&mut bytes, 0)?;
        let there = Content::of(&handle)?.read_at(&mut others, 0)?;
        let bytes = bytes.get(..len).unwrap_or_default();
        // Many files begin with the same half of a line.
        Ok(memchr(b'\n', bytes).is_some() && len <= there && Some(bytes) == others.get(..len))
    }

    /// The file, though it may be closed.
    pub(super) fn handle_of(&mut self, key: Key) -> Option<D::File> {
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
            past.is_followed = true;
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
        let Some(original) = file.copy_of.or_else(|| self.original_of_file(file)) else { return Ok(None) };
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
            Verdict::Unread | Verdict::Pending(_) => {}
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
            Verdict::Unread | Verdict::Pending(_) => None,
            Verdict::Current => Some(Next::Done),
            Verdict::Rest(_) | Verdict::Read => Some(Next::Again),
        })
    }
}

/// Whether what was begun at `other` may be a copy of what is followed at `home`.
pub(super) fn is_of_the_same(home: &Path, other: &Path) -> bool {
    let names = home.file_name().zip(other.file_name());
    home == other
        || home.parent() == other.parent() && names.is_some_and(|(home, other)| is_sibling(home, other))
}
