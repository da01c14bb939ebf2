//! What the specification asks of exporters, against a destination that answers as told.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use std::io::{Read as _, Write as _};

use ::http::{Response, Version};
use telemetry::Signal;
use tonic::body::Body;

use super::*;
use crate::sender::destination::tests::{options, testdata};
use crate::sender::destination::{Compression, DestinationOptions};
use crate::sender::stub::{Seen, Stub, grpc as grpc_answer, http as http_answer};
use crate::sender::tests::tls_options;
use crate::{Secret, TlsOptions};

const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn attempts(options: DestinationOptions) -> Attempts {
    Attempts::new(Destination::new(options).unwrap())
}

fn to(address: SocketAddr, protocol: Protocol) -> DestinationOptions {
    options(&format!("http://{address}"), protocol)
}

fn batch(bytes: usize) -> Batch {
    Batch { signal: Signal::Metrics, payload: Bytes::from(vec![0; bytes]), items: 1 }
}

async fn send(attempts: &Attempts) -> Result<Accepted, ExportError> {
    let empty = Bytes::from_static(b"\x0a\x00");
    Exporter::export(attempts, &Batch { payload: empty, ..batch(2) }).await
}

fn is_grpc(seen: &Seen) -> bool {
    seen.headers.get("content-type").is_some_and(|value| value == "application/grpc")
}

fn success(seen: &Seen) -> Response<Body> {
    if is_grpc(seen) { grpc_answer(b"") } else { http_answer(200, b"") }
}

/// A refusal of whoever has no such credential.
fn unless_authorized(seen: &Seen, value: &str) -> Response<Body> {
    match seen.headers.get("authorization") {
        Some(found) if found == value => success(seen),
        _ if is_grpc(seen) => tonic::Status::unauthenticated("who?").into_http(),
        _ => http_answer(401, b"who?"),
    }
}

/// Lets so much time pass that files are looked at again.
async fn a_while() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_request_above_the_limit_is_not_sent_and_its_parts_may_be() {
    for protocol in PROTOCOLS {
        let stub = Stub::new(|seen| Some(success(seen)));
        // What it would have been compressed to does not matter.
        let compression = Compression::Zstd;
        let options =
            DestinationOptions { max_request_bytes: 1000, compression, ..to(stub.address, protocol) };
        let attempts = attempts(options);
        let error = Exporter::export(&attempts, &batch(1001)).await.unwrap_err();
        assert!(matches!(error, ExportError::TooLarge { .. }));
        let text = "the batch is too large for collector: it has 1001 bytes, and max_request_bytes is 1000";
        assert_eq!(error.to_string(), text);
        assert_eq!(stub.connections(), 0);
        assert!(Exporter::export(&attempts, &batch(1000)).await.is_ok());
    }
}

#[tokio::test]
async fn bodies_may_be_json_both_ways() {
    let stub = Stub::new(|_| {
        let mut answer =
            http_answer(200, br#"{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"old"}}"#);
        answer.headers_mut().insert("content-type", "application/json".parse().unwrap());
        Some(answer)
    });
    let accepted = send(&attempts(to(stub.address, Protocol::HttpJson))).await;
    assert_eq!(accepted.unwrap(), Accepted { rejected_items: 2, message: "old".to_owned() });
    let seen = stub.next();
    assert_eq!(seen.headers.get("content-type").unwrap(), "application/json");
    assert_eq!((seen.path.as_str(), &seen.body[..]), ("/v1/metrics", &br#"{"resourceMetrics":[{}]}"#[..]));
    // Small enough as protobuf, too large as JSON.
    let small = DestinationOptions { max_request_bytes: 10, ..to(stub.address, Protocol::HttpJson) };
    assert!(matches!(send(&attempts(small)).await, Err(ExportError::TooLarge { .. })));
}

#[tokio::test]
async fn an_answer_above_the_limit_is_final() {
    for protocol in PROTOCOLS {
        let stub = Stub::new(|seen| {
            Some(if is_grpc(seen) { grpc_answer(&[0; 101]) } else { http_answer(200, &[0; 101]) })
        });
        let attempts = attempts(DestinationOptions { max_response_bytes: 100, ..to(stub.address, protocol) });
        let error = send(&attempts).await.unwrap_err();
        let expected = "collector will never take this batch: its answer is larger than 100 bytes";
        assert_eq!(error.to_string(), expected, "{protocol}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for protocol in PROTOCOLS {
        let elsewhere = Stub::new(|seen| Some(success(seen)));
        let location = format!("http://{}/v1/metrics", elsewhere.address);
        let stub = Stub::new(move |_| {
            let mut answer = http_answer(308, b"");
            answer.headers_mut().insert("location", location.parse().unwrap());
            Some(answer)
        });
        let error = send(&attempts(to(stub.address, protocol))).await.unwrap_err();
        assert!(matches!(error, ExportError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(&format!("points at {};", elsewhere.address)), "{error}");
        assert_eq!(elsewhere.connections(), 0);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_after_the_request_is_a_reason_to_try_again() {
    for protocol in PROTOCOLS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cutting = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 24]).unwrap();
        });
        let error = send(&attempts(to(address, protocol))).await.unwrap_err();
        assert!(matches!(error, ExportError::TryLater { retry_after: None, .. }), "{protocol}: {error}");
        cutting.join().unwrap();
    }
}

#[tokio::test]
async fn attempts_that_run_at_once_share_a_connection_where_the_protocol_can() {
    let stub = Stub::new(|seen| Some(success(seen)));
    let attempts = attempts(to(stub.address, Protocol::Grpc));
    send(&attempts).await.unwrap();
    let all: Vec<_> = (0..10).map(|_| send(&attempts)).collect();
    for one in all {
        one.await.unwrap();
    }
    assert_eq!(stub.connections(), 1);
}

#[tokio::test]
async fn over_tls_the_destination_chooses_between_both_versions_of_http() {
    for (protocol, alpn, expected) in [
        (Protocol::HttpProtobuf, &[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2),
        (Protocol::HttpProtobuf, &[b"http/1.1"], Version::HTTP_11),
        (Protocol::HttpProtobuf, &[], Version::HTTP_11),
        (Protocol::Grpc, &[b"h2"], Version::HTTP_2),
        (Protocol::Grpc, &[], Version::HTTP_2),
    ] {
        let stub = Stub::with_protocols(|seen| Some(success(seen)), alpn);
        let tls = Some(tls_options("authority.pem", None));
        let endpoint = format!("https://{}", stub.address);
        send(&attempts(DestinationOptions { tls, ..options(&endpoint, protocol) })).await.unwrap();
        assert_eq!(stub.next().version, expected, "{protocol} {alpn:?}");
    }
}

#[tokio::test]
async fn the_name_in_the_certificate_may_be_another_than_the_endpoints() {
    let stub = Stub::with_protocols(|seen| Some(success(seen)), &[b"h2"]);
    for (server_name, is_taken) in [("localhost", true), ("collector.example", false)] {
        let tls =
            TlsOptions { server_name: Some(server_name.to_owned()), ..tls_options("authority.pem", None) };
        let endpoint = format!("https://127.0.0.1:{}", stub.address.port());
        let options = DestinationOptions { tls: Some(tls), ..options(&endpoint, Protocol::Grpc) };
        let result = send(&attempts(options)).await;
        assert_eq!(result.is_ok(), is_taken, "{server_name}: {result:?}");
    }
}

#[tokio::test]
async fn a_tls_handshake_that_hangs_ends_with_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let options = DestinationOptions {
        connect_timeout: Duration::from_millis(20),
        tls: Some(tls_options("authority.pem", None)),
        ..options(&endpoint, Protocol::Grpc)
    };
    let error = telemetry::with_causes(&send(&attempts(options)).await.unwrap_err());
    assert!(error.contains("no connection within 20ms"), "{error}");
}

#[tokio::test]
async fn a_credential_that_is_replaced_is_used_without_a_restart() {
    for protocol in PROTOCOLS {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "Bearer old\n").unwrap();
        let expected = Arc::new(Mutex::new("Bearer old"));
        let wanted = expected.clone();
        let stub = Stub::new(move |seen| Some(unless_authorized(seen, *wanted.lock().unwrap())));
        let headers = vec![("authorization".to_owned(), Secret::File(file.clone()))];
        let attempts = attempts(DestinationOptions { headers, ..to(stub.address, protocol) });
        send(&attempts).await.unwrap();

        // Refused with the old one while the new one is already there: that is no reason to give up the batch.
        std::fs::write(&file, "Bearer newer").unwrap();
        *expected.lock().unwrap() = "Bearer newer";
        assert!(matches!(send(&attempts).await.unwrap_err(), ExportError::TryLater { .. }), "{protocol}");
        send(&attempts).await.unwrap();

        // Replaced before anyone noticed.
        std::fs::write(&file, "Bearer newest").unwrap();
        *expected.lock().unwrap() = "Bearer newest";
        a_while().await;
        send(&attempts).await.unwrap();

        // Gone: the last one serves on, until there is another that is refused for good.
        std::fs::remove_file(&file).unwrap();
        a_while().await;
        send(&attempts).await.unwrap();
        *expected.lock().unwrap() = "Bearer other";
        assert!(matches!(send(&attempts).await.unwrap_err(), ExportError::Unwelcome { .. }), "{protocol}");
    }
}

/// Replaces a file as tools do that replace certificates.
fn replace(file: &Path, by: &str) {
    let next = file.with_extension("next");
    std::fs::copy(testdata(by), &next).unwrap();
    std::fs::rename(next, file).unwrap();
}

#[tokio::test]
async fn certificates_that_are_replaced_are_used_without_a_restart_and_leave_no_connection_behind() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    replace(&ca, "stranger.pem");
    let stub = Stub::with_tls(|seen| Some(success(seen)));
    let endpoint = format!("https://{}", stub.address);
    let tls = TlsOptions { ca_file: Some(ca.clone()), ..tls_options("authority.pem", Some("client")) };
    let attempts = attempts(DestinationOptions { tls: Some(tls), ..options(&endpoint, Protocol::Grpc) });
    let error = telemetry::with_causes(&send(&attempts).await.unwrap_err());
    assert!(error.contains("UnknownIssuer"), "{error}");

    for _ in 0..100 {
        replace(&ca, "authority.pem");
        a_while().await;
        send(&attempts).await.unwrap();
    }
    // What is no certificate is not used.
    replace(&ca, "client.key");
    a_while().await;
    send(&attempts).await.unwrap();
    assert!(stub.connections() > 100, "each replacement took a new connection");
    for _ in 0..1000 {
        if stub.open_connections() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} connections are open", stub.open_connections());
}

/// A proxy that passes tunnels on and answers requests itself; what it was asked, without the bodies.
struct TestProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

fn proxy() -> TestProxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let told = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let told = told.clone();
            std::thread::spawn(move || pass(stream.unwrap(), &told));
        }
    });
    TestProxy { address, asked }
}

fn pass(mut client: TcpStream, asked: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    asked.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    if !head.contains("proxy-authorization: basic dtpw") {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").unwrap();
    } else if words.next() == Some("connect") {
        let mut server = TcpStream::connect(words.next().unwrap()).unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut server));
        let _ = std::io::copy(&mut back, &mut client);
    } else {
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

#[tokio::test]
async fn a_proxy_passes_plain_requests_on_and_opens_tunnels_for_the_rest() {
    let plain = Stub::new(|seen| Some(success(seen)));
    let secure = Stub::with_protocols(|seen| Some(success(seen)), &[b"h2", b"http/1.1"]);
    let tls = || Some(tls_options("authority.pem", None));
    for (protocol, stub, scheme, tls, expected) in [
        (Protocol::HttpProtobuf, &plain, "http", None, "post http://{}/v1/metrics http/1.1"),
        (Protocol::Grpc, &plain, "http", None, "connect {} http/1.1"),
        (Protocol::HttpProtobuf, &secure, "https", tls(), "connect {} http/1.1"),
        (Protocol::Grpc, &secure, "https", tls(), "connect {} http/1.1"),
    ] {
        let proxy = proxy();
        let url = format!("http://u:p@{}", proxy.address);
        let options = DestinationOptions {
            tls,
            proxy: Some(Secret::Text(url)),
            ..options(&format!("{scheme}://{}", stub.address), protocol)
        };
        send(&attempts(options)).await.unwrap();
        let asked = proxy.asked.lock().unwrap().join("\n");
        let first = asked.lines().next().unwrap_or_default();
        assert_eq!(first, expected.replace("{}", &stub.address.to_string()), "{protocol} {scheme}");
    }
    assert_eq!((plain.connections(), secure.connections()), (1, 2));
}

#[tokio::test]
async fn a_proxy_that_wants_other_credentials_is_a_reason_to_wait() {
    let proxy = proxy();
    let options = DestinationOptions {
        proxy: Some(Secret::Text(format!("http://wrong:p@{}", proxy.address))),
        ..options("https://collector.example:4317", Protocol::Grpc)
    };
    let error = telemetry::with_causes(&send(&attempts(options)).await.unwrap_err());
    assert!(error.contains("proxy authorization required") && !error.contains("wrong"), "{error}");
}

#[tokio::test]
async fn several_attempts_without_an_answer_give_the_connection_up_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let stub = Stub::new(move |seen| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        (call >= 3).then(|| success(seen))
    });
    let timeout = Duration::from_millis(100);
    let attempts = attempts(DestinationOptions { timeout, ..to(stub.address, Protocol::Grpc) });
    let (one, two, three) = tokio::join!(send(&attempts), send(&attempts), send(&attempts));
    assert!([one, two, three].iter().all(|result| matches!(result, Err(ExportError::TryLater { .. }))));
    send(&attempts).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}
