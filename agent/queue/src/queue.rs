//! The queue as its users see it.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::cursor::Cursor;
use crate::error::{AppendError, CursorError, OpenError};
use crate::figures::{Figures, Opening};
use crate::fs::disk::{Denied, Disk, Lock};
use crate::options::Options;
use crate::position;
use crate::progress::Progress;
use crate::record::Entry;
use crate::recovery::{self, Opened};
use crate::shared::{Shared, Waiting};
use crate::together;

/// A durable FIFO of opaque records in a directory of its own.
///
/// Shared by reference between threads. Dropping it commits what waits, saves the positions and lets go of the
/// directory.
pub struct Queue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Not with the shared part: cursors that outlive the queue must not keep its directory from the next one.
    _lock: Lock,
}

impl Queue {
    /// Opens the queue in `directory`, making it if need be, and says what was found there.
    ///
    /// Takes the time to read one header per segment and one whole segment. Limits are applied at once, but for that of
    /// age, which waits for [`maintain`](Self::maintain).
    ///
    /// # Errors
    ///
    /// When the directory cannot be had, or another queue owns it; never because of what is in its files.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Opening), OpenError> {
        let (Opened { shared, mut writer, opening }, lock) = own(directory, options)?;
        let run = move || {
            writer.fill_reserve();
            writer.save_positions();
            writer.reclaim();
            writer.enforce_bytes();
            writer.run();
        };
        // The kernel keeps 15 bytes of a thread's name.
        let name = directory.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let thread = std::thread::Builder::new().name(format!("queue-{name}")).spawn(run);
        let thread = thread
            .map_err(|source| OpenError::Thread { directory: directory.to_owned(), source })
            .map(Some)?;
        Ok((Self { shared, thread, _lock: lock }, opening))
    }

    /// Appends a record, and has `done` told once it is as durable as the policy demands, or why it is refused.
    ///
    /// Never blocks on the disk. `done` runs on the thread that writes, or at once on this one if the record is refused
    /// without trying; it must be quick, must not block and should not panic. It is told the record's sequence number. Records appended
    /// by one thread keep their order.
    pub fn append(&self, entry: Entry, done: impl FnOnce(Result<u64, AppendError>) + Send + 'static) {
        self.shared.append(vec![Waiting { entry, done: Box::new(done) }]);
    }

    /// Appends records like [`append`](Self::append), and has `done` told once, when all of them are durable or one is
    /// refused. They are taken in together or not at all, however many bytes they have, if nothing else waits; but where
    /// the disk fails, some may be there all the same. `done` is told the last one's sequence number.
    pub fn append_all(
        &self,
        entries: Vec<Entry>,
        done: impl FnOnce(Result<u64, AppendError>) + Send + 'static,
    ) {
        self.shared.append(together::all(entries, Box::new(done)));
    }

    /// Appends a record and waits until it is as durable as the policy demands; returns its sequence number.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the record was not accepted, but may be on disk all the same.
    pub fn append_blocking(&self, entry: Entry) -> Result<u64, AppendError> {
        let (told, outcome) = mpsc::sync_channel(1);
        self.append(entry, move |result| {
            let _ = told.send(result);
        });
        outcome.recv().unwrap_or(Err(AppendError::Closed))
    }

    /// Takes the cursor `name`, at the place it had; a new one begins with the oldest record there is.
    ///
    /// From then on the queue keeps records until the cursor has passed them or a limit is reached, also while nobody
    /// has the cursor taken, until it is [removed](Self::remove_cursor). A queue that never had a cursor keeps all.
    ///
    /// # Errors
    ///
    /// When the name will not do, or the cursor is taken already.
    pub fn cursor(&self, name: &str) -> Result<Cursor, CursorError> {
        Cursor::take(&self.shared, name)
    }

    /// The cursors there are, taken or not.
    pub fn cursor_names(&self) -> Vec<String> {
        self.shared.lock().cursors.keys().cloned().collect()
    }

    /// Forgets a cursor, which then holds nothing back. Whoever has it taken reads nothing more.
    pub fn remove_cursor(&self, name: &str) {
        let mut state = self.shared.lock();
        if state.cursors.remove(name).is_some() {
            state.removed.push(name.to_owned());
            self.shared.work.notify_one();
        }
    }

    /// Has the limits of age and free disk applied, and the reserve filled again, soon. To be called every second or
    /// so, with the time in nanoseconds since the Unix epoch. Does not block.
    pub fn maintain(&self, now: i64) {
        self.shared.lock().maintain = Some(now);
        self.shared.work.notify_one();
    }

    /// What it holds and has counted.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Commits what waits, saves the positions and lets go of the directory. Cursors may still be read afterwards.
    pub fn close(self) {}
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes a directory and recovers what is in it.
pub(crate) fn own(directory: &Path, options: Options) -> Result<(Opened, Lock), OpenError> {
    let owned = || directory.to_owned();
    options.check().map_err(|source| OpenError::Options { directory: owned(), source })?;
    let (disk, lock) = Disk::own(directory).map_err(|denied| match denied {
        Denied::InUse => OpenError::InUse { directory: owned() },
        Denied::Failed(source) => OpenError::Directory { directory: owned(), source },
    })?;
    let opened = recovery::open(Arc::new(disk), options, RandomState::new().hash_one(()))
        .map_err(|source| OpenError::Directory { directory: owned(), source })?;
    Ok((opened, lock))
}

impl Cursor {
    pub(crate) fn take(shared: &Arc<Shared>, name: &str) -> Result<Self, CursorError> {
        if !position::is_name(name) {
            return Err(CursorError::Name(name.to_owned()));
        }
        let mut state = shared.lock();
        let oldest = state.oldest();
        state.positions_due = true;
        state.incarnations += 1;
        let incarnation = state.incarnations;
        let progress = state.cursors.entry(name.to_owned()).or_insert_with(|| Progress::beginning(oldest));
        if std::mem::replace(&mut progress.taken, true) {
            return Err(CursorError::Taken(name.to_owned()));
        }
        progress.incarnation = incarnation;
        let from = progress.acknowledged;
        progress.read = from.seq;
        drop(state);
        shared.work.notify_one();
        Ok(Self::new(Arc::clone(shared), name.to_owned(), incarnation, from))
    }
}
