//! TCP sockets by state, and where somebody listens.
//!
//! Read from the lists of process 1, line by line: of those who listen it says how many connections wait to be taken.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;

use crate::error::{CollectError, at_most};
use crate::host::{HostRoot, display};

/// Sockets looked at; 15 MB of text.
const MOST_SOCKETS: usize = 100_000;

/// Of those who listen, so many are told.
const MOST_LISTENERS: usize = 500;

/// A line has some 170 bytes.
const LONGEST_FILE_BYTES: u64 = MOST_SOCKETS as u64 * 256;

/// `include/net/tcp_states.h`
const ESTABLISHED: &str = "01";
const TIME_WAIT: &str = "06";
const CLOSE_WAIT: &str = "08";
const LISTEN: &str = "0A";

/// Somebody who listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// At which port.
    pub port: u16,
    /// At which address.
    pub address: IpAddr,
    /// How many connections wait until they are taken.
    pub queued: u64,
}

/// How many sockets there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TcpSockets {
    /// Connections that are open.
    pub established: u64,
    /// Those that only wait out their time.
    pub time_wait: u64,
    /// Those that the other side has closed and this one has not: many are a leak.
    pub close_wait: u64,
    /// Those who listen, by port.
    pub listening: Vec<Listener>,
}

/// The TCP sockets of the host.
///
/// # Errors
///
/// The lists cannot be read, or there are more sockets than are looked at.
pub fn tcp_sockets(host: &HostRoot) -> Result<TcpSockets, CollectError> {
    let mut sockets = TcpSockets::default();
    let mut count = 0;
    let mut first_error = None;
    for name in ["tcp", "tcp6"] {
        let opened = File::open(host.path(format!("proc/1/net/{name}")));
        let path = host.path(format!("proc/self/net/{name}"));
        let file = match opened.or_else(|_| File::open(&path)) {
            Ok(file) => file,
            Err(error) => {
                let source = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                first_error.get_or_insert(CollectError::Read { path: display(&path), source });
                continue;
            }
        };
        for line in BufReader::new(file.take(LONGEST_FILE_BYTES)).lines().skip(1) {
            let line = line.map_err(|error| CollectError::Read {
                path: display(&path),
                source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
            })?;
            count += 1;
            at_most(MOST_SOCKETS, count, &display(&path), "sockets")?;
            sockets.take(&line);
        }
    }
    // A host without IPv6 has one list only.
    if count == 0
        && let Some(error) = first_error
    {
        return Err(error);
    }
    sockets.listening.sort();
    sockets.listening.truncate(MOST_LISTENERS);
    Ok(sockets)
}

impl TcpSockets {
    /// Takes `   0: 0100007F:0016 00000000:0000 0A 00000000:00000002 …`.
    fn take(&mut self, line: &str) {
        let mut fields = line.split_ascii_whitespace();
        let (Some(local), Some(state)) = (fields.nth(1), fields.nth(1)) else { return };
        match state {
            ESTABLISHED => self.established += 1,
            TIME_WAIT => self.time_wait += 1,
            CLOSE_WAIT => self.close_wait += 1,
            LISTEN => self.listening.extend(listener(local, fields.next().unwrap_or_default())),
            _ => {}
        }
    }
}

fn listener(local: &str, queues: &str) -> Option<Listener> {
    let (address, port) = local.split_once(':')?;
    let (_sending, receiving) = queues.split_once(':')?;
    Some(Listener {
        port: u16::from_str_radix(port, 16).ok()?,
        address: address_of(address)?,
        queued: u64::from_str_radix(receiving, 16).ok()?,
    })
}

/// Words of four bytes, each in the order of this machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..text.len()).step_by(8) {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_state_and_listeners_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/1/net")).unwrap();
        let titles = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
        let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1 1\n   \
             1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2 1\n   \
             2: 0100007F:1F90 0100007F:9C41 08 00000000:00000000 00:00000000 00000000     0        0 3 1\n   \
             3: 0100007F:1F90 0100007F:9C42 06 00000000:00000000 00:00000000 00000000     0        0 0 1\n   4: cut";
        let tcp6 = "   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00\n";
        std::fs::write(dir.path().join("proc/1/net/tcp"), format!("{titles}{tcp}")).unwrap();
        std::fs::write(dir.path().join("proc/1/net/tcp6"), format!("{titles}{tcp6}")).unwrap();
        let found = tcp_sockets(&HostRoot::at(dir.path())).unwrap();
        assert_eq!((found.established, found.time_wait, found.close_wait), (1, 1, 1));
        let told: Vec<_> =
            found.listening.iter().map(|it| (it.address.to_string(), it.port, it.queued)).collect();
        assert_eq!(told, [("::1".to_owned(), 22, 0), ("127.0.0.1".to_owned(), 8080, 3)]);
    }

    #[test]
    fn lists_that_are_not_there_are_an_error() {
        assert!(tcp_sockets(&HostRoot::at("/nowhere/at/all")).is_err());
    }
}
