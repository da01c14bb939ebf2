use super::*;
use bytes::Bytes;
use proptest::prelude::*;

fn batch(signal: Signal, bytes: usize, items: u64) -> Batch {
    Batch { signal, payload: Bytes::from(vec![0; bytes]), items }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Signal, usize, u64),
    Begin,
    Delivered(u64),
    Refused,
    Postponed,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let signal = prop_oneof![Just(Signal::Metrics), Just(Signal::Traces), Just(Signal::Logs)];
    let step = prop_oneof![
        8 => (signal, 0..2_000_usize, 0..100_u64).prop_map(|(signal, bytes, items)| Step::Offer(signal, bytes, items)),
        4 => Just(Step::Begin),
        2 => (0..150_u64).prop_map(Step::Delivered),
        1 => Just(Step::Refused),
        2 => Just(Step::Postponed),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..80)
}

/// What a plain list says should be queued: each batch with the number of its offer.
#[derive(Default)]
struct Model {
    waiting: Vec<(usize, Signal, usize, u64)>,
    underway: Option<(usize, Signal, usize, u64)>,
    closed: bool,
    accepted: [u64; 3],
}

impl Model {
    fn trim(&mut self, limit: usize) {
        while self.waiting.iter().map(|(_, _, bytes, _)| bytes + BATCH_OVERHEAD).sum::<usize>() > limit {
            self.waiting.remove(0);
        }
    }

    fn apply(&mut self, step: &Step, number: usize, limit: usize) {
        match *step {
            Step::Offer(signal, bytes, items) => {
                self.accepted[signal as usize] += items;
                if !self.closed {
                    self.waiting.push((number, signal, bytes, items));
                }
            }
            Step::Begin if self.waiting.is_empty() => {}
            Step::Begin => self.underway = Some(self.waiting.remove(0)),
            Step::Delivered(_) | Step::Refused => self.underway = None,
            Step::Postponed => self.waiting.splice(0..0, self.underway.take()).for_each(drop),
            Step::Close => {
                self.closed = true;
                self.underway = None;
                self.waiting.clear();
            }
        }
        self.trim(limit);
    }

    fn queued(&self, signal: Signal) -> u64 {
        let all = self.waiting.iter().chain(&self.underway);
        all.filter(|(_, of, ..)| *of == signal).map(|(.., items)| items).sum()
    }
}

proptest! {
    #[test]
    fn everything_accepted_is_delivered_queued_or_counted_as_dropped(steps in steps(), limit in 0..8_000_usize) {
        let mut backlog = Backlog::new(limit);
        let mut model = Model::default();
        for (number, step) in steps.iter().enumerate() {
            if matches!(step, Step::Begin) && model.underway.is_some() {
                continue;
            }
            match *step {
                Step::Offer(signal, bytes, items) => backlog.offer(batch(signal, bytes, items)),
                Step::Begin => {
                    let begun = backlog.begin().map(|batch| (batch.signal, batch.payload.len(), batch.items));
                    let oldest = model.waiting.first().map(|(_, signal, bytes, items)| (*signal, *bytes, *items));
                    prop_assert_eq!(begun, oldest);
                }
                Step::Delivered(rejected) => backlog.delivered(rejected),
                Step::Refused => backlog.refused(),
                Step::Postponed => backlog.postponed(),
                Step::Close => backlog.close(),
            }
            model.apply(step, number, limit);
            prop_assert!(backlog.waiting_bytes() <= limit);
            for (signal, figures) in Signal::ALL.into_iter().zip(backlog.figures()) {
                let dropped = figures.refused + figures.lost();
                prop_assert_eq!(figures.accepted, figures.delivered + figures.queued + dropped);
                prop_assert_eq!(figures.accepted, model.accepted[signal as usize]);
                prop_assert_eq!(figures.queued, model.queued(signal));
            }
        }
    }
}

#[test]
fn at_the_limit_the_oldest_gives_way_and_is_counted() {
    let mut backlog = Backlog::new(2 * (1_000 + BATCH_OVERHEAD));
    for items in [1, 2, 4] {
        backlog.offer(batch(Signal::Metrics, 1_000, items));
    }
    let [metrics, ..] = backlog.figures();
    assert_eq!((metrics.queued, metrics.dropped_queue_full), (6, 1));
    assert_eq!(backlog.begin().map(|batch| batch.items), Some(2));
}

#[test]
fn items_rejected_by_a_partial_success_are_refused_and_the_rest_delivered() {
    let mut backlog = Backlog::new(10_000);
    backlog.offer(batch(Signal::Logs, 10, 5));
    backlog.begin();
    backlog.delivered(3);
    let [.., logs] = backlog.figures();
    assert_eq!(
        logs,
        SignalFigures { accepted: 5, delivered: 2, refused: 3, not_durable: 5, ..SignalFigures::default() }
    );
}
