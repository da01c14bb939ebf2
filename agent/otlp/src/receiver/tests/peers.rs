//! Who may send, and what is said about them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::client::*;
use super::*;
use crate::TlsOptions;
use crate::sender::tls::client_config;

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// A span of somebody who claims to be another.
fn claim() -> Vec<u8> {
    let mut spans = ResourceSpans { scope_spans: vec![ScopeSpans::default()], ..ResourceSpans::default() };
    spans.scope_spans[0].spans.push(Span::default());
    spans.resource.get_or_insert_default().attributes = vec![attribute("peer", "somebody else")];
    ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec()
}

/// The values of the attribute `peer`.
fn peers(payload: &[u8]) -> Vec<String> {
    let request = ExportTraceServiceRequest::decode(payload).unwrap();
    let attributes = request.resource_spans.into_iter().flat_map(|spans| spans.resource.unwrap().attributes);
    attributes
        .filter(|attribute| attribute.key == "peer")
        .map(|attribute| match attribute.value.unwrap().value {
            Some(Value::StringValue(text)) => text,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn on_socket(path: &Path) -> Listener {
    Listener::new("apps", vec![ListenAddress::Unix(path.to_owned())])
}

fn own_user(directory: &Path) -> u32 {
    std::fs::metadata(directory).unwrap().uid()
}

#[tokio::test]
async fn a_unix_socket_takes_grpc_and_http_from_the_users_that_may_send() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let user = own_user(directory.path());
    for (users, grpc, status) in
        [(vec![], "0", "200"), (vec![user + 1, user], "0", "200"), (vec![user + 1], "7", "403")]
    {
        let receiver = accepting_all(Listener { users: users.clone(), ..on_socket(&path) });
        let client = GrpcClient::over(tokio::net::UnixStream::connect(&path).await.unwrap()).await;
        assert_eq!(client.call(Signal::Traces, &claim()).await.code, grpc, "{users:?}");
        let answer =
            exchange_over(UnixStream::connect(&path).unwrap(), &http("POST /v1/traces", PROTOBUF, &claim()));
        assert!(answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{users:?}");
        drop(receiver);
        assert!(!path.exists(), "the socket goes with its receiver");
    }
}

#[test]
fn the_mode_of_a_socket_is_what_was_asked_for_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    for mode in [0o666, 0o600] {
        let _receiver = accepting_all(Listener { socket_mode: mode, ..on_socket(&path) });
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn only_a_socket_on_which_nobody_listens_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let start = || Receiver::start(vec![on_socket(&path)], ReceiverLimits::default(), Arc::new(|_, _| ()));
    let other = UnixListener::bind(&path).unwrap();
    assert!(matches!(start(), Err(ReceiverError::AddressInUse { .. })));
    drop(other);
    start().expect("what another left behind is in nobody's way");
    std::fs::write(&path, "notes").unwrap();
    let error = start().unwrap_err();
    assert_eq!(
        telemetry::with_causes(&error),
        format!("listening on unix:{}: there is a file that is no socket", path.display())
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
}

#[test]
fn the_user_of_a_socket_stands_in_the_resource_whatever_the_sender_claims() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let listener = Listener { peer_attribute: Some("peer".to_owned()), ..on_socket(&path) };
    let (_receiver, mut arrived) = start(vec![listener], ReceiverLimits::default());
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&http("POST /v1/traces", PROTOBUF, &claim())).unwrap();
    let (received, _) = arrived.blocking_recv().unwrap();
    let id = own_user(directory.path());
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()));
    let name = line.map_or_else(|| id.to_string(), |line| line.split(':').next().unwrap().to_owned());
    assert_eq!(peers(&received.payload), [name]);
}

pub(super) fn testdata(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

fn tls(client_ca: Option<&str>) -> ServerTls {
    ServerTls {
        certificate_file: testdata("server.pem"),
        key_file: testdata("server.key"),
        client_ca_file: client_ca.map(testdata),
    }
}

/// A TLS connection, by a client with this certificate.
async fn connect(
    receiver: &Receiver,
    client: Option<&str>,
) -> io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let options = TlsOptions {
        ca_file: Some(testdata("authority.pem")),
        certificate_file: client.map(|name| testdata(&format!("{name}.pem"))),
        key_file: client.map(|name| testdata(&format!("{name}.key"))),
        ..TlsOptions::default()
    };
    let config = client_config(&options, &[b"h2"]).unwrap();
    let stream = tokio::net::TcpStream::connect(receiver.local_address()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

#[tokio::test]
async fn with_tls_clients_show_the_certificate_that_is_asked_for() {
    for (client_ca, client_names, client, expected) in [
        (None, vec![], None, Some("0")),
        (Some("authority.pem"), vec![], Some("client"), Some("0")),
        (Some("authority.pem"), vec!["other", "AGENT"], Some("client"), Some("0")),
        (Some("authority.pem"), vec!["other"], Some("client"), Some("7")),
        (Some("authority.pem"), vec![], None, None),
        (Some("stranger.pem"), vec![], Some("client"), None),
    ] {
        let client_names: Vec<_> = client_names.into_iter().map(str::to_owned).collect();
        let peer_attribute = client_ca.map(|_| "peer".to_owned());
        let listener = Listener { tls: Some(tls(client_ca)), client_names, peer_attribute, ..loopback() };
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let see = seen.clone();
        let receiver = answering(listener, ReceiverLimits::default(), move |received| {
            see.lock().unwrap().extend(peers(&received.payload));
            Ok(Answer::default())
        });
        let Some(expected) = expected else {
            // A client of TLS 1.3 believes itself connected before the server has judged it.
            if let Ok(mut stream) = connect(&receiver, client).await {
                use tokio::io::AsyncReadExt as _;
                assert!(stream.read_u8().await.is_err());
            }
            until(|| receiver.figures().listeners[0].failed_handshakes == 1);
            continue;
        };
        let client = GrpcClient::over(connect(&receiver, client).await.unwrap()).await;
        assert_eq!(client.call(Signal::Traces, &claim()).await.code, expected, "{client_ca:?}");
        let peer = if client_ca.is_some() { "agent" } else { "somebody else" };
        let expected: &[&str] = if expected == "0" { &[peer] } else { &[] };
        assert_eq!(seen.lock().unwrap().as_slice(), expected);
    }
}

#[test]
fn who_speaks_no_tls_where_it_is_wanted_gets_no_answer_and_is_counted() {
    let receiver = accepting_all(Listener { tls: Some(tls(None)), ..loopback() });
    let answer = exchange(&receiver, &http("POST /v1/traces", PROTOBUF, &claim()));
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    until(|| receiver.figures().listeners[0].failed_handshakes == 1);
}
