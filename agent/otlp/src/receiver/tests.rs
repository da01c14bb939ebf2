//! The receiver against real clients on loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use telemetry::Signal;

use super::*;
use crate::paths::grpc_path;
use crate::samples::{host_attributes, small_host};
use crate::sender::{Compression, Destination, DestinationOptions, Protocol, Sender};
use crate::{MetricsEncoder, MetricsSummary};
use client::*;

mod answers;
mod bounds;
mod change;
mod client;
mod peers;

type Kept = Arc<Mutex<Vec<Batch>>>;

fn receiver() -> (Receiver, Kept) {
    let arrived = Kept::default();
    let into = arrived.clone();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    (Receiver::bind(address, move |batch| into.lock().unwrap().push(batch)).unwrap(), arrived)
}

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

/// The answer over gRPC to a request with these bytes: empty for OK, else the code and its text.
fn over_grpc(receiver: &Receiver, payload: Vec<u8>, compression: Compression) -> String {
    let destination = Destination::new(DestinationOptions {
        compression,
        timeout: SOON,
        ..DestinationOptions::new("receiver", format!("http://{}", receiver.local_address()), Protocol::Grpc)
    });
    let sender = Sender::start(vec![destination.unwrap()], None, SOON, || ()).unwrap();
    sender.offer(
        &Batch { signal: Signal::Metrics, payload: Bytes::from(payload), items: 1 },
        telemetry::Timestamp::EPOCH,
    );
    let figures = sender.flush_and_stop(SOON);
    figures.destinations[0].last_error.clone().unwrap_or_default()
}

#[test]
fn what_arrives_is_handed_on_unchanged_and_counted() {
    let (receiver, arrived) = receiver();
    let sent = request();
    assert_eq!(over_grpc(&receiver, sent.payload.to_vec(), Compression::None), "");
    let answer = exchange(&receiver, &http("POST /v1/metrics", PROTOBUF, &sent.payload));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains(PROTOBUF) && answer.ends_with("\r\n\r\n"),
        "the type of the request, no body: {answer}"
    );
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 2);
    for batch in arrived.iter() {
        assert_eq!((&batch.payload, batch.items), (&sent.payload, 5));
        let summary = MetricsSummary::of(&batch.payload).unwrap();
        assert_eq!((summary.resources, summary.points), (3, 5));
        let names: Vec<_> = summary.metrics.iter().map(String::as_str).collect();
        assert_eq!(names, ["process.memory.usage", "system.disk.io", "system.uptime"]);
    }
}

#[test]
fn an_empty_request_is_fine_and_is_not_handed_on() {
    let (receiver, arrived) = receiver();
    assert_eq!(over_grpc(&receiver, Vec::new(), Compression::None), "");
    let answer = exchange(&receiver, &http("POST /v1/logs", PROTOBUF, b""));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(arrived.lock().unwrap().is_empty());
}

#[test]
fn a_request_that_cannot_be_taken_is_refused_with_the_reason() {
    let (receiver, arrived) = receiver();
    let gzip = format!("{PROTOBUF}content-encoding: gzip\r\n");
    let br = format!("{PROTOBUF}content-encoding: br\r\n");
    for (line, headers, body, status, reason) in [
        ("POST /v1/metrics", PROTOBUF, &b"\x0a\x7f"[..], "400 Bad Request", "not an OTLP message"),
        ("POST /v1/metrics", &gzip, b"plain", "400 Bad Request", "cannot be decompressed"),
        ("POST /v1/metrics", &br, b"", "415 Unsupported Media Type", "with gzip or zstd"),
        ("POST /v1/metrics", "", b"", "415 Unsupported Media Type", "application/x-protobuf"),
        ("POST /v1/metrics", "content-type: text/plain\r\n", b"{}", "415 Unsupported", "or application/json"),
        ("GET /v1/metrics", PROTOBUF, b"", "405 Method Not Allowed", "use POST"),
        ("POST /v2/metrics", PROTOBUF, b"", "404 Not Found", "/v1/metrics"),
        ("POST /", "content-type: application/grpc\r\n", b"", "200 OK", "grpc-status: 12"),
    ] {
        let answer = exchange(&receiver, &http(line, headers, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
        assert!(answer.contains(reason), "{line}: {answer}");
    }
    let answer = over_grpc(&receiver, b"\x0a\x7f".to_vec(), Compression::None);
    assert!(answer.contains("INVALID_ARGUMENT: not an OTLP message"), "{answer}");
    assert!(arrived.lock().unwrap().is_empty());
}

#[test]
fn a_request_above_the_limit_is_refused_for_good_also_when_it_grows_by_decompression() {
    let (receiver, arrived) = receiver();
    let large = vec![0; 16 * 1024 * 1024 + 1];
    for compression in [Compression::None, Compression::Zstd] {
        let answer = over_grpc(&receiver, large.clone(), compression);
        assert!(answer.contains("it answered RESOURCE_EXHAUSTED"), "{answer}");
    }
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&large).unwrap();
    let gzip = format!("{PROTOBUF}content-encoding: gzip\r\n");
    let answer = exchange(&receiver, &http("POST /v1/metrics", &gzip, &bomb.finish().unwrap()));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(arrived.lock().unwrap().is_empty());
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let (receiver, _) = receiver();
    let address = receiver.local_address();
    let error = Receiver::bind(address, |_| {}).unwrap_err();
    let expected =
        format!("{address} is in use by another program; stop that program or choose another address");
    assert_eq!(error.to_string(), expected);
    receiver.stop(SOON);
    Receiver::bind(address, |_| {}).expect("a stopped receiver leaves its port");
}

#[test]
fn clients_that_talk_nonsense_or_nothing_stop_neither_the_others_nor_the_end() {
    let (receiver, arrived) = receiver();
    let _silent = TcpStream::connect(receiver.local_address()).unwrap();
    let mut half = TcpStream::connect(receiver.local_address()).unwrap();
    half.write_all(b"POST /v1/metrics HTTP/1.1\r\ncontent-le").unwrap();
    exchange(&receiver, b"\x16\x03\x01 this is no HTTP\r\n\r\n");
    assert_eq!(over_grpc(&receiver, request().payload.to_vec(), Compression::None), "");
    assert_eq!(arrived.lock().unwrap().len(), 1);
    receiver.stop(Duration::from_millis(50));
}
