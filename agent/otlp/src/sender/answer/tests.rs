use super::*;
use crate::wire::{bytes_field, message_field, text_field, varint_field};
use bytes::Bytes;
use http::HeaderValue;
use proptest::prelude::*;

/// Whether the same batch may be sent again, and when.
#[derive(Debug, PartialEq, Eq)]
enum Retry {
    No,
    InParts,
    Whenever,
    After(Duration),
}

impl From<Failure> for Retry {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Later { retry_after: None, .. } | Failure::Silence { .. } => Self::Whenever,
            Failure::Later { retry_after: Some(delay), .. } => Self::After(delay),
            Failure::TooLarge { .. } => Self::InParts,
            Failure::Never { .. } | Failure::Unwelcome { .. } => Self::No,
        }
    }
}

const fn after(seconds: u64) -> Retry {
    Retry::After(Duration::from_secs(seconds))
}

/// A `google.rpc.Status` whose details are a `BadRequest` and a `RetryInfo` with this delay.
fn details(delay: Option<(u64, u64)>) -> Bytes {
    let mut status = Vec::new();
    message_field(&mut status, 3, 1, |any| text_field(any, 1, "type.googleapis.com/google.rpc.BadRequest"));
    message_field(&mut status, 3, 1, |any| {
        text_field(any, 1, "type.googleapis.com/google.rpc.RetryInfo");
        message_field(any, 2, 1, |info| {
            if let Some((seconds, nanos)) = delay {
                message_field(info, 1, 1, |duration| {
                    varint_field(duration, 1, seconds);
                    varint_field(duration, 2, nanos);
                });
            }
        });
    });
    Bytes::from(status)
}

#[test]
fn each_grpc_code_is_retried_or_not_as_otlp_says() {
    use Code::{Aborted, AlreadyExists, Cancelled, DataLoss, DeadlineExceeded, FailedPrecondition, Internal};
    use Code::{InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted, Unauthenticated};
    use Code::{Unavailable, Unimplemented, Unknown};
    for code in [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss] {
        assert_eq!(Retry::from(of_grpc(&Status::new(code, "busy"))), Retry::Whenever, "{code:?}");
    }
    for code in [
        Unknown,
        InvalidArgument,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        Unauthenticated,
        FailedPrecondition,
        Unimplemented,
        Internal,
        ResourceExhausted,
    ] {
        assert_eq!(Retry::from(of_grpc(&Status::new(code, "no"))), Retry::No, "{code:?}");
    }
}

#[test]
fn an_exhausted_destination_is_asked_again_only_if_it_says_when() {
    for (delay, expected) in [
        (Some((7, 0)), after(7)),
        (Some((0, 0)), after(0)),
        (None, after(0)),
        // Negative, as protobuf writes it.
        (Some((u64::MAX, 0)), after(0)),
    ] {
        let status = Status::with_details(Code::ResourceExhausted, "busy", details(delay));
        assert_eq!(Retry::from(of_grpc(&status)), expected, "{delay:?}");
    }
    let status = Status::with_details(Code::Unavailable, "busy", details(Some((1, 500_000_000))));
    assert_eq!(Retry::from(of_grpc(&status)), Retry::After(Duration::from_millis(1500)));
    let garbage = Status::with_details(Code::Unavailable, "busy", Bytes::from_static(b"\x1a\xff"));
    assert_eq!(Retry::from(of_grpc(&garbage)), Retry::Whenever);
}

#[test]
fn a_request_that_is_too_large_for_the_destination_may_be_sent_in_parts() {
    for (code, text) in [
        (Code::ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"),
        (Code::ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5000000"),
        (Code::ResourceExhausted, "Error decompressing: size limit, of 4194304 bytes, exceeded"),
        (Code::OutOfRange, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"),
    ] {
        assert_eq!(Retry::from(of_grpc(&Status::new(code, text))), Retry::InParts, "{text}");
    }
    assert_eq!(Retry::from(of_grpc(&Status::resource_exhausted("quota exceeded"))), Retry::No);
}

#[test]
fn the_reason_names_the_code_as_grpc_spells_it_and_fits_on_a_line() {
    let status = Status::resource_exhausted(format!("disk\nfull {}", "x".repeat(1000)));
    let Failure::Never { reason } = of_grpc(&status) else { panic!("retried") };
    assert!(reason.starts_with("it answered RESOURCE_EXHAUSTED: disk full xxx"), "{reason}");
    assert!(reason.len() < 400);
}

fn http(status: u16, headers: &[(&'static str, &'static str)]) -> Result<Accepted, Failure> {
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
    of_http(StatusCode::from_u16(status).unwrap(), &headers.collect(), b"")
}

#[test]
fn who_is_not_let_in_is_told_from_what_is_not_wanted() {
    for status in [401, 403, 407] {
        assert!(matches!(http(status, &[]), Err(Failure::Unwelcome { .. })), "{status}");
    }
    assert!(matches!(http(400, &[]), Err(Failure::Never { .. })));
    for status in [Status::unauthenticated("who?"), Status::permission_denied("no")] {
        assert!(matches!(of_grpc(&status), Failure::Unwelcome { .. }), "{status}");
    }
}

#[test]
fn only_four_http_statuses_are_retried() {
    for status in (300..600).filter(|status| ![413, 429, 502, 503, 504].contains(status)) {
        assert_eq!(Retry::from(http(status, &[]).unwrap_err()), Retry::No, "{status}");
    }
    for status in [429, 502, 503, 504] {
        assert_eq!(Retry::from(http(status, &[]).unwrap_err()), Retry::Whenever, "{status}");
    }
    assert_eq!(Retry::from(http(413, &[]).unwrap_err()), Retry::InParts);
    for status in [200, 202, 204] {
        assert_eq!(http(status, &[]), Ok(Accepted::default()), "{status}");
    }
}

#[test]
fn retry_after_is_read_as_seconds_or_as_a_date() {
    let date = "Sat, 21 Nov 2026 08:05:00 GMT";
    for (headers, expected) in [
        (&[("retry-after", "30")][..], after(30)),
        (&[("retry-after", "Sat, 21 Nov 2026 08:05:40 GMT"), ("date", date)], after(40)),
        (&[("retry-after", "Sat, 21 Nov 2026 08:04:00 GMT"), ("date", date)], after(0)),
        (&[("retry-after", "Sat, 21 Nov 2026 08:04:00 GMT")], Retry::Whenever),
        (&[("retry-after", "soon"), ("date", date)], Retry::Whenever),
        (&[("retry-after", "-5")], Retry::Whenever),
    ] {
        assert_eq!(Retry::from(http(503, headers).unwrap_err()), expected, "{headers:?}");
    }
}

#[test]
fn an_error_body_is_read_by_its_content_type() {
    let mut status = Vec::new();
    varint_field(&mut status, 1, 3);
    text_field(&mut status, 2, "no such tenant");
    for (content_type, body, expected) in [
        ("application/x-protobuf", &status[..], "it answered 400 Bad Request: no such tenant"),
        ("application/x-protobuf", b"\xff\xff", "it answered 400 Bad Request"),
        (
            "application/json",
            br#"{"code":3,"message":"no such tenant"}"#,
            "it answered 400 Bad Request: no such tenant",
        ),
        ("application/json", b"nothing", "it answered 400 Bad Request"),
        ("text/plain", b"no such\r\ntenant\n", "it answered 400 Bad Request: no such  tenant"),
    ] {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
        let failure = of_http(StatusCode::BAD_REQUEST, &headers, body).unwrap_err();
        assert_eq!(failure, Failure::Never { reason: expected.to_owned() });
    }
}

#[test]
fn a_partial_success_tells_how_many_items_were_rejected_and_why() {
    let mut partial = Vec::new();
    varint_field(&mut partial, 1, 3);
    text_field(&mut partial, 2, "too old");
    let mut response = Vec::new();
    bytes_field(&mut response, 1, &partial);
    let expected = Accepted { rejected_items: 3, message: "too old".to_owned() };
    assert_eq!(read_response(&response), expected);
    assert_eq!(read_response(b""), Accepted::default());
}

#[test]
fn the_body_of_a_success_is_read_as_its_content_type_says_and_what_cannot_be_read_is_said() {
    let rejected = |rejected_items, message: &str| Accepted { rejected_items, message: message.to_owned() };
    for (content_type, body, expected) in [
        ("application/x-protobuf", &b"\x0a\x02\x08\x02"[..], rejected(2, "")),
        ("application/x-protobuf", b"\x0a\x05\x08", unread()),
        ("application/x-protobuf", b"", rejected(0, "")),
        ("application/json", b"{}", rejected(0, "")),
        ("application/json; charset=utf-8", br#"{"partialSuccess":{"rejectedSpans":"7"}}"#, rejected(7, "")),
        ("application/json", br#"{"partialSuccess":{"rejectedDataPoints":7}}"#, rejected(7, "")),
        (
            "Application/JSON",
            br#"{"partialSuccess":{"errorMessage":"slow\ndown"}}"#,
            rejected(0, "slow down"),
        ),
        ("application/json", br#"{"partialSuccess":{"rejectedLogRecords":"-7"}}"#, rejected(0, "")),
        ("application/json", b"{", unread()),
        ("application/json", b"[]", unread()),
        ("text/html", b"<html>", unread()),
        ("text/html", b"", rejected(0, "")),
    ] {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
        assert_eq!(of_http(StatusCode::OK, &headers, body), Ok(expected), "{content_type} {body:?}");
    }
}

#[test]
fn a_redirect_is_refused_and_names_the_host_that_it_points_at() {
    let to = |location| {
        let headers = [(header::LOCATION, HeaderValue::from_static(location))].into_iter().collect();
        let failure = of_http(StatusCode::TEMPORARY_REDIRECT, &headers, b"").unwrap_err();
        let Failure::Never { reason } = failure else { panic!("{failure:?}") };
        reason
    };
    let answered = "it answered 307 Temporary Redirect, and points at";
    let host = to("https://me:secret@other.example:8443/v1/metrics?token=secret");
    assert_eq!(host, format!("{answered} other.example:8443; if that is right, make it the endpoint"));
    let path = to("/otlp/v1/metrics?token=secret");
    assert_eq!(
        path,
        format!("{answered} its path /otlp/v1/metrics; if that is right, put it into the endpoint")
    );
    assert_eq!(to("http://["), "it answered 307 Temporary Redirect");
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(status in 100_u16..1000, body: Vec<u8>, header in "[ -~]{0,20}", is_protobuf: bool) {
        let content_type = if is_protobuf { "application/x-protobuf" } else { "text/html" };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(&header).unwrap());
        headers.insert(header::DATE, HeaderValue::from_str(&header).unwrap());
        let _ = of_http(StatusCode::from_u16(status).unwrap(), &headers, &body);
        let _ = of_grpc(&Status::with_details(Code::Unavailable, header, Bytes::from(body)));
    }
}
