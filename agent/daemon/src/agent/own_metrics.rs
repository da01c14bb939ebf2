//! The agent's own figures, as metrics among the others: what it owes, what it lost, what it keeps.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use otlp::Sender;
use telemetry::{
    EntitySpec, Instrument, MetricSpec, SampleBuffer, Scope, Signal, Timestamp, Value, ValueType,
};

use crate::agent::Shared;

/// The agent itself, so that its counters begin with it and not with the host. Its resource is the host's.
pub(crate) static AGENT: EntitySpec = EntitySpec { name: "service", attributes: &[] };

const fn own(
    name: &'static str,
    unit: &'static str,
    instrument: Instrument,
    attributes: &'static [&'static str],
    description: &'static str,
) -> MetricSpec {
    let (value, scope, source) = (ValueType::Int, Scope::Own, "the agent");
    MetricSpec { name, unit, instrument, value, attributes, scope, description, source }
}

static COLLECTIONS: MetricSpec = own(
    "hostmend.collections",
    "{collection}",
    Instrument::Counter,
    &[],
    "Collections since the agent started, this one included: a receiver that misses a number has missed a collection.",
);
static SENDER_ITEMS: MetricSpec = own(
    "hostmend.sender.items",
    "{item}",
    Instrument::Counter,
    &["hostmend.destination.name", "hostmend.signal", "hostmend.outcome"],
    "Points, spans and records that no longer wait for a destination, by what became of them: delivered; refused; lost on \
     disk to its limit of bytes, of age, of free disk, or damaged; lost in memory, while no disk took them, as queue_full \
     or by shutdown.",
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
static SERIES_COUNT: MetricSpec =
    own("hostmend.series.count", "{series}", Instrument::UpDownCounter, &[], "Series kept for the rules.");
static SERIES_EVICTED: MetricSpec = own(
    "hostmend.series.evicted",
    "{series}",
    Instrument::Counter,
    &[],
    "Series that had ended and made room for new ones before their time was over.",
);
static SERIES_REJECTED: MetricSpec = own(
    "hostmend.series.rejected",
    "{sample}",
    Instrument::Counter,
    &["hostmend.reason"],
    "Samples that were not kept for the rules, by reason: not_newer, too_many_series, foreign (a name of the host's).",
);
static CLOCK_JUMPS: MetricSpec = own(
    "hostmend.clock.jumps",
    "{jump}",
    Instrument::Counter,
    &[],
    "Times that the clock was set back, and samples from the time after it were forgotten.",
);
static RULES_MISSED: MetricSpec = own(
    "hostmend.rules.missed_rounds",
    "{round}",
    Instrument::Counter,
    &[],
    "Rounds of rule groups that were left out because the one before them was late.",
);
static INCIDENTS_LEFT_OUT: MetricSpec = own(
    "hostmend.incidents.left_out",
    "{incident}",
    Instrument::Counter,
    &[],
    "Alerts that opened no incident because too many were open.",
);

/// All of them.
pub(crate) static METRICS: &[&MetricSpec] = &[
    &COLLECTIONS,
    &SENDER_ITEMS,
    &SENDER_NOT_DURABLE,
    &SENDER_QUEUED,
    &SENDER_QUEUED_BYTES,
    &OWN_DROPPED,
    &SERIES_COUNT,
    &SERIES_EVICTED,
    &SERIES_REJECTED,
    &CLOCK_JUMPS,
    &RULES_MISSED,
    &INCIDENTS_LEFT_OUT,
];

/// Reads the figures at each collection, and says once when telemetry begins to be lost.
pub(crate) struct OwnMetrics {
    sender: Arc<Sender>,
    shared: Shared,
    started: Timestamp,
    lost: u64,
}

impl OwnMetrics {
    /// Figures of an agent that `started` then.
    pub(crate) fn new(sender: Arc<Sender>, shared: Shared, started: Timestamp) -> Self {
        Self { sender, shared, started, lost: 0 }
    }

    pub(crate) fn write(&mut self, out: &mut SampleBuffer) {
        out.entity(&AGENT, self.started, &[]);
        let collections = self.shared.collections.fetch_add(1, Ordering::Relaxed) + 1;
        out.int(&COLLECTIONS, &[], collections as i64);
        self.write_sender(out);
        for signal in [Signal::Traces, Signal::Logs] {
            let dropped = self.shared.own_shares.dropped(signal);
            out.int(&OWN_DROPPED, &[Value::Str(signal.as_str())], dropped as i64);
        }
        let store = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let (kept, evicted) = (store.series_count(), store.evicted());
        let (rejected, jumps) = (store.rejections(), store.clock_jumps());
        drop(store);
        out.int(&SERIES_COUNT, &[], kept as i64);
        out.int(&SERIES_EVICTED, &[], evicted as i64);
        for (reason, samples) in [
            ("not_newer", rejected.not_newer),
            ("too_many_series", rejected.too_many_series),
            ("foreign", rejected.foreign),
        ] {
            out.int(&SERIES_REJECTED, &[Value::Str(reason)], samples as i64);
        }
        out.int(&CLOCK_JUMPS, &[], jumps as i64);
        out.int(&RULES_MISSED, &[], self.shared.missed_rounds.load(Ordering::Relaxed) as i64);
        out.int(&INCIDENTS_LEFT_OUT, &[], self.shared.books.left_out() as i64);
    }

    fn write_sender(&mut self, out: &mut SampleBuffer) {
        let destinations = self.sender.figures().destinations;
        let mut lost = 0;
        for destination in &destinations {
            for signal in Signal::ALL {
                let figures = destination.signal(signal);
                lost += figures.lost();
                for (outcome, items) in [
                    ("delivered", figures.delivered),
                    ("refused", figures.refused),
                    ("bytes", figures.lost_bytes),
                    ("age", figures.lost_age),
                    ("disk", figures.lost_disk),
                    ("damaged", figures.lost_damaged),
                    ("queue_full", figures.dropped_queue_full),
                    ("shutdown", figures.dropped_shutdown),
                ] {
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
            out.int(&SENDER_QUEUED_BYTES, &[Value::Str(&destination.name)], destination.queued_bytes as i64);
        }
        if lost > 0 && self.lost == 0 {
            tracing::warn!(
                items = lost,
                "telemetry was lost before a destination took it; hostmend.sender.items says why"
            );
        }
        self.lost = lost;
    }
}
