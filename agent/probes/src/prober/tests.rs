use super::*;
use std::cell::{Cell, RefCell};
use std::sync::mpsc::sync_channel;

const SECOND: Duration = Duration::from_secs(1);

fn probe(name: &str) -> HttpProbe {
    HttpProbe::new(name, "http://127.0.0.1:1/", 5 * SECOND).unwrap()
}

fn result(success: bool, duration: Duration) -> ProbeResult {
    ProbeResult { success, duration, status: None, failure: None }
}

/// What a collection at `second` writes at the monotonic moment `now`.
fn text_at(board: &Board, second: i64, now: Instant) -> String {
    let mut out = SampleBuffer::default();
    out.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
    board.write(now, &mut out);
    out.to_text()
}

fn text(board: &Board, now: Instant) -> String {
    text_at(board, 1_000, now)
}

#[tokio::test(start_paused = true)]
async fn the_latest_result_of_each_probe_becomes_its_samples() {
    let board = Board::new(vec![(probe("a"), SECOND), (probe("silent"), SECOND), (probe("b"), SECOND)]);
    let now = Instant::now();
    board.slots[0].set(&result(false, SECOND), now - SECOND);
    board.slots[0].set(&result(true, SECOND / 4), now);
    board.slots[2].set(&result(false, SECOND * 5), now);
    assert_eq!(
        text(&board, now),
        "hostmend.probe.success{hostmend.probe.name=\"a\",url.full=\"http://127.0.0.1:1/\"} 1\n\
         hostmend.probe.success{hostmend.probe.name=\"b\",url.full=\"http://127.0.0.1:1/\"} 0\n\
         hostmend.probe.duration{hostmend.probe.name=\"a\",url.full=\"http://127.0.0.1:1/\"} 0.25\n\
         hostmend.probe.duration{hostmend.probe.name=\"b\",url.full=\"http://127.0.0.1:1/\"} 5\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_has_the_time_at_which_it_was_asked_however_often_it_is_written() {
    let board = Board::new(vec![(probe("a"), 60 * SECOND)]);
    let asked = Instant::now();
    tokio::time::advance(2 * SECOND).await;
    board.slots[0].set(&result(true, 2 * SECOND), asked);
    for (what, second, after, expected) in [
        ("first", 1_003, 3_000, "00:16:40.000"),
        ("a collection that took long", 1_010, 10_400, "00:16:40.000"),
        ("and one that did not", 1_020, 19_900, "00:16:40.000"),
        ("the clock set forward", 5_030, 30_000, "00:16:40.000"),
        ("the clock set back", 540, 40_000, "00:08:20.000"),
        ("and on from there", 550, 50_000, "00:08:20.000"),
    ] {
        let found = text_at(&board, second, asked + Duration::from_millis(after));
        let expected = format!(" @ 1970-01-01T{expected}Z");
        assert!(found.lines().all(|line| line.ends_with(&expected)), "{what}: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_is_not_written_once_the_next_has_been_owed_for_three_intervals_and_the_timeout() {
    let board = Board::new(vec![(probe("a"), SECOND)]);
    board.slots[0].set(&result(true, SECOND), Instant::now());
    let set_at = Instant::now();
    assert_ne!(text(&board, set_at + 8 * SECOND), "");
    assert_eq!(text(&board, set_at + 8 * SECOND + Duration::from_millis(1)), "");
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_is_never_asked_twice_at_once_and_misses_ticks() {
    let board = Arc::new(Board::new(vec![(probe("slow"), SECOND)]));
    let began = Instant::now();
    let (asked, in_flight) = (RefCell::new(Vec::new()), Cell::new(0));
    let slow = async |_: &HttpProbe| {
        in_flight.set(in_flight.get() + 1);
        assert_eq!(in_flight.get(), 1);
        asked.borrow_mut().push(began.elapsed().as_millis());
        sleep(SECOND * 5 / 2).await;
        in_flight.set(in_flight.get() - 1);
        result(true, SECOND)
    };
    let forever = repeat(board, 0, slow, Rc::new(|_: &HttpProbe, _: &ProbeResult| ()));
    let _ = tokio::time::timeout(SECOND * 19 / 2, forever).await;
    assert_eq!(*asked.borrow(), [0, 3000, 6000, 9000]);
}

#[test]
fn probes_run_on_their_thread_which_says_that_it_lives_and_stop_at_once() {
    let (results, received) = sync_channel(100);
    let on_result = move |probe: &HttpProbe, result: &ProbeResult| {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = results.try_send((probe.name().to_owned(), result.failure.clone(), thread));
    };
    // Accepts by its backlog and never answers: this probe is in flight at the stop.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", mute.local_addr().unwrap());
    let hanging = HttpProbe::new("hanging", &url, 50 * SECOND).unwrap();
    let (beat, beats) = sync_channel(0);
    let alive = move || {
        // Nobody listens any more when the test goes on.
        let _ = beat.send(());
    };
    let services = vec![(probe("refused"), SECOND), (hanging, SECOND)];
    let prober = Prober::start(services, SECOND / 1000, alive, on_result).unwrap();
    for _ in 0..3 {
        beats.recv_timeout(20 * SECOND).unwrap();
    }
    drop(beats);

    let first = received.recv_timeout(20 * SECOND).unwrap();
    assert_eq!(first, ("refused".to_owned(), Some("connection refused".to_owned()), "probes".to_owned()));
    let mut out = SampleBuffer::default();
    prober.write(&mut out);
    assert_eq!(out.len(), 2, "{}", out.to_text());

    let began = Instant::now();
    drop(prober);
    assert!(began.elapsed() < 10 * SECOND, "stopping took {:?}", began.elapsed());
}

#[test]
fn probes_that_would_be_confused_or_never_rest_are_refused() {
    let start = |probes: Vec<(HttpProbe, Duration)>| {
        Prober::start(probes, SECOND, || (), |_, _| ()).expect_err("refused").to_string()
    };
    assert_eq!(
        start(vec![(probe("a"), SECOND), (probe("a"), SECOND)]),
        "two probes are named \"a\"; name them apart"
    );
    assert_eq!(start(vec![(probe("a"), SECOND / 2)]), "the interval 500ms of probe \"a\" is under 1s");
    let many = (0..=MAX_PROBES).map(|number| (probe(&number.to_string()), SECOND)).collect();
    assert_eq!(start(many), "201 probes are more than the 200 that one agent asks");
}
