//! What a running receiver keeps when its configuration or its certificates change.

use super::client::*;
use super::peers::testdata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::*;
use crate::receiver::tls::Certificates;

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const SPAN: &[u8] = &[0x0a, 4, 0x12, 2, 0x12, 0];

fn addresses(receiver: &Receiver) -> Vec<SocketAddr> {
    let tcp = |address| match address {
        ListenAddress::Tcp(address) => address,
        ListenAddress::Unix(path) => panic!("{path:?}"),
    };
    receiver.addresses().into_iter().map(tcp).collect()
}

/// An address with a port that nobody has.
fn free() -> ListenAddress {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ListenAddress::Tcp(socket.local_addr().unwrap())
}

#[tokio::test]
async fn connections_outlive_a_change_of_their_listener_and_get_its_new_limits() {
    let (one, other) = (free(), free());
    let both = Listener::new("apps", vec![one.clone(), other]);
    let receiver = accepting_all(both);
    let address = addresses(&receiver)[0];
    let client = GrpcClient::tcp(receiver.local_address()).await;
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "0");
    let alone = Listener::new("apps", vec![ListenAddress::Tcp(receiver.local_address())]);
    let limits = ReceiverLimits { max_request_bytes: 5, ..ReceiverLimits::default() };
    receiver.reconfigure(vec![alone.clone()], limits).unwrap();
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "8", "the same connection, the new limit");
    receiver
        .reconfigure(vec![Listener { name: "new".to_owned(), ..alone }], ReceiverLimits::default())
        .unwrap();
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "0");
    assert_eq!(receiver.figures().listeners.len(), 1);
    assert_eq!(receiver.figures().listeners[0].items, 1, "another listener begins anew");
    assert_eq!(receiver.local_address(), address);
}

#[tokio::test]
async fn an_address_that_goes_is_closed_with_its_connections_and_one_that_comes_is_open() {
    let (old, new) = (free(), free());
    let receiver = accepting_all(Listener::new("apps", vec![old]));
    let before = receiver.local_address();
    let mut idle = TcpStream::connect(before).unwrap();
    idle.set_read_timeout(Some(SOON)).unwrap();
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n{PROTOBUF}content-length: 6\r\n\r\n");
    idle.write_all(&[head.as_bytes(), SPAN].concat()).unwrap();
    until(|| receiver.figures().listeners[0].items == 1);
    receiver.reconfigure(vec![Listener::new("apps", vec![new.clone()])], ReceiverLimits::default()).unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("the connection is closed");
    assert_eq!(addresses(&receiver).into_iter().map(ListenAddress::Tcp).collect::<Vec<_>>(), [new]);
    assert!(exchange(&receiver, &http("POST /v1/traces", PROTOBUF, SPAN)).starts_with("HTTP/1.1 200 "));
    std::net::TcpListener::bind(before).expect("the port is free again");
    assert_eq!(receiver.figures().listeners[0].items, 2, "figures go on under the same name");
}

#[test]
fn a_change_that_fails_in_part_changes_nothing() {
    let receiver = accepting_all(Listener::new("apps", vec![free()]));
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = ListenAddress::Tcp(holder.local_addr().unwrap());
    let fresh = free();
    let bad_tls =
        ServerTls { certificate_file: "/none".into(), key_file: "/none".into(), client_ca_file: None };
    let strict =
        Listener { name: "new".to_owned(), strict: true, ..Listener::new("", vec![fresh.clone(), taken]) };
    let no_tls = Listener { tls: Some(bad_tls), ..Listener::new("new", vec![fresh.clone()]) };
    let twice = Listener::new("new", vec![fresh.clone(), fresh.clone()]);
    for (listener, expected) in
        [(strict, "in use by another"), (no_tls, "TLS of the listener new"), (twice, "two listeners")]
    {
        let error = receiver.reconfigure(vec![listener], ReceiverLimits::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(exchange(&receiver, &http("POST /v1/traces", PROTOBUF, SPAN)).starts_with("HTTP/1.1 200 "));
        let ListenAddress::Tcp(fresh) = fresh else { unreachable!() };
        std::net::TcpListener::bind(fresh).expect("what was bound for the change is free again");
    }
    assert_eq!(receiver.figures().listeners[0].name, "apps");
}

#[tokio::test(start_paused = true)]
async fn certificates_that_change_are_used_and_bad_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let files = ServerTls {
        certificate_file: directory.path().join("certificate.pem"),
        key_file: directory.path().join("key.pem"),
        client_ca_file: None,
    };
    let put = |name: &str| {
        std::fs::copy(testdata(&format!("{name}.pem")), &files.certificate_file).unwrap();
        std::fs::copy(testdata(&format!("{name}.key")), &files.key_file).unwrap();
    };
    put("server");
    let certificates = Certificates::load(&files).unwrap();
    let first = certificates.current();
    put("client");
    assert!(Arc::ptr_eq(&first, &certificates.current()), "files are looked at every few seconds only");
    tokio::time::advance(Duration::from_secs(3)).await;
    let second = certificates.current();
    assert!(!Arc::ptr_eq(&first, &second));
    std::fs::write(&files.key_file, "half of a new ke").unwrap();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(Arc::ptr_eq(&second, &certificates.current()), "the old one stays while the new one is bad");
    }
    put("server");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(!Arc::ptr_eq(&second, &certificates.current()));
}

#[test]
fn a_link_put_in_the_place_of_a_socket_does_not_give_another_file_its_mode() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, other) = (directory.path().join("otlp.sock"), directory.path().join("secret"));
    std::fs::write(&other, "").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().mode() & 0o777;
    let listener = Listener::new("apps", vec![ListenAddress::Unix(socket.clone())]);
    let receiver = accepting_all(listener.clone());
    assert_eq!(mode(&socket), DEFAULT_SOCKET_MODE);
    let closed = Listener { socket_mode: 0o660, ..listener.clone() };
    receiver.reconfigure(vec![closed], ReceiverLimits::default()).unwrap();
    assert_eq!(mode(&socket), 0o660);
    std::fs::remove_file(&socket).unwrap();
    std::os::unix::fs::symlink(&other, &socket).unwrap();
    receiver.reconfigure(vec![listener], ReceiverLimits::default()).unwrap();
    assert_eq!(mode(&other), 0o600);
}

#[test]
fn a_socket_whose_owner_accepts_nothing_is_in_use_and_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let flags = rustix::net::SocketFlags::NONBLOCK;
    let unix = rustix::net::AddressFamily::UNIX;
    let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
    let new = || rustix::net::socket_with(unix, rustix::net::SocketType::STREAM, flags, None).unwrap();
    let owner = new();
    rustix::net::bind(&owner, &address).unwrap();
    rustix::net::listen(&owner, 0).unwrap();
    let waiting: Vec<_> = std::iter::repeat_with(new)
        .take_while(|client| rustix::net::connect(client, &address).is_ok())
        .collect();
    assert!(!waiting.is_empty());
    let listener = Listener::new("apps", vec![ListenAddress::Unix(path)]);
    let error = accepting_error(listener).to_string();
    assert!(error.contains("in use by another program"), "{error}");
}

fn accepting_error(listener: Listener) -> ReceiverError {
    let sink: Sink = Arc::new(|_, _: Reply| {});
    Receiver::start(vec![listener], ReceiverLimits::default(), sink).unwrap_err()
}
