//! The state of each service, and how often systemd restarted it, as systemd itself says over the system bus.
//!
//! systemd and the bus are programs like others and may take their time. So a thread of its own asks them; a collection
//! waits for the answer for a moment only, and not at all while one is overdue: it then is told with a later collection,
//! at the time for which it was asked. Any user may ask. Where no bus runs there are no states, and the rest is as ever.
//! The thread also has systemd say when a state changes, on a second connection, which is handed to whoever waits for
//! events; while there is none, a change is noticed when it is asked for.

mod book;
mod bus;
mod message;
mod signals;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use telemetry::{SampleBuffer, Timestamp, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::cpu;
use crate::error::{CollectError, Found, Lack, at_most};
use crate::host::HostRoot;
use crate::names;
use crate::node_exporter::{SYSTEMD, tell_services};
use book::{Book, MOST_SERVICES, Restarts, STATES, Service};
use bus::socket_of;
pub(crate) use bus::{Bus, BusError};
pub(crate) use message::Property;
pub use signals::UnitSignals;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "unit_states",
    summary: "The state of each service of systemd, and how often systemd restarted it.",
    metrics: &[&names::UNIT_STATE, &names::UNIT_RESTARTS, &SYSTEMD[0], &SYSTEMD[1]],
    interval: None,
    open: |host, _| Ok(Box::new(UnitStates::open(host)?)),
};

/// Where the system bus is, unless the environment says otherwise.
const SOCKET: &str = "/run/dbus/system_bus_socket";

/// The directory that is there where systemd runs a host: `sd_booted(3)`.
const BOOTED: &str = "run/systemd/system";

/// Links to the number of a unit's present start, which cost systemd nothing to be read.
const INVOCATIONS: &str = "run/systemd/units/invocation:";

/// How long a collection waits for an answer. It mostly comes within 10 ms.
const AWAITED: Duration = Duration::from_millis(50);

/// How long the first one does, which takes a connection and a question about each service; once.
const FIRST_AWAITED: Duration = Duration::from_millis(500);

/// An answer is told for so long while none follows it.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// Signals that could not be had are asked for again after so long.
const SUBSCRIBE_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// What takes longer is a failure.
const OVERDUE_AFTER: Duration = Duration::from_secs(15);

static NO_BUS: Lack = Lack {
    what: "states and restarts of systemd's services",
    remedy: "a system bus at /run/dbus/system_bus_socket: install the package dbus",
};

/// What was found out for one collection.
struct Answer {
    at: Timestamp,
    /// The services, and how many there are.
    result: Result<(Vec<Service>, usize), BusError>,
    signals: Option<UnitSignals>,
}

struct UnitStates {
    boot: Timestamp,
    questions: SyncSender<Timestamp>,
    answers: Receiver<Answer>,
    /// The question that was asked last and has no answer yet.
    open_question: Option<Timestamp>,
    latest: Option<(Timestamp, Vec<Service>, usize)>,
    failure: Option<CollectError>,
    /// To be handed on.
    signals: Option<UnitSignals>,
}

impl UnitStates {
    fn open(host: &HostRoot) -> Result<Self, CollectError> {
        let absent = |what| Err(CollectError::Absent { what });
        if host.is_captured() || !host.path(BOOTED).exists() {
            return absent("systemd");
        }
        let socket = system_bus(host);
        if !socket.exists() {
            host.lacks(&NO_BUS);
            return absent("system bus");
        }
        Self::over(socket, host.path(INVOCATIONS), cpu::boot_time(host)?)
    }

    /// Starts the thread that asks, which ends with this collector.
    fn over(socket: PathBuf, invocations: PathBuf, boot: Timestamp) -> Result<Self, CollectError> {
        let (questions, asked) = sync_channel::<Timestamp>(1);
        let (answer, answers) = sync_channel(1);
        let ask = move || {
            let mut systemd = Systemd::at(socket, invocations);
            let mut signals = None;
            for at in asked {
                let result = systemd.ask(at);
                let is_well = result.is_ok();
                if answer.send(Answer { at, result, signals: signals.take() }).is_err() {
                    return;
                }
                // No answer waits for it.
                signals = if is_well { systemd.subscribe(at) } else { None };
            }
        };
        let spawned = std::thread::Builder::new().name("unit-states".to_owned()).spawn(ask);
        spawned.map_err(|error| unanswered(&format!("starting a thread: {error}")))?;
        Ok(Self { boot, questions, answers, open_question: None, latest: None, failure: None, signals: None })
    }

    fn take(&mut self, answer: Answer) {
        self.open_question = self.open_question.filter(|question| *question != answer.at);
        self.signals = answer.signals.or(self.signals.take());
        match answer.result {
            Ok((services, count)) => {
                self.latest = Some((answer.at, services, count));
                self.failure = None;
            }
            Err(error) => self.failure = Some(unanswered(&error.to_string())),
        }
    }
}

/// Where the system bus of the host is.
pub(crate) fn system_bus(host: &HostRoot) -> PathBuf {
    let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_default();
    host.path(socket_of(&address).unwrap_or_else(|| SOCKET.into()))
}

fn unanswered(why: &str) -> CollectError {
    CollectError::Unanswered { by: "systemd, over the system bus", why: Found::new(why) }
}

impl Collector for UnitStates {
    fn collect(&mut self, _: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let at = out.at();
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
        if self.open_question.is_none() && self.questions.try_send(at).is_ok() {
            self.open_question = Some(at);
            let is_first = self.latest.is_none() && self.failure.is_none();
            let awaited = if is_first { FIRST_AWAITED } else { AWAITED };
            if let Ok(answer) = self.answers.recv_timeout(awaited) {
                self.take(answer);
            }
        }
        if let Some((measured, services, _)) = &self.latest
            && at.since(*measured) <= KEPT_FOR
        {
            for service in services {
                report(service, self.boot, *measured, out);
            }
            let counted = |restarts: Restarts| restarts.count;
            let told = services.iter().map(|it| (it.name.as_str(), it.state, it.restarts.map(counted)));
            tell_services(told, *measured, out);
        }
        out.host();
        if self.open_question.is_some_and(|question| at.since(question) > OVERDUE_AFTER) {
            return Err(unanswered("there is no answer"));
        }
        match (&self.failure, &self.latest) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some((_, _, count))) => at_most(MOST_SERVICES, *count, "systemd", "services"),
            (None, None) => Ok(()),
        }
    }

    fn signals(&mut self) -> Option<UnitSignals> {
        self.signals.take()
    }
}

fn report(service: &Service, boot: Timestamp, measured: Timestamp, out: &mut SampleBuffer) {
    begin(service, boot, measured, out);
    for state in STATES {
        out.int(&names::UNIT_STATE, &[Value::Str(state)], i64::from(state == service.state));
    }
    let Some(restarts) = service.restarts else { return };
    if let Some(since) = restarts.since {
        begin(service, since, measured, out);
    }
    out.int(&names::UNIT_RESTARTS, &[], i64::from(restarts.count));
}

fn begin(service: &Service, start: Timestamp, measured: Timestamp, out: &mut SampleBuffer) {
    out.entity(&names::UNIT, start.min(measured), &[Value::Str(&service.name), Value::Absent]);
    out.measured_at(measured);
}

/// systemd, as the thread knows it.
struct Systemd {
    socket: PathBuf,
    invocations: PathBuf,
    bus: Option<Bus>,
    book: Book,
    /// Whether somebody has the signals still, and when they were last asked for.
    subscribed: Weak<()>,
    subscribed_at: Option<Timestamp>,
}

impl Systemd {
    fn at(socket: PathBuf, invocations: PathBuf) -> Self {
        let (bus, book, subscribed, subscribed_at) = (None, Book::default(), Weak::new(), None);
        Self { socket, invocations, bus, book, subscribed, subscribed_at }
    }

    /// Has systemd say when a state changes, unless it does or would not a moment ago.
    fn subscribe(&mut self, at: Timestamp) -> Option<UnitSignals> {
        let too_soon = |before: Timestamp| at.since(before) < SUBSCRIBE_AGAIN_AFTER && at >= before;
        if self.subscribed.strong_count() > 0 || self.subscribed_at.is_some_and(too_soon) {
            return None;
        }
        self.subscribed_at = Some(at);
        let stream = Bus::connect(&self.socket).and_then(Bus::into_signals).ok()?;
        let lives = Arc::new(());
        self.subscribed = Arc::downgrade(&lives);
        Some(UnitSignals::new(stream, lives))
    }

    /// One round. After a failure the connection is made anew with the next.
    fn ask(&mut self, at: Timestamp) -> Result<(Vec<Service>, usize), BusError> {
        let mut bus = match self.bus.take() {
            Some(bus) => bus,
            None => Bus::connect(&self.socket)?,
        };
        let listed = bus.services()?;
        let invocations = self.invocations.as_os_str();
        self.book.take(listed, |name| {
            let mut link = invocations.to_owned();
            link.push(name);
            std::fs::read_link(link).ok()?.into_os_string().into_string().ok()
        });
        for (name, path) in self.book.due() {
            let count = match bus.restarts(&path) {
                Ok(count) => Some(count),
                // It may have been unloaded since.
                Err(BusError::Refused { .. }) => None,
                Err(error) => return Err(error),
            };
            self.book.note(&name, count, at);
        }
        self.bus = Some(bus);
        Ok((self.book.services(), self.book.count()))
    }
}

#[cfg(test)]
mod tests;
