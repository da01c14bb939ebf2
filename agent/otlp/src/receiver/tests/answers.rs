//! What clients are answered, over gRPC (A) and HTTP (B).

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value as Json;

use super::client::*;
use super::*;
use crate::{MaskAction, MaskRule, Masking};

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const JSON: &str = "content-type: application/json\r\n";

/// One span without anything.
const SPAN: &[u8] = &[0x0a, 4, 0x12, 2, 0x12, 0];

/// One MiB per request.
fn small() -> ReceiverLimits {
    ReceiverLimits { max_request_bytes: 1 << 20, ..ReceiverLimits::default() }
}

fn partial(message: &[u8]) -> Option<(i64, String)> {
    let response = ExportTraceServiceResponse::decode(message).unwrap();
    response.partial_success.map(|partial| (partial.rejected_spans, partial.error_message))
}

#[tokio::test]
async fn every_service_takes_plain_gzip_and_zstd_messages() {
    let receiver = accepting_all(loopback());
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let payload = request().payload;
    for signal in Signal::ALL {
        let items = crate::count_items(signal, &payload).unwrap();
        let path = grpc_path(signal);
        let before = receiver.figures().listeners[0].items;
        for (encoding, frame) in [
            (None, grpc_frame(&payload, false)),
            (Some("gzip"), grpc_frame(&gzip(&payload), true)),
            (Some("gzip"), grpc_frame(&payload, false)),
            (Some("zstd"), grpc_frame(&zstd(&payload), true)),
            (Some("identity"), grpc_frame(&payload, false)),
        ] {
            let answer = client.send(path, encoding, frame).await;
            assert_eq!((answer.code.as_str(), answer.body.len()), ("0", 0), "{signal} {encoding:?}");
        }
        assert_eq!(receiver.figures().listeners[0].items - before, 5 * items, "{signal}");
    }
}

#[tokio::test]
async fn calls_that_cannot_be_taken_get_the_code_that_senders_understand() {
    let receiver = answering(loopback(), small(), |_| Ok(Answer::default()));
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let traces = grpc_path(Signal::Traces);
    let large = vec![0; (1 << 20) + 1];
    for (path, encoding, frame, code, text) in [
        ("/no.Service/Export", None, grpc_frame(SPAN, false), "12", "no such service"),
        (traces, Some("snappy"), grpc_frame(SPAN, true), "12", "compress with gzip or zstd"),
        (traces, None, grpc_frame(SPAN, true), "3", "but not how"),
        (traces, Some("gzip"), grpc_frame(SPAN, true), "3", "cannot be decompressed"),
        (traces, None, grpc_frame(b"\x0a\x7f", false), "3", "not an OTLP message"),
        (traces, None, b"\0\0".to_vec(), "3", "the body ended early"),
        (traces, None, Vec::new(), "3", "the body ended early"),
        (traces, None, grpc_frame(SPAN, false)[..9].to_vec(), "3", "the body ended early"),
        (
            traces,
            None,
            [grpc_frame(SPAN, false), grpc_frame(SPAN, false)].concat(),
            "3",
            "more than one message",
        ),
        (traces, None, vec![7; 11], "3", "no gRPC frame"),
        (traces, None, grpc_frame(&large, false), "8", "larger than 1048576 bytes"),
        (traces, Some("gzip"), grpc_frame(&gzip(&large), true), "8", "larger than 1048576 bytes"),
        (traces, Some("zstd"), grpc_frame(&zstd(&large), true), "8", "larger than 1048576 bytes"),
    ] {
        let answer = client.send(path, encoding, frame).await;
        assert_eq!(answer.code, code, "{text}: {answer:?}");
        assert!(answer.message.contains(text), "{text}: {answer:?}");
        let details = String::from_utf8_lossy(&answer.details).into_owned();
        assert!(!details.contains("RetryInfo"), "{text}: nobody should send it again");
        assert_eq!(
            details.contains("google.rpc.BadRequest"),
            code == "3" && !text.contains("ended"),
            "{text}"
        );
        assert_eq!(answer.accepts == "identity,gzip,zstd", text.contains("compress with"), "{text}");
    }
    let refused: u64 = receiver.figures().listeners[0].refused.iter().map(|(_, count)| count).sum();
    assert_eq!((refused, receiver.figures().listeners[0].items), (13, 0));
}

#[tokio::test]
async fn what_is_rejected_in_part_is_answered_with_success() {
    for (answer, expected) in [
        (Answer { rejected: 3, message: "too old".to_owned() }, (3, "too old".to_owned())),
        (Answer { rejected: 0, message: "slow down".to_owned() }, (0, "slow down".to_owned())),
        (Answer { rejected: 2, message: String::new() }, (2, "some items were rejected".to_owned())),
        (Answer { rejected: 1, message: "é".repeat(5000) }, (1, "é".repeat(1024))),
    ] {
        let rejected = answer.rejected;
        let receiver = answering(loopback(), ReceiverLimits::default(), move |_| Ok(answer.clone()));
        let client = GrpcClient::tcp(receiver.local_address()).await;
        let got = client.call(Signal::Traces, SPAN).await;
        assert_eq!((got.code.as_str(), partial(&got.body)), ("0", Some(expected.clone())));
        let response = exchange_bytes(&receiver, &http("POST /v1/traces", PROTOBUF, SPAN));
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n"));
        let head = response.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(partial(&response[head..]), Some(expected));
        assert_eq!(receiver.figures().listeners[0].rejected_items, 2 * rejected);
    }
}

#[tokio::test]
async fn what_the_sink_refuses_is_sent_again_unless_it_is_invalid() {
    let wait = Duration::from_millis(2500);
    for (refusal, code, status, retry) in [
        (Refusal::Overloaded { retry_after: Some(wait) }, "14", "503", Some("3")),
        (Refusal::Overloaded { retry_after: None }, "14", "503", None),
        (Refusal::NotDurable("disk gone".to_owned()), "14", "503", None),
        (Refusal::Invalid("nonsense é".to_owned()), "3", "400", None),
    ] {
        let shown = format!("{refusal:?}");
        let receiver = answering(loopback(), ReceiverLimits::default(), move |_| Err(refusal.clone()));
        let client = GrpcClient::tcp(receiver.local_address()).await;
        let got = client.call(Signal::Traces, SPAN).await;
        assert_eq!(got.code, code, "{shown}");
        let has_info = String::from_utf8_lossy(&got.details).contains("google.rpc.RetryInfo");
        assert_eq!(has_info, retry.is_some(), "{shown}");
        let response = exchange(&receiver, &http("POST /v1/traces", PROTOBUF, SPAN));
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {response}");
        let header = retry.map(|seconds| format!("retry-after: {seconds}\r\n"));
        assert_eq!(response.contains("retry-after"), header.is_some(), "{shown}: {response}");
        assert!(response.contains(&header.unwrap_or_default()), "{shown}: {response}");
    }
}

#[test]
fn a_message_beyond_ascii_reaches_the_sender_percent_encoded() {
    let receiver =
        answering(loopback(), ReceiverLimits::default(), |_| Err(Refusal::Invalid("50 % é\n".to_owned())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime
        .block_on(async { GrpcClient::tcp(receiver.local_address()).await.call(Signal::Traces, SPAN).await });
    assert_eq!(answer.message, "50 %25 %C3%A9%0A");
}

#[test]
fn errors_over_http_are_a_status_in_the_encoding_of_the_request() {
    let receiver = accepting_all(loopback());
    let br = format!("{JSON}content-encoding: br\r\n");
    for (line, headers, body, status, code) in [
        ("POST /v1/traces", br.as_str(), &b"{}"[..], "415", 12),
        ("GET /v1/traces", JSON, b"", "405", 12),
        ("POST /v1/nothing", JSON, b"{}", "404", 12),
        ("POST /v1/traces", JSON, b"{", "400", 3),
        ("POST /v1/traces", JSON, br#"{"resourceSpans": 1}"#, "400", 3),
    ] {
        let response = exchange(&receiver, &http(line, headers, body));
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        assert_eq!(head.contains("allow: POST"), status == "405", "{head}");
        assert_eq!(head.contains("accept-encoding: gzip, zstd"), head.contains(" 415 "), "{head}");
        let body: Json = serde_json::from_str(body).unwrap();
        assert!(
            body["code"] == code && body["message"].as_str().is_some_and(|text| !text.is_empty()),
            "{body}"
        );
    }
}

#[test]
fn json_is_taken_and_answered_in_json() {
    let spans = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, {"name": "b"}]}]}]}"#;
    let partial = Answer { rejected: 1, message: "too old".to_owned() };
    let rejected = r#"{"partialSuccess":{"errorMessage":"too old","rejectedSpans":"1"}}"#;
    for (answer, body, expected) in
        [(Answer::default(), &b"{}"[..], "{}"), (Answer::default(), spans, "{}"), (partial, spans, rejected)]
    {
        let receiver = answering(loopback(), ReceiverLimits::default(), move |_| Ok(answer.clone()));
        let gzipped = http("POST /v1/traces", &format!("{JSON}content-encoding: gzip\r\n"), &gzip(body));
        for request in [http("POST /v1/traces", JSON, body), gzipped] {
            let response = exchange(&receiver, &request);
            assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains(JSON), "{response}");
            assert!(response.ends_with(&format!("\r\n\r\n{expected}")), "{response}");
        }
        assert_eq!(receiver.figures().listeners[0].items, if body == b"{}" { 0 } else { 4 });
    }
}

#[test]
fn a_body_may_come_in_any_way_that_http_knows() {
    let receiver = accepting_all(loopback());
    let start = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let zipped = [
        format!("{start}content-encoding: gzip\r\n{PROTOBUF}content-length: {}\r\n\r\n", gzip(SPAN).len())
            .as_bytes(),
        &gzip(SPAN),
    ]
    .concat();
    let zstandard = [
        format!("{start}content-encoding: zstd\r\n{PROTOBUF}content-length: {}\r\n\r\n", zstd(SPAN).len())
            .as_bytes(),
        &zstd(SPAN),
    ]
    .concat();
    let chunked = [
        format!("{start}{PROTOBUF}transfer-encoding: chunked\r\n\r\n2\r\n").as_bytes(),
        &SPAN[..2],
        b"\r\n4\r\n",
        &SPAN[2..],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let charset = http("POST /v1/traces", "content-type: Application/X-Protobuf; charset=utf-8\r\n", SPAN);
    let identity = http("POST /v1/traces", &format!("content-encoding: identity\r\n{PROTOBUF}"), SPAN);
    let expecting = http("POST /v1/traces", &format!("expect: 100-continue\r\n{PROTOBUF}"), SPAN);
    for (at, request) in [zipped, zstandard, chunked, charset, identity, expecting].into_iter().enumerate() {
        let response = exchange(&receiver, &request);
        assert!(response.contains("HTTP/1.1 200 OK\r\n") && response.contains(PROTOBUF), "{at}: {response}");
    }
    assert_eq!(receiver.figures().listeners[0].items, 6);
}

#[test]
fn a_body_that_ends_early_is_no_telemetry() {
    let receiver = accepting_all(loopback());
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{PROTOBUF}");
    let short = [format!("{head}content-length: 100\r\n\r\n").as_bytes(), SPAN].concat();
    let unfinished = [format!("{head}transfer-encoding: chunked\r\n\r\n6\r\n").as_bytes(), SPAN].concat();
    let broken =
        [format!("{head}transfer-encoding: chunked\r\n\r\n6\r\n").as_bytes(), SPAN, b"nonsense"].concat();
    for request in [short, unfinished, broken] {
        let mut stream = TcpStream::connect(receiver.local_address()).unwrap();
        stream.write_all(&request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(receiver.figures().listeners[0].items, 0);
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let receiver = accepting_all(loopback());
    let once = format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{PROTOBUF}content-length: 6\r\n\r\n");
    let last = http("POST /v1/traces", PROTOBUF, SPAN);
    let all = [once.as_bytes(), SPAN, once.as_bytes(), SPAN, &last].concat();
    let answers = exchange(&receiver, &all);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
}

#[test]
fn a_client_that_sends_far_too_much_still_reads_why_it_was_refused() {
    let receiver = answering(loopback(), small(), |_| Ok(Answer::default()));
    let gzip = format!("{PROTOBUF}content-encoding: gzip\r\n");
    for headers in [PROTOBUF, &gzip] {
        let response = exchange(&receiver, &http("POST /v1/traces", headers, &vec![0; 8 << 20]));
        assert!(response.starts_with("HTTP/1.1 413 ") && response.contains("larger than"), "{response}");
    }
}

#[tokio::test]
async fn fields_that_nobody_knows_yet_are_handed_on_byte_for_byte() {
    let mut listener = loopback();
    listener.missing_attributes = vec![("host.name".to_owned(), "web-01".into())];
    let (receiver, mut arrived) = start(
        vec![listener, Listener { name: "raw".to_owned(), ..loopback_at(2) }],
        ReceiverLimits::default(),
    );
    let unknown = [SPAN, &[0xc2, 0x3e, 3, 1, 2, 3]].concat();
    for address in receiver.addresses() {
        let ListenAddress::Tcp(address) = address else { panic!("{address}") };
        let client = GrpcClient::tcp(address).await;
        let (answer, ()) = tokio::join!(client.call(Signal::Traces, &unknown), async {
            let (came, reply) = arrived.recv().await.unwrap();
            assert!(came.payload.ends_with(&[0xc2, 0x3e, 3, 1, 2, 3]), "{came:?}");
            let is_raw = came.origin.to_string() == "otlp:raw";
            assert_eq!(came.payload == unknown, is_raw);
            assert_eq!(String::from_utf8_lossy(&came.payload).contains("web-01"), !is_raw);
            reply.send(Ok(Answer::default()));
        });
        assert_eq!(answer.code, "0");
    }
}

#[tokio::test]
async fn what_is_received_is_masked_and_what_the_listener_adds_is_not() {
    let mut listener = loopback();
    let masked = ["host.*".to_owned(), "password".to_owned()];
    let rule = MaskRule::new(&masked, &[], &[], MaskAction::Replace("***".to_owned())).unwrap();
    listener.masking = Masking::new(vec![rule]).unwrap().into();
    listener.missing_attributes = vec![("host.name".to_owned(), "web-01".into())];
    let (receiver, mut arrived) = start(vec![listener], ReceiverLimits::default());
    // Of a span, the attribute password=hunter2.
    let attribute = [&[0x0a, 8][..], b"password", &[0x12, 9, 0x0a, 7], b"hunter2"].concat();
    let keys = [0x4a_u8, 0x12, 0x12, 0x0a];
    let request = keys.iter().fold(attribute, |inner, key| [&[*key, inner.len() as u8], &*inner].concat());
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let (answer, ()) = tokio::join!(client.call(Signal::Traces, &request), async {
        let (came, reply) = arrived.recv().await.unwrap();
        let text = String::from_utf8_lossy(&came.payload).into_owned();
        assert!(text.contains("***") && text.contains("web-01") && !text.contains("hunter2"), "{text:?}");
        reply.send(Ok(Answer::default()));
    });
    assert_eq!(answer.code, "0");
}

fn loopback_at(last: u8) -> Listener {
    Listener::new("apps", vec![ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, last], 0)))])
}

#[tokio::test]
async fn a_strict_listener_looks_at_every_field() {
    let receiver = accepting_all(Listener { strict: true, ..loopback() });
    let client = GrpcClient::tcp(receiver.local_address()).await;
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "0");
    // A span whose name is no UTF-8.
    let bad = [0x0a, 7, 0x12, 5, 0x12, 3, 0x2a, 1, 0xff];
    let answer = client.call(Signal::Traces, &bad).await;
    assert!(answer.code == "3" && answer.message.contains("UTF-8"), "{answer:?}");
    let lenient = accepting_all(loopback());
    assert_eq!(GrpcClient::tcp(lenient.local_address()).await.call(Signal::Traces, &bad).await.code, "0");
}
