use super::*;
use crate::sender::exporter::Accepted;
use crate::sender::fake::Fake;

const SECOND: Duration = Duration::from_secs(1);

fn routes(count: usize) -> Routes {
    let ways: Vec<Arc<dyn Exporter>> = (0..count)
        .map(|_| Arc::new(Fake::new("fake", |_| Ok(Accepted::default()))) as Arc<dyn Exporter>)
        .collect();
    Routes::new(&ways)
}

fn sent(choice: Choice) -> Attempt {
    let Choice::Send(attempt) = choice else { panic!("{choice:?}") };
    attempt
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_is_tried_with_one_request_at_a_time_until_it_is_well() {
    let (mut routes, now) = (routes(1), Instant::now());
    let first = sent(routes.choose(now));
    let second = sent(routes.choose(now));
    routes.failed(first, None, now, 1.0);
    routes.failed(second, None, now, 1.0);
    assert_eq!(routes.choose(now), Choice::Wait(now + SECOND), "two that failed together are one failure");
    let probe = sent(routes.choose(now + SECOND));
    assert!(matches!(routes.choose(now + SECOND), Choice::Wait(until) if until == now + FAILOVER_AFTER));
    assert_eq!(routes.succeeded(second, now + SECOND), None, "sent before the failure, it says nothing");
    assert_eq!(routes.succeeded(probe, now + SECOND), Some(SECOND));
    for _ in 0..3 {
        assert!(!sent(routes.choose(now + SECOND)).is_by_other());
    }
}

#[tokio::test(start_paused = true)]
async fn another_gets_it_only_after_a_while_and_only_until_the_first_is_well() {
    let (mut routes, begin) = (routes(2), Instant::now());
    let mut now = begin;
    let mut to_other = 0;
    while now < begin + Duration::from_mins(2) {
        match routes.choose(now) {
            Choice::Send(attempt) if attempt.is_by_other() => {
                assert!(now >= begin + FAILOVER_AFTER);
                to_other += 1;
                routes.succeeded(attempt, now);
                now += SECOND;
            }
            Choice::Send(attempt) => routes.failed(attempt, None, now, 0.5),
            Choice::Wait(until) => now = until,
            Choice::Answer => panic!("nothing is under way"),
        }
    }
    assert!(to_other > 80, "{to_other}");
    loop {
        let attempt = sent(routes.choose(now));
        if !attempt.is_by_other() {
            routes.succeeded(attempt, now);
            break;
        }
        now += SECOND;
    }
    assert!((0..10).all(|_| !sent(routes.choose(now)).is_by_other()));
}

#[tokio::test(start_paused = true)]
async fn a_delay_that_was_asked_for_is_kept_also_in_a_hurry() {
    for (asked, kept) in [(Some(20 * SECOND), true), (None, false)] {
        let (mut routes, now) = (routes(1), Instant::now());
        let attempt = sent(routes.choose(now));
        routes.failed(attempt, asked, now, 0.0);
        assert!(routes.is_waiting(now));
        routes.hurry();
        assert_eq!(routes.is_waiting(now), kept, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_requests_that_failed_together_the_longest_delay_that_was_asked_for_counts() {
    let (mut routes, now) = (routes(1), Instant::now());
    let together: Vec<_> = (0..3).map(|_| sent(routes.choose(now))).collect();
    routes.failed(together[0], None, now, 0.0);
    routes.failed(together[1], Some(10 * SECOND), now, 0.0);
    routes.failed(together[2], Some(5 * SECOND), now, 0.0);
    assert_eq!(routes.choose(now), Choice::Wait(now + 10 * SECOND));
}
