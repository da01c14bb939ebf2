//! How the sources of logs fare, for everyone to see, and who can be asked what they follow.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Sender as Channel, bounded};
use logs::{FollowedFile, SourceFigures};

/// How long whoever asks waits for the thread, which may be reading.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One source.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) name: Arc<str>,
    /// `files`, `journal` or `kernel`.
    pub(crate) kind: &'static str,
    /// How often it could not be opened or read.
    pub(crate) failures: u64,
    /// Why it cannot be read now.
    pub(crate) trouble: Option<String>,
    /// Since the agent started, or since it was configured.
    pub(crate) figures: SourceFigures,
}

/// What one source follows.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) report: Report,
    pub(crate) files: Vec<FollowedFile>,
}

/// As the thread `logs` saw it last.
#[derive(Debug, Default)]
pub(crate) struct LogsBoard {
    seen: Mutex<Seen>,
    asks: Mutex<Option<Asks>>,
}

#[derive(Debug, Default)]
struct Seen {
    reports: Vec<Report>,
    held: Option<String>,
    is_wanted: bool,
}

/// By which the thread is asked, and woken.
struct Asks(Channel<Channel<Vec<Listing>>>, Box<dyn Fn() + Send>);

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asks(..)")
    }
}

impl LogsBoard {
    pub(super) fn put_up(&self, reports: Vec<Report>, held: Option<&str>, is_wanted: bool) {
        *lock(&self.seen) = Seen { reports, held: held.map(str::to_owned), is_wanted };
    }

    pub(super) fn answered_by(&self, ask: Channel<Channel<Vec<Listing>>>, wake: impl Fn() + Send + 'static) {
        *lock(&self.asks) = Some(Asks(ask, Box::new(wake)));
    }

    /// How each source fares.
    pub(crate) fn reports(&self) -> Vec<Report> {
        lock(&self.seen).reports.clone()
    }

    /// Why none is read, while none is.
    pub(crate) fn held(&self) -> Option<String> {
        lock(&self.seen).held.clone()
    }

    /// Whether anybody takes records.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.seen).is_wanted
    }

    /// What each source follows. None if the thread does not answer in time.
    pub(crate) fn listings(&self) -> Option<Vec<Listing>> {
        let (answer, answers) = bounded(1);
        match &*lock(&self.asks) {
            Some(Asks(ask, wake)) => {
                ask.try_send(answer).ok()?;
                wake();
            }
            None => return Some(Vec::new()),
        }
        answers.recv_timeout(ANSWER_WITHIN).ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
