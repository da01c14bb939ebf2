//! Asks the kernel for sockets in given states (`sock_diag(7)`).

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::{Counts, MOST_SOCKETS};
use crate::error::{CollectError, at_most};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

const WHAT: &str = "NETLINK_SOCK_DIAG";

const INET: [u8; 2] = [2, 10];

const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// The timer of a socket that only waits out its time.
const WAITING: u8 = 3;

/// What the kernel sends at a time, at most.
const ANSWER: usize = 32 << 10;

pub(super) struct Netlink<'a> {
    socket: OwnedFd,
    buffer: &'a mut Vec<u8>,
}

impl<'a> Netlink<'a> {
    pub(super) fn open(buffer: &'a mut Vec<u8>) -> Result<Self, CollectError> {
        buffer.resize(ANSWER, 0);
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol);
        Ok(Self { socket: socket.map_err(failed)?, buffer })
    }

    /// Counts the sockets of a transport, of both families, that are in one of `states`, a bit each.
    pub(super) fn dump(
        &mut self,
        transport: u8,
        states: u32,
        counts: &mut Counts,
    ) -> Result<(), CollectError> {
        for family in INET {
            send(&self.socket, &request(family, transport, states), SendFlags::empty()).map_err(failed)?;
            loop {
                // The answer is made while it is fetched, so there is nothing to wait for.
                let flags = RecvFlags::DONTWAIT;
                let length = match recv(&self.socket, self.buffer.as_mut_slice(), flags) {
                    Ok((length, _)) => length,
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(failed(error)),
                };
                match parse(self.buffer.get(..length).unwrap_or_default(), counts) {
                    Ok(true) => break,
                    Ok(false) => at_most(MOST_SOCKETS, counts.total(), WHAT, "sockets")?,
                    // A kernel without IPv6 knows no such family.
                    Err(Errno::NOENT) if family != 2 => break,
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        Ok(())
    }
}

fn failed(source: Errno) -> CollectError {
    CollectError::Read { path: WHAT.to_owned(), source }
}

/// `struct nlmsghdr`, then `struct inet_diag_req_v2`.
fn request(family: u8, transport: u8, states: u32) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    let mut at = request.iter_mut();
    let mut put = |bytes: &[u8]| at.by_ref().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
    put(&(REQUEST as u32).to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&DUMP.to_ne_bytes());
    put(&[0; 8]);
    put(&[family, transport, 0, 0]);
    put(&states.to_ne_bytes());
    request
}

/// Counts the sockets of an answer, each a `struct nlmsghdr` and a `struct inet_diag_msg`, which begins with the family,
/// the state and the timer; `true` when it was the last.
pub(crate) fn parse(mut answer: &[u8], counts: &mut Counts) -> Result<bool, Errno> {
    while let [a, b, c, d, e, f, _, _, ..] = answer {
        let length = u32::from_ne_bytes([*a, *b, *c, *d]) as usize;
        let Some(message) = answer.get(..length).filter(|_| length >= HEADER) else { break };
        match (u16::from_ne_bytes([*e, *f]), message.get(HEADER..).unwrap_or_default()) {
            (DONE, _) => return Ok(true),
            (ERROR, [a, b, c, d, ..]) => {
                let code = i32::from_ne_bytes([*a, *b, *c, *d]);
                return Err(Errno::from_raw_os_error(code.saturating_neg().clamp(1, 4095)));
            }
            (SOCK_DIAG_BY_FAMILY, [_, state, timer, ..]) => {
                counts.add(usize::from(*state));
                counts.waiting += i64::from(*timer == WAITING);
            }
            _ => {}
        }
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}
