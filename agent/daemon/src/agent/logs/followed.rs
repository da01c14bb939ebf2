//! One source as the thread `logs` has it: open, or to be opened; well, or left alone for a while after an error.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logs::{LogSource, LogSourceError, Positions, Ready, SourceFigures};
use telemetry::{LogBuffer, with_causes};

use super::Moment;
use super::board::{Listing, Report};

/// How long a source that failed is left alone: long enough that one that goes on failing costs nothing, short enough
/// for one that is well again.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// How long until a source is opened again that could not be: a directory that is not there yet may come.
const OPENED_AGAIN: Duration = Duration::from_secs(10);

/// Opens a source at its place.
pub(crate) type Open = Box<dyn Fn(&Positions) -> Result<Box<dyn LogSource>, LogSourceError> + Send>;

/// A source of the configuration.
pub(crate) struct SourceSpec {
    /// Its name there.
    pub(crate) name: Arc<str>,
    /// `files`, `journal` or `kernel`.
    pub(crate) kind: &'static str,
    /// All that is said of it, to see whether a reload changes it.
    pub(crate) printed: String,
    pub(crate) open: Open,
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSpec").field("printed", &self.printed).finish_non_exhaustive()
    }
}

/// A source that is followed.
pub(super) struct Followed {
    spec: SourceSpec,
    source: Option<Box<dyn LogSource>>,
    /// It is not touched before.
    not_before: Option<Instant>,
    /// It had more than it was asked for, or was never asked.
    has_more: bool,
    /// What was appended by it is not settled yet.
    unsettled: bool,
    /// What it had counted when it was closed.
    past: SourceFigures,
    /// How often it failed.
    failures: u64,
    /// Why it failed the last time, until it does not.
    trouble: Option<String>,
    /// Records that could not be made durable for good.
    pub(super) lost: u64,
}

impl Followed {
    pub(super) fn new(spec: SourceSpec) -> Self {
        Self {
            spec,
            source: None,
            not_before: None,
            has_more: true,
            unsettled: false,
            past: SourceFigures::default(),
            failures: 0,
            trouble: None,
            lost: 0,
        }
    }

    /// One of the same name that counts on where `former` was, and is otherwise another one.
    pub(super) fn in_place_of(former: &Self, spec: SourceSpec) -> Self {
        let mut past = former.figures();
        (past.behind_bytes, past.files) = (0, 0);
        Self { past, failures: former.failures, lost: former.lost, ..Self::new(spec) }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    pub(super) fn is(&self, spec: &SourceSpec) -> bool {
        self.spec.kind == spec.kind && self.spec.printed == spec.printed
    }

    /// Whether it had more than it was asked for.
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Descriptors that can be read when there may be something new; none while it is left alone.
    pub(super) fn wakes(&self, now: Moment) -> Vec<BorrowedFd<'_>> {
        let source = self.source.as_ref().filter(|_| !self.is_left_alone(now));
        source.map(|source| source.wakes()).unwrap_or_default()
    }

    fn is_left_alone(&self, now: Moment) -> bool {
        self.not_before.is_some_and(|until| now.at < until)
    }

    /// How long until it wants to be read although nothing wakes it.
    pub(super) fn wants_in(&self, now: Moment) -> Option<Duration> {
        match self.not_before.map(|until| until.saturating_duration_since(now.at)) {
            Some(left) if !left.is_zero() => Some(left),
            _ if self.has_more || self.source.is_none() => Some(Duration::ZERO),
            _ => self.source.as_ref().and_then(|source| source.next_look(now.wall)),
        }
    }

    /// Reads it, after opening it if that is due. `out` is to hold about `max_bytes` then. Says whether it has more.
    ///
    /// # Errors
    ///
    /// Why it failed; it is left alone for a while.
    pub(super) fn read(
        &mut self,
        now: Moment,
        positions: &Positions,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<bool, String> {
        self.not_before = None;
        let source = match &mut self.source {
            Some(source) => source,
            none => match (self.spec.open)(positions) {
                Ok(source) => none.insert(source),
                Err(error) => return Err(self.failed(now, &error, OPENED_AGAIN)),
            },
        };
        let read = source.read_ready(now.wall, out, max_bytes);
        // Also without a record its place may have moved: by lines that were left out.
        self.unsettled = true;
        match read {
            Ok(ready) => {
                self.has_more = ready == Ready::More;
                self.trouble = None;
                Ok(self.has_more)
            }
            Err(error) => {
                self.has_more = true;
                Err(self.failed(now, &error, LEFT_ALONE))
            }
        }
    }

    fn failed(&mut self, now: Moment, error: &LogSourceError, left_alone: Duration) -> String {
        let text = with_causes(error);
        self.not_before = Some(now.at + left_alone);
        self.failures += 1;
        self.trouble = Some(text.clone());
        text
    }

    /// What it appended is durable.
    pub(super) fn settle(&mut self, positions: &mut Positions) {
        if std::mem::take(&mut self.unsettled)
            && let Some(source) = &mut self.source
        {
            source.settle(positions);
        }
    }

    /// Closes it: it is opened again at the place that is remembered.
    pub(super) fn close(&mut self) {
        self.past = self.figures();
        (self.past.behind_bytes, self.past.files) = (0, 0);
        (self.source, self.unsettled, self.has_more, self.not_before) = (None, false, true, None);
    }

    /// What it has done since the agent started, or since it was configured.
    pub(super) fn figures(&self) -> SourceFigures {
        let mut sum = self.past.clone();
        let Some(now) = self.source.as_ref().map(|source| source.figures()) else { return sum };
        sum.records += now.records;
        sum.bytes += now.bytes;
        sum.truncated += now.truncated;
        sum.invalid_utf8 += now.invalid_utf8;
        sum.unparsed += now.unparsed;
        sum.left_out += now.left_out;
        (sum.behind_bytes, sum.files) = (now.behind_bytes, now.files);
        for (reason, lost) in now.lost {
            match sum.lost.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, before)) => *before += lost,
                None => sum.lost.push((reason, lost)),
            }
        }
        sum
    }

    /// What it follows.
    pub(super) fn listing(&self) -> Listing {
        let files = self.source.as_ref().map(|source| source.listing()).unwrap_or_default();
        Listing { report: self.report(), files }
    }

    pub(super) fn report(&self) -> Report {
        let mut figures = self.figures();
        if self.lost > 0 {
            figures.lost.push(("too_large", self.lost));
        }
        Report {
            name: Arc::clone(&self.spec.name),
            kind: self.spec.kind,
            failures: self.failures,
            trouble: self.trouble.clone(),
            figures,
        }
    }
}
