use proptest::prelude::*;
use telemetry::{LogBuffer, LogGroup, LogScalar};

use super::*;
use crate::{MaskAction, MaskRule};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

type Line<'a> = (&'a str, &'a str, i64, Option<f64>);

fn buffer(lines: &[Line<'_>]) -> LogBuffer {
    let service = ("service.name".to_owned(), AttributeValue::Text("web".to_owned()));
    let mut buffer = LogBuffer::default();
    let resource = Arc::new(vec![service]);
    buffer.set_group(&LogGroup { source: "nginx".into(), resource, shared: Arc::default() });
    for (method, path, status, seconds) in lines {
        let mut record = buffer.push(NOW);
        record.attribute(b"http.request.method", LogScalar::Text(method.as_bytes()));
        record.attribute(b"url.path", LogScalar::Text(path.as_bytes()));
        record.attribute(b"http.response.status_code", LogScalar::Int(*status));
        if let Some(seconds) = seconds {
            record.attribute(b"http.server.request.duration", LogScalar::Double(*seconds));
        }
    }
    buffer
}

fn tap(max_series: usize) -> AccessTap {
    let bounds = vec![Duration::from_millis(100), Duration::from_secs(1)];
    AccessTap::new(Arc::new(AccessOptions { bounds, max_series, routes: Vec::new() }))
}

fn see(tap: &mut AccessTap, lines: &[Line<'_>], now: Timestamp) {
    for record in buffer(lines).records() {
        tap.see(&record, &Masking::default(), now);
    }
}

fn text(requests: &Requests) -> String {
    let Requests { service, method, route, status, count, sum, buckets, .. } = requests;
    if requests.overflow {
        return format!("overflow {count}");
    }
    let duration = if buckets.is_empty() { String::new() } else { format!(" {sum} {buckets:?}") };
    format!("{service} {method} {route} {status} {count}{duration}")
}

#[test]
fn requests_are_counted_and_durations_distributed_by_service_method_route_and_status() {
    let mut tap = tap(1_000);
    let lines = [
        ("GET", "/users/1", 200, Some(0.05)),
        ("GET", "/users/2", 200, Some(0.1)),
        ("GET", "/users/3", 200, Some(3.0)),
        ("GET", "/users/3", 500, Some(0.5)),
        ("BREW", "/pot", 200, None),
        ("GET", "/nothing", 404, None),
        ("GET", "/", 0, None),
    ];
    see(&mut tap, &lines, NOW);
    tap.commit();
    let counted: Vec<String> = tap.requests().map(text).collect();
    assert_eq!(
        counted,
        ["web GET /users/{id} 200 3", "web GET /users/{id} 500 1", "web _OTHER /pot 200 1", "web GET  404 1"]
    );
    let durations: Vec<String> = tap.durations().map(text).collect();
    assert_eq!(
        durations,
        ["web GET /users/{id} 200 3 3.15 [2, 0, 1]", "web GET /users/{id} 500 1 0.5 [0, 1, 0]"]
    );
}

#[test]
fn what_is_discarded_does_not_count() {
    let mut tap = tap(1_000);
    see(&mut tap, &[("GET", "/", 200, Some(1.0))], NOW);
    tap.discard();
    tap.commit();
    assert_eq!((tap.requests().count(), tap.durations().count()), (0, 0));
}

#[test]
fn combinations_beyond_the_limit_are_one_overflow_until_others_were_idle() {
    // Of 16: 4 counters and (16 - 4) / 5 = 2 histograms, the overflows among them.
    let mut tap = tap(16);
    let paths = ["/a", "/b", "/c", "/d", "/e"];
    let lines: Vec<Line<'_>> = paths.iter().map(|path| ("GET", *path, 200, Some(0.2))).collect();
    see(&mut tap, &lines, NOW);
    tap.commit();
    assert_eq!(tap.requests().map(text).last().unwrap(), "overflow 2");
    assert_eq!(
        tap.durations().map(text).collect::<Vec<_>>(),
        ["web GET /a 200 1 0.2 [0, 1, 0]", "overflow 4"]
    );
    assert_eq!(tap.overflowed(), 6);
    assert_eq!(tap.make_room(NOW.plus(IDLE)).len(), 4);
    see(&mut tap, &lines[4..], NOW);
    tap.commit();
    assert!(tap.requests().map(text).any(|text| text == "web GET /e 200 1"));
}

#[test]
fn a_secret_in_a_path_makes_no_route() {
    let rule =
        MaskRule::new(&[], &["/reset/(?<mask>[a-z]+)".to_owned()], &[], MaskAction::Replace("x".to_owned()));
    let masking = Masking::new(vec![rule.unwrap()]).unwrap();
    let mut tap = tap(1_000);
    for record in buffer(&[("GET", "/reset/ab", 200, Some(0.2)), ("GET", "/reset/cd", 200, None)]).records() {
        tap.see(&record, &masking, NOW);
    }
    tap.commit();
    assert_eq!(tap.requests().map(text).collect::<Vec<_>>(), ["web GET /reset/x 200 2"]);
    assert_eq!(tap.durations().map(text).collect::<Vec<_>>(), ["web GET /reset/x 200 1 0.2 [0, 1, 0]"]);
}

proptest! {
    #[test]
    fn no_request_is_lost_and_there_are_no_more_series_than_the_limit(
        max_series in 15..80_usize,
        lines in prop::collection::vec(("/[a-z]", 200..204_i64, prop::option::of(0.0..2.0)), 0..200),
    ) {
        let mut tap = tap(max_series);
        let all: Vec<Line<'_>> =
            lines.iter().map(|(path, status, seconds)| ("GET", path.as_str(), *status, *seconds)).collect();
        see(&mut tap, &all, NOW);
        tap.commit();
        prop_assert_eq!(tap.requests().map(|it| it.count).sum::<u64>(), lines.len() as u64);
        let timed = lines.iter().filter(|(_, _, seconds)| seconds.is_some()).count();
        prop_assert_eq!(tap.durations().map(|it| it.buckets.iter().sum::<u64>()).sum::<u64>(), timed as u64);
        prop_assert!(tap.requests().count() + 5 * tap.durations().count() <= max_series.max(15));
    }
}
