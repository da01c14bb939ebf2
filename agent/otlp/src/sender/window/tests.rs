use super::*;
use crate::MetricsEncoder;
use crate::samples::{host_attributes, small_host};
use proptest::prelude::*;

fn part(payload: Bytes, items: u64) -> Part {
    Part { payload, items, received: items as i64, source: Source::Memory }
}

/// A part of so many points that can be divided.
fn points(count: i64) -> Part {
    let batch = MetricsEncoder::new(&host_attributes()).encode(&small_host(count)).remove(0);
    part(batch.payload, batch.items)
}

fn never(_: &Part) -> bool {
    false
}

fn filled(items: impl IntoIterator<Item = u64>) -> Window {
    let mut window = Window::new(Signal::Metrics);
    items.into_iter().for_each(|items| window.push(part(Bytes::from_static(b"\x0a\x00"), items)));
    window
}

fn settled(window: &mut Window) -> Vec<Settled> {
    std::iter::from_fn(|| window.pop_settled()).collect()
}

#[test]
fn what_waits_goes_in_one_request_as_large_as_may_be() {
    let mut window = filled([]);
    for items in 1..=5 {
        window.push(part(Bytes::from(vec![0; 200 << 10]), items));
    }
    let sizes: Vec<_> = std::iter::from_fn(|| window.next(4 << 20, never))
        .map(|job| (job.batch.payload.len() >> 10, job.batch.items))
        .collect();
    assert_eq!(sizes, [(400, 3), (400, 7), (200, 5)]);
}

#[test]
fn parts_leave_in_order_whatever_the_order_of_the_answers() {
    let mut window = filled([]);
    for items in 1..=3 {
        window.push(part(Bytes::from(vec![0; JOINED_BYTES]), items));
    }
    let jobs: Vec<_> = std::iter::from_fn(|| window.next(4 << 20, never)).collect();
    window.taken(&jobs[2], 0, false);
    window.taken(&jobs[1], 0, false);
    assert_eq!(settled(&mut window), []);
    assert_eq!(window.oldest(), Some(1));
    window.taken(&jobs[0], 0, false);
    assert_eq!(settled(&mut window).iter().map(|settled| settled.items).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(window.is_empty());
}

#[test]
fn after_a_refusal_of_several_each_is_sent_as_it_came() {
    let mut window = filled([1, 2, 3]);
    let job = window.next(4 << 20, never).unwrap();
    assert_eq!(job.batch.items, 6);
    assert!(window.refused(job).is_none());
    for items in 1..=3 {
        let job = window.next(4 << 20, never).unwrap();
        assert_eq!((job.batch.items, job.batch.payload.len()), (items, 2));
        match items {
            2 => {
                let job = window.refused(job).expect("one alone is refused for good");
                window.given_up(&job, true);
            }
            _ => window.taken(&job, 0, false),
        }
    }
    let fates: Vec<_> =
        settled(&mut window).iter().map(|settled| (settled.delivered(), settled.dead)).collect();
    assert_eq!(fates, [(1, 0), (0, 2), (3, 0)]);
}

#[test]
fn what_was_too_large_goes_in_halves_then_in_pieces_and_what_cannot_be_divided_is_given_back() {
    let mut window = filled([]);
    let whole = points(400);
    let items = whole.items;
    window.push(points(3));
    window.push(whole);
    let job = window.next(4 << 20, never).unwrap();
    assert!(window.too_large(job).is_none());
    let small = window.next(4 << 20, never).unwrap();
    window.taken(&small, 0, false);
    let large = window.next(4 << 20, never).unwrap();
    assert_eq!(large.batch.items, items);
    assert!(window.too_large(large).is_none());
    let pieces: Vec<_> = std::iter::from_fn(|| window.next(4 << 20, never)).collect();
    assert!(pieces.len() >= 2, "{}", pieces.len());
    assert_eq!(pieces.iter().map(|piece| piece.batch.items).sum::<u64>(), items);
    window.taken(&pieces[0], 1, false);
    for piece in &pieces[1..] {
        window.given_up(piece, true);
    }
    let of_whole = settled(&mut window)[1];
    assert_eq!(of_whole.refused, 1);
    assert_eq!(of_whole.delivered(), pieces[0].batch.items - 1);

    let mut window = filled([1]);
    let job = window.next(4 << 20, never).unwrap();
    assert!(window.too_large(job).is_some());
}

#[test]
fn a_part_above_the_limit_is_divided_before_it_is_sent() {
    let mut window = filled([]);
    let whole = points(400);
    let (limit, items) = (whole.payload.len() / 3, whole.items);
    window.push(whole);
    let jobs: Vec<_> = std::iter::from_fn(|| window.next(limit, never)).collect();
    assert!(jobs.len() >= 3 && jobs.iter().all(|job| job.batch.payload.len() <= limit));
    assert_eq!(jobs.iter().map(|job| job.batch.items).sum::<u64>(), items);
}

#[test]
fn what_a_limit_took_meanwhile_is_not_sent() {
    let mut window = filled([1, 2, 3, 4]);
    let job = window.next(4 << 20, |part| part.items <= 2).unwrap();
    assert_eq!(job.batch.items, 7);
    window.later(job);
    assert!(window.next(4 << 20, |_| true).is_none());
    assert_eq!(settled(&mut window).len(), 4);
}

#[test]
fn dead_letters_are_nobodys_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let (queue, _) = queue::Queue::open(directory.path(), queue::Options::default()).unwrap();
    let cursor = queue.cursor("a").unwrap();
    let entry = queue::Entry { class: 0, items: 1, received: 0, payload: Bytes::new() };
    queue.append_blocking(entry).unwrap();
    let place = cursor.read(1, 1).unwrap()[0].position;
    let dead =
        |items| Part { source: Source::DeadLetters(place), ..part(Bytes::from_static(b"\x0a\x00"), items) };
    let mut window = filled([1, 2]);
    window.push(dead(3));
    window.push(dead(4));
    window.push(part(Bytes::new(), 5));
    let items: Vec<_> =
        std::iter::from_fn(|| window.next(4 << 20, never)).map(|job| job.batch.items).collect();
    assert_eq!(items, [3, 3, 4, 5]);
}

#[derive(Clone, Debug)]
enum Fate {
    Taken(u64),
    Later,
    Refused,
    TooLarge,
}

fn fates() -> impl Strategy<Value = Vec<(usize, Fate)>> {
    let fate = prop_oneof![
        3 => (0..5_u64).prop_map(Fate::Taken),
        1 => Just(Fate::Later),
        2 => Just(Fate::Refused),
        2 => Just(Fate::TooLarge),
    ];
    proptest::collection::vec((0..4_usize, fate), 0..60)
}

proptest! {
    #[test]
    fn every_part_is_settled_once_in_order_and_all_its_items_are_somewhere(
        parts in proptest::collection::vec(0..60_i64, 1..12),
        fates in fates(),
        limit in 100..20_000_usize,
        concurrency in 1..4_usize,
    ) {
        let mut window = Window::new(Signal::Metrics);
        let parts: Vec<Part> = parts.into_iter().map(|count| points(count + 1)).collect();
        parts.iter().cloned().for_each(|part| window.push(part));
        let mut out = Vec::new();
        let (mut delivered, mut lost, mut rejected_items) = (0, 0, 0);
        let mut fates = fates.into_iter();
        let mut done = Vec::new();
        loop {
            while out.len() < concurrency && let Some(job) = window.next(limit, never) {
                out.push(job);
            }
            if out.is_empty() {
                break;
            }
            let (at, fate) = fates.next().unwrap_or((0, Fate::Taken(0)));
            let job: Job = out.swap_remove(at % out.len());
            let items = job.batch.items;
            match fate {
                Fate::Taken(rejected) => {
                    let rejected = rejected.min(items);
                    window.taken(&job, rejected, false);
                    rejected_items += rejected;
                    delivered += items - rejected;
                }
                Fate::Later => window.later(job),
                Fate::Refused | Fate::TooLarge => {
                    let back = if matches!(fate, Fate::Refused) { window.refused(job) } else { window.too_large(job) };
                    if let Some(job) = back {
                        window.given_up(&job, true);
                        lost += job.batch.items;
                    }
                }
            }
            done.extend(settled(&mut window));
        }
        prop_assert!(window.is_empty());
        prop_assert_eq!(window.bytes, 0);
        let expected: Vec<u64> = parts.iter().map(|part| part.items).collect();
        prop_assert_eq!(done.iter().map(|settled| settled.items).collect::<Vec<_>>(), expected);
        prop_assert_eq!(done.iter().map(Settled::delivered).sum::<u64>(), delivered);
        prop_assert_eq!(done.iter().map(|settled| settled.dead).sum::<u64>(), lost);
        prop_assert_eq!(done.iter().map(|settled| settled.refused).sum::<u64>(), rejected_items);
    }
}
