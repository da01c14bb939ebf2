//! The thread `logs`: what files, the journal and the kernel say goes to the sender's queue and, once it is on disk, past
//! the taps.
//!
//! What is done when is decided in [`shipping`]; here it is waited for and done. The thread is started with the first
//! source and stays until the agent stops, whatever a reload takes away.

mod board;
mod followed;
mod link;
mod shipping;
mod troubles;
mod waker;

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use otlp::{LogsEncoder, Masking, NotAccepted, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use telemetry::{Signal, Timestamp};

use crate::agent::Shared;
use crate::agent::heartbeat::{ATTENTION, Pulse, WORK_WITHIN};
use crate::agent::mailbox::Mailbox;
use crate::clock;
use crate::taps::LineTaps;
pub(crate) use board::{Listing, LogsBoard, Report};
use followed::SourceSpec;
pub(crate) use link::Logs;
use link::Question;
use shipping::{LogShipping, Step};
use waker::Waker;

/// How often the figures of the sources are put up for others to see.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// A time of day for records, and a moment that only moves forward for what waits.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: Timestamp,
    at: Instant,
}

impl Moment {
    fn now() -> Self {
        Self { wall: clock::now(), at: clock::monotonic() }
    }
}

/// What the thread is to follow from now on, and what is masked in it.
#[derive(Debug)]
pub(in crate::agent) struct NewLogs {
    specs: Vec<SourceSpec>,
    masking: Masking,
}

/// What became of a batch, by its number in the round.
type Answer = (usize, Result<(), NotAccepted>);

/// The thread.
struct LogsStage {
    shipping: LogShipping,
    encoder: LogsEncoder,
    masking: Masking,
    sender: Arc<Sender>,
    shared: Shared,
    lines: LineTaps,
    pulse: Pulse,
    waker: Waker,
    ends: Arc<AtomicBool>,
    next: Arc<Mailbox<Option<NewLogs>>>,
    questions: Receiver<Question>,
    /// As many as there are batches in a round, at most.
    answers: Arc<Mutex<Vec<Answer>>>,
    /// When the board was last put up.
    shown: Option<Instant>,
}

impl LogsStage {
    fn run(mut self) {
        loop {
            self.pulse.beat(WORK_WITHIN);
            let now = Moment::now();
            self.hear(now);
            if self.ends.load(Ordering::Acquire) && !self.shipping.is_awaiting() {
                break;
            }
            self.take_over();
            self.shipping.set_wanted(self.is_wanted());
            self.shipping.sync(now, false);
            self.show(now);
            match self.shipping.next(now) {
                Step::Wait(within) => drop(self.wait(within, None)),
                Step::Read(within) => {
                    let woken = self.wait(within, Some(now));
                    if !self.ends.load(Ordering::Acquire) {
                        self.read(&woken);
                    }
                }
                Step::Offer => self.offer(now),
                Step::Save => self.shipping.save(now),
            }
        }
        self.shipping.sync(Moment::now(), true);
        self.show(Moment::now());
    }

    /// Takes note of what became of batches.
    fn hear(&mut self, now: Moment) {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for (number, outcome) in &answers {
            self.shipping.answered(*number, outcome, now);
        }
        if !answers.is_empty() && self.shipping.is_durable() {
            self.settle(now);
        }
    }

    fn settle(&mut self, now: Moment) {
        self.lines.commit(&self.masking, now.wall);
        self.shipping.settle(now);
    }

    fn take_over(&mut self) {
        if self.shipping.is_awaiting() {
            return;
        }
        if let Some(NewLogs { specs, masking }) = self.next.take().flatten() {
            // A round that is not durable is read again.
            self.lines.discard();
            self.shipping.follow(specs, Moment::now());
            self.masking = masking;
            self.shown = None;
        }
    }

    fn is_wanted(&self) -> bool {
        self.sender.has_recipient(Signal::Logs) || self.shared.taps.want_lines()
    }

    /// Puts the figures up, which cost a look at every source, and answers who wants to see more.
    fn show(&mut self, now: Moment) {
        if self.shown.is_none_or(|shown| shown + SHOW_EVERY <= now.at) {
            let (reports, held) = (self.shipping.reports(), self.shipping.held());
            self.shared.logs.put_up(reports, held, self.is_wanted());
            self.shown = Some(now.at);
        }
        for question in self.questions.try_iter() {
            // Whoever asked may have gone.
            let _ = question.try_send(self.shipping.listings());
        }
    }

    /// Waits for the waker and, with a moment, for the sources; says which of them woke.
    fn wait(&self, within: Duration, sources: Option<Moment>) -> Vec<usize> {
        self.pulse.beat(within.max(ATTENTION));
        let wakes = sources.into_iter().flat_map(|now| self.shipping.wakes(now));
        let (numbers, descriptors): (Vec<usize>, Vec<_>) = wakes.unzip();
        let mut polled = vec![PollFd::from_borrowed_fd(self.waker.as_fd(), PollFlags::IN)];
        polled.extend(descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let timeout = Timespec::try_from(within).ok();
        // Interrupted or refused is as good as woken: what is to be done is looked for anew.
        let _ = poll(&mut polled, timeout.as_ref());
        self.waker.rest();
        let woken = polled.iter().skip(1).zip(numbers).filter(|(fd, _)| !fd.revents().is_empty());
        woken.map(|(_, number)| number).collect()
    }

    /// Reads what is there, and offers it.
    fn read(&mut self, woken: &[usize]) {
        self.pulse.beat(WORK_WITHIN);
        let now = Moment::now();
        let records = self.shipping.read(woken, now);
        self.lines.see(records, &self.masking, now.wall);
        let batches = self.encoder.encode(records, &self.masking);
        self.shipping.hold(batches);
        if self.shipping.is_durable() {
            self.settle(now);
        } else {
            self.offer(now);
        }
    }

    fn offer(&mut self, now: Moment) {
        for (number, batch) in self.shipping.offer() {
            let (answers, waker) = (Arc::clone(&self.answers), self.waker.clone());
            self.sender.accept(batch, now.wall, move |outcome| {
                lock(&answers).push((number, outcome));
                waker.wake();
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
