use std::net::{TcpListener, TcpStream, UdpSocket};

use super::*;

fn count(text: &str, piece: usize) -> Counts {
    let mut counts = Counts::default();
    let mut lines = Lines::default();
    for piece in text.as_bytes().chunks(piece) {
        lines.take(piece, &mut counts);
    }
    counts
}

#[test]
fn sockets_are_counted_wherever_the_text_is_cut() {
    let text = "  sl  local_address rem_address   st tx_queue\n   0: 0500000A:0016 00000000:0000 0A 00000000:00000001\n\
                   1: 00000000:0016 00000000:0000 0A 0\n   2: 00000000:0016 00000000:0000 0C 0\n   3: x y 06\n";
    for piece in 1..text.len() {
        let counts = count(text, piece);
        assert_eq!((counts.of(10), counts.of(SYN_RECEIVED), counts.of(TIME_WAIT)), (2, 1, 1), "{piece}");
        assert_eq!(counts.total(), 4);
    }
}

#[test]
fn a_state_that_is_none_is_not_counted() {
    for line in ["0: a b zz c", "0: a b FFFFFFFFFFFFFFFFFFFFFFFF c", "0: a b", "", "0: a b 0D c"] {
        assert_eq!(count(&format!("titles\n{line}\n"), 7).total(), 0, "{line}");
    }
}

/// A message of netlink with this payload.
fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = ((16 + payload.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend([0; 10]);
    message.extend(payload);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}

#[test]
fn an_answer_is_read_to_its_end_or_its_error() {
    let mut counts = Counts::default();
    let sockets = [message(20, &[2, 10, 0, 0]), message(20, &[2, 5, 3, 0]), message(20, &[2, 8, 0])].concat();
    assert_eq!(parse(&sockets, &mut counts), Ok(false));
    assert_eq!((counts.of(10), counts.of(5), counts.of(8), counts.waiting), (1, 1, 1, 1));
    assert_eq!(parse(&message(3, &[0; 4]), &mut counts), Ok(true));
    let refused = message(2, &(-2_i32).to_ne_bytes());
    assert_eq!(parse(&refused, &mut counts), Err(rustix::io::Errno::NOENT));
    for broken in [&refused[..3], &[0; 16][..], &[255; 16][..]] {
        assert_eq!(parse(broken, &mut counts), Ok(false));
    }
}

#[test]
fn what_is_in_use_and_not_listed_is_established() {
    let mut tcp = Counts::default();
    for state in [10, 10, 5, 8, SYN_RECEIVED] {
        tcp.add(state);
    }
    tcp.waiting = 1;
    let mut udp = Counts::default();
    udp.add(ESTABLISHED);
    Figures { tcp: 13, udp: 4, time_wait: 7 }.complete(&mut tcp, &mut udp);
    assert_eq!((tcp.of(ESTABLISHED), tcp.of(TIME_WAIT), tcp.of(10)), (10, 6, 2));
    assert_eq!((udp.of(ESTABLISHED), udp.of(CLOSED)), (1, 3));
    Figures { tcp: 0, udp: 0, time_wait: 0 }.complete(&mut tcp, &mut udp);
    assert_eq!((tcp.of(ESTABLISHED), tcp.of(TIME_WAIT), udp.of(CLOSED)), (0, 0, 0), "never below none");
}

/// Sockets of this process alone are in the sums whatever else the machine does.
#[test]
fn netlink_and_the_files_see_the_same_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let streams: Vec<_> = (0..200)
        .map(|_| (TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept().unwrap()))
        .collect();
    // Half of them wait for this side to close.
    for (stream, _) in streams.iter().take(100) {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(udp.local_addr().unwrap()).unwrap();
    let host = HostRoot::at("/");
    assert!(is_own_namespace(&host));
    // Others on this machine open and close some in between, so a few attempts are allowed.
    let mut differences = Vec::new();
    for _ in 0..10 {
        let mut asked = Sockets::default();
        let [tcp, udp] = asked.counts(&host).unwrap();
        let mut read = Sockets { is_refused: true, ..Sockets::default() };
        let [tcp_of_files, udp_of_files] = read.counts(&host).unwrap();
        for counts in [&tcp, &tcp_of_files] {
            assert!(counts.of(ESTABLISHED) >= 200, "{tcp:?} {tcp_of_files:?}");
            assert!(counts.of(8) >= 100 && counts.of(10) >= 1, "{tcp:?} {tcp_of_files:?}");
        }
        assert!(udp.of(ESTABLISHED) >= 1 && udp_of_files.of(ESTABLISHED) >= 1);
        if asked.is_refused || (tcp.of(ESTABLISHED) - tcp_of_files.of(ESTABLISHED)).abs() <= 50 {
            return;
        }
        differences.push((tcp, tcp_of_files));
    }
    panic!("{differences:?}");
}
