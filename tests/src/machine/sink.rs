//! The collector beside a machine: counts what it receives, by the numbers that it carries.
//!
//! The agent numbers its collections, so one that never arrived leaves a hole. The start of that counter tells the lives
//! of the agent apart. A number that comes twice was sent twice, which a retry may do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use otlp::Receiver;
use prost::Message;
use telemetry::{Batch, Signal};

/// The counter by which the agent numbers its collections.
const COLLECTIONS: &str = "hostmend.collections";

/// What tells a process apart that is there in every run.
const ENTITY_BY: [&str; 2] = ["process.executable.name", "process.owner"];

/// A value that stays the same, so that it can be compared.
const FILESYSTEM_SIZE: &str = "system.filesystem.limit";

/// What arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The numbers of the collections of each life of the agent, by when it began, in nanoseconds since the epoch.
    pub(crate) lives: BTreeMap<u64, BTreeSet<i64>>,
    /// The collections that came, those that came twice included.
    pub(crate) collections: u64,
    /// When the newest collection was made, in nanoseconds since the epoch.
    pub(crate) newest: u64,
    /// The log records, as one line each: the body, `event=` with a name if it is one, then the attributes.
    pub(crate) records: Vec<String>,
    /// Every series, as one line each: metric, what entity it is of, attributes, and the size of a file system.
    pub(crate) series: BTreeSet<String>,
    /// The newest value of each series of a unit of systemd: metric, unit, attributes.
    pub(crate) of_units: BTreeMap<String, f64>,
}

impl Received {
    pub(super) fn collection(&mut self, begun: u64, number: i64, at: u64) {
        self.collections += 1;
        self.newest = self.newest.max(at);
        self.lives.entry(begun).or_default().insert(number);
    }

    /// The numbers up to the last one of each life that never arrived.
    pub(crate) fn holes(&self) -> Vec<i64> {
        let holes = self.lives.values().flat_map(|life| {
            let last = life.last().copied().unwrap_or_default();
            (1..=last).filter(|number| !life.contains(number))
        });
        holes.collect()
    }

    /// The last number of each life.
    pub(crate) fn lasts(&self) -> Vec<i64> {
        self.lives.values().filter_map(BTreeSet::last).copied().collect()
    }
}

/// An OTLP server on a thread of its own.
pub(crate) struct Sink {
    received: Arc<Mutex<Received>>,
    server: Receiver,
}

impl Sink {
    /// Listens on this port of the loopback of the network that the thread is in; 0 picks one.
    pub(crate) fn listen(port: u16) -> anyhow::Result<Self> {
        let received = Arc::<Mutex<Received>>::default();
        let to = Arc::clone(&received);
        let server = Receiver::bind((Ipv4Addr::LOCALHOST, port).into(), move |batch| take(&to, &batch))
            .context("starting the sink")?;
        Ok(Self { received, server })
    }

    pub(super) fn port(&self) -> u16 {
        self.server.local_address().port()
    }

    /// Forgets the series that arrived so far.
    pub(crate) fn forget_series(&self) {
        lock(&self.received).series.clear();
    }

    /// What arrived so far.
    pub(crate) fn received(&self) -> Received {
        lock(&self.received).clone()
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take(received: &Mutex<Received>, batch: &Batch) {
    match batch.signal {
        Signal::Metrics => {
            let request =
                ExportMetricsServiceRequest::decode(batch.payload.clone()).expect("the receiver read it");
            let mut received = lock(received);
            received.series.extend(series(&request));
            received.of_units.extend(of_units(&request));
            for point in collections(&request) {
                let Some(number_data_point::Value::AsInt(number)) = point.value else { continue };
                received.collection(point.start_time_unix_nano, number, point.time_unix_nano);
            }
        }
        Signal::Logs => {
            let request =
                ExportLogsServiceRequest::decode(batch.payload.clone()).expect("the receiver read it");
            lock(received).records.extend(lines(&request));
        }
        Signal::Traces => {}
    }
}

fn collections(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = &NumberDataPoint> {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == COLLECTIONS);
    metrics.filter_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.first(),
        _ => None,
    })
}

fn series(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = String> {
    request.resource_metrics.iter().flat_map(|resource| {
        let attributes = resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let entity = attributes.iter().filter(|one| ENTITY_BY.contains(&one.key.as_str()));
        let entity = attributes_of(entity);
        let metrics = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        metrics.flat_map(move |metric| {
            let entity = entity.clone();
            points(metric).iter().map(move |point| {
                let size = (metric.name == FILESYSTEM_SIZE).then_some(point.value);
                format!("{}{entity}{} {size:?}", metric.name, attributes_of(&point.attributes))
            })
        })
    })
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match &metric.data {
        Some(Data::Sum(sum)) => &sum.data_points,
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        _ => &[],
    }
}

fn of_units(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = (String, f64)> {
    request.resource_metrics.iter().flat_map(|resource| {
        let attributes = resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let unit = attributes.iter().find(|one| one.key == "systemd.unit.name");
        let metrics = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        unit.into_iter().flat_map(move |unit| {
            metrics.clone().flat_map(move |metric| {
                points(metric).iter().filter_map(move |point| {
                    let value = match point.value? {
                        number_data_point::Value::AsInt(value) => value as f64,
                        number_data_point::Value::AsDouble(value) => value,
                    };
                    let attributes = [unit].into_iter().chain(&point.attributes);
                    Some((format!("{}{}", metric.name, attributes_of(attributes)), value))
                })
            })
        })
    })
}

fn attributes_of<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> String {
    let each = attributes.into_iter().map(|one| format!(" {}={}", one.key, text(one.value.as_ref())));
    each.collect::<Vec<_>>().concat()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn lines(request: &ExportLogsServiceRequest) -> Vec<String> {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    let records = scopes.flat_map(|scope| &scope.log_records);
    let line = |record: &LogRecord| {
        let event = if record.event_name.is_empty() { "" } else { " event=" };
        let attributes = attributes_of(&record.attributes);
        format!("{}{event}{}{attributes}", text(record.body.as_ref()), record.event_name)
    };
    records.map(line).collect()
}
