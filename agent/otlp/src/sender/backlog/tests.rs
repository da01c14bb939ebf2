use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use telemetry::Signal;

fn batch(bytes: usize, items: u64) -> Batch {
    Batch { signal: Signal::Metrics, payload: Bytes::from(vec![0; bytes]), items }
}

#[derive(Clone, Debug)]
enum Step {
    Offer(usize, u64),
    Begin,
    Settle(u64, u64),
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..2_000_usize, 0..100_u64).prop_map(|(bytes, items)| Step::Offer(bytes, items)),
        4 => Just(Step::Begin),
        4 => (0..50_u64, 0..50_u64).prop_map(|(refused, dead)| Step::Settle(refused, dead)),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn everything_accepted_is_delivered_queued_or_counted_as_lost(steps in steps(), limit in 0..8_000_usize) {
        let mut backlog = Backlog::new(limit);
        let (mut offered, mut dead) = (0, 0);
        let mut sent = VecDeque::new();
        let mut waiting: VecDeque<(usize, u64)> = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Offer(bytes, items) => {
                    backlog.offer(batch(bytes, items), number as i64);
                    offered += items;
                    if !backlog.closed {
                        waiting.push_back((bytes, items));
                    }
                    while waiting.iter().map(|(bytes, _)| bytes + BATCH_OVERHEAD).sum::<usize>() > limit {
                        waiting.pop_front();
                    }
                }
                Step::Begin => {
                    let part = backlog.begin();
                    let expected = waiting.pop_front();
                    prop_assert_eq!(part.as_ref().map(|part| (part.payload.len(), part.items)), expected);
                    sent.extend(part);
                }
                Step::Settle(refused, lost) => {
                    let Some(part) = sent.pop_front() else { continue };
                    let refused = refused.min(part.items);
                    let lost = lost.min(part.items - refused);
                    let settled =
                        Settled { source: Source::Memory, items: part.items, refused, dead: lost, by_others: 0 };
                    if backlog.settle(&settled) {
                        dead += lost;
                    }
                }
                Step::Close => {
                    backlog.close();
                    waiting.clear();
                }
            }
            let figures = SignalFigures { dead_lettered: dead, ..backlog.figures() };
            prop_assert!(figures.queued_bytes <= limit as u64);
            prop_assert!(figures.is_balanced(), "{:?}", figures);
            prop_assert_eq!(figures.accepted, offered);
            let queued: u64 = waiting.iter().map(|(_, items)| items).sum();
            let sending: u64 = if backlog.closed { 0 } else { sent.iter().map(|part| part.items).sum() };
            prop_assert_eq!(figures.queued, queued + sending);
        }
    }
}

#[test]
fn at_the_limit_the_oldest_gives_way_and_is_counted() {
    let mut backlog = Backlog::new(2 * (1_000 + BATCH_OVERHEAD));
    for items in [1, 2, 4] {
        backlog.offer(batch(1_000, items), 7);
    }
    let figures = backlog.figures();
    assert_eq!((figures.queued, figures.dropped_queue_full), (6, 1));
    assert_eq!(backlog.begin().map(|part| part.items), Some(2));
}
