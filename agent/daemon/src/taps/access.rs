//! The series that access logs become.

use std::collections::HashMap;

use otlp::tap::{AccessTap, Requests};
use series::{Outside, STALE, Store};
use telemetry::{Origin, Timestamp};

use super::counters::{append, counter, counter_of_two_names};
use super::labels::{Naming, bound};

const REQUESTS: &str = "http.server.requests";
pub(super) const REQUESTS_TOTAL: &str = "http_server_requests_total";
pub(super) const DURATION: &str = "http_server_request_duration_seconds";

pub(super) const LABELS: &[&str] =
    &["service_name", "http_request_method", "http_route", "http_response_status_code"];

/// Whether access logs can become series of this name.
pub(crate) fn is_of_access_logs(name: &str) -> bool {
    let part = name.strip_prefix(DURATION);
    matches!(part, Some("_bucket" | "_sum" | "_count")) || name == REQUESTS || name == REQUESTS_TOTAL
}

/// The series of one combination: a counter, or the buckets, the sum and the count of a histogram.
type Parts = Box<[Outside]>;

/// The series of the access log of one source.
#[derive(Debug)]
pub(super) struct AccessSeries {
    origin: Origin,
    of: HashMap<u64, Parts>,
}

impl AccessSeries {
    pub(super) fn new(origin: &Origin) -> Self {
        Self { origin: origin.clone(), of: HashMap::new() }
    }

    /// Ends the series of combinations that were given up.
    pub(super) fn end(&mut self, gone: Vec<u64>, store: &mut Store, at: Timestamp) {
        for number in gone {
            let parts = self.of.remove(&number).into_iter().flatten();
            parts.for_each(|series| append(store, &series, at, STALE));
        }
    }

    pub(super) fn append(&mut self, tap: &AccessTap, store: &mut Store, at: Timestamp) {
        let Self { origin, of } = self;
        for requests in tap.requests() {
            let parts = of.entry(requests.number).or_insert_with(|| {
                Box::new([counter_of_two_names(origin, &naming(requests), REQUESTS, REQUESTS_TOTAL)])
            });
            parts.iter().for_each(|series| append(store, series, at, requests.count as f64));
        }
        for durations in tap.durations() {
            let parts =
                of.entry(durations.number).or_insert_with(|| histogram(origin, tap.bounds(), durations));
            let mut below = 0;
            let buckets = durations.buckets.iter().map(|bucket| {
                below += bucket;
                below as f64
            });
            for (series, value) in parts.iter().zip(buckets.chain([durations.sum, durations.count as f64])) {
                append(store, series, at, value);
            }
        }
    }
}

fn naming(requests: &Requests) -> Naming {
    let mut naming = Naming::default();
    if requests.overflow {
        naming.set("otel.metric.overflow", "true");
        return naming;
    }
    naming
        .set("service.name", &requests.service)
        .set("http.request.method", requests.method)
        .set("http.route", &requests.route)
        .set("http.response.status_code", &requests.status.to_string());
    naming
}

fn histogram(origin: &Origin, bounds: &[f64], requests: &Requests) -> Parts {
    let naming = naming(requests);
    let part = |suffix: &str, limit: &str| {
        let label = if limit.is_empty() { ("", "") } else { ("le", limit) };
        counter(origin, &naming, &format!("{DURATION}{suffix}"), label)
    };
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    let buckets = bounds.map(|limit| part("_bucket", &bound(limit)));
    buckets.chain([part("_sum", ""), part("_count", "")]).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use otlp::Masking;
    use otlp::tap::AccessOptions;
    use series::HostNames;
    use telemetry::{AttributeValue, LogBuffer, LogGroup, LogScalar};

    use super::super::tests::{collection, text};
    use super::super::{SourceOptions, TapOptions, Taps};
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_005);

    fn requests(source: &str, all: &[(&str, i64, Option<f64>)]) -> LogBuffer {
        let service = ("service.name".to_owned(), AttributeValue::Text("shop".to_owned()));
        let resource = Arc::new(vec![service]);
        let mut buffer = LogBuffer::default();
        buffer.set_group(&LogGroup { source: source.into(), resource, shared: Arc::default() });
        for (path, status, seconds) in all {
            let mut record = buffer.push(NOW);
            record.attribute(b"http.request.method", LogScalar::Text(b"GET"));
            record.attribute(b"url.path", LogScalar::Text(path.as_bytes()));
            record.attribute(b"http.response.status_code", LogScalar::Int(*status));
            if let Some(seconds) = seconds {
                record.attribute(b"http.server.request.duration", LogScalar::Double(*seconds));
            }
        }
        buffer
    }

    fn taps(access: Option<AccessOptions>) -> Arc<Taps> {
        let sources = [("nginx", true), ("plain", false)]
            .map(|(name, access)| (name.to_owned(), SourceOptions { access }));
        let options =
            TapOptions { access: access.map(Arc::new), sources: sources.into(), ..TapOptions::default() };
        Arc::new(Taps::new(options, HostNames::default(), &[]))
    }

    fn seen(taps: &Arc<Taps>) -> Store {
        let mut store = Store::default();
        let mut reader = taps.lines();
        collection(&mut store, taps, 0);
        for source in ["nginx", "plain"] {
            let all = [("/users/7", 200, Some(0.2)), ("/users/8", 200, Some(2.0)), ("/", 503, None)];
            reader.see(&requests(source, &all), &Masking::default(), NOW);
        }
        reader.commit(&Masking::default(), NOW);
        collection(&mut store, taps, 10);
        store
    }

    #[test]
    fn an_access_log_gives_rate_errors_and_durations_of_its_service() {
        let bounds = vec![Duration::from_millis(500)];
        let store = seen(&taps(Some(AccessOptions { bounds, ..AccessOptions::default() })));
        let labels = |route: &str, status: u32, le: &str| {
            format!(
                r#"hostmend_origin="log:nginx", http_request_method="GET", http_response_status_code="{status}", http_route="{route}", {le}service_name="shop""#
            )
        };
        let expected: [(&str, &[String]); 4] = [
            (
                REQUESTS_TOTAL,
                &[
                    format!("{REQUESTS_TOTAL}{{{}}} 2", labels("/users/{id}", 200, "")),
                    format!("{REQUESTS_TOTAL}{{{}}} 1", labels("/", 503, "")),
                ],
            ),
            (
                "http_server_request_duration_seconds_bucket",
                &[
                    format!("{DURATION}_bucket{{{}}} 2", labels("/users/{id}", 200, "le=\"+Inf\", ")),
                    format!("{DURATION}_bucket{{{}}} 1", labels("/users/{id}", 200, "le=\"0.5\", ")),
                ],
            ),
            (
                "http_server_request_duration_seconds_sum",
                &[format!("{DURATION}_sum{{{}}} 2.2", labels("/users/{id}", 200, ""))],
            ),
            (
                "http_server_request_duration_seconds_count",
                &[format!("{DURATION}_count{{{}}} 2", labels("/users/{id}", 200, ""))],
            ),
        ];
        for (name, expected) in expected {
            assert_eq!(text(&store, name), expected);
            assert!(is_of_access_logs(name));
        }
    }

    #[test]
    fn access_logs_make_nothing_where_that_is_off() {
        let store = seen(&taps(None));
        assert_eq!(store.series_count(), 0);
    }
}
