//! Few descriptors for many files, and what is done when a file is opened before its first line is read.

use std::io;

use telemetry::LogBuffer;

use super::Follower;
use super::turns::Next;
use crate::files::content::{Content, Magic};
use crate::files::disk::{Disk, Handle as _};
use crate::files::file::{File, Key, Start};
use crate::files::place::HEAD_BYTES;
use crate::files::reading::Reading;

/// How far before the end the beginning of the last line is looked for.
const LINE_BEFORE_END: usize = 64 * 1024;

impl<D: Disk> Follower<D> {
    /// Opens the file and finds where it begins; says what becomes of it if it is not to be read now.
    pub(super) fn make_ready(&mut self, key: Key, out: &mut LogBuffer) -> io::Result<Option<Next>> {
        let Some(file) = self.files.get(&key) else { return Ok(Some(Next::Done)) };
        if file.is_over && file.may_be_packed && !file.is_leaving() {
            return Ok(Some(Next::Done));
        }
        if file.content.is_none()
            && let Some(next) = self.open_file(key)?
        {
            return Ok(Some(next));
        }
        self.used(key);
        if self.files.get_mut(&key).is_some_and(|file| std::mem::take(&mut file.has_shrunk)) {
            self.replaced(key, out);
            return Ok(Some(Next::Again));
        }
        // Half a line is not enough to tell that it was cut again.
        let is_hardly_begun = self.files.get(&key).is_some_and(File::is_hardly_begun);
        if is_hardly_begun && self.is_touched(key) && self.take_missed(key) {
            self.files.entry(key).and_modify(File::begin_anew);
            return Ok(Some(Next::Again));
        }
        match self.files.get(&key).map(|file| file.start) {
            Some(Start::Begun) => Ok(None),
            Some(Start::Fresh) => self.begin_fresh(key),
            Some(Start::Again) => self.begin_again(key),
            Some(Start::AtEnd(size)) => self.begin_at_end(key, size),
            Some(Start::Placed(from)) => self.begin_at_place(key, from, out),
            None => Ok(Some(Next::Done)),
        }
    }

    fn open_file(&mut self, key: Key) -> io::Result<Option<Next>> {
        let Some(file) = self.files.get(&key) else { return Ok(Some(Next::Done)) };
        // Without a name it cannot be opened; what to do is decided where names are settled.
        let Some(at) = file.location.clone() else { return Ok(Some(Next::Done)) };
        // One more than that: files without a name stay open, and what they are to be read after may not wait for them.
        let most = self.options.max_open_files.max(1);
        if self.open_files >= most && !self.close_one() && self.open_files > most {
            return Ok(Some(Next::Later));
        }
        let (handle, facts) = match self.disk.open(&at.directory, &at.name) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.unname(key);
                return Ok(Some(Next::Done));
            }
            Err(error) if is_short_of_descriptors(&error) && self.close_one() => {
                return Ok(Some(Next::Later));
            }
            Err(error) => return Err(error),
        };
        let Some(file) = self.files.get_mut(&key) else { return Ok(Some(Next::Done)) };
        if facts.id != file.id {
            self.changed.insert((at.directory, at.name));
            return Ok(Some(Next::Done));
        }
        file.note(&facts);
        file.content =
            Some(if file.may_be_packed { Content::of(&handle)? } else { Content::Plain(handle.clone()) });
        file.handle = Some(handle);
        self.open_files += 1;
        Ok(None)
    }

    /// Closes the file that was not used for longest, of those that can be opened again by name.
    fn close_one(&mut self) -> bool {
        match self.idle.first_key_value().map(|(_, key)| *key) {
            Some(key) => {
                self.close(key);
                true
            }
            None => false,
        }
    }

    pub(super) fn close(&mut self, key: Key) {
        let Some(file) = self.files.get_mut(&key) else { return };
        if let Some(used) = file.used.take() {
            self.idle.remove(&used);
        }
        file.content = None;
        file.forget_beginnings();
        if file.handle.take().is_some() {
            self.open_files -= 1;
        }
        let is_empty = |file: &File<D>| {
            let holds = |recorder: &crate::Recorder| recorder.holds_from().is_some();
            !file.recorder.as_ref().is_some_and(|recorder| holds(recorder))
        };
        if is_empty(file) {
            file.recorder = None;
        }
    }

    /// The file was used just now.
    fn used(&mut self, key: Key) {
        self.uses += 1;
        let Some(file) = self.files.get_mut(&key) else { return };
        if let Some(before) = file.used.take() {
            self.idle.remove(&before);
        }
        self.may_close(key);
    }

    /// It may be closed for others if it can be opened again and is not read in one go.
    pub(super) fn may_close(&mut self, key: Key) {
        let Some(file) = self.files.get_mut(&key) else { return };
        let is_packed = file.content.as_ref().is_none_or(Content::is_packed);
        if file.location.is_none() || is_packed || file.used.is_some() {
            return;
        }
        self.uses += 1;
        file.used = Some(self.uses);
        self.idle.insert(self.uses, key);
    }

    fn begin_fresh(&mut self, key: Key) -> io::Result<Option<Next>> {
        let Some(head) = self.head_of(key)? else { return Ok(Some(Next::Done)) };
        if self.is_packed(key, &head) {
            return Ok(Some(Next::Done));
        }
        if let Some(next) = self.judge_copy(key)? {
            return Ok(Some(next));
        }
        let may_be_cut = |file: &File<D>| file.has_copies || file.was_cut;
        if self.files.get(&key).is_some_and(may_be_cut) && self.take_missed(key) {
            return Ok(Some(Next::Again));
        }
        let Some(file) = self.files.get_mut(&key) else { return Ok(Some(Next::Done)) };
        if Magic::of(&head) == Magic::Unclear && !file.is_leaving() {
            return Ok(Some(Next::Done));
        }
        file.reading = Reading::default();
        file.start = Start::Begun;
        Ok(None)
    }

    /// The identity is the same, but it may be used by a packed copy now.
    fn begin_again(&mut self, key: Key) -> io::Result<Option<Next>> {
        let Some(head) = self.head_of(key)? else { return Ok(Some(Next::Done)) };
        if self.is_packed(key, &head) {
            return Ok(Some(Next::Done));
        }
        if let Some(next) = self.judge_copy(key)? {
            return Ok(Some(next));
        }
        // It may have been cut again before anything of it was read.
        if self.files.get(&key).is_some_and(|file| file.was_cut) && self.take_missed(key) {
            return Ok(Some(Next::Again));
        }
        let Some(file) = self.files.get_mut(&key) else { return Ok(Some(Next::Done)) };
        if Magic::of(&head) == Magic::Unclear && !file.is_leaving() {
            return Ok(Some(Next::Done));
        }
        file.start = Start::Begun;
        Ok(None)
    }

    fn begin_at_end(&mut self, key: Key, size: u64) -> io::Result<Option<Next>> {
        let Some(head) = self.head_of(key)? else { return Ok(Some(Next::Done)) };
        if self.is_packed(key, &head) {
            return Ok(Some(Next::Done));
        }
        let Some(file) = self.files.get_mut(&key) else { return Ok(Some(Next::Done)) };
        let Some(content) = &mut file.content else { return Ok(Some(Next::Done)) };
        let size = size.min(file.size);
        let mut bytes = vec![0; LINE_BEFORE_END.min(size as usize)];
        let from = size - bytes.len() as u64;
        let read = content.read_at(&mut bytes, from)?;
        let line = bytes.get(..read).and_then(|bytes| memchr::memrchr(b'\n', bytes));
        let begin = match line {
            Some(end) => from + end as u64 + 1,
            None if from == 0 => 0,
            None => size,
        };
        file.reading = Reading::default();
        file.reading.spot.move_to(begin, content)?;
        (file.reading.end, file.start) = (begin, Start::Begun);
        self.unsettle(key);
        Ok(None)
    }

    fn begin_at_place(&mut self, key: Key, from: u64, out: &mut LogBuffer) -> io::Result<Option<Next>> {
        let Some(file) = self.files.get_mut(&key) else { return Ok(Some(Next::Done)) };
        let Some(content) = &mut file.content else { return Ok(Some(Next::Done)) };
        let spot = file.reading.spot;
        if spot.offset == 0 {
            file.start = Start::Again;
            return Ok(Some(Next::Again));
        }
        let is_same = if spot.head.len == 0 { spot.is_after(content)? } else { spot.is_in(content)? };
        if !is_same {
            self.replaced(key, out);
            return Ok(Some(Next::Again));
        }
        if from < spot.offset || spot.is_unproven {
            file.reading.spot.move_to(from.min(spot.offset), content)?;
        }
        // What ended when it was quiet has ended still, if nothing was added.
        file.reading.end = if file.is_over { spot.offset } else { file.reading.spot.offset };
        file.start = Start::Begun;
        Ok(None)
    }

    /// The first bytes as they lie on the disk.
    fn head_of(&self, key: Key) -> io::Result<Option<Vec<u8>>> {
        let Some(handle) = self.files.get(&key).and_then(|file| file.handle.as_ref()) else {
            return Ok(None);
        };
        let mut head = vec![0; HEAD_BYTES];
        let read = handle.read_at(&mut head, 0)?;
        head.truncate(read);
        Ok(Some(head))
    }

    /// Refuses the file if it is packed and nothing in it was missed.
    fn is_packed(&mut self, key: Key, head: &[u8]) -> bool {
        let Some(file) = self.files.get(&key) else { return true };
        let Magic::Packed(packing) = Magic::of(head) else { return false };
        if file.may_be_packed {
            return false;
        }
        let (location, handle) = (file.location.clone(), file.handle.clone());
        self.remove(key);
        if let (Some(location), Some(Ok(facts))) = (location, handle.map(|handle| handle.facts())) {
            let reason = format!("it is packed with {}", packing.name());
            self.refuse(&location, &facts, reason, true);
        }
        true
    }
}

/// Whether the process or the host has no descriptor left.
fn is_short_of_descriptors(error: &io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    limits.iter().any(|limit| error.raw_os_error() == Some(limit.raw_os_error()))
}
