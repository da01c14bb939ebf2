//! What a view reads is what a decoder reads, of whole requests and of broken ones.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message;

use super::*;

mod decoded;
mod requests;

use decoded::{Facts, decoded_logs, decoded_metrics, decoded_traces};

/// The facts as the views read them, or the first error.
fn viewed(payload: &[u8], record: fn(&[u8]) -> Result<String, Malformed>) -> Result<Facts, Malformed> {
    let mut facts = Vec::new();
    for resource in resources(payload) {
        let resource = resource?;
        facts.push(format!("resource {}", decoded::attributes(resource.attributes())?));
        for bytes in resource.records() {
            facts.push(record(bytes?)?);
        }
    }
    Ok(facts)
}

fn viewed_traces(payload: &[u8]) -> Result<Facts, Malformed> {
    viewed(payload, |bytes| {
        let span = SpanView::read(bytes)?;
        let attributes = decoded::attributes(span.attributes())?;
        let (name, kind, status) = (decoded::text(span.name), span.kind.as_str(), span.status.as_str());
        Ok(format!("{name} {kind} {} {} {status} {attributes}", span.start, span.end))
    })
}

fn viewed_logs(payload: &[u8]) -> Result<Facts, Malformed> {
    viewed(payload, |bytes| {
        let record = LogRecordView::read(bytes)?;
        let attributes = decoded::attributes(record.attributes())?;
        let (severity, body) = (decoded::text(record.severity_text), decoded::value(record.body));
        Ok(format!("{} {} {severity} {body} {attributes}", record.time, record.severity))
    })
}

fn viewed_metrics(payload: &[u8]) -> Result<Facts, Malformed> {
    viewed(payload, |bytes| {
        let metric = MetricView::read(bytes)?;
        let (name, unit) = (decoded::text(metric.name), decoded::text(metric.unit));
        let mut fact =
            format!("{name} {unit} {:?} {:?} {}", metric.kind, metric.temporality, metric.monotonic);
        for point in metric.points() {
            fact += &decoded::point(metric.kind, point?)?;
        }
        Ok(fact)
    })
}

/// Where to change a request, and to what.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
}

fn damaged(mut payload: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, byte) in damage {
        let length = payload.len().max(1);
        if let Some(place) = payload.get_mut(at.index(length)) {
            *place = *byte;
        }
    }
    payload
}

/// A view asks less than a decoder, which refuses a request for one text that is not UTF-8. It asks no more, but for groups,
/// which proto3 has not, and a metric's data given twice.
fn check(whole: bool, decoded: Option<Facts>, viewed: Result<Facts, Malformed>) -> Result<(), TestCaseError> {
    match (decoded, viewed) {
        (Some(decoded), Ok(viewed)) => prop_assert_eq!(decoded, viewed),
        (decoded, viewed) => prop_assert!(!whole, "{:?} {:?}", decoded, viewed),
    }
    Ok(())
}

proptest! {
    #[test]
    fn spans_are_read_as_a_decoder_reads_them(request in requests::traces(), damage in damage()) {
        let payload = damaged(request.encode_to_vec(), &damage);
        let decoded = ExportTraceServiceRequest::decode(&*payload).ok();
        check(damage.is_empty(), decoded.as_ref().map(decoded_traces), viewed_traces(&payload))?;
    }

    #[test]
    fn log_records_are_read_as_a_decoder_reads_them(request in requests::logs(), damage in damage()) {
        let payload = damaged(request.encode_to_vec(), &damage);
        let decoded = ExportLogsServiceRequest::decode(&*payload).ok();
        check(damage.is_empty(), decoded.as_ref().map(decoded_logs), viewed_logs(&payload))?;
    }

    #[test]
    fn points_are_read_as_a_decoder_reads_them(request in requests::metrics(), damage in damage()) {
        let payload = damaged(request.encode_to_vec(), &damage);
        let decoded = ExportMetricsServiceRequest::decode(&*payload).ok();
        check(damage.is_empty(), decoded.as_ref().map(decoded_metrics), viewed_metrics(&payload))?;
    }

    #[test]
    fn no_bytes_make_a_view_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for view in [viewed_traces, viewed_logs, viewed_metrics] {
            let _ = view(&payload);
        }
    }
}

#[test]
fn packed_numbers_may_also_come_one_by_one() {
    let mut point = Vec::new();
    for count in [3, 4_u64] {
        crate::wire::fixed64_field(&mut point, 6, count);
    }
    crate::wire::bytes_field(&mut point, 6, &5_u64.to_le_bytes());
    let counts: Vec<_> = DistributionView::read(&point).unwrap().bucket_counts().collect();
    assert_eq!(counts, [Ok(3), Ok(4), Ok(5)]);
    crate::wire::bytes_field(&mut point, 6, &[1, 2, 3]);
    let counts: Vec<_> = DistributionView::read(&point).unwrap().bucket_counts().collect();
    assert!(counts.len() == 4 && counts[3].is_err());
}

#[test]
fn a_broken_record_spoils_only_itself() {
    let mut scope = Vec::new();
    crate::wire::bytes_field(&mut scope, 2, &[0x2a, 0x05, b'x']);
    crate::wire::bytes_field(&mut scope, 2, &[0x2a, 0x01, b'x']);
    let mut resource = Vec::new();
    crate::wire::bytes_field(&mut resource, 2, &scope);
    let mut payload = Vec::new();
    crate::wire::bytes_field(&mut payload, 1, &resource);
    let resource = resources(&payload).next().unwrap().unwrap();
    let names: Vec<_> =
        resource.records().map(|span| SpanView::read(span.unwrap()).map(|span| span.name)).collect();
    assert!(names[0].is_err());
    assert_eq!(names[1], Ok(&b"x"[..]));
}
