//! Sockets by transport and state.
//!
//! Listing them is dear: with 24,600 connections, reading `/proc/net/tcp` and `tcp6` took 71 ms, five times as long as asking
//! over netlink (an unoptimised build). So only those in unusual states are asked for, and the rest of TCP's are
//! established, the rest of UDP's closed. Netlink speaks of the agent's network namespace only; where that is not the
//! host's, or where a sandbox forbids netlink, the files of process 1 are read. Figures that are not read at the same
//! moment may be off by what came and went between.

mod listing;
mod netlink;

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::names;
use crate::protocols::of_sockstat;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use listing::Lines;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use netlink::parse;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "sockets",
    summary: "Sockets of TCP by state, and of UDP.",
    metrics: &[&names::CONNECTION_COUNT],
    interval: Some(Duration::from_secs(30)),
    open: |_, _| Ok(Box::new(Sockets::default())),
};

/// Sockets that are looked at in one list; 15 MB of text. Beyond it the collector fails.
const MOST_SOCKETS: usize = 100_000;

/// `include/net/tcp_states.h`; those of a request for a connection (12) are counted with `SYN_RECV`.
const ESTABLISHED: usize = 1;
const SYN_RECEIVED: usize = 3;
const TIME_WAIT: usize = 6;
const CLOSED: usize = 7;
const REQUESTED: usize = 12;

const TCP_STATES: [(&str, usize); 11] = [
    ("established", ESTABLISHED),
    ("syn_sent", 2),
    ("syn_received", SYN_RECEIVED),
    ("fin_wait_1", 4),
    ("fin_wait_2", 5),
    ("time_wait", TIME_WAIT),
    ("closed", CLOSED),
    ("close_wait", 8),
    ("last_ack", 9),
    ("listen", 10),
    ("closing", 11),
];

const UDP_STATES: [(&str, usize); 2] = [("established", ESTABLISHED), ("closed", CLOSED)];

/// How many sockets are in each state, by the state's number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    by_state: [i64; 13],
    /// Of those in another state, how many only wait out their time.
    waiting: i64,
}

impl Counts {
    fn add(&mut self, state: usize) {
        let state = if state == REQUESTED { SYN_RECEIVED } else { state };
        if let Some(count) = self.by_state.get_mut(state) {
            *count += 1;
        }
    }

    fn of(&self, state: usize) -> i64 {
        self.by_state.get(state).copied().unwrap_or_default()
    }

    fn set(&mut self, state: usize, count: i64) {
        if let Some(slot) = self.by_state.get_mut(state) {
            *slot = count.max(0);
        }
    }

    fn total(&self) -> usize {
        self.by_state.iter().sum::<i64>().try_into().unwrap_or_default()
    }
}

#[derive(Default)]
struct Sockets {
    buffer: Vec<u8>,
    /// Netlink was refused once.
    is_refused: bool,
}

impl Collector for Sockets {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let [tcp, udp] = self.counts(host)?;
        for (transport, states, counts) in [("tcp", &TCP_STATES[..], &tcp), ("udp", &UDP_STATES[..], &udp)] {
            for (name, state) in states {
                let values = [Value::Str(transport), Value::Str(name)];
                out.int(&names::CONNECTION_COUNT, &values, counts.of(*state));
            }
        }
        Ok(())
    }
}

impl Sockets {
    /// TCP, then UDP.
    fn counts(&mut self, host: &HostRoot) -> Result<[Counts; 2], CollectError> {
        if !self.is_refused && !host.is_captured() && is_own_namespace(host) {
            match self.ask(host) {
                Ok(Some(counts)) => return Ok(counts),
                Ok(None) => {}
                Err(error @ CollectError::TooMany { .. }) => return Err(error),
                Err(_) => self.is_refused = true,
            }
        }
        let mut counts = [Counts::default(), Counts::default()];
        let mut is_there = false;
        for (files, counts) in [["tcp", "tcp6"], ["udp", "udp6"]].iter().zip(&mut counts) {
            for file in files {
                is_there |= listing::count(host, file, &mut self.buffer, counts)?;
            }
        }
        if is_there { Ok(counts) } else { Err(CollectError::Absent { what: "lists of sockets" }) }
    }

    /// Asks for those in unusual states and takes the others from the kernel's figures; `None` where it has none.
    fn ask(&mut self, host: &HostRoot) -> Result<Option<[Counts; 2]>, CollectError> {
        let mut tcp = Counts::default();
        let mut udp = Counts::default();
        let unusual = !(1 << ESTABLISHED | 1 << TIME_WAIT);
        let mut netlink = netlink::Netlink::open(&mut self.buffer)?;
        netlink.dump(netlink::TCP, unusual, &mut tcp)?;
        netlink.dump(netlink::UDP, 1 << ESTABLISHED, &mut udp)?;
        let Some(figures) = Figures::read(host)? else { return Ok(None) };
        figures.complete(&mut tcp, &mut udp);
        Ok(Some([tcp, udp]))
    }
}

/// Whether the agent's network namespace is the host's: each has files of its own, with numbers of their own.
fn is_own_namespace(host: &HostRoot) -> bool {
    let number =
        |path: &str| std::fs::metadata(host.path(path)).map(|metadata| (metadata.dev(), metadata.ino()));
    match (number("proc/1/net/sockstat"), number("proc/self/net/sockstat")) {
        (Ok(of_init), Ok(own)) => of_init == own,
        _ => false,
    }
}

/// What the kernel counts itself.
#[derive(Debug, PartialEq)]
struct Figures {
    tcp: i64,
    udp: i64,
    time_wait: i64,
}

impl Figures {
    fn read(host: &HostRoot) -> Result<Option<Self>, CollectError> {
        let Some(four) = host.read_optional_of_init("net/sockstat")? else { return Ok(None) };
        let (Some(tcp), Some(udp), Some(time_wait)) = (
            of_sockstat(&four, "TCP:", "inuse")?,
            of_sockstat(&four, "UDP:", "inuse")?,
            of_sockstat(&four, "TCP:", "tw")?,
        ) else {
            return Ok(None);
        };
        let six = host.read_optional_of_init("net/sockstat6")?;
        let of_6 = |protocol| match &six {
            Some(six) => of_sockstat(six, protocol, "inuse"),
            None => Ok(None),
        };
        Ok(Some(Self {
            tcp: tcp.saturating_add(of_6("TCP6:")?.unwrap_or(0)),
            udp: udp.saturating_add(of_6("UDP6:")?.unwrap_or(0)),
            time_wait,
        }))
    }

    /// Sockets in use are all but those that wait out their time and requests for a connection.
    fn complete(&self, tcp: &mut Counts, udp: &mut Counts) {
        let other = tcp.by_state.iter().sum::<i64>() - tcp.of(SYN_RECEIVED) - tcp.waiting;
        tcp.set(ESTABLISHED, self.tcp - other);
        tcp.set(TIME_WAIT, self.time_wait - tcp.waiting);
        udp.set(CLOSED, self.udp - udp.of(ESTABLISHED));
    }
}

#[cfg(test)]
mod tests;
