//! Turns collected samples into OTLP metrics requests.
//!
//! Written straight to the wire, without message structs in between: one `ResourceMetrics` per entity, one `ScopeMetrics`
//! per scope, one Metric per run of points of the same metric. Does not queue or send. A request is cut at an entity
//! when it would grow past [`BATCH_LIMIT`]; a single entity beyond that goes alone, uncut.

use std::collections::HashMap;

use bytes::Bytes;
use telemetry::{
    AttributeSpelling, AttributeValue, Attributes, Batch, EntitySpec, EntityView, Instrument, MetricSpec,
    Number, PointView, SampleBuffer, Scope, Signal, Spelling, Timestamp, Value, ValueType,
};

use crate::scope;
use crate::wire::{
    attribute_field, bytes_field, fixed64_field, length_field, message_field, text_field, varint_field,
    varint_length,
};

/// The most bytes that one request takes: gRPC servers refuse messages above 4 MiB unless told otherwise, and what is
/// left open pays for headers that a proxy may count.
pub(crate) const BATCH_LIMIT: usize = 4 * 1024 * 1024 - 64 * 1024;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE` in `metrics.proto`.
pub(crate) const CUMULATIVE: u64 = 2;
/// `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK` in `metrics.proto`.
pub(crate) const NO_RECORDED_VALUE: u64 = 1;

/// Encodes samples of one host. Keeps its buffers, so a steady cycle allocates only the batches that it hands out.
#[derive(Debug)]
pub struct MetricsEncoder {
    host: Attributes,
    /// The encoded host attributes for each kind of entity met so far, without keys that the entity brings itself.
    resources: Vec<(&'static EntitySpec, Vec<u8>)>,
    buffer: Vec<u8>,
    limit: usize,
    without: Option<&'static EntitySpec>,
    spellings: Spellings,
}

/// By the name that a metric has here. Empty where every metric is sent as it is named.
type Spellings = HashMap<&'static str, &'static Spelling, foldhash::fast::FixedState>;

impl MetricsEncoder {
    /// An encoder for the host with these resource attributes (`host.id`, `service.name`, ...), which every entity's
    /// resource carries beside its own.
    pub fn new(host_attributes: &[(String, AttributeValue)]) -> Self {
        Self {
            host: host_attributes.to_vec(),
            resources: Vec::new(),
            buffer: Vec::new(),
            limit: BATCH_LIMIT,
            without: None,
            spellings: Spellings::default(),
        }
    }

    /// The same, leaving out entities of this kind.
    #[must_use]
    pub fn without(self, kind: &'static EntitySpec) -> Self {
        Self { without: Some(kind), ..self }
    }

    /// From now on metrics are spelled so. Scopes then bear no schema URL, since names of several schemas stand in them.
    pub fn spell(&mut self, spellings: &'static [Spelling]) {
        self.spellings = spellings.iter().map(|spelling| (spelling.of, spelling)).collect();
    }

    /// The requests that carry all of `samples`: none when there is no sample, mostly one.
    pub fn encode(&mut self, samples: &SampleBuffer) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut out = std::mem::take(&mut self.buffer);
        let mut items = 0;
        let without = self.without;
        let left_out = |kind| without.is_some_and(|without| std::ptr::eq(without, kind));
        for entity in samples.entities().filter(|entity| !left_out(entity.spec)) {
            let before = out.len();
            let points = entity.points().filter(|point| scope::ALL.contains(&point.metric.scope));
            let points = points.filter(|point| is_sent(&self.spellings, point)).count();
            if points == 0 {
                continue;
            }
            self.entity(&mut out, entity);
            if out.len() > self.limit && before > 0 {
                batches.push(batch(out.drain(..before).as_slice(), items));
                items = 0;
            }
            items += points as u64;
        }
        if items > 0 {
            batches.push(batch(&out, items));
        }
        out.clear();
        self.buffer = out;
        batches
    }

    fn entity(&mut self, out: &mut Vec<u8>, entity: EntityView<'_>) {
        let host = self.host_attributes(entity.spec);
        let spellings = &self.spellings;
        let host = self.resources.get(host).map_or(&[][..], |(_, encoded)| encoded);
        message_field(out, 1, 3, |out| {
            message_field(out, 1, 2, |out| {
                out.extend_from_slice(host);
                entity.attributes().for_each(|(key, value)| attribute(out, 1, key, value));
            });
            for scope in scope::ALL {
                scope_metrics(out, scope, entity, spellings);
            }
            text_field(out, 3, scope::SCHEMA_URL);
        });
    }

    /// Where the host's attributes stand in `resources` for this kind of entity.
    fn host_attributes(&mut self, spec: &'static EntitySpec) -> usize {
        let known = self.resources.iter().position(|(known, _)| std::ptr::eq(*known, spec));
        known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            for (key, value) in self.host.iter().filter(|(key, _)| !spec.attributes.contains(&key.as_str())) {
                attribute_field(&mut encoded, 1, key, value);
            }
            self.resources.push((spec, encoded));
            self.resources.len() - 1
        })
    }
}

fn batch(request: &[u8], items: u64) -> Batch {
    Batch { signal: Signal::Metrics, payload: Bytes::copy_from_slice(request), items }
}

/// Before the epoch there is no OTLP time.
pub(crate) fn nanos(at: Timestamp) -> u64 {
    at.as_nanos().max(0) as u64
}

fn spelling(spellings: &Spellings, metric: &MetricSpec) -> Option<&'static Spelling> {
    if spellings.is_empty() { None } else { spellings.get(metric.name).copied() }
}

fn is_sent(spellings: &Spellings, point: &PointView<'_>) -> bool {
    spelling(spellings, point.metric).is_none_or(|spelling| spelling.sends(point.attributes()))
}

fn scope_metrics(out: &mut Vec<u8>, scope: Scope, entity: EntityView<'_>, spellings: &Spellings) {
    let points = entity.points().filter(|point| point.metric.scope == scope);
    let mut points = points.filter(|point| is_sent(spellings, point)).peekable();
    if points.peek().is_none() {
        return;
    }
    message_field(out, 2, 2, |out| {
        message_field(out, 1, 1, |out| {
            text_field(out, 1, scope::name(scope));
            text_field(out, 2, scope::VERSION);
        });
        while let Some(first) = points.next() {
            let mut next = || points.next_if(|point| std::ptr::eq(point.metric, first.metric));
            metric(out, first, &mut next, entity.start, spelling(spellings, first.metric));
        }
        text_field(out, 3, if spellings.is_empty() { scope::schema_url(scope) } else { "" });
    });
}

fn metric<'a>(
    out: &mut Vec<u8>,
    first: PointView<'a>,
    next: &mut dyn FnMut() -> Option<PointView<'a>>,
    start: Timestamp,
    spelling: Option<&'static Spelling>,
) {
    let spec = first.metric;
    let (name, unit) = spelling.map_or((spec.name, spec.unit), |spelling| (spelling.name, spelling.unit));
    let (data, start) = match spec.instrument {
        Instrument::Gauge => (5, None),
        Instrument::Counter | Instrument::UpDownCounter => (7, Some(start)),
    };
    message_field(out, 2, 2, |out| {
        text_field(out, 1, name);
        text_field(out, 2, spec.description);
        text_field(out, 3, unit);
        message_field(out, data, 1, |out| {
            data_point(out, first, start, spelling);
            while let Some(point) = next() {
                data_point(out, point, start, spelling);
            }
            if start.is_some() {
                varint_field(out, 2, CUMULATIVE);
            }
            if spec.instrument == Instrument::Counter {
                varint_field(out, 3, 1);
            }
        });
    });
}

fn data_point(
    out: &mut Vec<u8>,
    point: PointView<'_>,
    start: Option<Timestamp>,
    spelling: Option<&'static Spelling>,
) {
    message_field(out, 1, 1, |out| {
        if let Some(start) = start {
            // After a step of the clock a start may lie after the point, which must not end before it starts.
            fixed64_field(out, 2, nanos(start.min(point.at)));
        }
        fixed64_field(out, 3, nanos(point.at));
        let as_double =
            spelling.is_some_and(|spelling| spelling.value_type(point.metric) == ValueType::Double);
        match point.number {
            Number::Int(value) if as_double => fixed64_field(out, 4, (value as f64).to_bits()),
            Number::Int(value) => fixed64_field(out, 6, value as u64),
            Number::Double(value) => fixed64_field(out, 4, value.to_bits()),
            Number::Gone => varint_field(out, 8, NO_RECORDED_VALUE),
        }
        match spelling {
            None => point.attributes().for_each(|(key, value)| attribute(out, 7, key, value)),
            Some(spelling) => point.attributes().for_each(|(key, value)| spelled(out, spelling, key, value)),
        }
    });
}

fn spelled(out: &mut Vec<u8>, spelling: &Spelling, key: &str, value: Value<'_>) {
    match (spelling.of_attribute(key), value) {
        (Some(AttributeSpelling::As(key, words)), Value::Str(word)) => {
            let word = words.iter().find(|(ours, _)| *ours == word).map_or(word, |(_, theirs)| theirs);
            attribute(out, 7, key, Value::Str(word));
        }
        (Some(AttributeSpelling::As(key, _) | AttributeSpelling::Only(Some(key), _)), value) => {
            attribute(out, 7, key, value);
        }
        (Some(AttributeSpelling::Numbered(key, word)), Value::Int(number)) => {
            attribute(out, 7, key, Value::Str(&format!("{word}{number}")));
        }
        (Some(AttributeSpelling::Numbered(key, _)), value) => attribute(out, 7, key, value),
        (Some(AttributeSpelling::Only(None, _)), _) => {}
        (None, value) => attribute(out, 7, key, value),
    }
}

/// One `KeyValue`; nothing for an absent value.
fn attribute(out: &mut Vec<u8>, field: u32, key: &str, value: Value<'_>) {
    let inner = match value {
        Value::Absent => return,
        Value::Str(text) => sized(text.len()),
        Value::Int(number) => 1 + varint_length(number as u64),
    };
    length_field(out, field, sized(key.len()) + sized(inner));
    bytes_field(out, 1, key.as_bytes());
    length_field(out, 2, inner);
    match value {
        Value::Absent => {}
        Value::Str(text) => bytes_field(out, 1, text.as_bytes()),
        Value::Int(number) => varint_field(out, 3, number as u64),
    }
}

/// The size of a length-delimited field below number 16 with `length` bytes of content.
pub(crate) const fn sized(length: usize) -> usize {
    1 + varint_length(length as u64) + length
}

#[cfg(test)]
mod tests;
