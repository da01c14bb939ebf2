//! Which file is read next, and what is due later.
//!
//! Files that changed stand in a queue and are read in turns of one buffer each, so that one that grows fast does not keep the
//! others from being read.

use std::io;
use std::time::Duration;

use telemetry::{LogBuffer, Timestamp};

use super::{Follower, SWEEP_EVERY};
use crate::files::content::Content;
use crate::files::disk::{Disk, Handle};
use crate::files::file::{File, Key, keep_beginning};
use crate::files::reading::{Limits, READ_BYTES, Turn};
use crate::{Ready, Recorder};

/// How long a file without its name must not have grown before its end is taken for one.
const QUIET: Duration = Duration::from_secs(5);

/// How long to wait when every file that has something waits for another one.
const BLOCKED: Duration = Duration::from_millis(500);

/// How many bytes are read in one call for each that is wanted: lines may be left out, and the call must still end.
const READ_FOR_EACH: u64 = 8;

/// What becomes of a file after its turn.
pub(super) enum Next {
    /// It has more.
    Again,
    /// It cannot be read before another one.
    Later,
    /// It has nothing more, or cannot be read.
    Done,
}

impl<D: Disk> Follower<D> {
    pub(super) fn take_turns(&mut self, out: &mut LogBuffer, max_bytes: usize) -> Ready {
        let limit = self.counts.figures.bytes + READ_FOR_EACH * (max_bytes.max(READ_BYTES) as u64);
        let mut passed = 0;
        while out.size_bytes() < max_bytes && self.counts.figures.bytes < limit {
            if passed >= self.queue.len() {
                return Ready::CaughtUp;
            }
            let Some(key) = self.queue.pop_front() else { break };
            match self.turn(key, out, max_bytes) {
                Next::Later => passed += 1,
                Next::Again => passed = 0,
                Next::Done => {
                    passed = 0;
                    if let Some(file) = self.files.get_mut(&key) {
                        file.is_queued = false;
                    }
                    continue;
                }
            }
            self.queue.push_back(key);
        }
        if self.queue.is_empty() { Ready::CaughtUp } else { Ready::More }
    }

    /// Lets one file read as much as fits the buffer.
    pub(super) fn turn(&mut self, key: Key, out: &mut LogBuffer, max_bytes: usize) -> Next {
        let Some(file) = self.files.get(&key) else { return Next::Done };
        if file.after.is_some_and(|after| self.files.get(&after).is_some_and(|after| after.is_queued)) {
            return Next::Later;
        }
        match self.make_ready(key, out) {
            Ok(None) => {}
            Ok(Some(next)) => return next,
            Err(error) => return self.fail(key, &error),
        }
        match self.read(key, out, max_bytes) {
            Ok(Turn::More) => Next::Again,
            Ok(Turn::CaughtUp) => Next::Done,
            Ok(Turn::Replaced) => {
                self.replaced(key, out);
                Next::Again
            }
            Err(error) => self.fail(key, &error),
        }
    }

    pub(super) fn read(&mut self, key: Key, out: &mut LogBuffer, max_bytes: usize) -> io::Result<Turn> {
        let now = self.now;
        let group = self.files.get(&key).filter(|file| file.recorder.is_none()).map(|file| file.home.clone());
        let group = group.map(|home| self.group_of(&home));
        let recorder = group.map(|group| Box::new(Recorder::new(&self.options.record, group)));
        let Some(file) = self.files.get_mut(&key) else { return Ok(Turn::CaughtUp) };
        if recorder.is_some() {
            file.recorder = recorder;
        }
        let is_last = file.is_at_its_end(now);
        let limits = Limits { line_bytes: self.options.max_line_bytes, is_last };
        let (Some(content), Some(recorder)) = (&mut file.content, &mut file.recorder) else {
            return Ok(Turn::CaughtUp);
        };
        let (before, end) = (file.reading.spot, file.reading.end);
        let mut cut = 0;
        let turn = file.reading.turn(content, &mut self.buffer, limits, &mut |line| {
            cut += u64::from(line.is_cut);
            recorder.line(line.text, line.begins_at, line.is_cut, now, out);
            out.size_bytes() < max_bytes
        })?;
        self.counts.figures.truncated += cut;
        self.counts.figures.bytes += file.reading.spot.offset - before.offset;
        if turn == Turn::Replaced {
            return Ok(turn);
        }
        file.trouble = None;
        file.read_at = now;
        if !content.is_packed() {
            keep_beginning(&mut file.begins, content, file.reading.spot.head)?;
            file.size = file.reading.end;
        }
        if file.reading.end != end {
            (file.quiet_since, file.is_over) = (now, false);
        }
        if turn == Turn::CaughtUp && is_last && !file.is_over {
            recorder.finish(now, out);
            file.is_over = true;
            if let Some(Ok(facts)) = file.handle.as_ref().map(Handle::facts) {
                file.modified = facts.modified;
            }
        }
        self.counts.add(recorder);
        if recorder.next_flush(now).is_some() || file.is_leaving() && !file.is_over {
            self.waiting.insert(key);
        }
        if file.reading.spot != before || file.is_over {
            self.unsettle(key);
        }
        Ok(turn)
    }

    pub(super) fn fail(&mut self, key: Key, error: &io::Error) -> Next {
        if let Some(file) = self.files.get_mut(&key) {
            // What is damaged stays so; a packed copy that is still being written is tried again by the sweep.
            if file.trouble.is_none() && file.may_be_packed && error.kind() != io::ErrorKind::UnexpectedEof {
                self.counts.lose("damaged");
            }
            file.trouble = Some(error.to_string());
        }
        self.close(key);
        Next::Done
    }

    /// Ends what has waited long enough.
    pub(super) fn wake_waiting(&mut self, out: &mut LogBuffer) {
        for key in std::mem::take(&mut self.waiting) {
            let Some(file) = self.files.get_mut(&key) else { continue };
            let mut waits = false;
            if let Some(recorder) = &mut file.recorder {
                if recorder.next_flush(self.now).is_some_and(|wait| wait.is_zero()) {
                    recorder.flush(self.now, out);
                    self.counts.add(recorder);
                }
                waits = recorder.next_flush(self.now).is_some();
            }
            let is_leaving = file.is_leaving() && !file.is_over;
            if is_leaving && self.now.since(file.quiet_since) >= QUIET {
                self.enqueue(key);
            }
            if waits || is_leaving {
                self.waiting.insert(key);
            }
            self.unsettle(key);
        }
    }

    /// How long after `now` something is due.
    pub(crate) fn next_look(&self, now: Timestamp) -> Duration {
        if self.must_sweep || !self.changed.is_empty() {
            return Duration::ZERO;
        }
        let until = |due: Timestamp| due.since(now);
        let mut next = until(self.swept.plus(SWEEP_EVERY));
        if !self.queue.is_empty() {
            next = next.min(BLOCKED);
        }
        for file in self.waiting.iter().filter_map(|key| self.files.get(key)) {
            if let Some(wait) = file.recorder.as_ref().and_then(|recorder| recorder.next_flush(now)) {
                next = next.min(wait);
            }
            if file.is_leaving() && !file.is_over && !file.is_queued {
                next = next.min(until(file.quiet_since.plus(QUIET)));
            }
        }
        next
    }
}

impl<D: Disk> File<D> {
    /// Whether what has no line end is a line: nothing was added for a while, and nothing is now.
    fn is_at_its_end(&self, now: Timestamp) -> bool {
        if self.may_be_packed && self.content.as_ref().is_some_and(Content::is_packed) {
            return true;
        }
        let is_quiet = self.is_leaving() && now.since(self.quiet_since) >= QUIET;
        let size = || self.handle.as_ref().and_then(|handle| handle.facts().ok()).map(|facts| facts.size);
        is_quiet && size() == Some(self.reading.end)
    }
}
