//! Where attributes and bodies lie in a request, by field numbers of opentelemetry-proto 1.11.

use telemetry::Signal;

/// What one field holds, as far as masking goes.
#[derive(Debug)]
pub(super) enum Shape {
    KeyValue,
    AnyValue,
    Message(&'static [(u32, Self)]),
}

use Shape::{AnyValue, KeyValue, Message};

/// The fields of a request.
pub(super) const fn of(signal: Signal) -> &'static [(u32, Shape)] {
    match signal {
        Signal::Traces => TRACES,
        Signal::Logs => LOGS,
        Signal::Metrics => METRICS,
    }
}

pub(super) const RESOURCE: &[(u32, Shape)] = &[(1, KeyValue)];
const SCOPE: &[(u32, Shape)] = &[(3, KeyValue)];

const TRACES: &[(u32, Shape)] = &[(1, Message(&[(1, Message(RESOURCE)), (2, Message(SCOPE_SPANS))]))];
const SCOPE_SPANS: &[(u32, Shape)] = &[(1, Message(SCOPE)), (2, Message(SPAN))];
/// Attributes, events, links.
const SPAN: &[(u32, Shape)] =
    &[(9, KeyValue), (11, Message(&[(3, KeyValue)])), (13, Message(&[(4, KeyValue)]))];

const LOGS: &[(u32, Shape)] = &[(1, Message(&[(1, Message(RESOURCE)), (2, Message(SCOPE_LOGS))]))];
const SCOPE_LOGS: &[(u32, Shape)] = &[(1, Message(SCOPE)), (2, Message(LOG_RECORD))];
/// Body, attributes.
pub(super) const LOG_RECORD: &[(u32, Shape)] = &[(5, AnyValue), (6, KeyValue)];

const METRICS: &[(u32, Shape)] = &[(1, Message(&[(1, Message(RESOURCE)), (2, Message(SCOPE_METRICS))]))];
const SCOPE_METRICS: &[(u32, Shape)] = &[(1, Message(SCOPE)), (2, Message(METRIC))];
/// Gauge, sum, histogram, exponential histogram, summary, metadata.
const METRIC: &[(u32, Shape)] = &[
    (5, Message(&[(1, Message(NUMBER))])),
    (7, Message(&[(1, Message(NUMBER))])),
    (9, Message(&[(1, Message(&[(8, Message(EXEMPLAR)), (9, KeyValue)]))])),
    (10, Message(&[(1, Message(&[(1, KeyValue), (11, Message(EXEMPLAR))]))])),
    (11, Message(&[(1, Message(&[(7, KeyValue)]))])),
    (12, KeyValue),
];
const NUMBER: &[(u32, Shape)] = &[(5, Message(EXEMPLAR)), (7, KeyValue)];
const EXEMPLAR: &[(u32, Shape)] = &[(7, KeyValue)];
