use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::sender::exporter::{Accepted, BoxFuture, ExportError, Exporter};
use crate::sender::fake::Fake;
use bytes::Bytes;
use std::time::Duration;
use telemetry::{Batch, Signal};
use tokio::task::JoinHandle;
use tokio::time::sleep;

#[derive(Clone, Debug)]
enum Answer {
    Take,
    Reject(u64),
    Busy(Option<Duration>),
    Refuse,
    KeepOut,
    Hang,
    Panic,
}

/// What was tried: when, counted from the start, and how many items it had.
type Attempts = Arc<Mutex<Vec<(Duration, u64)>>>;

/// Answers as told, then takes everything.
struct Scripted {
    answers: Mutex<VecDeque<Answer>>,
    attempts: Attempts,
    start: Instant,
}

impl Exporter for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        self.attempts.lock().unwrap().push((self.start.elapsed(), batch.items));
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Take);
        let destination = "scripted".to_owned();
        Box::pin(async move {
            match answer {
                Answer::Take => Ok(Accepted::default()),
                Answer::Reject(rejected_items) => {
                    Ok(Accepted { rejected_items, message: "too old".to_owned() })
                }
                Answer::Busy(retry_after) => {
                    Err(ExportError::TryLater { destination, retry_after, source: "busy".into() })
                }
                Answer::Refuse => Err(ExportError::Refused { destination, reason: "no".to_owned() }),
                Answer::KeepOut => Err(ExportError::Unwelcome { destination, reason: "who?".to_owned() }),
                Answer::Hang => std::future::pending().await,
                Answer::Panic => panic!("the exporter is broken"),
            }
        })
    }
}

/// Too large to go together with another.
fn batch(items: u64) -> Batch {
    Batch { signal: Signal::Metrics, payload: Bytes::from(vec![0; 300 << 10]), items }
}

struct Rig {
    recipient: Arc<Recipient>,
    lane: Arc<Lane>,
    stop: watch::Sender<Option<Instant>>,
    attempts: Attempts,
    task: JoinHandle<()>,
    _setup: watch::Sender<Arc<Setup>>,
}

impl Rig {
    /// A delivery of batches with 1, 2, 3, ... items.
    fn new(answers: &[Answer], batches: u64) -> Self {
        Self::with(answers, batches, 1, &[])
    }

    fn with(answers: &[Answer], batches: u64, concurrency: usize, stand_ins: &[Arc<dyn Exporter>]) -> Self {
        let lane = Lane::new(Signal::Metrics, None, None, Arc::default());
        let recipient = Arc::new(Recipient::new("scripted", None));
        recipient.set_lane(Signal::Metrics, Some(Arc::clone(&lane)));
        let attempts = Attempts::default();
        let answers = Mutex::new(answers.iter().cloned().collect());
        let exporter = Scripted { answers, attempts: attempts.clone(), start: Instant::now() };
        let mut ways: Vec<Arc<dyn Exporter>> = vec![Arc::new(exporter)];
        ways.extend(stand_ins.iter().cloned());
        let setup = Setup { ways, concurrency, max_request_bytes: 4 << 20 };
        let (keep, setup) = watch::channel(Arc::new(setup));
        let (stop, stopped) = watch::channel(None);
        let delivery = Delivery::new(Arc::clone(&recipient), Arc::clone(&lane), setup, Stop(stopped));
        for items in 1..=batches {
            lane.offer(batch(items), NOW);
        }
        Self { recipient, lane, stop, attempts, task: tokio::spawn(delivery.watched()), _setup: keep }
    }

    /// Lets the delivery run for `duration` and then stops it, allowing `grace` more.
    async fn finish(
        self,
        duration: Duration,
        grace: Duration,
    ) -> (Vec<(Duration, u64)>, crate::SignalFigures) {
        sleep(duration).await;
        self.stop.send_replace(Some(Instant::now() + grace));
        self.task.await.unwrap();
        let attempts = self.attempts.lock().unwrap().clone();
        (attempts, self.lane.figures())
    }
}

const NOW: telemetry::Timestamp = telemetry::Timestamp::from_secs(1_800_000_000);
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_failing_destination_is_tried_again_ever_more_rarely_and_in_order() {
    let rig = Rig::new(&[Answer::Busy(None), Answer::Busy(None), Answer::Busy(None)], 2);
    let (attempts, figures) = rig.finish(MINUTE, MINUTE).await;
    let items: Vec<u64> = attempts.iter().map(|(_, items)| *items).collect();
    assert_eq!(items, [1, 1, 1, 1, 2]);
    for ((pair, shortest), longest) in attempts.windows(2).zip([500, 1000, 2000]).zip([1000, 2000, 4000]) {
        let wait = pair[1].0.saturating_sub(pair[0].0);
        // Tokio's clock has milliseconds.
        let bounds = Duration::from_millis(shortest)..=Duration::from_millis(longest + 2);
        assert!(bounds.contains(&wait), "{wait:?}");
    }
    assert_eq!((figures.accepted, figures.delivered), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_panics_is_noticed_at_once_and_what_is_offered_is_counted_as_dropped() {
    let rig = Rig::new(&[Answer::Take, Answer::Panic], 3);
    sleep(Duration::from_secs(1)).await;
    rig.lane.offer(batch(10), NOW);
    let found = rig.recipient.figures();
    let figures = found.signal(Signal::Metrics);
    assert_eq!((figures.accepted, figures.delivered, figures.queued), (16, 1, 0));
    assert_eq!(figures.dropped_shutdown, 15);
    let error = found.last_error.unwrap();
    assert!(error.contains("the exporter is broken"), "{error}");
    rig.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_the_destination_asked_for_is_kept_even_when_stopping() {
    let rig = Rig::new(&[Answer::Busy(Some(Duration::from_secs(30)))], 1);
    let (attempts, figures) = rig.finish(Duration::from_secs(1), MINUTE).await;
    let second = attempts[1].0;
    assert!((Duration::from_secs(30)..Duration::from_secs(34)).contains(&second), "{second:?}");
    assert_eq!(figures.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_cuts_the_wait_short_and_empties_the_line() {
    let failures = vec![Answer::Busy(None); 6];
    let rig = Rig::new(&failures, 3);
    let (attempts, figures) = rig.finish(Duration::from_secs(16), MINUTE).await;
    let before = attempts.iter().filter(|(at, _)| *at < Duration::from_secs(16)).count();
    assert!((5..=6).contains(&before), "{attempts:?}");
    assert_eq!(attempts.get(before).map(|(at, _)| at.as_secs()), Some(16));
    assert_eq!((figures.delivered, figures.queued), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn what_the_deadline_leaves_is_dropped_and_counted() {
    for answer in [Answer::Hang, Answer::Busy(None), Answer::Busy(Some(MINUTE))] {
        let answers = vec![answer.clone(); 20];
        let rig = Rig::new(&answers, 3);
        let lane = rig.lane.clone();
        let before = Instant::now();
        let (_, figures) = rig.finish(Duration::from_secs(1), Duration::from_secs(2)).await;
        assert!(before.elapsed() < Duration::from_millis(3_100), "{answer:?}");
        assert_eq!((figures.accepted, figures.dropped_shutdown, figures.queued), (6, 6, 0), "{answer:?}");
        lane.offer(batch(5), NOW);
        assert_eq!(lane.figures().dropped_shutdown, 11, "offered after the stop");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_does_not_hold_up_the_next() {
    let rig = Rig::new(&[Answer::Refuse, Answer::Reject(1), Answer::Take], 3);
    let recipient = rig.recipient.clone();
    let (attempts, figures) = rig.finish(Duration::from_millis(10), MINUTE).await;
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|(at, _)| at.is_zero()));
    assert_eq!((figures.delivered, figures.refused), (4, 2));
    let figures = recipient.figures();
    assert_eq!(figures.last_error.as_deref(), Some("scripted will never take this batch: no"));
    assert_eq!(figures.consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_lets_nobody_in_gets_one_batch_now_and_then_and_the_rest_waits() {
    let rig = Rig::new(&vec![Answer::KeepOut; 9], 20);
    let lane = rig.lane.clone();
    sleep(MINUTE).await;
    let figures = lane.figures();
    assert!((5..=8).contains(&rig.attempts.lock().unwrap().len()), "{:?}", rig.attempts);
    assert!(figures.refused <= (1..=8).sum(), "{figures:?}");
    assert_eq!(figures.queued + figures.refused, 210);
    let (_, figures) = rig.finish(5 * MINUTE, MINUTE).await;
    assert_eq!((figures.refused, figures.delivered), (45, 165), "once it does, all of the rest goes there");
}

#[tokio::test(start_paused = true)]
async fn one_that_stands_in_and_lets_nobody_in_costs_nothing() {
    let keeps_out = Fake::new("other", |_| {
        Err(ExportError::Unwelcome { destination: "other".to_owned(), reason: "who?".to_owned() })
    });
    let rig = Rig::with(&vec![Answer::Busy(None); 8], 3, 1, &[Arc::new(keeps_out)]);
    let (_, figures) = rig.finish(5 * MINUTE, MINUTE).await;
    assert_eq!((figures.delivered, figures.refused), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn batches_that_come_later_are_delivered_at_once() {
    let rig = Rig::new(&[], 0);
    sleep(MINUTE).await;
    rig.lane.offer(batch(7), NOW);
    let (attempts, _) = rig.finish(Duration::from_secs(1), Duration::ZERO).await;
    assert_eq!(attempts, [(MINUTE, 7)]);
}

/// Keeps what was said.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Listener {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_is_mentioned_once_and_once_when_it_recovers() {
    let listener = Listener::default();
    let _listening = tracing::subscriber::set_default(listener.clone());
    let rig = Rig::new(&vec![Answer::Busy(None); 5], 3);
    rig.finish(MINUTE, MINUTE).await;
    assert_eq!(
        *listener.0.lock().unwrap(),
        [
            "delivery waits and is tried again: scripted cannot take the batch now: busy",
            "the destination takes telemetry again"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_requests_go_out_before_the_earlier_are_answered_but_not_more_than_may() {
    let rig = Rig::with(&vec![Answer::Hang; 10], 6, 3, &[]);
    let (attempts, _) = rig.finish(Duration::from_secs(1), Duration::ZERO).await;
    assert_eq!(attempts, [1, 2, 3].map(|items| (Duration::ZERO, items)));
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_one_request_is_tried_and_the_others_wait_for_it() {
    let rig = Rig::with(&vec![Answer::Busy(None); 3], 6, 3, &[]);
    let (attempts, figures) = rig.finish(Duration::from_secs(5), MINUTE).await;
    let at: Vec<_> = attempts.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(at[..3], [0, 0, 0]);
    assert!((500..=1_002).contains(&at[3]) && at[3..].iter().all(|moment| *moment == at[3]), "{at:?}");
    assert_eq!((figures.delivered, attempts.len()), (21, 9));
}

#[tokio::test(start_paused = true)]
async fn while_a_destination_fails_for_long_another_gets_its_telemetry_and_that_counts_as_delivered() {
    let stand_in = Arc::new(Fake::new("stand-in", |_| Ok(Accepted::default())));
    let rig = Rig::with(&vec![Answer::Busy(None); 9], 3, 1, &[stand_in]);
    let lane = rig.lane.clone();
    sleep(Duration::from_secs(29)).await;
    assert_eq!(lane.figures().queued, 6);
    sleep(Duration::from_secs(2)).await;
    assert_eq!((lane.figures().delivered, lane.figures().delivered_by_others), (6, 6));
    sleep(MINUTE).await;
    for items in 4..=9 {
        lane.offer(batch(items), NOW);
        sleep(Duration::from_secs(15)).await;
    }
    let (attempts, figures) = rig.finish(Duration::from_secs(5), MINUTE).await;
    assert_eq!(figures.delivered, 45);
    assert!(figures.delivered_by_others < 45, "the first gets it again: {figures:?} {attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_removed_ends_and_what_it_had_in_memory_is_counted() {
    let rig = Rig::new(&[Answer::Hang], 2);
    sleep(Duration::from_secs(1)).await;
    rig.lane.remove();
    rig.task.await.unwrap();
    assert_eq!(rig.lane.figures().dropped_shutdown, 3);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_one_and_refuses_the_next_is_told_of_once_a_minute() {
    let listener = Listener::default();
    let _listening = tracing::subscriber::set_default(listener.clone());
    let answers: Vec<Answer> = (0..5).flat_map(|_| [Answer::Refuse, Answer::Take]).collect();
    let rig = Rig::new(&answers, 10);
    rig.finish(Duration::from_secs(1), MINUTE).await;
    assert_eq!(listener.0.lock().unwrap().len(), 2, "{:?}", listener.0.lock().unwrap());
}
