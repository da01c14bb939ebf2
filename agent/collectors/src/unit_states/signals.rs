//! What systemd says unasked: that the state of a service is another.
//!
//! A connection of its own, on which nothing is asked any more; whoever waits for it reads it when there is something to
//! read. It only tells that something changed: what, is asked for. systemd says all properties whichever changed, so the
//! last state of each service is kept to tell whether it did.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::book::{MOST_SERVICES, STATES};
use super::message::{DEEPEST, HEAD_BYTES, Incoming, Reader, parse, rest_length};

/// How much is read at once, so that whoever waits is not kept by a flood.
const READ_BYTES: usize = 64 << 10;

/// A longer signal ends the connection: what systemd says of a unit takes some 2 KiB.
const LONGEST_SIGNAL: usize = 256 << 10;

/// Objects of services end so: `.service`, as D-Bus spells it in paths.
const OF_A_SERVICE: &str = "_2eservice";

/// Tells that a service's state changed.
#[derive(Debug)]
pub struct UnitSignals {
    stream: UnixStream,
    /// What came and is no whole message yet.
    pending: Vec<u8>,
    /// The last state by the object's path; forgotten when there are too many.
    states: BTreeMap<String, &'static str>,
    /// Held for as long as this is, so that others know whether they have to subscribe.
    _lives: Arc<()>,
}

/// The connection is over.
#[derive(Debug)]
pub(crate) struct Ended;

impl UnitSignals {
    /// Of a connection that does not wait, to which systemd says what changes.
    pub(super) fn new(stream: UnixStream, lives: Arc<()>) -> Self {
        Self { stream, pending: Vec::new(), states: BTreeMap::new(), _lives: lives }
    }

    /// Reads what is there, and says whether the state of a service changed.
    pub(crate) fn read(&mut self) -> Result<bool, Ended> {
        let begun = self.pending.len();
        self.pending.resize(begun + READ_BYTES, 0);
        let place = self.pending.get_mut(begun..).unwrap_or_default();
        let read = match self.stream.read(place) {
            Ok(0) => return Err(Ended),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => return Err(Ended),
        };
        self.pending.truncate(begun + read);
        let mut changed = false;
        let mut at = 0;
        while let Some(length) = message_length(self.pending.get(at..).unwrap_or_default())? {
            let Some(message) = self.pending.get(at..at + length) else { break };
            changed |= note(&mut self.states, message)?;
            at += length;
        }
        self.pending.drain(..at);
        self.pending.shrink_to(READ_BYTES);
        Ok(changed)
    }
}

impl AsFd for UnitSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The length of the message that the bytes begin with; none yet if they are too few to tell.
fn message_length(bytes: &[u8]) -> Result<Option<usize>, Ended> {
    let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let rest = rest_length(head).filter(|rest| *rest <= LONGEST_SIGNAL).ok_or(Ended)?;
    Ok(Some(HEAD_BYTES + rest))
}

/// Whether the message tells of another state.
fn note(states: &mut BTreeMap<String, &'static str>, message: &[u8]) -> Result<bool, Ended> {
    let Incoming::Signal { path, member: "PropertiesChanged", signature: "sa{sv}as", body } =
        parse(message).ok_or(Ended)?
    else {
        return Ok(false);
    };
    let Some(state) = active_state(body)?.filter(|_| path.ends_with(OF_A_SERVICE)) else { return Ok(false) };
    if states.get(path) == Some(&state) {
        return Ok(false);
    }
    if states.len() >= MOST_SERVICES {
        states.clear();
    }
    states.insert(path.to_owned(), state);
    Ok(true)
}

/// The property among those that are said.
fn active_state(body: &[u8]) -> Result<Option<&'static str>, Ended> {
    let mut read = Reader::new(body);
    let _interface = read.text().ok_or(Ended)?;
    let mut found = None;
    let entries = read.entries(|read, key, signature| {
        if key == "ActiveState" && signature == "s" {
            let state = read.text()?;
            found = STATES.into_iter().find(|known| *known == state);
            return Some(());
        }
        read.skip(signature, DEEPEST)?.is_empty().then_some(())
    });
    entries.map(|()| found).ok_or(Ended)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write;

    use proptest::prelude::*;
    use zbus::Variant;
    use zbus::message::Message;

    use super::*;

    /// As systemd 257 says it, shortened; written by another implementation of D-Bus.
    fn signal(unit: &str, state: &str) -> Vec<u8> {
        let properties = HashMap::from([
            ("Markers", Variant::from(Vec::<&str>::new())),
            ("SubState", Variant::from("whatever")),
            ("ActiveState", Variant::from(state)),
            ("StateChangeTimestamp", Variant::from(1_800_000_000_000_000_u64)),
            ("ConditionResult", Variant::from(true)),
            ("Job", Variant::from((7_u32, zbus::ObjectPath::try_from("/job/7").unwrap()))),
            ("InvocationID", Variant::from(vec![7_u8; 16])),
        ]);
        let path = format!("/org/freedesktop/systemd1/unit/{unit}");
        let body = ("org.freedesktop.systemd1.Unit", properties, vec!["Conditions", "Asserts"]);
        let builder = Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged");
        builder.build(&body).unwrap().data().to_vec()
    }

    fn signals() -> (UnixStream, UnitSignals) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (theirs, UnitSignals::new(ours, Arc::default()))
    }

    #[test]
    fn only_another_state_of_a_service_is_told_of() {
        let (mut bus, mut signals) = signals();
        for (unit, state, expected) in [
            ("web_2eservice", "active", true),
            ("web_2eservice", "active", false),
            ("web_2eservice", "failed", true),
            ("db_2eservice", "failed", true),
            ("web_2eservice", "failed", false),
            ("boot_2emount", "failed", false),
            ("web_2eservice", "unheard-of", false),
            ("web_2eservice", "active", true),
        ] {
            bus.write_all(&signal(unit, state)).unwrap();
            assert_eq!(signals.read().unwrap(), expected, "{unit} {state}");
        }
        assert!(!signals.read().unwrap(), "nothing came");
        drop(bus);
        assert!(signals.read().is_err());
    }

    #[test]
    fn signals_that_come_in_pieces_or_together_are_told_of() {
        let (mut bus, mut signals) = signals();
        let bytes = [signal("a_2eservice", "active"), signal("b_2eservice", "active")].concat();
        let (last, but_last) = bytes.split_last().unwrap();
        let told: Vec<bool> = but_last
            .iter()
            .map(|byte| {
                bus.write_all(&[*byte]).unwrap();
                signals.read().unwrap()
            })
            .collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        bus.write_all(&[*last]).unwrap();
        assert!(signals.read().unwrap());
        bus.write_all(&[signal("c_2eservice", "active"), signal("c_2eservice", "active")].concat()).unwrap();
        assert!(signals.read().unwrap() && !signals.read().unwrap());
    }

    #[test]
    fn services_that_come_and_go_are_not_remembered_for_ever() {
        let mut states = BTreeMap::new();
        for number in 0..3 * MOST_SERVICES {
            assert!(note(&mut states, &signal(&format!("job{number}_2eservice"), "active")).unwrap());
            assert!(states.len() <= MOST_SERVICES);
        }
    }

    #[test]
    fn what_is_too_long_or_no_message_ends_the_connection() {
        let mut long = signal("web_2eservice", "active");
        long[4..8].copy_from_slice(&(LONGEST_SIGNAL as u32).to_ne_bytes());
        for bytes in [&long[..], b"HTTP/1.1 400 Bad Request\r\n"] {
            let (mut bus, mut signals) = signals();
            bus.write_all(bytes).unwrap();
            assert!(signals.read().is_err());
        }
    }

    proptest! {
        #[test]
        fn no_signal_makes_the_reader_panic(
            place in 16..400_usize,
            bytes in prop::collection::vec(any::<u8>(), 1..9),
        ) {
            let mut message = signal("web_2eservice", "active");
            for (byte, changed) in message.iter_mut().skip(place).zip(bytes) {
                *byte = changed;
            }
            let _ = note(&mut BTreeMap::new(), &message);
        }
    }
}
