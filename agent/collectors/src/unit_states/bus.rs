//! systemd, asked over the system bus.
//!
//! Plain blocking reads and writes with a deadline each, so it belongs on a thread of its own. Nothing is asked that
//! changes anything, and what the bus sends unasked is passed over.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{Body, Call, HEAD_BYTES, Incoming, Property, Reader, parse, rest_length};

/// How long the bus may take for each piece of an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// Signals and the like that are passed over while an answer is awaited.
const MOST_PASSED_OVER: usize = 1000;

/// The longest line that a bus says before it takes messages.
const LONGEST_GREETING: usize = 512;

const BUS: &str = "org.freedesktop.DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// To be completed by what is asked of systemd as a whole.
const MANAGER_CALL: Call<'static> = Call {
    destination: SYSTEMD,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "",
    signature: "",
};

/// Signals that are wanted: those of what all units have, where the states are.
const CHANGES_OF_UNITS: &str = "type='signal',sender='org.freedesktop.systemd1',\
    interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
    path_namespace='/org/freedesktop/systemd1/unit',arg0='org.freedesktop.systemd1.Unit'";

/// Why systemd could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BusError {
    /// The connection cannot be made, is broken, or takes too long.
    #[error("{doing}: {source}")]
    Connection { doing: &'static str, source: std::io::Error },
    /// Bus or systemd do not want to answer.
    #[error("{name}: {why}")]
    Refused { name: String, why: String },
    /// Something other than an answer came.
    #[error("what came is no {expected}")]
    Malformed { expected: &'static str },
}

/// A service as systemd lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) load: String,
    pub(super) active: String,
    pub(super) sub: String,
    /// Its object.
    pub(super) path: String,
}

/// A connection to a bus.
pub(crate) struct Bus {
    stream: UnixStream,
    serial: u32,
    message: Vec<u8>,
}

impl Bus {
    /// Connects, and says hello.
    pub(crate) fn connect(socket: &Path) -> Result<Self, BusError> {
        let doing = "connecting to the system bus";
        let failed = |source| BusError::Connection { doing, source };
        let mut stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).map_err(failed)?;
        stream.set_write_timeout(Some(ANSWERED_WITHIN)).map_err(failed)?;
        // The user's number, each of its digits as the two hexadecimal ones of its byte.
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.chars().flat_map(|digit| ['3', digit]).collect();
        stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes()).map_err(failed)?;
        if !greeting(&mut stream).map_err(failed)?.starts_with(b"OK ") {
            let name = "AUTH EXTERNAL".to_owned();
            return Err(BusError::Refused { name, why: "the bus does not know this user".to_owned() });
        }
        stream.write_all(b"BEGIN\r\n").map_err(failed)?;
        let mut bus = Self { stream, serial: 0, message: Vec::new() };
        let hello = Call {
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member: "Hello",
            signature: "",
        };
        bus.ask(&hello, &Body::default(), "s", |_| Some(()))?;
        Ok(bus)
    }

    /// All services that systemd has loaded.
    pub(super) fn services(&mut self) -> Result<Vec<Listed>, BusError> {
        let mut body = Body::default();
        body.texts(&[]);
        body.texts(&["*.service"]);
        let call = Call { member: "ListUnitsByPatterns", signature: "asas", ..MANAGER_CALL };
        self.ask(&call, &body, "a(ssssssouso)", |body| {
            body.structures(|unit| {
                let (name, _description) = (unit.text()?, unit.text()?);
                let (load, active, sub) = (unit.text()?, unit.text()?, unit.text()?);
                let (_follows, path) = (unit.text()?, unit.text()?);
                let (_job, _kind, _job_path) = (unit.number()?, unit.text()?, unit.text()?);
                let [name, load, active, sub, path] = [name, load, active, sub, path].map(str::to_owned);
                Some(Listed { name, load, active, sub, path })
            })
        })
    }

    /// The object of the unit of this name, which systemd loads if it has not.
    pub(crate) fn load_unit(&mut self, name: &str) -> Result<String, BusError> {
        let mut body = Body::default();
        body.text(name);
        let call = Call { member: "LoadUnit", signature: "s", ..MANAGER_CALL };
        self.ask(&call, &body, "o", |body| body.text().map(str::to_owned))
    }

    /// The properties of an object, by name.
    pub(crate) fn properties(
        &mut self,
        path: &str,
        interface: &str,
    ) -> Result<BTreeMap<String, Property>, BusError> {
        let mut body = Body::default();
        body.text(interface);
        let (interface, member) = ("org.freedesktop.DBus.Properties", "GetAll");
        let call = Call { destination: SYSTEMD, path, interface, member, signature: "s" };
        self.ask(&call, &body, "a{sv}", |body| {
            let mut properties = BTreeMap::new();
            body.entries(|value, name, of| {
                properties.insert(name.to_owned(), value.property(of)?);
                Some(())
            })?;
            Some(properties)
        })
    }

    /// How often systemd has restarted the service of this object by itself.
    pub(super) fn restarts(&mut self, path: &str) -> Result<u32, BusError> {
        let mut body = Body::default();
        body.text("org.freedesktop.systemd1.Service");
        body.text("NRestarts");
        let call = Call {
            destination: SYSTEMD,
            path,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            signature: "ss",
        };
        self.ask(&call, &body, "v", |body| if body.signature()? == "u" { body.number() } else { None })
    }

    /// From now on it is said when a property of a service's unit changes. What comes is read from the socket that this
    /// returns, without waiting.
    pub(super) fn into_signals(mut self) -> Result<UnixStream, BusError> {
        let mut body = Body::default();
        body.text(CHANGES_OF_UNITS);
        let path = "/org/freedesktop/DBus";
        let call = Call { destination: BUS, path, interface: BUS, member: "AddMatch", signature: "s" };
        self.ask(&call, &body, "", |_| Some(()))?;
        let call = Call { member: "Subscribe", signature: "", ..MANAGER_CALL };
        self.ask(&call, &Body::default(), "", |_| Some(()))?;
        let failed = |source| BusError::Connection { doing: "waiting for signals of systemd", source };
        self.stream.set_nonblocking(true).map_err(failed)?;
        Ok(self.stream)
    }

    /// Asks, and waits for the answer, which has to have this signature.
    fn ask<T>(
        &mut self,
        call: &Call<'_>,
        body: &Body,
        signature: &'static str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, BusError> {
        self.serial += 1;
        let message = call.message(self.serial, body);
        let failed = |source| BusError::Connection { doing: "asking systemd", source };
        self.stream.write_all(&message).map_err(failed)?;
        for _ in 0..MOST_PASSED_OVER {
            self.receive()?;
            match parse(&self.message).ok_or(BusError::Malformed { expected: "message" })? {
                Incoming::Answer { to, signature: is, body } if to == self.serial => {
                    let answer = if is == signature { read(&mut Reader::new(body)) } else { None };
                    return answer.ok_or(BusError::Malformed { expected: signature });
                }
                Incoming::Refusal { to, name, why } if to == self.serial => {
                    return Err(BusError::Refused { name: name.to_owned(), why: why.to_owned() });
                }
                _ => {}
            }
        }
        Err(BusError::Malformed { expected: "answer" })
    }

    fn receive(&mut self) -> Result<(), BusError> {
        let failed =
            |source| BusError::Connection { doing: "waiting for systemd's answer", source: late(source) };
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head).map_err(failed)?;
        let rest = rest_length(&head).ok_or(BusError::Malformed { expected: "header" })?;
        self.message.clear();
        self.message.extend_from_slice(&head);
        self.message.resize(HEAD_BYTES + rest, 0);
        let (_, place) = self.message.split_at_mut(HEAD_BYTES);
        self.stream.read_exact(place).map_err(failed)
    }
}

/// What a read says that has waited for [`ANSWERED_WITHIN`] in vain, in words.
fn late(error: std::io::Error) -> std::io::Error {
    if error.kind() == std::io::ErrorKind::WouldBlock {
        let within = telemetry::format_duration(ANSWERED_WITHIN);
        return std::io::Error::new(std::io::ErrorKind::TimedOut, format!("none within {within}"));
    }
    error
}

/// Reads one line, byte by byte, as messages may follow at once.
fn greeting(stream: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST_GREETING && !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.extend_from_slice(&byte);
    }
    Ok(line)
}

/// The socket of a bus, from an address such as `unix:path=/run/dbus/system_bus_socket`; of several the first that is one.
pub(super) fn socket_of(address: &str) -> Option<PathBuf> {
    let sockets = address.split(';').filter_map(|address| address.strip_prefix("unix:"));
    let mut paths = sockets.filter_map(|keys| keys.split(',').find_map(|key| key.strip_prefix("path=")));
    paths.next().map(PathBuf::from)
}
