use super::*;
use http::StatusCode;

const LIMIT: usize = 1_000;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (http::HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    pairs.collect()
}

fn answer(
    status: u16,
    head: &[(&'static str, &str)],
    body: &[u8],
    trailers: &[(&'static str, &str)],
) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers(head),
        body: Ok(Bytes::copy_from_slice(body)),
        trailers: headers(trailers),
    }
}

/// What it means, in a word and its reason.
fn meaning(answer: &Answer) -> String {
    match outcome(answer, LIMIT) {
        Ok(accepted) => format!("accepted {} {}", accepted.rejected_items, accepted.message),
        Err(Failure::Later { reason, retry_after }) => format!("later {retry_after:?} {reason}"),
        Err(Failure::Never { reason } | Failure::Unwelcome { reason }) => format!("never {reason}"),
        Err(other) => format!("{other:?}"),
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: (&str, &str) = ("grpc-status", "0");

#[test]
fn the_status_stands_in_the_trailers_or_in_the_headers() {
    let busy = [("grpc-status", "14"), ("grpc-message", "b%C3%BCsy")];
    let expected = "later None it answered UNAVAILABLE: büsy";
    assert_eq!(meaning(&answer(200, &[GRPC], b"", &busy)), expected);
    assert_eq!(meaning(&answer(200, &[GRPC, busy[0], busy[1]], b"", &[])), expected);
    assert_eq!(meaning(&answer(200, &[GRPC], b"\0\0\0\0\0", &[OK])), "accepted 0 ");
    assert_eq!(meaning(&answer(200, &[GRPC, OK], b"", &[])), "accepted 0 ");
}

#[test]
fn details_that_are_no_base64_are_as_good_as_none() {
    for details in ["!", "%%%", "AAA", "\u{fc}"] {
        let trailers = [("grpc-status", "8"), ("grpc-status-details-bin", details)];
        assert_eq!(meaning(&answer(200, &[GRPC], b"", &trailers)), "never it answered RESOURCE_EXHAUSTED");
    }
    // google.rpc.Status { details: [Any { type_url: "a/google.rpc.RetryInfo", value: RetryInfo { 2 s } }] }
    let status = b"\x1a\x1e\x0a\x16a/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x02";
    let plain = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
    let padded = base64::engine::general_purpose::STANDARD.encode(status);
    for details in [plain, padded] {
        let trailers = [("grpc-status", "8"), ("grpc-status-details-bin", details.as_str())];
        assert_eq!(
            meaning(&answer(200, &[GRPC], b"", &trailers)),
            "later Some(2s) it answered RESOURCE_EXHAUSTED"
        );
    }
}

#[test]
fn an_answer_without_a_status_is_told_by_what_it_came_from() {
    let html = ("content-type", "text/html");
    for (answer, expected) in [
        (answer(200, &[GRPC], b"", &[]), "later None its answer ended before its status"),
        (answer(200, &[html], b"<html>", &[]), "never its answer is not gRPC; is this the right port?"),
        (answer(204, &[], b"", &[]), "never its answer is not gRPC; is this the right port?"),
        (answer(503, &[html], b"<html>", &[]), "later None it answered 503 Service Unavailable: <html>"),
        (answer(502, &[], b"", &[]), "later None it answered 502 Bad Gateway"),
        (answer(401, &[html], b"no", &[]), "never it answered 401 Unauthorized: no"),
        (answer(413, &[], b"", &[]), "TooLarge { reason: \"it answered 413 Payload Too Large\" }"),
    ] {
        assert_eq!(meaning(&answer), expected);
    }
}

#[test]
fn a_success_whose_message_is_damaged_is_one_and_that_is_said() {
    let expected = "accepted 0 its answer cannot be read, but says that all is well";
    for (head, frame) in [
        (&[GRPC][..], &b"\0\0\0\0\x02\xff\xff"[..]),
        (&[GRPC], b"\x01\0\0\0\x02no"),
        (&[GRPC, ("grpc-encoding", "br")], b"\x01\0\0\0\x02no"),
        (&[GRPC, ("grpc-encoding", "zstd")], b"\x01\0\0\0\x02no"),
    ] {
        let found = meaning(&answer(200, head, frame, &[OK]));
        // Without an encoding, the message is taken as it is.
        assert!(found == expected, "{head:?}: {found}");
    }
}

#[test]
fn the_message_may_be_compressed_and_its_limit_holds_after_that() {
    let message = b"\x0a\x02\x08\x03".to_vec();
    for (encoding, small, bomb) in [
        ("gzip", gzip(&message), gzip(&vec![0; LIMIT + 1])),
        (
            "zstd",
            zstd::bulk::compress(&message, 1).unwrap(),
            zstd::bulk::compress(&vec![0; LIMIT + 1], 1).unwrap(),
        ),
    ] {
        let head = [GRPC, ("grpc-encoding", encoding)];
        let framed = |body: &[u8]| [&[1, 0, 0, 0, body.len() as u8], body].concat();
        assert_eq!(meaning(&answer(200, &head, &framed(&small), &[OK])), "accepted 3 ", "{encoding}");
        let expected = "never its answer is larger than 1000 bytes";
        assert_eq!(meaning(&answer(200, &head, &framed(&bomb), &[OK])), expected, "{encoding}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
