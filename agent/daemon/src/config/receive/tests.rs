use super::super::tests::{load_text, problems};
use super::*;

fn listening(listener: &str) -> String {
    format!("receive: {{ listeners: [{{ name: a, {listener} }}] }}\n")
}

fn receive(text: &str) -> ReceiveConfig {
    load_text(text).config.unwrap().receive.unwrap()
}

#[test]
fn a_listener_needs_a_name_and_an_address_only() {
    assert!(load_text("collect: {}\n").config.unwrap().receive.is_none());
    let config = receive(&listening("grpc: 127.0.0.1:4317, http: 127.0.0.1:4318"));
    assert_eq!(config.limits, ReceiverLimits::default());
    let listener = &config.listeners[0];
    let addresses: Vec<_> = listener.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(
        (listener.name.as_str(), addresses.as_slice()),
        ("a", &["127.0.0.1:4317", "127.0.0.1:4318"].map(String::from)[..])
    );
    assert!(!listener.strict && listener.users.is_empty() && listener.socket_mode == 0o666);
}

#[test]
fn all_that_a_listener_can_be_told_is_taken() {
    let config = receive(
        "receive:\n  max_request_bytes: 1048576\n  max_in_flight_bytes: 8388608\n  max_connections: 10\n  listeners:\n  \
         - { name: a, grpc: \"unix:/run/a.sock\", socket_mode: 0660, require: { users: [root, 7] }, strict: true,\n      \
         peer_attribute: peer, limits: { bytes_per_second: 1000, max_series: 10 } }\n",
    );
    let limits = config.limits;
    assert_eq!(
        (limits.max_request_bytes, limits.max_in_flight_bytes, limits.max_connections),
        (1 << 20, 8 << 20, 10)
    );
    let listener = &config.listeners[0];
    assert_eq!(listener.users, [0, 7]);
    assert_eq!(
        (listener.socket_mode, listener.peer_attribute.as_deref(), listener.strict),
        (0o660, Some("peer"), true)
    );
    assert_eq!((listener.bytes_per_second.map(NonZeroU64::get), config.max_series["a"]), (Some(1000), 10));
}

#[test]
fn mistakes_are_told_where_they_are_with_what_would_be_right() {
    for (listener, expected) in [
        (
            "http: 127.0.0.1",
            "1:41: not an address to listen on; write IP:PORT as in 127.0.0.1:4317, or unix: and a path from the root \
             as in unix:/run/hostmend/otlp.sock",
        ),
        ("strict: true", "1:32: listener \"a\" needs grpc or http; write grpc: 127.0.0.1:4317"),
        (
            "http: 127.0.0.1:1, require: { users: [root] }",
            "1:73: the user of a peer is known on Unix sockets only; listen on unix:/run/hostmend/otlp.sock only",
        ),
        (
            "grpc: \"unix:/a\", require: { users: [nobody-has-this-name] }",
            "1:71: there is no user \"nobody-has-this-name\" in /etc/passwd; make it first, or name it by its number",
        ),
        (
            "http: 127.0.0.1:1, require: { client_names: [b] }",
            "1:80: the name of a client is known by its certificate only; set tls.client_ca_file to the authority that \
             signs certificates of clients",
        ),
        (
            "http: 127.0.0.1:1, peer_attribute: b",
            "1:70: peers are known on Unix sockets and by certificates of clients only; listen on a Unix socket, or set \
             tls.client_ca_file",
        ),
        ("grpc: \"unix:/a\", socket_mode: rw", "1:65: \"rw\" are no permissions; try \"0660\""),
        (
            "http: 127.0.0.1:1, limits: { bytes_per_second: 0 }",
            "1:82: nothing would be taken; leave bytes_per_second out to take everything",
        ),
        ("http: 127.0.0.1:1, limits: { max_series: 0 }", "1:76: at least 1 series must fit"),
        (
            "http: 127.0.0.1:1 }, { name: b, grpc: 127.0.0.1:1",
            "1:73: another listener has the address 127.0.0.1:1",
        ),
        ("http: 127.0.0.1:1 }, { name: a, grpc: 127.0.0.1:2", "1:64: two listeners are named \"a\""),
        (
            "http: 127.0.0.1:1 }, { name: b c, grpc: 127.0.0.1:2",
            "1:64: the name of a listener is made of letters, digits, `-`, `_` and `.`",
        ),
        (
            "http: 0.0.0.0:1",
            "1:41: other hosts can send here, and nothing asks who they are; listen on 127.0.0.1, or set \
             tls.client_ca_file",
        ),
    ] {
        assert_eq!(problems(&listening(listener)), [expected], "{listener}");
    }
    for (limit, expected) in [
        ("max_request_bytes: 1000", "1:31: from 65536 to 67108864 is possible here"),
        ("max_in_flight_bytes: 16777216", "1:33: from 33554432 to 1073741824 is possible here"),
        ("max_connections: 0", "1:29: from 1 to 65536 is possible here"),
    ] {
        let text = format!("receive: {{ {limit}, listeners: [] }}\n");
        assert_eq!(problems(&text), [expected], "{text}");
    }
}

#[test]
fn certificates_that_cannot_be_used_are_an_error_of_the_file() {
    let found = problems(&listening("http: 127.0.0.1:1, tls: { certificate_file: a.pem, key_file: b.pem }"));
    assert!(
        found.len() == 1 && found[0].starts_with("1:79: reading ") && found[0].contains("a.pem"),
        "{found:?}"
    );
}

#[test]
fn a_destination_that_is_a_listener_of_ours_is_refused() {
    for (own, endpoint, is_loop) in [
        ("127.0.0.1:4317", "http://127.0.0.1:4317", true),
        ("127.0.0.1:4317", "http://localhost:4317", true),
        ("[::1]:4318", "http://[::1]:4318", true),
        ("127.0.0.1:80", "http://127.0.0.1", true),
        ("127.0.0.1:80", "http://LOCALHOST", true),
        ("127.0.0.1:4317", "http://0.0.0.0:4317", true),
        ("127.0.0.1:4317", "http://[::ffff:127.0.0.1]:4317", true),
        ("127.0.0.1:4317", "http://127.0.0.1:4318", false),
        ("127.0.0.1:4317", "http://collector:4317", false),
        ("127.0.0.1:4317", "http://10.0.0.1:4317", false),
    ] {
        let text = format!(
            "receive: {{ listeners: [{{ name: a, grpc: \"{own}\" }}] }}\ndestinations: [{{ name: d, endpoint: \"{endpoint}\" }}]\n"
        );
        let found = problems(&text);
        let refused = "2:37: this is where the agent itself receives; it would send to itself without end; \
                       send to another address, or receive on another port";
        assert_eq!(found, if is_loop { vec![refused] } else { vec![] }, "{text}");
    }
}
