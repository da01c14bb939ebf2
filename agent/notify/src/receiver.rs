//! Tells one receiver what it is owed, as long as the agent runs. A receiver that is down delays nobody else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use otlp::{Backoff, PostError, Posted, Poster, Secret};
use telemetry::{Timestamp, with_causes};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::desk::{Delivery, Desk, Next, watchdog};
use crate::ledger::Answer;
use crate::notice::valid_until;
use crate::options::{Clock, DeadMansSwitch, Kind, Options, Receiver};
use crate::{alertmanager, webhook};

/// Looked at so often at least, whatever the clock says.
const ATTENTION: Duration = Duration::from_secs(30);

/// The first round of rules is looked for so often.
const FIRST_ROUND: Duration = Duration::from_secs(1);

/// What is counted of one receiver.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) millis: AtomicU64,
    /// None when it took what it was told last.
    failing: Mutex<Option<Failing>>,
}

/// Since when a receiver takes nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// When it was first told in vain.
    pub since: Timestamp,
    /// What came of the last attempt.
    pub error: String,
}

impl Counters {
    /// Set when the last attempt failed or was refused.
    pub(crate) fn failing(&self) -> Option<Failing> {
        self.lock().clone()
    }

    /// Notes what came of an attempt at `now`.
    fn note(&self, verdict: &Verdict, now: Timestamp) {
        let mut failing = self.lock();
        *failing = match verdict {
            Verdict::Accepted => None,
            Verdict::Refused(error) | Verdict::Later(_, error) => {
                let since = failing.as_ref().map_or(now, |failing| failing.since);
                Some(Failing { since, error: error.clone() })
            }
        };
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    /// The same again would be refused again.
    Refused(String),
    /// Later, and not before so long.
    Later(Option<Duration>, String),
}

/// What an answer means.
fn verdict(answer: Result<Posted, PostError>) -> Verdict {
    let posted = match answer {
        Ok(posted) => posted,
        Err(error) => return Verdict::Later(None, with_causes(&error)),
    };
    let reason = match posted.text.as_str() {
        "" => format!("it answered {}", posted.status),
        text => format!("it answered {}: {text}", posted.status),
    };
    match posted.status {
        200..=299 => Verdict::Accepted,
        // The first three are about this host, and not about what it tells.
        401 | 403 | 407 | 408 | 425 | 429 | 500..=599 => Verdict::Later(posted.retry_after, reason),
        _ => Verdict::Refused(reason),
    }
}

/// What a link to a receiver says, once.
#[derive(Debug, Default)]
struct Complaints {
    failing: bool,
    refusing: bool,
}

impl Complaints {
    fn fails(&mut self, receiver: &str, reason: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(receiver, "cannot be told of alerts; it is tried again: {reason}");
        }
    }

    fn refuses(&mut self, receiver: &str, reason: &str) {
        self.answers(receiver);
        if !std::mem::replace(&mut self.refusing, true) {
            tracing::warn!(receiver, "refuses what it is told; it is tried again later: {reason}");
        }
    }

    fn accepts(&mut self, receiver: &str) {
        self.answers(receiver);
        self.refusing = false;
    }

    fn answers(&mut self, receiver: &str) {
        if std::mem::take(&mut self.failing) {
            tracing::info!(receiver, "can be told of alerts again");
        }
    }
}

/// A link to one URL, with what is counted of it.
struct Link {
    poster: Poster,
    secret: Option<Secret>,
    counters: Arc<Counters>,
    complaints: Complaints,
}

impl Link {
    /// Posts a body, and notes what comes of it.
    async fn post(&self, body: Vec<u8>, now: Timestamp) -> Verdict {
        let verdict = self.attempt(body, now).await;
        self.counters.note(&verdict, now);
        verdict
    }

    /// Posts a body, signed if there is a secret to sign by.
    async fn attempt(&self, body: Vec<u8>, now: Timestamp) -> Verdict {
        let headers = match self.secret.as_ref().map(Secret::read) {
            None => HeaderMap::new(),
            Some(Ok(secret)) => webhook::signed(&secret, &body, now),
            Some(Err(error)) => return Verdict::Later(None, with_causes(&error)),
        };
        let begun = Instant::now();
        let verdict = verdict(self.poster.post(headers, Bytes::from(body)).await);
        let failed = matches!(verdict, Verdict::Later(..));
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.counters.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.counters.millis.fetch_add(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        verdict
    }
}

/// What a task works with.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) options: Arc<Options>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    /// Set when the task is to end, once it has an answer to what it has asked.
    pub(crate) ending: watch::Receiver<bool>,
}

impl Bench {
    /// Waits for so long; says whether to go on.
    async fn rest(&mut self, wait: Duration) -> bool {
        tokio::select! {
            _ = self.ending.wait_for(|ending| *ending) => false,
            () = sleep(wait) => true,
        }
    }
}

/// Tells `receiver` until the task is to end.
pub(crate) async fn serve(receiver: Receiver, mut bench: Bench, mut news: watch::Receiver<u64>) {
    let Bench { options, desk, counters, clock, .. } = bench.clone();
    let pace = receiver.pace(options.resend_delay);
    let secret = match &receiver.kind {
        Kind::Alertmanager => None,
        Kind::Webhook { secret, .. } => secret.clone(),
    };
    let poster = Poster::new(receiver.target.clone());
    let mut link = Link { poster, secret, counters, complaints: Complaints::default() };
    let mut backoff = Backoff::default();
    while !*bench.ending.borrow() {
        news.borrow_and_update();
        let now = (clock.0)();
        match desk.next(link.poster.name(), &receiver.kind, &pace, &options, now) {
            Next::Wait(until) => {
                let wait = until.map_or(ATTENTION, |until| until.since(now).min(ATTENTION));
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { return },
                    _ = bench.rest(wait) => {}
                }
            }
            Next::Tell(delivery) => {
                if let Some(wait) = tell(&mut link, &receiver, &options, &desk, delivery, clock).await {
                    bench.rest(backoff.after_failure(wait.0, otlp::random())).await;
                } else {
                    backoff.after_success();
                }
            }
        }
    }
}

/// The delay that a receiver asked for.
struct AskedDelay(Option<Duration>);

/// Tells one delivery. Returns what to wait for if it must be tried again.
async fn tell(
    link: &mut Link,
    receiver: &Receiver,
    options: &Options,
    desk: &Arc<Desk>,
    delivery: Delivery,
    clock: Clock,
) -> Option<AskedDelay> {
    let Delivery { notices, truncated, keep_first } = delivery;
    if keep_first {
        desk.keep().await;
    }
    let (now, name) = ((clock.0)(), link.poster.name().to_owned());
    let body = match receiver.kind {
        Kind::Alertmanager => alertmanager::body(&notices, &options.externals, now),
        Kind::Webhook { .. } => webhook::body(&name, &notices, truncated, &options.externals),
    };
    let (answer, counter) = match link.post(body, now).await {
        Verdict::Accepted => {
            link.complaints.accepts(&name);
            (Answer::Accepted, &link.counters.accepted)
        }
        Verdict::Refused(reason) => {
            link.complaints.refuses(&name, &reason);
            (Answer::Refused, &link.counters.refused)
        }
        Verdict::Later(asked, reason) => {
            link.complaints.fails(&name, &reason);
            return Some(AskedDelay(asked));
        }
    };
    counter.fetch_add(notices.len() as u64, Ordering::Relaxed);
    desk.answered(&name, &notices, answer, (clock.0)());
    desk.keep().await;
    None
}

/// Says in each interval that rules are evaluated, as long as they are. What fails is tried again before the interval is over.
pub(crate) async fn hold(switch: DeadMansSwitch, mut bench: Bench) {
    let Bench { options, desk, counters, clock, .. } = bench.clone();
    let poster = Poster::new(switch.target.clone());
    let mut link =
        Link { poster, secret: switch.secret.clone(), counters, complaints: Complaints::default() };
    let name = link.poster.name().to_owned();
    let since = (clock.0)();
    let mut backoff = Backoff::default();
    loop {
        let now = (clock.0)();
        let alive =
            desk.evaluated().filter(|(at, interval)| now < valid_until(*interval, switch.interval, *at));
        let mut wait = if desk.evaluated().is_some() { switch.interval } else { FIRST_ROUND };
        if let Some((at, interval)) = alive {
            let notice = Arc::new(watchdog(since, valid_until(interval, switch.interval, at)));
            match link.post(webhook::body(&name, &[notice], 0, &options.externals), now).await {
                Verdict::Accepted => {
                    backoff.after_success();
                    link.complaints.accepts(&name);
                    link.counters.accepted.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Refused(reason) => {
                    backoff.after_success();
                    link.complaints.refuses(&name, &reason);
                    link.counters.refused.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::Later(asked, reason) => {
                    link.complaints.fails(&name, &reason);
                    wait = wait.min(backoff.after_failure(asked, otlp::random()));
                }
            }
        }
        if !bench.rest(wait).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_fails_since_it_was_first_told_in_vain_until_it_takes_something() {
        let counters = Counters::default();
        let refused = || Verdict::Refused("no".to_owned());
        let later = || Verdict::Later(None, "away".to_owned());
        for (at, verdict, expected) in [
            (1, Verdict::Accepted, None),
            (2, later(), Some((2, "away"))),
            (3, refused(), Some((2, "no"))),
            (4, Verdict::Accepted, None),
            (5, refused(), Some((5, "no"))),
        ] {
            counters.note(&verdict, Timestamp::from_secs(at));
            let expected = expected
                .map(|(at, error)| Failing { since: Timestamp::from_secs(at), error: error.to_owned() });
            assert_eq!(counters.failing(), expected, "at {at}");
        }
    }

    #[test]
    fn an_answer_is_taken_for_what_it_says() {
        let posted = |status| Ok(Posted { status, retry_after: None, text: "why".to_owned() });
        let why = |status: u16| format!("it answered {status}: why");
        for status in [200, 204] {
            assert_eq!(verdict(posted(status)), Verdict::Accepted);
        }
        for status in [400, 404, 413, 301] {
            assert_eq!(verdict(posted(status)), Verdict::Refused(why(status)));
        }
        for status in [401, 403, 407, 429, 500, 503] {
            assert_eq!(verdict(posted(status)), Verdict::Later(None, why(status)));
        }
        let silence = verdict(Err(PostError::Silence(Duration::from_secs(10))));
        assert_eq!(silence, Verdict::Later(None, "no answer within 10s".to_owned()));
    }
}
