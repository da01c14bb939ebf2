//! What no client can make grow, slow down or stop.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream as AsyncStream;

use super::client::*;
use super::*;
use crate::receiver::budget::Hold;
use crate::receiver::refused::Reason;
use crate::receiver::unpack::{Encoding, unpack};

const PROTOBUF: &str = "content-type: application/x-protobuf\r\n";
const SPAN: &[u8] = &[0x0a, 4, 0x12, 2, 0x12, 0];

#[tokio::test]
async fn a_request_is_answered_once_it_is_durable_and_not_before() {
    let (receiver, mut arrived) = start(vec![loopback()], ReceiverLimits::default());
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let calls: Vec<_> = (0..50).map(|_| client.call(Signal::Traces, SPAN)).collect();
    let mut calls = calls.into_iter().map(Box::pin).collect::<Vec<_>>();
    let mut replies = Vec::new();
    for call in &mut calls {
        tokio::select! {
            biased;
            answer = call => panic!("answered before it was durable: {answer:?}"),
            came = arrived.recv() => replies.push(came.unwrap().1),
        }
    }
    assert!(receiver.figures().in_flight_bytes >= 50 * SPAN.len());
    assert_eq!(receiver.figures().listeners[0].items, 0, "what is not durable is not accepted");
    for (call, reply) in calls.into_iter().zip(replies) {
        reply.send(Ok(Answer::default()));
        assert_eq!(call.await.code, "0");
    }
    assert_eq!((receiver.figures().in_flight_bytes, receiver.figures().listeners[0].items), (0, 50));
}

#[tokio::test]
async fn a_request_takes_its_room_until_the_sink_lets_go_of_it_however_long_its_sender_waits() {
    let limits = ReceiverLimits { request_timeout: Duration::from_millis(300), ..ReceiverLimits::default() };
    let (receiver, mut arrived) = start(vec![loopback()], limits);
    let client = GrpcClient::tcp(receiver.local_address()).await;
    while client.call(Signal::Traces, SPAN).await.code == "14" && receiver.figures().in_flight_bytes == 0 {}
    let (_, reply) = arrived.recv().await.unwrap();
    assert!(receiver.figures().in_flight_bytes >= SPAN.len());
    drop(reply);
    assert_eq!(receiver.figures().in_flight_bytes, 0);
}

#[tokio::test]
async fn a_reply_that_is_dropped_is_an_overload() {
    let (receiver, mut arrived) = start(vec![loopback()], ReceiverLimits::default());
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let (answer, ()) = tokio::join!(client.call(Signal::Traces, SPAN), async { drop(arrived.recv().await) });
    assert_eq!(answer.code, "14");
}

#[tokio::test]
async fn bytes_in_flight_are_bounded_over_all_listeners_and_connections() {
    let limits = ReceiverLimits {
        max_request_bytes: 1 << 20,
        max_in_flight_bytes: 2 << 20,
        ..ReceiverLimits::default()
    };
    let (receiver, mut arrived) =
        start(vec![loopback(), Listener::new("b", vec!["127.0.0.2:0".parse().unwrap()])], limits);
    let mut request = vec![0x12, 0x80, 0x80, 0x3c];
    request.resize(4 + 0x000f_0000, 0);
    request.extend_from_slice(SPAN);
    let mut waiting = Vec::new();
    let mut refused = 0;
    let ListenAddress::Tcp(other) = receiver.addresses()[1] else { unreachable!() };
    let mut replies = Vec::new();
    for at in 0..6 {
        let client = GrpcClient::tcp(if at % 2 == 0 { receiver.local_address() } else { other }).await;
        let mut call = Box::pin({
            let request = request.clone();
            async move { client.call(Signal::Traces, &request).await }
        });
        tokio::select! {
            answer = &mut call => {
                assert!(answer.code == "14" && String::from_utf8_lossy(&answer.details).contains("RetryInfo"), "{answer:?}");
                refused += 1;
            }
            came = arrived.recv() => {
                replies.push(came.unwrap().1);
                waiting.push(call);
            }
        }
    }
    assert_eq!((waiting.len(), refused), (3, 3), "two MiB, and one for the step of a decompressor");
    assert!(receiver.figures().in_flight_bytes <= 3 << 20);
    for (call, reply) in waiting.into_iter().zip(replies) {
        reply.send(Ok(Answer::default()));
        assert_eq!(call.await.code, "0");
    }
    assert_eq!(receiver.figures().in_flight_bytes, 0);
}

#[test]
fn a_bomb_is_not_unpacked_beyond_the_limit() {
    let zeros = vec![0; 1 << 20];
    for (encoding, packed) in [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd(&zeros))] {
        // Ten GiB, were it unpacked.
        let bomb = Bytes::from(packed.repeat(10 << 10));
        let room = Arc::new(InFlight::new(bomb.len() + (3 << 20)));
        let refused = unpack(encoding, bomb.clone(), 2 << 20, &mut Hold::empty(&room)).unwrap_err();
        assert_eq!(refused.reason, Reason::TooLarge, "{encoding:?}");
        let room = Arc::new(InFlight::new(bomb.len() + (1 << 20)));
        let refused = unpack(encoding, bomb, 2 << 20, &mut Hold::empty(&room)).unwrap_err();
        assert_eq!(refused.reason, Reason::Overloaded, "{encoding:?}: there is no room for what it grows to");
    }
}

#[test]
fn a_zstd_frame_cannot_ask_for_more_memory_than_a_decoder_must_have() {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&[0; 1000]).unwrap();
    let frame = Bytes::from(encoder.finish().unwrap());
    let room = Arc::new(InFlight::new(1 << 30));
    let refused = unpack(Encoding::Zstd, frame, 1 << 20, &mut Hold::empty(&room)).unwrap_err();
    assert_eq!(refused.reason, Reason::Malformed);
}

#[test]
fn who_sends_more_than_the_rate_is_told_when_to_come_again() {
    let listener = Listener { bytes_per_second: std::num::NonZeroU64::new(10), ..loopback() };
    let receiver = accepting_all(listener);
    let many = SPAN.repeat(100);
    let post = http("POST /v1/traces", PROTOBUF, &many);
    assert!(exchange(&receiver, &post).starts_with("HTTP/1.1 200 "));
    let answer = exchange(&receiver, &post);
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 59\r\n"), "{answer}");
    let figures = &receiver.figures().listeners[0];
    let limited = figures.refused.iter().find(|(reason, _)| *reason == "rate_limited").unwrap();
    assert_eq!((figures.requests, figures.items, figures.bytes, limited.1), (2, 100, 600, 1));
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let limits = ReceiverLimits { max_connections: 3, ..ReceiverLimits::default() };
    let receiver = answering(loopback(), limits, |_| Ok(Answer::default()));
    let post = http("POST /v1/traces", PROTOBUF, SPAN);
    let mut idle: Vec<_> = (0..4).map(|_| TcpStream::connect(receiver.local_address()).unwrap()).collect();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20).map(|_| scope.spawn(|| exchange(&receiver, &post))).collect();
        while receiver.figures().connection_waits == 0 {
            std::thread::yield_now();
        }
        assert_eq!(receiver.figures().connections, 3);
        idle.clear();
        for client in clients {
            assert!(client.join().unwrap().starts_with("HTTP/1.1 200 "));
        }
    });
    assert_eq!(receiver.figures().listeners[0].items, 20);
}

/// Bytes of HTTP/2 frames.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn call_head(stream: u32) -> Vec<u8> {
    let path = grpc_path(Signal::Traces);
    let mut head = vec![0x83, 0x86, 0x41, 1, b'a', 0x44, u8::try_from(path.len()).unwrap()];
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(&[0x5f, 16]);
    head.extend_from_slice(b"application/grpc");
    frame(1, 4, stream, &head)
}

/// Those that are sent again and again, for a stream.
type Frames = fn(u32) -> Vec<u8>;

#[test]
fn floods_of_frames_that_say_nothing_end_their_connection() {
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
    let resets = |stream: u32| [call_head(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat();
    let empty = |_| frame(0, 0, 1, &[]);
    let continued = |_| frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b'].repeat(1000));
    let floods: [(&str, Vec<u8>, Frames); 3] = [
        ("RST_STREAM", Vec::new(), resets),
        ("empty DATA", call_head(1), empty),
        ("CONTINUATION", frame(1, 0, 1, &[0x83]), continued),
    ];
    let receiver = accepting_all(loopback());
    for (name, start, flood) in floods {
        let mut stream = TcpStream::connect(receiver.local_address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(&[preface.clone(), start].concat()).unwrap();
        let mut reading = stream.try_clone().unwrap();
        let ended = std::thread::spawn(move || {
            let mut rest = Vec::new();
            match reading.read_to_end(&mut rest) {
                Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
                Ok(_) => true,
            }
        });
        for at in 0..100_000_u32 {
            let frames: Vec<u8> = (0..10).flat_map(|next| flood(2 * (10 * at + next) + 1)).collect();
            if ended.is_finished() || stream.write_all(&frames).is_err() {
                break;
            }
        }
        assert!(ended.join().unwrap(), "{name}");
    }
    assert!(exchange(&receiver, &http("POST /v1/traces", PROTOBUF, SPAN)).starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn calls_that_never_send_their_body_have_their_place_too_and_the_next_is_told_at_once() {
    let limits = ReceiverLimits {
        max_request_bytes: 1000,
        max_in_flight_bytes: 0,
        request_timeout: Duration::from_hours(1),
        ..ReceiverLimits::default()
    };
    let receiver = answering(loopback(), limits, |_| Ok(Answer::default()));
    let heads: Vec<u8> = (0..60).flat_map(|call| call_head(2 * call + 1)).collect();
    let start = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[]), &heads].concat();
    let mut silent = Vec::new();
    let overloaded = || {
        let figures = receiver.figures();
        figures.listeners[0].refused.iter().any(|(reason, count)| *reason == "overloaded" && *count > 0)
    };
    while !overloaded() {
        assert!(silent.len() < 20, "1,200 calls fit into a megabyte");
        let before = receiver.figures().listeners[0].requests;
        let mut stream = AsyncStream::connect(receiver.local_address()).await.unwrap();
        stream.write_all(&start).await.unwrap();
        silent.push(stream);
        until(|| receiver.figures().listeners[0].requests == before + 60);
    }
    assert!(receiver.figures().in_flight_bytes <= ROOM_TO_STEP + 2000);
    let client = GrpcClient::tcp(receiver.local_address()).await;
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "14");
    let post = http("POST /v1/traces", PROTOBUF, SPAN);
    assert!(exchange(&receiver, &post).starts_with("HTTP/1.1 503 "));
    drop(silent);
    until(|| receiver.figures().in_flight_bytes == 0);
    assert_eq!(client.call(Signal::Traces, SPAN).await.code, "0");
}

#[tokio::test]
async fn what_a_request_gains_on_its_way_takes_room_too() {
    let missing = vec![("host.name".to_owned(), "x".repeat(10_000).into())];
    let listener = Listener { missing_attributes: missing, ..loopback() };
    let (receiver, mut arrived) = start(vec![listener], ReceiverLimits::default());
    let client = GrpcClient::tcp(receiver.local_address()).await;
    let (answer, ()) = tokio::join!(client.call(Signal::Traces, SPAN), async {
        let (gained, reply) = arrived.recv().await.unwrap();
        assert!(gained.payload.len() > 10_000);
        assert!(receiver.figures().in_flight_bytes > gained.payload.len());
        reply.send(Ok(Answer::default()));
    });
    assert_eq!(answer.code, "0");
}

/// A receiver on the runtime of the test, whose time can be paused.
fn accepting() -> (SocketAddr, watch::Sender<bool>) {
    let sink: Sink = Arc::new(|_, reply: Reply| reply.send(Ok(Answer::default())));
    let house =
        House::new(Hall { sink, in_flight: Arc::new(InFlight::new(1 << 20)) }, Arc::new(Places::new(10)));
    let current = Current::new(&loopback(), ReceiverLimits::default(), Arc::default()).unwrap();
    let bound = Bound::new(&"127.0.0.1:0".parse().unwrap(), 0).unwrap();
    let address = bound.tcp_address().unwrap();
    let (stop, stopped) = watch::channel(false);
    let slot = Arc::new(Slot::new(Arc::new(current)));
    tokio::spawn(connection::accept(bound.listen().unwrap(), slot, Arc::new(house), stopped));
    (address, stop)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_half_way_is_waited_for_but_not_for_long() {
    let once = format!("POST /v1/traces HTTP/1.1\r\nhost: a\r\n{PROTOBUF}content-length: 6\r\n\r\n");
    let whole = [once.as_bytes(), SPAN].concat();
    for (name, sent, rest, seconds, answer) in [
        ("nothing", &b""[..], &b""[..], 9..12, ""),
        ("two letters", b"PO", b"", 9..12, ""),
        ("half a preface", b"PRI * HTTP/2.0\r\n", b"", 9..12, ""),
        ("half a head", b"POST /v1/metrics HTTP/1.1\r\ncontent-le", b"", 9..12, ""),
        ("half a body", once.as_bytes(), b"", 9..32, "HTTP/1.1 503 "),
        ("a request, then half a head", &whole, b"POST /v1/met", 9..32, "HTTP/1.1 200 "),
        ("a request, then nothing", &whole, b"", 149..172, "HTTP/1.1 200 "),
    ] {
        let (address, _stop) = accepting();
        let mut stream = AsyncStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let before = tokio::time::Instant::now();
        let mut received = Vec::new();
        if !rest.is_empty() {
            let _ = stream.read_buf(&mut received).await;
            stream.write_all(rest).await.unwrap();
        }
        let _ = stream.read_to_end(&mut received).await;
        let waited = before.elapsed().as_secs();
        assert!(seconds.contains(&waited), "{name}: {waited} s");
        let rest = String::from_utf8_lossy(&received);
        assert!(if answer.is_empty() { rest.is_empty() } else { rest.starts_with(answer) }, "{name}: {rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_is_answered_that_it_may_come_again() {
    let (address, _stop) = accepting();
    let mut stream = AsyncStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[frame(4, 0, 0, &[]), call_head(1)].concat()).await.unwrap();
    let mut answer = Vec::new();
    let before = tokio::time::Instant::now();
    // A head on stream 1.
    while !answer.windows(5).any(|bytes| bytes == [5, 0, 0, 0, 1] || bytes == [1, 5, 0, 0, 0]) {
        let mut bytes = [0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert_ne!(read, 0, "closed without an answer");
        answer.extend_from_slice(&bytes[..read]);
    }
    assert!((9..12).contains(&before.elapsed().as_secs()));
}
