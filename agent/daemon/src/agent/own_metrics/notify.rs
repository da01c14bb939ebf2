//! What others were told of alerts.

use telemetry::{Instrument, MetricSpec, SampleBuffer, Value};

use super::own;
use crate::agent::notify::Notify;

pub(super) static ALERTS: MetricSpec = own(
    "hostmend.notify.alerts",
    "{alert}",
    Instrument::Counter,
    &["hostmend.receiver.name", "hostmend.outcome"],
    "Alerts that a receiver was told of, each time that it was, by what became of it: accepted or refused.",
);
pub(super) static REQUESTS: MetricSpec = own(
    "hostmend.notify.requests",
    "{request}",
    Instrument::Counter,
    &["hostmend.receiver.name", "hostmend.outcome"],
    "Requests to a receiver of alerts: answered, or failed, to be tried again.",
);
pub(super) static TOOK: MetricSpec = own(
    "hostmend.notify.duration",
    "ms",
    Instrument::Counter,
    &["hostmend.receiver.name"],
    "How long all requests to a receiver of alerts took, failed ones included.",
);
pub(super) static OWED: MetricSpec = own(
    "hostmend.notify.owed",
    "{alert}",
    Instrument::UpDownCounter,
    &["hostmend.receiver.name"],
    "Alerts that a receiver is to be told of now.",
);
pub(super) static DROPPED: MetricSpec = own(
    "hostmend.notify.dropped",
    "{alert}",
    Instrument::Counter,
    &["hostmend.reason"],
    "Alerts whose end was given up before all were told of it, after a day or for want of room (expired), and records of alerts over their share (events).",
);
pub(super) static LEFT_OUT: MetricSpec = own(
    "hostmend.notify.left_out",
    "{alert}",
    Instrument::UpDownCounter,
    &[],
    "Alerts that fire and that nobody is told of, because too many do.",
);
pub(super) static EVENTS: MetricSpec = own(
    "hostmend.notify.events",
    "{record}",
    Instrument::Counter,
    &[],
    "Log records of alerts that began to fire or were over.",
);
pub(super) static SILENCES: MetricSpec =
    own("hostmend.notify.silences", "{silence}", Instrument::UpDownCounter, &[], "Silences that hold.");
pub(super) static FAILED_WRITES: MetricSpec = own(
    "hostmend.notify.failed_writes",
    "{write}",
    Instrument::Counter,
    &[],
    "Times that it could not be kept on disk who was told of what.",
);

pub(super) fn write(notify: &Notify, out: &mut SampleBuffer) {
    let figures = notify.notifier.figures();
    for receiver in &figures.receivers {
        for (outcome, alerts) in [("accepted", receiver.accepted), ("refused", receiver.refused)] {
            out.int(&ALERTS, &[Value::Str(&receiver.name), Value::Str(outcome)], alerts as i64);
        }
    }
    for receiver in &figures.receivers {
        let answered = receiver.requests.saturating_sub(receiver.failed);
        for (outcome, requests) in [("answered", answered), ("failed", receiver.failed)] {
            out.int(&REQUESTS, &[Value::Str(&receiver.name), Value::Str(outcome)], requests as i64);
        }
    }
    for receiver in &figures.receivers {
        out.int(&TOOK, &[Value::Str(&receiver.name)], receiver.took.as_millis() as i64);
    }
    for receiver in &figures.receivers {
        out.int(&OWED, &[Value::Str(&receiver.name)], receiver.owed as i64);
    }
    let (made, over) = notify.events.figures();
    for (reason, alerts) in [("expired", figures.expired), ("events", over)] {
        out.int(&DROPPED, &[Value::Str(reason)], alerts as i64);
    }
    out.int(&LEFT_OUT, &[], figures.left_out as i64);
    out.int(&EVENTS, &[], made as i64);
    out.int(&SILENCES, &[], figures.silences as i64);
    out.int(&FAILED_WRITES, &[], figures.failed_writes as i64);
}
