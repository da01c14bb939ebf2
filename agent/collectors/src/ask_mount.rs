//! Asks file systems how full they are, and does not wait for those that never answer.
//!
//! `statvfs` sleeps in the kernel until whoever answers for the file system has answered: a server, a program, a disk. No
//! deadline ends that, so questions are asked in threads that may be left behind. One thread asks all questions of a
//! round. When it has not come back in time, another takes over the rest; a thread whose question is answered at last
//! hands the answer back and ends. While a question is out, its mount is not asked again.
//!
//! The surprise: a mount is known by the number that the kernel gave it, not by its place. What is mounted anew where
//! another one hangs is asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;

/// How long all questions of a round may take together.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long the threads may be silent while questions wait, before another one is started. Ten mounts that hang thus
/// delay the others by a fifth of a second, once.
const PATIENCE: Duration = Duration::from_millis(20);

/// Questions to remote file systems that may be out at the same time. Beyond it the others are not asked.
const MOST_REMOTE: usize = 12;

/// Threads at most: a quarter of what the agent's unit may have. Remote file systems cannot hold all of them, so local
/// ones are asked whatever hangs.
const MOST_THREADS: usize = 16;

/// What a thread needs beyond its system call is little.
const STACK_BYTES: usize = 64 << 10;

/// What `statvfs(3)` says of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// The size of a block, in bytes.
    pub(crate) block_bytes: u64,
    /// All blocks.
    pub(crate) blocks: u64,
    /// Blocks that are free, those kept for root included.
    pub(crate) free: u64,
    /// Blocks that are free for everybody.
    pub(crate) available: u64,
    /// All inodes; 0 where they are made as they are needed.
    pub(crate) files: u64,
    /// Inodes that are free.
    pub(crate) free_files: u64,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The file system said how full it is.
    Space(Space),
    /// The kernel refused: the mount is gone, hidden from this user, or broken.
    Refused(Errno),
    /// The question is out, of this round or of an earlier one.
    Stuck,
    /// It was not asked: as many as may hang do, or the round was over.
    NotAsked,
}

/// A mount to be asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The kernel's number of the mount.
    pub(crate) mount: u64,
    /// Where it is.
    pub(crate) point: &'a str,
    /// Whether the way to the answer leads through a server or a program.
    pub(crate) is_remote: bool,
}

type Ask = dyn Fn(&Path) -> Result<Space, Errno> + Send + Sync;

/// Asks mounts. There is one per host, so that what hangs is known to all who ask.
pub(crate) struct MountAsker {
    ask: Arc<Ask>,
    board: Arc<Mutex<Board>>,
    to_us: SyncSender<(u64, Answer)>,
    answers: Receiver<(u64, Answer)>,
    /// Mounts whose question is out since an earlier round; no more than there can be threads.
    out: BTreeSet<u64>,
}

/// What the threads share.
#[derive(Default)]
struct Board {
    local: VecDeque<Waiting>,
    remote: VecDeque<Waiting>,
    remote_out: usize,
    threads: usize,
}

struct Waiting {
    mount: u64,
    path: PathBuf,
    is_remote: bool,
}

impl Board {
    /// What the calling thread is to ask next. `None` ends it.
    fn next(&mut self) -> Option<Waiting> {
        let next = self.local.pop_front().or_else(|| {
            let may_hang = self.remote_out < MOST_REMOTE;
            may_hang.then(|| self.remote.pop_front()).flatten()
        });
        match &next {
            Some(waiting) => self.remote_out += usize::from(waiting.is_remote),
            None => self.threads -= 1,
        }
        next
    }

    fn is_waited_for(&self) -> bool {
        !self.local.is_empty() || (!self.remote.is_empty() && self.remote_out < MOST_REMOTE)
    }
}

impl MountAsker {
    /// One that asks the kernel.
    pub(crate) fn of_kernel() -> Self {
        Self::asking(Arc::new(statvfs))
    }

    /// One that asks by `ask`, which may take as long as it likes.
    pub(crate) fn asking(ask: Arc<Ask>) -> Self {
        // A thread can have one answer on its way; within a round it waits until there is room.
        let (to_us, answers) = sync_channel(MOST_THREADS);
        Self { ask, board: Arc::default(), to_us, answers, out: BTreeSet::new() }
    }

    /// One answer per question, in their order. `path` says where a mount point is for this process. Takes a second at
    /// most, and usually as long as the system calls.
    pub(crate) fn ask(&mut self, questions: &[Question<'_>], path: impl Fn(&str) -> PathBuf) -> Vec<Answer> {
        // What comes late is old; but whoever answers again can be asked again.
        while let Ok((mount, _)) = self.answers.try_recv() {
            self.out.remove(&mount);
        }
        let mut asked = BTreeMap::new();
        let mut board = lock(&self.board);
        for question in questions.iter().filter(|question| !self.out.contains(&question.mount)) {
            let Question { mount, is_remote, .. } = *question;
            if asked.insert(mount, Answer::NotAsked).is_none() {
                let queue = if is_remote { &mut board.remote } else { &mut board.local };
                queue.push_back(Waiting { mount, path: path(question.point), is_remote });
            }
        }
        drop(board);
        self.round(&mut asked);
        let answer = |question: &Question<'_>| asked.get(&question.mount).copied().unwrap_or(Answer::Stuck);
        questions.iter().map(answer).collect()
    }

    /// Has everything on the board asked, and fills in what was answered before the deadline.
    #[expect(clippy::disallowed_methods, reason = "how long to wait for the kernel, not what time it is")]
    fn round(&mut self, asked: &mut BTreeMap<u64, Answer>) {
        let end = Instant::now() + DEADLINE;
        let mut next_thread = Instant::now();
        let mut unanswered = asked.len();
        while unanswered > 0 {
            let now = Instant::now();
            if now >= next_thread {
                self.start_thread();
                next_thread = now + PATIENCE;
            }
            match self.answers.recv_timeout(next_thread.min(end).saturating_duration_since(now)) {
                Ok((mount, answer)) => match asked.get_mut(&mount) {
                    Some(place) => {
                        *place = answer;
                        unanswered -= 1;
                    }
                    // Late, of an earlier round: to be asked again in the next one.
                    None => {
                        self.out.remove(&mount);
                    }
                },
                Err(_) if now >= end => break,
                Err(_) => {}
            }
        }
        self.end_round(asked);
    }

    /// Takes back what no thread has taken. The rest of what has no answer is out.
    fn end_round(&mut self, asked: &mut BTreeMap<u64, Answer>) {
        let mut board = lock(&self.board);
        let not_asked: BTreeSet<u64> = board.local.drain(..).map(|waiting| waiting.mount).collect();
        let not_asked = &not_asked | &board.remote.drain(..).map(|waiting| waiting.mount).collect();
        drop(board);
        for (mount, answer) in asked.iter_mut().filter(|(_, answer)| **answer == Answer::NotAsked) {
            if !not_asked.contains(mount) {
                *answer = Answer::Stuck;
                self.out.insert(*mount);
            }
        }
    }

    /// Starts a thread if there is a question that it could ask.
    fn start_thread(&self) {
        let mut board = lock(&self.board);
        if !board.is_waited_for() || board.threads >= MOST_THREADS {
            return;
        }
        let (shared, ask, answer) = (self.board.clone(), self.ask.clone(), self.to_us.clone());
        let name = "ask-mount".to_owned();
        let thread = std::thread::Builder::new().name(name).stack_size(STACK_BYTES);
        // Where no thread can be had, the questions of this round are not asked.
        if thread.spawn(move || work(&shared, &*ask, &answer)).is_ok() {
            board.threads += 1;
        }
    }
}

impl fmt::Debug for MountAsker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountAsker").field("out", &self.out).finish_non_exhaustive()
    }
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of a thread.
fn work(board: &Mutex<Board>, ask: &Ask, answer: &SyncSender<(u64, Answer)>) {
    loop {
        let Some(question) = lock(board).next() else { return };
        let said = ask(&question.path).map_or_else(Answer::Refused, Answer::Space);
        lock(board).remote_out -= usize::from(question.is_remote);
        if answer.send((question.mount, said)).is_err() {
            return;
        }
    }
}

fn statvfs(path: &Path) -> Result<Space, Errno> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Space {
        block_bytes: stat.f_frsize,
        blocks: stat.f_blocks,
        free: stat.f_bfree,
        available: stat.f_bavail,
        files: stat.f_files,
        free_files: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests;
