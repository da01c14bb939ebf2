//! OTLP's messages as tables: which field has which number, type and JSON name.
//!
//! Written down after opentelemetry-proto 1.11; a test compares every row with the published descriptors. Whoever walks
//! whole messages reads these rows, so no message is described twice.

use telemetry::Signal;

/// How deep messages may lie within a request: protobuf's own default (100 in C++, Java and prost), so that nothing
/// is accepted that other receivers refuse, and the stack is safe.
pub(crate) const DEPTH: usize = 100;

/// One kind of message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [FieldSpec],
    /// By field number: the place in `fields`, from 1; 0 for a number that is not known.
    places: [u8; PLACES],
}

/// The highest field number in use is 16.
const PLACES: usize = 17;

/// One field of a message.
#[derive(Debug)]
pub(crate) struct FieldSpec {
    pub(crate) number: u32,
    /// The key in JSON.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) label: Label,
}

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Bytes,
    /// Bytes that JSON spells in hexadecimal: ids of traces and spans.
    Id,
    Bool,
    Double,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Fixed32,
    Fixed64,
    Sfixed64,
    Enum,
    /// An `int32` that points into the string table of the profiles signal: means nothing in the other signals.
    TableIndex,
    Message(&'static Message),
}

/// How a value lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Fixed32,
    Length,
}

/// How often a field may occur, and whether its default value differs from its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// At most once; for all but messages, absent means the default.
    Plain,
    /// At most once; absent differs from the default.
    Optional,
    /// Only one field of the message with this label is set; absent differs from the default.
    OneOf,
    Repeated,
}

impl Kind {
    pub(crate) const fn wire_type(self) -> WireType {
        match self {
            Self::Text | Self::Bytes | Self::Id | Self::Message(_) => WireType::Length,
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Fixed32 => WireType::Fixed32,
            Self::Bool
            | Self::Int64
            | Self::Uint32
            | Self::Uint64
            | Self::Sint32
            | Self::Enum
            | Self::TableIndex => WireType::Varint,
        }
    }
}

impl Message {
    pub(crate) fn field(&self, number: u32) -> Option<&'static FieldSpec> {
        let place = *self.places.get(number as usize)?;
        self.fields.get(usize::from(place).checked_sub(1)?)
    }
}

const fn message(name: &'static str, fields: &'static [FieldSpec]) -> Message {
    let mut places = [0; PLACES];
    let mut rest = fields;
    let mut place = 1;
    while let [first, others @ ..] = rest {
        let (_, from) = places.split_at_mut(first.number as usize);
        if let [at, ..] = from {
            *at = place;
        }
        place += 1;
        rest = others;
    }
    Message { name, fields, places }
}

const fn row(number: u32, name: &'static str, kind: Kind, label: Label) -> FieldSpec {
    FieldSpec { number, name, kind, label }
}

/// The message that an `Export` call of the signal's service takes.
pub(crate) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Metrics => &METRICS_REQUEST,
        Signal::Traces => &TRACE_REQUEST,
        Signal::Logs => &LOGS_REQUEST,
    }
}

use Kind::{Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Sfixed64, Sint32};
use Kind::{Message as M, TableIndex, Text, Uint32, Uint64};
use Label::{OneOf, Optional, Plain, Repeated};

macro_rules! messages {
    ($($constant:ident $name:literal [$(($number:literal, $json:literal, $kind:expr, $label:expr)),* $(,)?])*) => {
        $(static $constant: Message = message($name, &[$(row($number, $json, $kind, $label)),*]);)*

        #[cfg(test)]
        static ALL: &[&Message] = &[$(&$constant),*];
    };
}

messages! {
    METRICS_REQUEST "ExportMetricsServiceRequest" [(1, "resourceMetrics", M(&RESOURCE_METRICS), Repeated)]
    TRACE_REQUEST "ExportTraceServiceRequest" [(1, "resourceSpans", M(&RESOURCE_SPANS), Repeated)]
    LOGS_REQUEST "ExportLogsServiceRequest" [(1, "resourceLogs", M(&RESOURCE_LOGS), Repeated)]

    ANY_VALUE "AnyValue" [
        (1, "stringValue", Text, OneOf),
        (2, "boolValue", Bool, OneOf),
        (3, "intValue", Int64, OneOf),
        (4, "doubleValue", Double, OneOf),
        (5, "arrayValue", M(&ARRAY_VALUE), OneOf),
        (6, "kvlistValue", M(&KEY_VALUE_LIST), OneOf),
        (7, "bytesValue", Bytes, OneOf),
        (8, "stringValueStrindex", TableIndex, OneOf),
    ]
    ARRAY_VALUE "ArrayValue" [(1, "values", M(&ANY_VALUE), Repeated)]
    KEY_VALUE_LIST "KeyValueList" [(1, "values", M(&KEY_VALUE), Repeated)]
    KEY_VALUE "KeyValue" [
        (1, "key", Text, Plain),
        (2, "value", M(&ANY_VALUE), Plain),
        (3, "keyStrindex", TableIndex, Plain),
    ]
    INSTRUMENTATION_SCOPE "InstrumentationScope" [
        (1, "name", Text, Plain),
        (2, "version", Text, Plain),
        (3, "attributes", M(&KEY_VALUE), Repeated),
        (4, "droppedAttributesCount", Uint32, Plain),
    ]
    ENTITY_REF "EntityRef" [
        (1, "schemaUrl", Text, Plain),
        (2, "type", Text, Plain),
        (3, "idKeys", Text, Repeated),
        (4, "descriptionKeys", Text, Repeated),
    ]
    RESOURCE "Resource" [
        (1, "attributes", M(&KEY_VALUE), Repeated),
        (2, "droppedAttributesCount", Uint32, Plain),
        (3, "entityRefs", M(&ENTITY_REF), Repeated),
    ]

    RESOURCE_SPANS "ResourceSpans" [
        (1, "resource", M(&RESOURCE), Plain),
        (2, "scopeSpans", M(&SCOPE_SPANS), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    SCOPE_SPANS "ScopeSpans" [
        (1, "scope", M(&INSTRUMENTATION_SCOPE), Plain),
        (2, "spans", M(&SPAN), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    SPAN "Span" [
        (1, "traceId", Id, Plain),
        (2, "spanId", Id, Plain),
        (3, "traceState", Text, Plain),
        (4, "parentSpanId", Id, Plain),
        (5, "name", Text, Plain),
        (6, "kind", Enum, Plain),
        (7, "startTimeUnixNano", Fixed64, Plain),
        (8, "endTimeUnixNano", Fixed64, Plain),
        (9, "attributes", M(&KEY_VALUE), Repeated),
        (10, "droppedAttributesCount", Uint32, Plain),
        (11, "events", M(&EVENT), Repeated),
        (12, "droppedEventsCount", Uint32, Plain),
        (13, "links", M(&LINK), Repeated),
        (14, "droppedLinksCount", Uint32, Plain),
        (15, "status", M(&STATUS), Plain),
        (16, "flags", Fixed32, Plain),
    ]
    EVENT "Event" [
        (1, "timeUnixNano", Fixed64, Plain),
        (2, "name", Text, Plain),
        (3, "attributes", M(&KEY_VALUE), Repeated),
        (4, "droppedAttributesCount", Uint32, Plain),
    ]
    LINK "Link" [
        (1, "traceId", Id, Plain),
        (2, "spanId", Id, Plain),
        (3, "traceState", Text, Plain),
        (4, "attributes", M(&KEY_VALUE), Repeated),
        (5, "droppedAttributesCount", Uint32, Plain),
        (6, "flags", Fixed32, Plain),
    ]
    STATUS "Status" [(2, "message", Text, Plain), (3, "code", Enum, Plain)]

    RESOURCE_LOGS "ResourceLogs" [
        (1, "resource", M(&RESOURCE), Plain),
        (2, "scopeLogs", M(&SCOPE_LOGS), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    SCOPE_LOGS "ScopeLogs" [
        (1, "scope", M(&INSTRUMENTATION_SCOPE), Plain),
        (2, "logRecords", M(&LOG_RECORD), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    LOG_RECORD "LogRecord" [
        (1, "timeUnixNano", Fixed64, Plain),
        (2, "severityNumber", Enum, Plain),
        (3, "severityText", Text, Plain),
        (5, "body", M(&ANY_VALUE), Plain),
        (6, "attributes", M(&KEY_VALUE), Repeated),
        (7, "droppedAttributesCount", Uint32, Plain),
        (8, "flags", Fixed32, Plain),
        (9, "traceId", Id, Plain),
        (10, "spanId", Id, Plain),
        (11, "observedTimeUnixNano", Fixed64, Plain),
        (12, "eventName", Text, Plain),
    ]

    RESOURCE_METRICS "ResourceMetrics" [
        (1, "resource", M(&RESOURCE), Plain),
        (2, "scopeMetrics", M(&SCOPE_METRICS), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    SCOPE_METRICS "ScopeMetrics" [
        (1, "scope", M(&INSTRUMENTATION_SCOPE), Plain),
        (2, "metrics", M(&METRIC), Repeated),
        (3, "schemaUrl", Text, Plain),
    ]
    METRIC "Metric" [
        (1, "name", Text, Plain),
        (2, "description", Text, Plain),
        (3, "unit", Text, Plain),
        (5, "gauge", M(&GAUGE), OneOf),
        (7, "sum", M(&SUM), OneOf),
        (9, "histogram", M(&HISTOGRAM), OneOf),
        (10, "exponentialHistogram", M(&EXPONENTIAL_HISTOGRAM), OneOf),
        (11, "summary", M(&SUMMARY), OneOf),
        (12, "metadata", M(&KEY_VALUE), Repeated),
    ]
    GAUGE "Gauge" [(1, "dataPoints", M(&NUMBER_DATA_POINT), Repeated)]
    SUM "Sum" [
        (1, "dataPoints", M(&NUMBER_DATA_POINT), Repeated),
        (2, "aggregationTemporality", Enum, Plain),
        (3, "isMonotonic", Bool, Plain),
    ]
    HISTOGRAM "Histogram" [
        (1, "dataPoints", M(&HISTOGRAM_DATA_POINT), Repeated),
        (2, "aggregationTemporality", Enum, Plain),
    ]
    EXPONENTIAL_HISTOGRAM "ExponentialHistogram" [
        (1, "dataPoints", M(&EXPONENTIAL_HISTOGRAM_DATA_POINT), Repeated),
        (2, "aggregationTemporality", Enum, Plain),
    ]
    SUMMARY "Summary" [(1, "dataPoints", M(&SUMMARY_DATA_POINT), Repeated)]
    NUMBER_DATA_POINT "NumberDataPoint" [
        (2, "startTimeUnixNano", Fixed64, Plain),
        (3, "timeUnixNano", Fixed64, Plain),
        (4, "asDouble", Double, OneOf),
        (5, "exemplars", M(&EXEMPLAR), Repeated),
        (6, "asInt", Sfixed64, OneOf),
        (7, "attributes", M(&KEY_VALUE), Repeated),
        (8, "flags", Uint32, Plain),
    ]
    HISTOGRAM_DATA_POINT "HistogramDataPoint" [
        (2, "startTimeUnixNano", Fixed64, Plain),
        (3, "timeUnixNano", Fixed64, Plain),
        (4, "count", Fixed64, Plain),
        (5, "sum", Double, Optional),
        (6, "bucketCounts", Fixed64, Repeated),
        (7, "explicitBounds", Double, Repeated),
        (8, "exemplars", M(&EXEMPLAR), Repeated),
        (9, "attributes", M(&KEY_VALUE), Repeated),
        (10, "flags", Uint32, Plain),
        (11, "min", Double, Optional),
        (12, "max", Double, Optional),
    ]
    EXPONENTIAL_HISTOGRAM_DATA_POINT "ExponentialHistogramDataPoint" [
        (1, "attributes", M(&KEY_VALUE), Repeated),
        (2, "startTimeUnixNano", Fixed64, Plain),
        (3, "timeUnixNano", Fixed64, Plain),
        (4, "count", Fixed64, Plain),
        (5, "sum", Double, Optional),
        (6, "scale", Sint32, Plain),
        (7, "zeroCount", Fixed64, Plain),
        (8, "positive", M(&BUCKETS), Plain),
        (9, "negative", M(&BUCKETS), Plain),
        (10, "flags", Uint32, Plain),
        (11, "exemplars", M(&EXEMPLAR), Repeated),
        (12, "min", Double, Optional),
        (13, "max", Double, Optional),
        (14, "zeroThreshold", Double, Plain),
    ]
    BUCKETS "Buckets" [(1, "offset", Sint32, Plain), (2, "bucketCounts", Uint64, Repeated)]
    SUMMARY_DATA_POINT "SummaryDataPoint" [
        (2, "startTimeUnixNano", Fixed64, Plain),
        (3, "timeUnixNano", Fixed64, Plain),
        (4, "count", Fixed64, Plain),
        (5, "sum", Double, Plain),
        (6, "quantileValues", M(&VALUE_AT_QUANTILE), Repeated),
        (7, "attributes", M(&KEY_VALUE), Repeated),
        (8, "flags", Uint32, Plain),
    ]
    VALUE_AT_QUANTILE "ValueAtQuantile" [(1, "quantile", Double, Plain), (2, "value", Double, Plain)]
    EXEMPLAR "Exemplar" [
        (2, "timeUnixNano", Fixed64, Plain),
        (3, "asDouble", Double, OneOf),
        (4, "spanId", Id, Plain),
        (5, "traceId", Id, Plain),
        (6, "asInt", Sfixed64, OneOf),
        (7, "filteredAttributes", M(&KEY_VALUE), Repeated),
    ]
}

#[cfg(test)]
mod tests;
