//! The fleet's lock, asked on a thread of its own, so that a shared directory that hangs holds nobody up for long.
//!
//! Who asks waits for a moment only; what was not answered by then is a refusal. Everything is done in the order in which it
//! was asked for, also when nobody waits for it any more: a place that is given back late is given back, and one that is
//! had late is given back at once. While one question hangs, others for a place are refused without a wait.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use remediation::{FileFleetLock, FleetLock, FleetLockError, FleetLockTerms, Place};
use telemetry::{RunId, Timestamp, with_causes};

use crate::clock;

/// How long who asks waits: a shared file system answers in milliseconds, a busy one in a second.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Questions that wait for the thread, more than all runs can have at once. Beyond, a place is free when its time is over.
const MAX_ASKED: usize = 64;

/// By what this host agrees with others, and how that fares.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// Which host this is, among those that agree with it.
    holder: String,
    by: Option<(PathBuf, Arc<PromptFleetLock>)>,
    unanswered: Arc<AtomicU64>,
}

impl Agreement {
    /// By nothing yet.
    pub(crate) fn of(holder: String) -> Self {
        Self { holder, by: None, unanswered: Arc::default() }
    }

    /// The lock in this directory: the one that there is, if it is that.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(crate) fn by(&mut self, directory: Option<PathBuf>) -> anyhow::Result<Option<Arc<dyn FleetLock>>> {
        let same = |(path, _): &(PathBuf, _)| Some(path) == directory.as_ref();
        if !self.by.as_ref().is_some_and(same) {
            self.by = None;
            let start = |path: PathBuf| -> anyhow::Result<_> {
                let lock = FileFleetLock::new(path.clone(), self.holder.clone());
                Ok((path, Arc::new(PromptFleetLock::start(lock, Arc::clone(&self.unanswered))?)))
            };
            self.by = directory.map(start).transpose()?;
        }
        Ok(self.by.as_ref().map(|(_, lock)| Arc::clone(lock) as Arc<dyn FleetLock>))
    }

    /// How often no answer came in time, since the start.
    pub(crate) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }
}

/// Asks another lock.
#[derive(Debug)]
pub(crate) struct PromptFleetLock {
    inbox: Arc<Inbox>,
    within: Duration,
}

/// What the thread is asked.
#[derive(Clone, Debug)]
enum Question {
    Look(FleetLockTerms, Timestamp),
    Acquire(FleetLockTerms, RunId, Timestamp),
    Renew(Place, Timestamp),
    Release(Place, Timestamp),
    ReleaseOthers(Vec<RunId>, Timestamp),
}

type Answer = Result<Option<Place>, FleetLockError>;

impl Question {
    fn doing(&self) -> &'static str {
        match self {
            Self::Look(..) => "looking for a place in the fleet",
            Self::Acquire(..) => "taking a place in the fleet",
            Self::Renew(..) => "keeping a place in the fleet",
            Self::Release(..) => "giving a place in the fleet back",
            Self::ReleaseOthers(..) => "giving places in the fleet of earlier runs back",
        }
    }

    /// Whether it is worth nothing once nobody waits for the answer.
    fn is_only_for_who_waits(&self) -> bool {
        matches!(self, Self::Look(..) | Self::Acquire(..))
    }

    fn ask(&self, lock: &dyn FleetLock) -> Answer {
        match self {
            Self::Look(terms, now) => lock.look(terms, *now).map(|()| None),
            Self::Acquire(terms, run, now) => lock.acquire(terms, run, *now).map(Some),
            Self::Renew(place, now) => lock.renew(place, *now).map(|()| None),
            Self::Release(place, now) => lock.release(place, *now).map(|()| None),
            Self::ReleaseOthers(but, now) => lock.release_others(but, *now).map(|()| None),
        }
    }

    /// Nobody waits for the answer any more.
    fn came_late(&self, lock: &dyn FleetLock, answer: Answer) {
        match (self, answer) {
            (Self::Acquire(_, run, now), Ok(Some(place))) => {
                let released = lock.release(&place, *now);
                let error = released.err().map(|error| with_causes(&error));
                tracing::warn!(%run, error, "a place in the fleet was had too late, and is given back");
            }
            (_, Err(error)) if !self.is_only_for_who_waits() => {
                tracing::warn!("{}: {}", self.doing(), with_causes(&error));
            }
            _ => {}
        }
    }
}

/// One question, and where its answer is waited for.
#[derive(Debug)]
struct Asked {
    number: u64,
    question: Question,
}

#[derive(Debug, Default)]
struct State {
    asked: VecDeque<Asked>,
    next: u64,
    /// The question that somebody waits for, and its answer: of several that wait, each.
    waits: Vec<(u64, Option<Answer>)>,
    /// Since when the thread has been asking the lock.
    busy_since: Option<Instant>,
    closed: bool,
}

/// Between those who ask and the thread.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    /// How often no answer came in time.
    unanswered: Arc<AtomicU64>,
}

impl PromptFleetLock {
    /// Asks `lock` on a thread of its own, and counts in `unanswered` what is not answered in time.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(crate) fn start(lock: impl FleetLock + 'static, unanswered: Arc<AtomicU64>) -> anyhow::Result<Self> {
        Self::start_within(lock, ANSWER_WITHIN, unanswered)
    }

    fn start_within(
        lock: impl FleetLock + 'static,
        within: Duration,
        unanswered: Arc<AtomicU64>,
    ) -> anyhow::Result<Self> {
        let inbox = Arc::new(Inbox { unanswered, ..Inbox::default() });
        let serves = Arc::clone(&inbox);
        // Not joined: it may hang in the kernel for as long as the file system does.
        let thread = std::thread::Builder::new().name("fleet-lock".to_owned());
        thread.spawn(move || serves.serve(&lock)).context("starting the thread fleet-lock")?;
        Ok(Self { inbox, within })
    }

    fn ask(&self, question: Question) -> Answer {
        self.inbox.ask(question, self.within)
    }
}

impl Drop for PromptFleetLock {
    fn drop(&mut self) {
        self.inbox.lock().closed = true;
        self.inbox.changed.notify_all();
    }
}

impl Inbox {
    fn ask(&self, question: Question, within: Duration) -> Answer {
        let doing = question.doing();
        let mut state = self.lock();
        let now = clock::monotonic();
        let hangs_for =
            state.busy_since.map(|since| now.duration_since(since)).filter(|busy| *busy >= within);
        let too_many = state.asked.len() >= MAX_ASKED;
        let no_use = hangs_for.is_some() && question.is_only_for_who_waits();
        if no_use || too_many {
            return Err(self.no_answer(doing, hangs_for.unwrap_or(within)));
        }
        let number = state.next;
        state.next += 1;
        state.asked.push_back(Asked { number, question });
        state.waits.push((number, None));
        self.changed.notify_all();
        // Nobody waits behind a question that hangs.
        let deadline = if hangs_for.is_some() { now } else { now + within };
        let answered =
            |state: &State| state.waits.iter().any(|(of, answer)| *of == number && answer.is_some());
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, clock::left(deadline), |state| !answered(state))
            .unwrap_or_else(PoisonError::into_inner);
        let at = state.waits.iter().position(|(of, _)| *of == number);
        if let Some(answer) = at.and_then(|at| state.waits.swap_remove(at).1) {
            return answer;
        }
        Err(self.no_answer(doing, hangs_for.unwrap_or(within)))
    }

    fn no_answer(&self, doing: &'static str, waited: Duration) -> FleetLockError {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        FleetLockError::Unanswered { doing, waited }
    }

    /// Asks the lock until nobody asks any more; what was asked before that is done still.
    fn serve(&self, lock: &dyn FleetLock) {
        let mut state = self.lock();
        loop {
            let idle = |state: &mut State| state.asked.is_empty() && !state.closed;
            state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let Some(Asked { number, question }) = state.asked.pop_front() else { return };
            let is_waited_for = |state: &State| state.waits.iter().any(|(of, _)| *of == number);
            if question.is_only_for_who_waits() && !is_waited_for(&state) {
                continue;
            }
            state.busy_since = Some(clock::monotonic());
            drop(state);
            let answer = question.ask(lock);
            state = self.lock();
            if let Some((_, slot)) = state.waits.iter_mut().find(|(of, _)| *of == number) {
                *slot = Some(answer);
            } else {
                drop(state);
                question.came_late(lock, answer);
                state = self.lock();
            }
            state.busy_since = None;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FleetLock for PromptFleetLock {
    fn look(&self, terms: &FleetLockTerms, now: Timestamp) -> Result<(), FleetLockError> {
        self.ask(Question::Look(terms.clone(), now)).map(|_| ())
    }

    fn acquire(&self, terms: &FleetLockTerms, run: &RunId, now: Timestamp) -> Result<Place, FleetLockError> {
        let answer = self.ask(Question::Acquire(terms.clone(), run.clone(), now))?;
        Ok(answer.expect("whoever acquires is answered with a place"))
    }

    fn renew(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        self.ask(Question::Renew(place.clone(), now)).map(|_| ())
    }

    fn release(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError> {
        self.ask(Question::Release(place.clone(), now)).map(|_| ())
    }

    fn release_others(&self, but: &[RunId], now: Timestamp) -> Result<(), FleetLockError> {
        self.ask(Question::ReleaseOthers(but.to_vec(), now)).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
