//! What one collection saw.
//!
//! A buffer is filled by the collectors, encoded for the wire and appended to the series, then cleared and filled
//! again; its memory is kept, so a steady cycle allocates nothing. Points of one metric of one entity are pushed one
//! after the other: the encoder relies on it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::{EntitySpec, HOST, MetricSpec, Timestamp};

/// One hash seed for all buffers of the process, so that fingerprints of different cycles can be compared while
/// nobody outside can aim at a collision.
static SEED: LazyLock<foldhash::quality::RandomState> =
    LazyLock::new(foldhash::quality::RandomState::default);

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value<'a> {
    /// The attribute does not apply here and is left out.
    Absent,
    /// A text.
    Str(&'a str),
    /// A number.
    Int(i64),
}

/// The value of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// The series has ended: `NO_RECORDED_VALUE` on the wire, a stale marker in PromQL.
    Gone,
}

impl Number {
    /// As a double; `None` when the series has ended.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(value as f64),
            Self::Double(value) => Some(value),
            Self::Gone => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Absent,
    Text { from: u32, to: u32 },
    Int(i64),
}

#[derive(Clone, Debug)]
struct Entity {
    spec: &'static EntitySpec,
    start: Timestamp,
    values_from: u32,
    points: Range<u32>,
    fingerprint: u64,
}

#[derive(Clone, Debug)]
struct Point {
    metric: &'static MetricSpec,
    at: Timestamp,
    values_from: u32,
    number: Number,
    fingerprint: u64,
}

/// All points of one collection, grouped by entity: the host first, then the others as they were begun.
#[derive(Clone, Debug)]
pub struct SampleBuffer {
    at: Timestamp,
    boot: Timestamp,
    host_points: Vec<Point>,
    entities: Vec<Entity>,
    points: Vec<Point>,
    values: Vec<Stored>,
    text: String,
    on_host: bool,
    measured: Timestamp,
    left_out: LeftOut,
}

/// Metrics that a buffer does not take. Shared by the buffers of all collections.
#[derive(Clone, Debug, Default)]
pub struct LeftOut(Arc<HashSet<usize, foldhash::fast::RandomState>>);

impl LeftOut {
    /// Those of `metrics`, which are told apart by where they stand.
    pub fn new(metrics: impl IntoIterator<Item = &'static MetricSpec>) -> Self {
        Self(Arc::new(metrics.into_iter().map(|metric| std::ptr::from_ref(metric).addr()).collect()))
    }

    /// Whether the metric is one of them.
    pub fn has(&self, metric: &'static MetricSpec) -> bool {
        !self.0.is_empty() && self.0.contains(&std::ptr::from_ref(metric).addr())
    }
}

impl Default for SampleBuffer {
    fn default() -> Self {
        Self {
            at: Timestamp::EPOCH,
            boot: Timestamp::EPOCH,
            host_points: Vec::new(),
            entities: Vec::new(),
            points: Vec::new(),
            values: Vec::new(),
            text: String::new(),
            on_host: true,
            measured: Timestamp::EPOCH,
            left_out: LeftOut::default(),
        }
    }
}

impl SampleBuffer {
    /// Empties the buffer for a collection at `at` on a host that was booted at `boot`, keeping its memory.
    pub fn reset(&mut self, at: Timestamp, boot: Timestamp) {
        self.at = at;
        self.boot = boot;
        self.host_points.clear();
        self.entities.clear();
        self.points.clear();
        self.values.clear();
        self.text.clear();
        self.host();
    }

    /// Takes no points of these metrics from now on; nobody who pushes them need know.
    pub fn leave_out(&mut self, metrics: &LeftOut) {
        self.left_out = metrics.clone();
    }

    /// Whether points of the metric are kept, for whoever finds them out at a price.
    pub fn takes(&self, metric: &'static MetricSpec) -> bool {
        !self.left_out.has(metric)
    }

    /// When the collection began: the time of every point that has none of its own.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.host_points.len() + self.points.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The points that follow are about the host and measured now.
    pub fn host(&mut self) {
        self.on_host = true;
        self.measured = self.at;
    }

    /// The points that follow were measured at `at`, before the collection began, until [`SampleBuffer::host`] or
    /// [`SampleBuffer::entity`] is called. A time after the collection's counts as the collection's.
    pub fn measured_at(&mut self, at: Timestamp) {
        self.measured = at.min(self.at);
    }

    /// The points that follow are about another entity, whose counters began at `start`, and measured now.
    pub fn entity(&mut self, spec: &'static EntitySpec, start: Timestamp, attributes: &[Value<'_>]) {
        debug_assert_eq!(spec.attributes.len(), attributes.len(), "attributes of {}", spec.name);
        self.on_host = false;
        self.measured = self.at;
        let at = self.points.len() as u32;
        let values_from = self.store(attributes);
        let fingerprint = SEED.hash_one((spec.name, attributes));
        self.entities.push(Entity { spec, start, values_from, points: at..at, fingerprint });
    }

    /// Adds a point of an integer metric.
    pub fn int(&mut self, metric: &'static MetricSpec, attributes: &[Value<'_>], value: i64) {
        debug_assert_eq!(metric.value, crate::ValueType::Int, "{}", metric.name);
        self.push(metric, attributes, Number::Int(value));
    }

    /// Adds a point of a double metric.
    pub fn double(&mut self, metric: &'static MetricSpec, attributes: &[Value<'_>], value: f64) {
        debug_assert_eq!(metric.value, crate::ValueType::Double, "{}", metric.name);
        self.push(metric, attributes, Number::Double(value));
    }

    /// Adds a point that says that its series has ended.
    pub fn gone(&mut self, metric: &'static MetricSpec, attributes: &[Value<'_>]) {
        self.push(metric, attributes, Number::Gone);
    }

    fn push(&mut self, metric: &'static MetricSpec, attributes: &[Value<'_>], number: Number) {
        debug_assert_eq!(metric.attributes.len(), attributes.len(), "attributes of {}", metric.name);
        if !self.takes(metric) {
            return;
        }
        let entity = if self.on_host { None } else { self.entities.last().map(|entity| entity.fingerprint) };
        let fingerprint = SEED.hash_one((entity, metric.name, attributes));
        let at = self.measured;
        let point = Point { metric, at, values_from: self.store(attributes), number, fingerprint };
        match self.entities.last_mut() {
            Some(entity) if !self.on_host => {
                self.points.push(point);
                entity.points.end = self.points.len() as u32;
            }
            _ => self.host_points.push(point),
        }
    }

    fn store(&mut self, attributes: &[Value<'_>]) -> u32 {
        let from = self.values.len() as u32;
        for value in attributes {
            let stored = match value {
                Value::Absent => Stored::Absent,
                Value::Int(number) => Stored::Int(*number),
                Value::Str(text) => {
                    let from = self.text.len() as u32;
                    self.text.push_str(text);
                    Stored::Text { from, to: self.text.len() as u32 }
                }
            };
            self.values.push(stored);
        }
        from
    }

    /// The entities that have points: the host first.
    pub fn entities(&self) -> impl Iterator<Item = EntityView<'_>> {
        let host = EntityView {
            buffer: self,
            spec: &HOST,
            start: self.boot,
            values_from: 0,
            points: &self.host_points,
            fingerprint: 0,
        };
        let others = self.entities.iter().map(|entity| EntityView {
            buffer: self,
            spec: entity.spec,
            start: entity.start,
            values_from: entity.values_from,
            points: self
                .points
                .get(entity.points.start as usize..entity.points.end as usize)
                .expect("an entity's range lies within the points pushed"),
            fingerprint: entity.fingerprint,
        });
        std::iter::once(host).chain(others).filter(|entity| !entity.points.is_empty())
    }

    fn attributes<'a>(
        &'a self,
        keys: &'static [&'static str],
        from: u32,
    ) -> impl Iterator<Item = (&'static str, Value<'a>)> + Clone {
        let from = from as usize;
        let values =
            self.values.get(from..from + keys.len()).expect("every push stores its attribute values");
        keys.iter().zip(values).filter_map(|(key, stored)| match *stored {
            Stored::Absent => None,
            Stored::Int(number) => Some((*key, Value::Int(number))),
            Stored::Text { from, to } => Some((
                *key,
                Value::Str(self.text.get(from as usize..to as usize).expect("ranges cover whole texts")),
            )),
        })
    }

    /// One line per point, as tests and people read it: `name{key="value"} 1`, entities apart by a line of their own. A
    /// point that was not measured with the collection ends with its time: `@ 2026-11-21T08:05:00.250Z`.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for entity in self.entities() {
            if !std::ptr::eq(entity.spec, &raw const HOST) {
                let _ = writeln!(text, "[{}{}]", entity.spec.name, braces(entity.attributes()));
            }
            for point in entity.points() {
                let _ = write!(text, "{}{} ", point.metric.name, braces(point.attributes()));
                let _ = match point.number {
                    Number::Int(value) => write!(text, "{value}"),
                    Number::Double(value) => write!(text, "{value}"),
                    Number::Gone => write!(text, "gone"),
                };
                if point.at != self.at {
                    let _ = write!(text, " @ {}", point.at);
                }
                text.push('\n');
            }
        }
        text
    }
}

fn braces<'a>(attributes: impl Iterator<Item = (&'static str, Value<'a>)>) -> String {
    let pairs: Vec<String> = attributes
        .map(|(key, value)| match value {
            Value::Str(text) => format!("{key}={text:?}"),
            Value::Int(number) => format!("{key}={number}"),
            Value::Absent => format!("{key}=absent"),
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

/// One entity of a buffer, with its points.
#[derive(Clone, Copy)]
pub struct EntityView<'a> {
    buffer: &'a SampleBuffer,
    /// What kind of entity it is.
    pub spec: &'static EntitySpec,
    /// When its counters began: boot, or the start of the process.
    pub start: Timestamp,
    values_from: u32,
    points: &'a [Point],
    /// Identifies the entity across buffers of this process, whenever it began: one that begins anew goes on under a new
    /// start.
    pub fingerprint: u64,
}

impl<'a> EntityView<'a> {
    /// Its resource attributes, without the absent ones.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, Value<'a>)> + Clone + use<'a> {
        self.buffer.attributes(self.spec.attributes, self.values_from)
    }

    /// Its points, those of one metric one after the other.
    pub fn points(&self) -> impl ExactSizeIterator<Item = PointView<'a>> + Clone + use<'a> {
        let buffer = self.buffer;
        self.points.iter().map(move |point| PointView {
            buffer,
            metric: point.metric,
            at: point.at,
            values_from: point.values_from,
            number: point.number,
            fingerprint: point.fingerprint,
        })
    }
}

/// One point of a buffer.
#[derive(Clone, Copy)]
pub struct PointView<'a> {
    buffer: &'a SampleBuffer,
    /// The metric it belongs to.
    pub metric: &'static MetricSpec,
    /// When it was measured: mostly when the collection began, never later.
    pub at: Timestamp,
    values_from: u32,
    /// Its value.
    pub number: Number,
    /// Identifies the series (entity, metric and attributes) across buffers of this process.
    pub fingerprint: u64,
}

impl<'a> PointView<'a> {
    /// Its attributes, without the absent ones.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, Value<'a>)> + Clone + use<'a> {
        self.buffer.attributes(self.metric.attributes, self.values_from)
    }

    /// The value stored for each key of the metric, absent ones included.
    pub(crate) fn raw_values(&self) -> Vec<Value<'a>> {
        raw(self.buffer, self.metric.attributes, self.values_from)
    }
}

impl<'a> EntityView<'a> {
    /// The value stored for each key of the entity, absent ones included.
    pub(crate) fn raw_values(&self) -> Vec<Value<'a>> {
        raw(self.buffer, self.spec.attributes, self.values_from)
    }
}

fn raw<'a>(buffer: &'a SampleBuffer, keys: &'static [&'static str], from: u32) -> Vec<Value<'a>> {
    let mut present = buffer.attributes(keys, from).peekable();
    keys.iter()
        .map(|key| present.next_if(|(name, _)| name == key).map_or(Value::Absent, |(_, value)| value))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
