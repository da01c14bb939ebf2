//! The collector beside a machine: counts what it receives, by the numbers that it carries.
//!
//! The agent numbers its collections, so one that never arrived leaves a hole. A number that falls begins a new life of
//! the agent; a number that comes twice was sent twice, which a retry may do.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use otlp::Receiver;
use prost::Message;
use telemetry::{Batch, Signal};

/// The counter by which the agent numbers its collections.
const COLLECTIONS: &str = "hostmend.collections";

/// What arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The numbers of the collections, one set for each life of the agent.
    pub(crate) lives: Vec<BTreeSet<i64>>,
    /// The collections that came, those that came twice included.
    pub(crate) collections: u64,
    /// The log records, as one line each: the body, then the attributes.
    pub(crate) records: Vec<String>,
    /// Every series, as one line each: metric, attributes, and what kind of entity it is of. Processes go by their
    /// executable's name.
    pub(crate) series: BTreeSet<String>,
}

impl Received {
    pub(super) fn collection(&mut self, number: i64) {
        self.collections += 1;
        let falls = self.lives.last().and_then(BTreeSet::last).is_none_or(|last| number == 1 && *last > 1);
        if falls {
            self.lives.push(BTreeSet::new());
        }
        if let Some(life) = self.lives.last_mut() {
            life.insert(number);
        }
    }

    /// The numbers that are missing between the first and the last of each life.
    pub(crate) fn holes(&self) -> Vec<i64> {
        let holes = self.lives.iter().flat_map(|life| {
            let last = life.last().copied().unwrap_or_default();
            (1..=last).filter(|number| !life.contains(number))
        });
        holes.collect()
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

    /// Forgets what arrived so far.
    pub(crate) fn forget(&self) {
        *lock(&self.received) = Received::default();
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
            for number in collections(&request) {
                received.collection(number);
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

fn collections(request: &ExportMetricsServiceRequest) -> Vec<i64> {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == COLLECTIONS);
    let points = metrics.filter_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.first(),
        _ => None,
    });
    let numbers = points.filter_map(|point| match point.value {
        Some(number_data_point::Value::AsInt(number)) => Some(number),
        _ => None,
    });
    numbers.collect()
}

fn series(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = String> {
    request.resource_metrics.iter().flat_map(|resource| {
        let attributes = resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        let entity = attributes.iter().find(|attribute| attribute.key == "process.executable.name");
        let entity = entity.map(|name| format!(" of {}", text(name.value.as_ref()))).unwrap_or_default();
        let metrics = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
        metrics.flat_map(move |metric| {
            let points = match &metric.data {
                Some(Data::Sum(sum)) => &sum.data_points[..],
                Some(Data::Gauge(gauge)) => &gauge.data_points[..],
                _ => &[],
            };
            let entity = entity.clone();
            points
                .iter()
                .map(move |point| format!("{}{entity}{}", metric.name, attributes_of(&point.attributes)))
        })
    })
}

fn attributes_of(attributes: &[KeyValue]) -> String {
    let each = attributes.iter().map(|one| format!(" {}={}", one.key, text(one.value.as_ref())));
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
    let records =
        records.map(|record| format!("{}{}", text(record.body.as_ref()), attributes_of(&record.attributes)));
    records.collect()
}
