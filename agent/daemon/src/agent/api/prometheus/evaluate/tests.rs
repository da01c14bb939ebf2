use telemetry::Origin;

use super::*;

fn store(series: usize, seconds: i64) -> RwLock<Store> {
    let mut store = Store::default();
    for number in 0..series {
        let labels: Labels = [("__name__", "x"), ("number", &number.to_string())].into_iter().collect();
        for second in 0..seconds {
            store.append_sample(&labels, &Origin::Rule, Timestamp::from_secs(second), second as f64).unwrap();
        }
    }
    RwLock::new(store)
}

fn window(from: i64, to: i64, step: i64) -> Window {
    Window { from: Timestamp::from_millis(from), to: Timestamp::from_millis(to), step }
}

fn bounds<'a>(store: &'a RwLock<Store>, nobody_waits: &'a AtomicBool) -> Bounds<'a> {
    Bounds { store, deadline: clock::monotonic() + Duration::from_secs(30), nobody_waits }
}

#[test]
fn slices_hold_every_step_once() {
    for (from, to, step) in [(0, 0, 1), (0, 10, 3), (5, 1_000, 7), (-20, 20, 10)] {
        for size in 1..6 {
            let (mut times, mut left) = (Vec::new(), Some(window(from, to, step)));
            while let Some(next) = left {
                let slice;
                (slice, left) = next.split(size);
                let steps = (slice.from.as_millis()..=slice.to.as_millis()).step_by(step as usize);
                assert!(steps.clone().count() <= size as usize);
                times.extend(steps);
            }
            assert_eq!(
                times,
                (from..=to).step_by(step as usize).collect::<Vec<_>>(),
                "{from} {to} {step} {size}"
            );
        }
    }
}

#[test]
fn a_sliced_range_gives_what_the_whole_one_gives() {
    let (store, nobody_waits) = (store(3, 300), AtomicBool::default());
    for text in [
        "x",
        "rate(x[1m])",
        "x > 100",
        "sum(x)",
        "1",
        "max_over_time(x[1m:7s])",
        "x @ start()",
        "x - x @ end()",
    ] {
        let mut query = Query::new(text).unwrap();
        let whole = query
            .range(
                &store.read().unwrap(),
                Timestamp::from_secs(3),
                Timestamp::from_secs(290),
                Duration::from_secs(7),
            )
            .unwrap();
        let sliced =
            evaluate_over(&bounds(&store, &nobody_waits), &mut query, &window(3_000, 290_000, 7_000));
        assert_eq!(sliced.unwrap().value, whole, "{text}");
    }
}

#[test]
fn a_slice_grows_and_shrinks_towards_its_time() {
    for (steps, took, next) in [
        (1, 1, 4),
        (100, 1_000, 400),
        (100, 10_000, 100),
        (100, 50_000, 20),
        (1, 900_000, 1),
        (9_000, 10, MAX_STEPS),
    ] {
        assert_eq!(next_steps(steps, Duration::from_micros(took)), next, "{steps} steps in {took} µs");
    }
}

#[test]
fn an_answer_of_too_many_points_is_none() {
    let (store, nobody_waits) = (store(50, 2), AtomicBool::default());
    let mut query = Query::new("x").unwrap();
    let failure =
        evaluate_over(&bounds(&store, &nobody_waits), &mut query, &window(0, 299_000, 30)).unwrap_err();
    assert_eq!(failure.kind, Kind::TooLarge);
}

#[tokio::test]
async fn a_query_that_holds_the_series_too_long_is_ended() {
    let cancelled = Arc::<AtomicBool>::default();
    let alarm = Alarm::set(Arc::clone(&cancelled), Duration::from_millis(1));
    while !cancelled.load(Ordering::Relaxed) {
        tokio::task::yield_now().await;
    }
    drop(alarm);
    let error = EvalError { span: None, message: String::new(), kind: EvalErrorKind::Cancelled };
    assert!(of_evaluation(&error, true).text.contains("longer than 250ms"));
    assert_eq!(of_evaluation(&error, false).kind, Kind::Timeout);
}
