//! The agent's own figures, as metrics among the others: what it owes, what it lost, what it keeps.

mod judging;
mod logs;
mod notify;
mod repairs;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use collectors::EventSource;
use otlp::{ListenerFigures, Receiver, ReceiverFigures, Sender, SignalFigures};
use telemetry::{
    EntitySpec, Instrument, MetricSpec, SampleBuffer, Scope, Signal, Timestamp, Value, ValueType,
};

use crate::agent::Shared;
use crate::clock;
pub(crate) use judging::{METRICS as JUDGING_METRICS, rejections};
pub(crate) use logs::METRICS as LOGS_METRICS;
pub(crate) use repairs::METRICS as REPAIR_METRICS;

/// The agent itself, so that its counters begin with it and not with the host. Its resource is the host's.
pub(crate) static AGENT: EntitySpec = EntitySpec { name: "service", attributes: &[] };

/// A metric of the agent itself, counted in whole numbers.
pub(crate) const fn own(
    name: &'static str,
    unit: &'static str,
    instrument: Instrument,
    attributes: &'static [&'static str],
    description: &'static str,
) -> MetricSpec {
    let (value, scope, source) = (ValueType::Int, Scope::Own, "the agent");
    MetricSpec {
        name,
        unit,
        instrument,
        value,
        attributes,
        scope,
        description,
        source,
        shows: None,
        by_default: true,
    }
}

static COLLECTIONS: MetricSpec = own(
    "hostmend.collections",
    "{collection}",
    Instrument::Counter,
    &[],
    "Collections since the agent started, this one included: a receiver that misses a number has missed a collection.",
);
static STRETCH: MetricSpec = own(
    "hostmend.collect.stretch",
    "1",
    Instrument::Gauge,
    &[],
    "How many times as long as configured the intervals of collecting are, so that the agent keeps within its budget.",
);
static EVENTS: MetricSpec = own(
    "hostmend.events",
    "{event}",
    Instrument::Counter,
    &["hostmend.event.source", "hostmend.outcome"],
    "Pressure beyond a threshold, ends of watched processes and other states of services, by what became of them: handled, by \
     a look and the rules at once; suppressed, as one of several within a second.",
);
static RECEIVER_REQUESTS: MetricSpec = own(
    "hostmend.receiver.requests",
    "{request}",
    Instrument::Counter,
    &["hostmend.listener.name", "hostmend.outcome"],
    "Requests that a listener answered, by outcome: accepted, or why they were refused.",
);
static RECEIVER_ITEMS: MetricSpec = own(
    "hostmend.receiver.items",
    "{item}",
    Instrument::Counter,
    &["hostmend.listener.name"],
    "Points, spans and records of the requests that a listener accepted.",
);
static RECEIVER_BYTES: MetricSpec = own(
    "hostmend.receiver.io",
    "By",
    Instrument::Counter,
    &["hostmend.listener.name"],
    "Uncompressed size of the requests that a listener accepted.",
);
static RECEIVER_REJECTED: MetricSpec = own(
    "hostmend.receiver.rejected",
    "{item}",
    Instrument::Counter,
    &["hostmend.listener.name"],
    "Points, spans and records that were rejected from requests that a listener accepted.",
);
static RECEIVER_HANDSHAKES: MetricSpec = own(
    "hostmend.receiver.failed_handshakes",
    "{handshake}",
    Instrument::Counter,
    &["hostmend.listener.name"],
    "TLS handshakes with a listener that failed.",
);
static RECEIVER_CONNECTIONS: MetricSpec = own(
    "hostmend.receiver.connections",
    "{connection}",
    Instrument::UpDownCounter,
    &[],
    "Connections that are open to the listeners.",
);
static RECEIVER_WAITS: MetricSpec = own(
    "hostmend.receiver.connection_waits",
    "{connection}",
    Instrument::Counter,
    &[],
    "Connections that waited because as many as are allowed were open.",
);
static RECEIVER_IN_FLIGHT: MetricSpec = own(
    "hostmend.receiver.in_flight.size",
    "By",
    Instrument::UpDownCounter,
    &[],
    "Requests that are being received or wait to become durable.",
);
static SENDER_ITEMS: MetricSpec = own(
    "hostmend.sender.items",
    "{item}",
    Instrument::Counter,
    &["hostmend.destination.name", "hostmend.signal", "hostmend.outcome"],
    "Points, spans and records that no longer wait for a destination, by what became of them: delivered; refused, where no \
     dead letter was kept; lost on disk to its limit of bytes, of age, of free disk, or damaged; dead_letters, lost to \
     their limit; lost in memory, while no disk took them, as queue_full or by shutdown.",
);
static SENDER_NOT_DURABLE: MetricSpec = own(
    "hostmend.sender.not_durable",
    "{item}",
    Instrument::Counter,
    &["hostmend.destination.name", "hostmend.signal"],
    "Points, spans and records that no disk took, and that went to a destination from memory.",
);
static SENDER_QUEUED: MetricSpec = own(
    "hostmend.sender.queued",
    "{item}",
    Instrument::UpDownCounter,
    &["hostmend.destination.name", "hostmend.signal"],
    "Points, spans and records that wait for a destination.",
);
static SENDER_DEAD_LETTERED: MetricSpec = own(
    "hostmend.sender.dead_lettered",
    "{item}",
    Instrument::UpDownCounter,
    &["hostmend.destination.name", "hostmend.signal"],
    "Points, spans and records that a destination refused for good and that are kept for the operator.",
);
static SENDER_OLDEST: MetricSpec = own(
    "hostmend.sender.queue.oldest",
    "s",
    Instrument::Gauge,
    &["hostmend.destination.name", "hostmend.signal"],
    "The age of the oldest of what waits for a destination; 0 if nothing waits.",
);
static SENDER_QUEUED_BYTES: MetricSpec = own(
    "hostmend.sender.queue.size",
    "By",
    Instrument::UpDownCounter,
    &["hostmend.destination.name"],
    "What waits for a destination, on disk and in memory.",
);
static OWN_DROPPED: MetricSpec = own(
    "hostmend.own_telemetry.dropped",
    "{item}",
    Instrument::Counter,
    &["hostmend.signal"],
    "Spans and records of the agent itself that were not sent because they came in greater number than is its share.",
);
static INCIDENTS_LEFT_OUT: MetricSpec = own(
    "hostmend.incidents.left_out",
    "{incident}",
    Instrument::Counter,
    &[],
    "Alerts that opened no incident because too many were open.",
);

static API_TURNED_AWAY: MetricSpec = own(
    "hostmend.api.turned_away",
    "{request}",
    Instrument::Counter,
    &[],
    "Connections and requests to the local API that were turned away: too many at once, or from somebody who may not.",
);
static API_QUERIES: MetricSpec = own(
    "hostmend.api.queries",
    "{request}",
    Instrument::Counter,
    &["hostmend.outcome"],
    "Questions to the Prometheus API, by outcome: success; bad_data, which were wrong; execution, of expressions without a \
     value; too_large, over a limit of samples, points or bytes; timeout; canceled, of clients that had gone.",
);

/// All of them.
pub(crate) static METRICS: &[&MetricSpec] = &[
    &COLLECTIONS,
    &STRETCH,
    &EVENTS,
    &RECEIVER_REQUESTS,
    &RECEIVER_ITEMS,
    &RECEIVER_BYTES,
    &RECEIVER_REJECTED,
    &RECEIVER_HANDSHAKES,
    &RECEIVER_CONNECTIONS,
    &RECEIVER_WAITS,
    &RECEIVER_IN_FLIGHT,
    &SENDER_ITEMS,
    &SENDER_NOT_DURABLE,
    &SENDER_QUEUED,
    &SENDER_DEAD_LETTERED,
    &SENDER_OLDEST,
    &SENDER_QUEUED_BYTES,
    &OWN_DROPPED,
    &INCIDENTS_LEFT_OUT,
    &API_TURNED_AWAY,
    &notify::ALERTS,
    &notify::REQUESTS,
    &notify::TOOK,
    &notify::OWED,
    &notify::DROPPED,
    &notify::LEFT_OUT,
    &notify::EVENTS,
    &notify::SILENCES,
    &notify::FAILED_WRITES,
    &API_QUERIES,
];

/// What can become of an item that no longer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Delivered,
    Lost,
}

/// What became of the items that no longer wait, by the name that it has in figures and in the status.
pub(crate) fn outcomes(figures: &SignalFigures) -> impl Iterator<Item = (Outcome, &'static str, u64)> {
    let lost = figures.lost_by_reason().into_iter().map(|(reason, items)| (Outcome::Lost, reason, items));
    std::iter::once((Outcome::Delivered, "delivered", figures.delivered)).chain(lost)
}

/// The requests of a listener by what was answered.
pub(crate) fn answers(listener: &ListenerFigures) -> impl Iterator<Item = (&'static str, u64)> {
    let refused: u64 = listener.refused.iter().map(|(_, requests)| requests).sum();
    let accepted = ("accepted", listener.requests.saturating_sub(refused));
    std::iter::once(accepted).chain(listener.refused.iter().copied())
}

/// Reads the figures, whoever asks for them.
#[derive(Clone)]
pub(crate) struct Figures {
    sender: Arc<Sender>,
    receiver: Arc<Receiver>,
    shared: Shared,
    started: Timestamp,
}

impl Figures {
    /// Figures of an agent that `started` then.
    pub(crate) fn new(
        sender: Arc<Sender>,
        receiver: Arc<Receiver>,
        shared: Shared,
        started: Timestamp,
    ) -> Self {
        Self { sender, receiver, shared, started }
    }

    /// When the agent started.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// Appends all of them; says how many items were lost so far.
    pub(crate) fn write(&self, out: &mut SampleBuffer) -> u64 {
        out.entity(&AGENT, self.started, &[]);
        out.int(&COLLECTIONS, &[], self.shared.collections.load(Ordering::Relaxed) as i64);
        notify::write(&self.shared.notify, out);
        self.write_collecting(out);
        self.write_receiver(out);
        let lost = self.write_sender(out);
        for signal in [Signal::Traces, Signal::Logs] {
            let dropped = self.shared.own_shares.dropped(signal);
            out.int(&OWN_DROPPED, &[Value::Str(signal.as_str())], dropped as i64);
        }
        judging::write_series(&self.shared, out);
        judging::write_rules(&self.shared, clock::now(), out);
        judging::write_kept(&self.shared.kept, clock::now(), out);
        repairs::write(&self.shared, clock::now(), out);
        logs::write(&self.shared.logs, out);
        out.int(&INCIDENTS_LEFT_OUT, &[], self.shared.books.left_out() as i64);
        out.int(&API_TURNED_AWAY, &[], self.shared.turned_away.load(Ordering::Relaxed) as i64);
        for (outcome, questions) in self.shared.queries.now() {
            out.int(&API_QUERIES, &[Value::Str(outcome)], questions as i64);
        }
        lost
    }

    fn write_collecting(&self, out: &mut SampleBuffer) {
        let fares = self.shared.collecting.now();
        out.int(&STRETCH, &[], i64::from(fares.stretch));
        for source in EventSource::ALL {
            let (handled, suppressed) = fares.events.get(&source).copied().unwrap_or_default();
            for (outcome, events) in [("handled", handled), ("suppressed", suppressed)] {
                out.int(&EVENTS, &[Value::Str(source.as_str()), Value::Str(outcome)], events as i64);
            }
        }
    }

    fn write_receiver(&self, out: &mut SampleBuffer) {
        let ReceiverFigures { listeners, connections, connection_waits, in_flight_bytes } =
            self.receiver.figures();
        for listener in &listeners {
            for (outcome, requests) in answers(listener) {
                let attributes = [Value::Str(&listener.name), Value::Str(outcome)];
                out.int(&RECEIVER_REQUESTS, &attributes, requests as i64);
            }
        }
        let mut column = |metric: &'static MetricSpec, of: fn(&ListenerFigures) -> u64| {
            for listener in &listeners {
                out.int(metric, &[Value::Str(&listener.name)], of(listener) as i64);
            }
        };
        column(&RECEIVER_ITEMS, |listener| listener.items);
        column(&RECEIVER_BYTES, |listener| listener.bytes);
        column(&RECEIVER_REJECTED, |listener| listener.rejected_items);
        column(&RECEIVER_HANDSHAKES, |listener| listener.failed_handshakes);
        if !listeners.is_empty() {
            out.int(&RECEIVER_CONNECTIONS, &[], connections as i64);
            out.int(&RECEIVER_WAITS, &[], connection_waits as i64);
            out.int(&RECEIVER_IN_FLIGHT, &[], in_flight_bytes as i64);
        }
    }

    fn write_sender(&self, out: &mut SampleBuffer) -> u64 {
        let destinations = self.sender.figures().destinations;
        let mut lost = 0;
        for destination in &destinations {
            for signal in Signal::ALL {
                let figures = destination.signal(signal);
                lost += figures.lost();
                for (_, outcome, items) in outcomes(&figures) {
                    let attributes =
                        [Value::Str(&destination.name), Value::Str(signal.as_str()), Value::Str(outcome)];
                    out.int(&SENDER_ITEMS, &attributes, items as i64);
                }
            }
        }
        for destination in &destinations {
            for signal in Signal::ALL {
                let attributes = [Value::Str(&destination.name), Value::Str(signal.as_str())];
                out.int(&SENDER_QUEUED, &attributes, destination.signal(signal).queued as i64);
            }
        }
        for destination in &destinations {
            for signal in Signal::ALL {
                let attributes = [Value::Str(&destination.name), Value::Str(signal.as_str())];
                out.int(&SENDER_NOT_DURABLE, &attributes, destination.signal(signal).not_durable as i64);
            }
        }
        for destination in &destinations {
            for signal in Signal::ALL {
                let attributes = [Value::Str(&destination.name), Value::Str(signal.as_str())];
                out.int(&SENDER_DEAD_LETTERED, &attributes, destination.signal(signal).dead_lettered as i64);
            }
        }
        let now = clock::now();
        for destination in &destinations {
            for signal in Signal::ALL {
                let attributes = [Value::Str(&destination.name), Value::Str(signal.as_str())];
                let age = destination.signal(signal).oldest.map_or(0, |oldest| now.since(oldest).as_secs());
                out.int(&SENDER_OLDEST, &attributes, age as i64);
            }
        }
        for destination in &destinations {
            out.int(&SENDER_QUEUED_BYTES, &[Value::Str(&destination.name)], destination.queued_bytes as i64);
        }
        lost
    }
}

/// Writes the figures at each collection, and says once when telemetry begins to be lost.
pub(crate) struct OwnMetrics {
    figures: Figures,
    lost: u64,
}

impl OwnMetrics {
    pub(crate) fn new(figures: Figures) -> Self {
        Self { figures, lost: 0 }
    }

    /// Counts a collection and appends the figures to it.
    pub(crate) fn write(&mut self, out: &mut SampleBuffer) {
        self.figures.shared.collections.fetch_add(1, Ordering::Relaxed);
        let lost = self.figures.write(out);
        if lost > 0 && self.lost == 0 {
            tracing::warn!(
                items = lost,
                "telemetry was lost before a destination took it; hostmend.sender.items says why"
            );
        }
        self.lost = lost;
    }
}
