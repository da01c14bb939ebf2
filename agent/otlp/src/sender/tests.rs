use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use telemetry::Signal;
use tonic::{Code, Status};

use super::*;
use crate::samples::{host_attributes, small_host};
use crate::sender::destination::tests::{options, testdata};
use crate::sender::stub::{Seen, Stub, grpc, http};
use crate::wire::{bytes_field, text_field, varint_field};
use crate::{MetricsEncoder, Receiver};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SOON: Duration = Duration::from_secs(10);
const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn start(destinations: Vec<Destination>) -> Sender {
    Sender::start(destinations, None, SOON, || ()).unwrap()
}

fn sender(options: DestinationOptions) -> Sender {
    start(vec![Destination::new(options).unwrap()])
}

fn to(address: SocketAddr, protocol: Protocol) -> DestinationOptions {
    options(&format!("http://{address}"), protocol)
}

fn batch(items: u64) -> Batch {
    Batch { signal: Signal::Metrics, payload: Bytes::from_static(b"\x0a\x00"), items }
}

/// What became of the metrics after `sender` has had time to deliver.
fn outcome(sender: &Sender) -> (SignalFigures, Option<String>) {
    let figures = sender.flush_and_stop(SOON);
    let [destination] = figures.destinations.as_slice() else { panic!("{figures:?}") };
    (destination.signal(Signal::Metrics), destination.last_error.clone())
}

/// A success in the protocol in which `seen` came.
fn success(seen: &Seen, message: &[u8]) -> ::http::Response<tonic::body::Body> {
    if is_grpc(seen) { grpc(message) } else { http(200, message) }
}

fn is_grpc(seen: &Seen) -> bool {
    seen.headers.get("content-type").is_some_and(|value| value == "application/grpc")
}

fn text<'a>(seen: &'a Seen, header: &str) -> &'a str {
    seen.headers.get(header).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn metrics_arrive_as_they_were_encoded_by_either_protocol_compressed_or_not() {
    let [sent] = &MetricsEncoder::new(&host_attributes()).encode(&small_host(200))[..] else {
        panic!("one batch was expected")
    };
    for protocol in PROTOCOLS {
        for compression in [Compression::None, Compression::Gzip] {
            let (arrive, arrived) = sync_channel(10);
            let receiver = Receiver::bind(LOOPBACK, move |batch| arrive.send(batch).unwrap()).unwrap();
            let sender = sender(DestinationOptions { compression, ..to(receiver.local_address(), protocol) });
            for signal in Signal::ALL {
                // The services differ by path only; metrics happen to be valid spans and records to the counter.
                sender.offer(&Batch { signal, ..sent.clone() }, NOW);
                let batch = arrived.recv_timeout(SOON).unwrap();
                assert_eq!((batch.signal, &batch.payload), (signal, &sent.payload));
            }
            let (figures, error) = outcome(&sender);
            assert_eq!((figures.delivered, error), (203, None), "{protocol} {compression:?}");
        }
    }
}

#[test]
fn each_request_carries_the_headers_that_were_configured_and_says_who_sends_it() {
    for protocol in PROTOCOLS {
        let stub = Stub::new(|seen| Some(success(seen, b"")));
        let headers = vec![("X-Tenant".to_owned(), "shop a".into())];
        let sender = sender(DestinationOptions { headers, ..to(stub.address, protocol) });
        sender.offer(&batch(1), NOW);
        let seen = stub.next();
        assert_eq!(text(&seen, "x-tenant"), "shop a");
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text(&seen, "user-agent"),
            format!("hostmend/{version} OTel-OTLP-Exporter-Rust/{version}")
        );
        let expected = match protocol {
            Protocol::Grpc => {
                ("application/grpc", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            }
            Protocol::HttpProtobuf => ("application/x-protobuf", "/v1/metrics"),
            Protocol::HttpJson => ("application/json", "/v1/metrics"),
        };
        assert_eq!((text(&seen, "content-type"), seen.path.as_str()), expected);
    }
}

#[test]
fn compressed_requests_say_so_and_are_smaller() {
    let payload = Bytes::from(vec![0; 100_000]);
    for (protocol, header, compression, expected) in [
        (Protocol::Grpc, "grpc-encoding", Compression::Gzip, "gzip"),
        (Protocol::Grpc, "grpc-encoding", Compression::Zstd, "zstd"),
        (Protocol::HttpProtobuf, "content-encoding", Compression::Gzip, "gzip"),
        (Protocol::HttpProtobuf, "content-encoding", Compression::Zstd, "zstd"),
    ] {
        let stub = Stub::new(|seen| Some(success(seen, b"")));
        let sender = sender(DestinationOptions { compression, ..to(stub.address, protocol) });
        sender.offer(&Batch { payload: payload.clone(), ..batch(1) }, NOW);
        let seen = stub.next();
        assert_eq!(text(&seen, header), expected);
        assert!(seen.body.len() < 1_000, "{protocol}: {}", seen.body.len());
    }
}

#[test]
fn requests_in_a_row_share_one_connection() {
    for protocol in PROTOCOLS {
        let stub = Stub::new(|seen| Some(success(seen, b"")));
        let sender = sender(to(stub.address, protocol));
        for items in 1..=20 {
            sender.offer(&batch(items), NOW);
        }
        assert_eq!(outcome(&sender).0.delivered, 210);
        assert_eq!(stub.connections(), 1, "{protocol}");
    }
}

pub(crate) fn tls_options(ca: &str, client: Option<&str>) -> TlsOptions {
    TlsOptions {
        ca_file: Some(testdata(ca)),
        certificate_file: client.map(|name| testdata(&format!("{name}.pem"))),
        key_file: client.map(|name| testdata(&format!("{name}.key"))),
        server_name: None,
    }
}

#[test]
fn with_tls_both_sides_show_their_certificates() {
    for protocol in PROTOCOLS {
        let stub = Stub::with_tls(|seen| Some(success(seen, b"")));
        let endpoint = format!("https://{}", stub.address);
        let tls = Some(tls_options("authority.pem", Some("client")));
        let sender = sender(DestinationOptions { tls, ..options(&endpoint, protocol) });
        sender.offer(&batch(5), NOW);
        stub.next();
        assert_eq!(outcome(&sender).0.delivered, 5, "{protocol}");
    }
}

#[test]
fn a_destination_that_cannot_prove_who_it_is_gets_nothing() {
    for (protocol, ca, client, expected) in [
        (Protocol::Grpc, "stranger.pem", Some("client"), "UnknownIssuer"),
        (Protocol::HttpProtobuf, "stranger.pem", Some("client"), "UnknownIssuer"),
        // Over HTTP/2, writing may fail before the alert is read.
        (Protocol::HttpProtobuf, "authority.pem", None, "client error"),
    ] {
        let stub = Stub::with_tls(|seen| Some(success(seen, b"")));
        let endpoint = format!("https://{}", stub.address);
        let tls = Some(tls_options(ca, client));
        let sender = sender(DestinationOptions { tls, ..options(&endpoint, protocol) });
        sender.offer(&batch(5), NOW);
        let error = wait_for_error(&sender);
        assert!(error.contains(expected), "{protocol}: {error}");
        let figures = sender.flush_and_stop(Duration::ZERO);
        assert_eq!(figures.destinations[0].signal(Signal::Metrics).dropped_shutdown, 5);
    }
}

/// The first failure that the figures show.
fn wait_for_error(sender: &Sender) -> String {
    for _ in 0..10_000 {
        if let Some(error) = sender.figures().destinations[0].last_error.clone() {
            return error;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("no attempt failed");
}

#[test]
fn items_rejected_by_a_partial_success_are_counted_and_not_sent_again() {
    let mut partial = Vec::new();
    varint_field(&mut partial, 1, 2);
    text_field(&mut partial, 2, "too old");
    let mut message = Vec::new();
    bytes_field(&mut message, 1, &partial);
    for protocol in PROTOCOLS {
        let message = message.clone();
        let stub = Stub::new(move |seen| Some(success(seen, &message)));
        let sender = sender(to(stub.address, protocol));
        sender.offer(&batch(5), NOW);
        let (figures, _) = outcome(&sender);
        assert_eq!((figures.delivered, figures.refused), (3, 2), "{protocol}");
    }
}

#[test]
fn a_batch_that_is_refused_is_dropped_and_the_reason_kept() {
    for (protocol, expected) in [
        (
            Protocol::Grpc,
            "collector does not let this host in: it answered PERMISSION_DENIED: no such tenant",
        ),
        (
            Protocol::HttpProtobuf,
            "collector does not let this host in: it answered 403 Forbidden: no such tenant",
        ),
    ] {
        let stub = Stub::new(|seen| {
            let denied = Status::permission_denied("no such tenant");
            Some(if is_grpc(seen) { denied.into_http() } else { http(403, b"no such tenant") })
        });
        let sender = sender(to(stub.address, protocol));
        sender.offer(&batch(5), NOW);
        let (figures, error) = outcome(&sender);
        assert_eq!((figures.delivered, figures.refused), (0, 5));
        assert_eq!(error.as_deref(), Some(expected));
    }
}

#[test]
fn a_destination_that_was_unavailable_gets_the_batch_later() {
    for protocol in PROTOCOLS {
        let calls = AtomicUsize::new(0);
        let stub = Stub::new(move |seen| match calls.fetch_add(1, Ordering::Relaxed) {
            0 if is_grpc(seen) => Some(Status::unavailable("starting").into_http()),
            0 => Some(http(503, b"starting")),
            _ => Some(success(seen, b"")),
        });
        let sender = sender(to(stub.address, protocol));
        sender.offer(&batch(5), NOW);
        stub.next();
        let (figures, error) = outcome(&sender);
        assert_eq!(figures.delivered, 5, "{protocol}");
        assert!(error.is_some_and(|error| error.ends_with(": starting")));
    }
}

#[test]
fn an_answer_or_a_request_above_the_limit_is_not_tried_again() {
    for protocol in PROTOCOLS {
        let stub = Stub::new(|seen| Some(success(seen, &vec![0; (4 << 20) + 1])));
        let sender = sender(to(stub.address, protocol));
        sender.offer(&batch(5), NOW);
        assert_eq!(outcome(&sender).0.refused, 5, "{protocol}");
    }
    // What a tonic server says, instead of RESOURCE_EXHAUSTED, about a request that is too large for it.
    let stub = Stub::new(|_| {
        let text = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        Some(Status::new(Code::OutOfRange, text).into_http())
    });
    let sender = sender(to(stub.address, Protocol::Grpc));
    sender.offer(&batch(5), NOW);
    assert_eq!(outcome(&sender).0.refused, 5);
}

#[test]
fn nobody_there_is_a_reason_to_wait_and_the_stop_counts_what_waited() {
    // Bound, so that nobody else takes the port, but not listened on.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(LOOPBACK).unwrap();
    let address = socket.local_addr().unwrap();
    for protocol in PROTOCOLS {
        let sender = sender(to(address, protocol));
        sender.offer(&batch(5), NOW);
        let error = wait_for_error(&sender);
        assert!(error.contains("Connection refused"), "{protocol}: {error}");
        assert!(error.contains(&address.to_string()), "{protocol}: {error}");
        assert_eq!(sender.figures().destinations[0].signal(Signal::Metrics).queued, 5);
        let figures = sender.flush_and_stop(Duration::from_millis(50));
        assert_eq!(figures.destinations[0].signal(Signal::Metrics).dropped_shutdown, 5);
    }
}

#[test]
fn a_destination_that_never_answers_does_not_delay_another() {
    for protocol in PROTOCOLS {
        let silent = Stub::new(|_| None);
        let sound = Stub::new(|seen| Some(success(seen, b"")));
        let timeout = Duration::from_millis(100);
        let destinations =
            [("collector", silent.address), ("other", sound.address)].map(|(name, address)| {
                let name = name.to_owned();
                Destination::new(DestinationOptions { name, timeout, ..to(address, protocol) }).unwrap()
            });
        let sender = start(destinations.to_vec());
        sender.offer(&batch(5), NOW);
        silent.next();
        // Else both might go in one request.
        sound.next();
        sender.offer(&batch(6), NOW);
        sound.next();
        assert_eq!(wait_for_error(&sender), "collector cannot take the batch now: no answer within 100ms");
        let figures = sender.flush_and_stop(Duration::ZERO);
        let [silent, sound] = [0, 1].map(|at| figures.destinations[at].signal(Signal::Metrics));
        assert_eq!((silent.dropped_shutdown, sound.accepted), (11, 11), "{protocol}");
    }
}

#[test]
fn after_an_attempt_without_an_answer_the_next_one_takes_a_new_connection() {
    for protocol in PROTOCOLS {
        let calls = AtomicUsize::new(0);
        let stub = Stub::new(move |seen| match calls.fetch_add(1, Ordering::Relaxed) {
            0 => None,
            _ => Some(success(seen, b"")),
        });
        let timeout = Duration::from_millis(200);
        let sender = sender(DestinationOptions { timeout, ..to(stub.address, protocol) });
        sender.offer(&batch(5), NOW);
        wait_for_error(&sender);
        assert_eq!(outcome(&sender).0.delivered, 5, "{protocol}");
        assert!(stub.connections() > 1, "{protocol}");
    }
}

#[test]
fn an_idle_connection_holds_up_neither_end() {
    for protocol in PROTOCOLS {
        let (arrive, arrived) = sync_channel(10);
        let receiver = Receiver::bind(LOOPBACK, move |batch| arrive.send(batch).unwrap()).unwrap();
        let sender = sender(to(receiver.local_address(), protocol));
        sender.offer(&MetricsEncoder::new(&[]).encode(&small_host(1)).remove(0), NOW);
        arrived.recv_timeout(SOON).unwrap();
        let before = Instant::now();
        receiver.stop(SOON);
        sender.flush_and_stop(SOON);
        assert!(before.elapsed() < SOON / 2, "{protocol}");
    }
}

#[test]
fn a_sender_without_a_destination_lives_and_says_so_until_it_is_stopped() {
    let (beat, beats) = sync_channel(0);
    let alive = move || {
        // Nobody listens any more at the end of the test.
        let _ = beat.send(());
    };
    let sender = Sender::start(Vec::new(), None, Duration::from_millis(1), alive).unwrap();
    for _ in 0..3 {
        beats.recv_timeout(SOON).unwrap();
    }
    drop(beats);
    sender.flush_and_stop(SOON);
    assert!(sender.thread.lock().unwrap().is_none());
}
