//! The other side of the thread: what it is to follow, and the questions to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Sender as Channel, bounded};
use logs::Positions;
use otlp::{LogsEncoder, Masking, Sender};
use telemetry::Attributes;

use super::board::Listing;
use super::shipping::LogShipping;
use super::waker::Waker;
use super::{LogsStage, NewLogs, SourceSpec};
use crate::agent::Shared;
use crate::agent::ground::Ground;
use crate::agent::mailbox::Mailbox;
use crate::agent::stage::Stage;
use crate::config;

/// The file of the places in the state directory.
const POSITIONS: &str = "logs.positions";

/// Questions that wait; whoever asks beyond is told to ask again.
const MOST_QUESTIONS: usize = 4;

/// Somebody wants to know what every source follows, and waits for it here.
pub(super) type Question = Channel<Vec<Listing>>;

/// Something was taken over once nothing waits in it.
type Taken = Arc<Mailbox<Option<NewLogs>>>;

/// The thread, once there was something to follow, and what it takes to start it.
pub(crate) struct Logs {
    state: PathBuf,
    host: Attributes,
    sender: Arc<Sender>,
    shared: Shared,
    report: Channel<&'static str>,
    thread: Option<LogsThread>,
}

/// A thread that runs, and ends when this is dropped.
pub(in crate::agent) struct LogsThread {
    waker: Waker,
    ends: Arc<AtomicBool>,
    next: Taken,
    stage: Option<Stage>,
}

impl Logs {
    /// No thread yet. `host` are attributes of the host and not of the agent, whose logs they are not; `report` gets the
    /// name of the thread when it ends.
    pub(in crate::agent) fn new(
        ground: &Ground,
        host: Attributes,
        shared: &Shared,
        report: &Channel<&'static str>,
    ) -> Self {
        Self {
            state: ground.state.path().to_owned(),
            host,
            sender: Arc::clone(&ground.sender),
            shared: shared.clone(),
            report: report.clone(),
            thread: None,
        }
    }

    /// Follows what the configuration says when the agent starts.
    ///
    /// # Errors
    ///
    /// As of [`Logs::prepare`].
    pub(in crate::agent) fn follow_from_the_start(&mut self, logs: &config::Logs) -> anyhow::Result<()> {
        let started = self.prepare(logs)?;
        self.put_in_force(started, logs);
        Ok(())
    }

    /// Starts the thread if it is needed now and there is none.
    ///
    /// # Errors
    ///
    /// The places cannot be read, or the system gives no thread or no descriptor.
    pub(in crate::agent) fn prepare(&self, logs: &config::Logs) -> anyhow::Result<Option<LogsThread>> {
        let is_needed = self.thread.is_none() && !logs.sources.is_empty();
        is_needed.then(|| self.start()).transpose()
    }

    /// Follows these from now on, by the thread that was prepared for them.
    pub(in crate::agent) fn put_in_force(
        &mut self,
        started: Option<LogsThread>,
        logs: &config::Logs,
    ) -> Option<Taken> {
        if started.is_some() {
            self.thread = started;
        }
        let thread = self.thread.as_ref()?;
        let specs = logs.sources.iter().map(spec).collect();
        let new = NewLogs { specs, masking: logs.masking.clone() };
        thread.next.change(|next| *next = Some(new));
        thread.waker.wake();
        Some(Arc::clone(&thread.next))
    }

    /// Destinations have changed: somebody may want records now, or nobody any more.
    pub(in crate::agent) fn look_anew(&self) {
        self.thread.iter().for_each(|thread| thread.waker.wake());
    }

    /// Nothing more is read.
    pub(in crate::agent) fn stop(&self) {
        self.thread.iter().for_each(LogsThread::stop);
    }

    /// Waits for at most so long until what was read is durable and its places are saved.
    pub(in crate::agent) fn join(&mut self, within: Duration) {
        if let Some(stage) = self.thread.as_mut().and_then(|thread| thread.stage.take()) {
            stage.join(within);
        }
    }

    fn start(&self) -> anyhow::Result<LogsThread> {
        let waker = Waker::new().context("starting the thread logs")?;
        let (ends, next) = (Arc::<AtomicBool>::default(), Taken::default());
        let (ask, questions) = bounded(MOST_QUESTIONS);
        let stage = LogsStage {
            shipping: LogShipping::new(open_positions(&self.state)?),
            encoder: LogsEncoder::new(&self.host),
            masking: Masking::default(),
            sender: Arc::clone(&self.sender),
            lines: self.shared.taps.lines(),
            shared: self.shared.clone(),
            pulse: self.shared.heartbeats.pulse("logs"),
            waker: waker.clone(),
            ends: Arc::clone(&ends),
            next: Arc::clone(&next),
            questions,
            answers: Arc::default(),
            shown: None,
        };
        let stage = Stage::start("logs", self.report.clone(), move || stage.run())?;
        let asked = waker.clone();
        self.shared.logs.answered_by(ask, move || asked.wake());
        Ok(LogsThread { waker, ends, next, stage: Some(stage) })
    }
}

impl LogsThread {
    fn stop(&self) {
        self.ends.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Drop for LogsThread {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spec(source: &config::LogSourceConfig) -> SourceSpec {
    let opened = source.clone();
    SourceSpec {
        name: Arc::clone(source.name()),
        kind: source.kind(),
        printed: format!("{source:?}"),
        open: Box::new(move |positions| opened.open(positions)),
    }
}

fn open_positions(state: &Path) -> anyhow::Result<Positions> {
    let positions = Positions::open(&state.join(POSITIONS)).context("opening the places of logs")?;
    if positions.damaged() > 0 {
        let lines = positions.damaged();
        tracing::warn!(lines, "places of logs could not be read; some log records may be sent again");
    }
    Ok(positions)
}
