use std::path::PathBuf;

use super::*;
use crate::TlsOptions;
use proptest::prelude::*;

pub(crate) fn options(endpoint: &str, protocol: Protocol) -> DestinationOptions {
    DestinationOptions::new("collector", endpoint, protocol)
}

pub(crate) fn testdata(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(file)
}

fn refusal(options: DestinationOptions) -> String {
    Destination::new(options).expect_err("the options are wrong").to_string()
}

#[test]
fn http_appends_the_signals_path_to_the_base() {
    for (endpoint, expected) in [
        ("http://collector:4318", "http://collector:4318/v1/logs"),
        ("http://collector:4318/", "http://collector:4318/v1/logs"),
        ("https://collector/otlp/", "https://collector/otlp/v1/logs"),
        ("http://[::1]:4318/a/b", "http://[::1]:4318/a/b/v1/logs"),
    ] {
        let destination = Destination::new(options(endpoint, Protocol::HttpProtobuf)).unwrap();
        assert_eq!(destination.uri(Some(Signal::Logs)).to_string(), expected);
    }
    let destination = Destination::new(options("http://collector:4317/", Protocol::Grpc)).unwrap();
    assert_eq!(destination.uri(None).to_string(), "http://collector:4317/");
}

#[test]
fn an_endpoint_that_cannot_work_is_refused_with_what_would_be_right() {
    use Protocol::{Grpc, HttpProtobuf};
    for (endpoint, protocol, expected) in [
        ("collector:4317", Grpc, "has no scheme; write http://host:port"),
        ("", Grpc, "has no scheme"),
        ("grpc://collector:4317", Grpc, "unknown scheme; write http://"),
        ("http://:4318", HttpProtobuf, "has no host"),
        ("http:///v1", HttpProtobuf, "is not a URL"),
        ("http://collector:", HttpProtobuf, "has no usable port"),
        ("http://collector:99999", HttpProtobuf, "has no usable port"),
        ("http://collector:4318/v1/metrics", HttpProtobuf, "leave out /v1/<signal>"),
        ("http://collector:4318/?tenant=7", HttpProtobuf, "has a query"),
        ("http://collector:4317/base", Grpc, "has a path, which gRPC cannot use"),
        ("http://collector 4317", Grpc, "is not a URL"),
    ] {
        let message = refusal(options(endpoint, protocol));
        assert!(message.starts_with(&format!("endpoint {endpoint:?} ")), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
    let message = refusal(options("http://user:secret@collector:4318", Protocol::HttpProtobuf));
    assert_eq!(message, "endpoint \"http://...@collector:4318\" holds credentials; put them into headers");
}

#[test]
fn headers_that_cannot_be_sent_are_refused_without_their_value() {
    for (name, value, protocol, expected) in [
        ("x key", "secret", Protocol::Grpc, "is no header name"),
        ("x-key", "sec\nret", Protocol::Grpc, "printable ASCII"),
        ("x-key", "geheimnis-für-uns", Protocol::HttpProtobuf, "printable ASCII"),
        ("grpc-timeout", "1S", Protocol::Grpc, "set by the protocol"),
        ("Content-Type", "text/plain", Protocol::HttpProtobuf, "set by the protocol"),
        ("token-bin", "secret", Protocol::Grpc, "binary metadata"),
    ] {
        let headers = vec![(name.to_owned(), value.into())];
        let message = refusal(DestinationOptions { headers, ..options("http://collector", protocol) });
        assert!(message.starts_with(&format!("header {name:?} ")) && message.contains(expected), "{message}");
        assert!(!message.contains(value), "{message}");
    }
    let headers = vec![("authorization".to_owned(), "Bearer secret".into())];
    let options = DestinationOptions { headers, ..options("http://collector", Protocol::Grpc) };
    assert!(!format!("{:?}", Destination::new(options).unwrap()).contains("secret"));
}

#[test]
fn names_that_no_file_may_have_and_timeouts_of_nothing_are_refused() {
    let base = || options("http://collector", Protocol::Grpc);
    for name in ["", "../up", "a b", ".hidden"] {
        let message = refusal(DestinationOptions { name: name.to_owned(), ..base() });
        assert!(message.starts_with("a destination needs a name, of up to 200 letters"), "{message}");
    }
    let timeout = Duration::ZERO;
    assert_eq!(refusal(DestinationOptions { timeout, ..base() }), "timeout must be more than 0");
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_file_name() {
    let file = |name| Some(testdata(name));
    let ca = || TlsOptions { ca_file: file("authority.pem"), ..TlsOptions::default() };
    for (tls, expected) in [
        (TlsOptions { ca_file: file("missing.pem"), ..ca() }, "reading"),
        (TlsOptions { ca_file: file("client.key"), ..ca() }, "client.key holds no certificate"),
        (TlsOptions { certificate_file: file("client.pem"), ..ca() }, "belong together"),
        (TlsOptions { key_file: file("client.key"), ..ca() }, "belong together"),
        (
            TlsOptions { certificate_file: file("client.pem"), key_file: file("client.pem"), ..ca() },
            "client.pem holds no unencrypted private key",
        ),
        (
            TlsOptions { certificate_file: file("client.pem"), key_file: file("server.key"), ..ca() },
            "server.key cannot be used with the certificate",
        ),
    ] {
        let tls = Some(tls);
        let message = refusal(DestinationOptions { tls, ..options("https://collector", Protocol::Grpc) });
        assert!(message.contains(expected), "{message}");
    }
    let tls = Some(ca());
    let message = refusal(DestinationOptions { tls, ..options("http://collector", Protocol::Grpc) });
    assert!(message.contains("write https:// or leave tls out"), "{message}");
}

proptest! {
    #[test]
    fn no_endpoint_makes_the_check_panic_and_each_that_passes_has_its_addresses(
        endpoint in prop_oneof![".{0,30}", "http://[a-z@\\[\\]:0-9.%/?#é-]{0,25}"],
        grpc: bool,
    ) {
        let protocol = if grpc { Protocol::Grpc } else { Protocol::HttpProtobuf };
        if let Ok(destination) = Destination::new(options(&endpoint, protocol)) {
            let uri = destination.uri(Some(Signal::Traces)).to_string();
            prop_assert!(uri.ends_with("/v1/traces"));
            prop_assert!(!destination.uri(None).host().unwrap_or_default().is_empty());
        }
    }
}
