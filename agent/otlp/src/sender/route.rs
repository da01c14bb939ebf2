//! Where a request goes: to the destination, or while that has been failing for a while, to one that stands in for it.
//!
//! Pure: moments and random numbers are given. While one fails, it is tried with one request at a time, ever more
//! rarely; what it answers to requests from before the failure changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::sender::backoff::Backoff;
use crate::sender::exporter::Exporter;

/// How long a destination has failed before another one gets its telemetry: longer than a restart takes.
pub(crate) const FAILOVER_AFTER: Duration = Duration::from_secs(30);

/// What is to be done with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Send it there.
    Send(Attempt),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing before a request is answered that is under way.
    Answer,
}

/// Which way a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    way: usize,
    /// How often the way had failed when it was chosen.
    failures: u64,
}

impl Attempt {
    /// Whether another destination gets it.
    pub(crate) const fn is_by_other(self) -> bool {
        self.way > 0
    }
}

struct Way {
    exporter: Arc<dyn Exporter>,
    backoff: Backoff,
    failures: u64,
    /// Since when it has failed, if the latest answer was a failure.
    failing_since: Option<Instant>,
    wait_until: Option<Instant>,
    /// Whether the wait is as long as the destination asked for.
    was_asked: bool,
    is_probed: bool,
}

pub(crate) struct Routes {
    /// The destination's own way first.
    ways: Vec<Way>,
}

impl Routes {
    pub(crate) fn new(exporters: &[Arc<dyn Exporter>]) -> Self {
        let ways = exporters.iter().map(|exporter| Way {
            exporter: Arc::clone(exporter),
            backoff: Backoff::default(),
            failures: 0,
            failing_since: None,
            wait_until: None,
            was_asked: false,
            is_probed: false,
        });
        Self { ways: ways.collect() }
    }

    pub(crate) fn exporter(&self, attempt: Attempt) -> Option<Arc<dyn Exporter>> {
        self.ways.get(attempt.way).map(|way| Arc::clone(&way.exporter))
    }

    /// Where a request may go `now`; with [`Choice::Send`] it is taken to be sent.
    pub(crate) fn choose(&mut self, now: Instant) -> Choice {
        let mut wait: Option<Instant> = None;
        let mut later = |until: Instant| wait = Some(wait.map_or(until, |wait| wait.min(until)));
        for (at, way) in self.ways.iter_mut().enumerate() {
            let attempt = Attempt { way: at, failures: way.failures };
            let Some(since) = way.failing_since else { return Choice::Send(attempt) };
            let waits = way.wait_until.filter(|until| now < *until);
            if waits.is_none() && !way.is_probed {
                way.is_probed = true;
                return Choice::Send(attempt);
            }
            waits.into_iter().for_each(&mut later);
            // One after the other is given its chance.
            if now < since + FAILOVER_AFTER {
                later(since + FAILOVER_AFTER);
                break;
            }
        }
        wait.map_or(Choice::Answer, Choice::Wait)
    }

    /// It answered, be it by a refusal: it can be reached. Says for how long it could not be, if this is news.
    pub(crate) fn succeeded(&mut self, attempt: Attempt, now: Instant) -> Option<Duration> {
        let way = self.ways.get_mut(attempt.way).filter(|way| way.failures == attempt.failures)?;
        way.backoff.after_success();
        (way.wait_until, way.is_probed) = (None, false);
        way.failing_since.take().map(|since| now - since)
    }

    /// It could not take a request, and wants to be left alone for so long, if it said so. `jitter` is from 0 to 1.
    pub(crate) fn failed(&mut self, attempt: Attempt, asked: Option<Duration>, now: Instant, jitter: f64) {
        let Some(way) = self.ways.get_mut(attempt.way) else { return };
        let asked = asked.filter(|asked| !asked.is_zero());
        if way.failures != attempt.failures {
            // Sent along with the one that failed first: no news, unless it asks for more.
            if asked.is_some_and(|asked| way.wait_until.is_none_or(|until| until < now + asked)) {
                way.wait_until = Some(now + way.backoff.after_failure(asked, jitter));
                way.was_asked = true;
            }
            return;
        }
        way.failures += 1;
        way.is_probed = false;
        way.failing_since.get_or_insert(now);
        way.wait_until = Some(now + way.backoff.after_failure(asked, jitter));
        way.was_asked = asked.is_some();
    }

    /// It does not let us in, which takes a person to mend.
    pub(crate) fn kept_out(&mut self, attempt: Attempt, now: Instant, jitter: f64) {
        if let Some(way) = self.ways.get_mut(attempt.way) {
            way.backoff.be_patient();
        }
        self.failed(attempt, None, now, jitter);
    }

    /// It was chosen, and nothing was sent.
    pub(crate) fn unused(&mut self, attempt: Attempt) {
        if let Some(way) = self.ways.get_mut(attempt.way) {
            way.is_probed = false;
        }
    }

    /// Whether nobody may be asked `now`.
    pub(crate) fn is_waiting(&self, now: Instant) -> bool {
        let waits =
            |way: &Way| way.failing_since.is_some() && way.wait_until.is_some_and(|until| now < until);
        self.ways.first().is_some_and(waits)
    }

    /// Has all ways tried at once, but for those that asked to be left alone.
    pub(crate) fn hurry(&mut self) {
        for way in self.ways.iter_mut().filter(|way| !way.was_asked) {
            way.wait_until = None;
            way.backoff.after_success();
        }
    }
}

#[cfg(test)]
mod tests;
