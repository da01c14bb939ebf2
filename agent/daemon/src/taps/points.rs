//! Received points as series, named as Prometheus names what it receives over OTLP.
//!
//! A resource becomes `job` (`service.namespace/service.name`) and `instance` (`service.instance.id`). Gauges and sums
//! keep their OpenTelemetry name as well; a histogram becomes its classic series; of an exponential one, for which rules
//! have no type here, only sum and count are kept. Deltas are added up. What a label cannot hold refuses its point.

use std::hash::{BuildHasher, Hash, Hasher};

use otlp::Malformed;
use otlp::tap::{RECORDS_PER_REQUEST, TapFigures, walk};
use otlp::view::{AnyValue, DataKind, MetricView, PointHead, Resource, Temporality};
use series::{HostNames, STALE, Store};
use telemetry::{Origin, Timestamp};

use super::labels::Naming;
use super::registry::{Places, Registry};
use super::values;

/// Attributes that a series may have, and bytes of all their keys and values together.
const MAX_ATTRIBUTES: usize = 64;
const MAX_LABEL_BYTES: usize = 4 * 1024;

/// Values that there is room for from one request to the next: more than a histogram has buckets.
const KEPT_VALUES: usize = 1024;

/// What became of points that made no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PointFigures {
    /// Of a series too many.
    pub(super) over_budget: u64,
    /// Their name is one of the host's.
    pub(super) host_name: u64,
    /// They are no series: without a name or a value, of no temporality, with buckets that do not fit their bounds, or
    /// with attributes that no label can hold.
    pub(super) unfit: u64,
    /// Deltas that begin before the last one of their series: repeated, or out of order.
    pub(super) repeated: u64,
    /// There were too many since the last collection.
    pub(super) waiting: u64,
}

/// The received points of one listener.
#[derive(Debug)]
pub(super) struct Points {
    origin: Origin,
    registry: Registry,
    hasher: foldhash::quality::RandomState,
    /// The values of the point in hand, in the order of its series.
    values: Vec<f64>,
    figures: TapFigures,
    left_out: PointFigures,
}

/// `job` and `instance`.
#[derive(Debug, Default, Hash)]
struct Identity {
    job: String,
    instance: String,
}

/// A point that is no series.
pub(super) struct Unfit;

impl From<Malformed> for Unfit {
    fn from(_: Malformed) -> Self {
        Self
    }
}

impl Points {
    pub(super) fn new(origin: Origin, max_series: usize) -> Self {
        Self {
            origin,
            registry: Registry::new(max_series),
            hasher: foldhash::quality::RandomState::default(),
            values: Vec::new(),
            figures: TapFigures::default(),
            left_out: PointFigures::default(),
        }
    }

    /// Takes the points of a request that came at `now`, but for those that bear a name of the host's.
    pub(super) fn see(&mut self, payload: &[u8], host_names: &HostNames, now: Timestamp) {
        let mut figures = self.figures;
        let mut left = RECORDS_PER_REQUEST;
        let mut beyond = 0;
        walk(payload, &mut figures, identity, |identity, metric| {
            let metric = MetricView::read(metric)?;
            for point in metric.points() {
                let point = point?;
                if left == 0 {
                    beyond += 1;
                    continue;
                }
                left -= 1;
                if self.take(identity, &metric, point, (host_names, now)).is_err() {
                    self.left_out.unfit += 1;
                }
            }
            Ok(())
        });
        figures.beyond += beyond;
        self.figures = figures;
        // One point can have millions, which make no series.
        self.values.shrink_to(KEPT_VALUES);
    }

    /// Appends what waits to the series.
    pub(super) fn append(&mut self, store: &mut Store, at: Timestamp) {
        self.registry.append(store, at);
    }

    pub(super) fn figures(&self) -> (TapFigures, PointFigures) {
        (self.figures, self.left_out)
    }

    fn take(
        &mut self,
        identity: &Identity,
        metric: &MetricView<'_>,
        point: &[u8],
        (host_names, now): (&HostNames, Timestamp),
    ) -> Result<(), Unfit> {
        let counted =
            matches!(metric.kind, DataKind::Sum | DataKind::Histogram | DataKind::ExponentialHistogram);
        if metric.name.is_empty() || (counted && metric.temporality == Temporality::Unspecified) {
            return Err(Unfit);
        }
        let mut layout = self.hasher.build_hasher();
        let head = values::read(metric, point, &mut self.values, &mut layout)?;
        let series = self.hash(identity, metric, &head)?;
        if head.is_gone() {
            self.end(series, &head, now);
            return Ok(());
        }
        layout.write_u64(series);
        let hash = layout.finish();
        let places = match self.registry.find(hash) {
            Some(places) => Some(places),
            None => self.begin([series, hash], identity, metric, point, (host_names, now))?,
        };
        let Some(places) = places else { return Ok(()) };
        self.left_out.host_name += u64::from(places.is_empty());
        let delta = metric.temporality == Temporality::Delta;
        if delta && places.iter().any(|place| head.time <= self.registry.newest(*place)) {
            self.left_out.repeated += 1;
            return Ok(());
        }
        for (place, value) in places.iter().zip(&self.values) {
            let kept = self.registry.push(*place, head.time, delta, *value, now);
            self.left_out.waiting += u64::from(!kept);
        }
        Ok(())
    }

    /// What tells the series of a point from all others, but for the bounds of a distribution.
    fn hash(&self, identity: &Identity, metric: &MetricView<'_>, head: &PointHead<'_>) -> Result<u64, Unfit> {
        let mut hasher = self.hasher.build_hasher();
        (identity, metric.name, metric.unit, metric.kind, metric.temporality, metric.monotonic)
            .hash(&mut hasher);
        for attribute in head.attributes() {
            let attribute = attribute?;
            attribute.key.hash(&mut hasher);
            match attribute.value? {
                AnyValue::Empty => hasher.write_u8(0),
                AnyValue::Text(text) => text.hash(&mut hasher),
                AnyValue::Bool(value) => value.hash(&mut hasher),
                AnyValue::Int(value) => value.hash(&mut hasher),
                AnyValue::Double(value) => value.to_bits().hash(&mut hasher),
                AnyValue::Other => return Err(Unfit),
            }
        }
        Ok(hasher.finish())
    }

    fn end(&mut self, series: u64, head: &PointHead<'_>, now: Timestamp) {
        for place in self.registry.find(series).iter().flat_map(|places| places.iter()) {
            let kept = self.registry.push(*place, head.time, false, STALE, now);
            self.left_out.waiting += u64::from(!kept);
        }
    }

    /// The series of a point that was not known; none if there is no room for them.
    fn begin(
        &mut self,
        hashes: [u64; 2],
        identity: &Identity,
        metric: &MetricView<'_>,
        point: &[u8],
        (host_names, now): (&HostNames, Timestamp),
    ) -> Result<Option<Places>, Unfit> {
        if !self.registry.fits(self.values.len()) {
            self.left_out.over_budget += 1;
            return Ok(None);
        }
        let naming = naming(identity, metric, point)?;
        let series = values::name(metric, point, &naming, &self.origin)?;
        let mut names = series.iter().flat_map(|series| std::iter::once(&series.labels).chain(&series.alias));
        let taken = names.any(|labels| host_names.has(labels.metric_name()));
        let series = if taken { Vec::new() } else { series };
        Ok(Some(self.registry.begin(hashes, series, now)))
    }
}

fn identity(resource: Resource<'_>) -> Identity {
    let text = |key| resource.text(key).map(String::from_utf8_lossy).unwrap_or_default();
    let (namespace, name) = (text("service.namespace"), text("service.name"));
    let job = if namespace.is_empty() || name.is_empty() {
        name.into_owned()
    } else {
        format!("{namespace}/{name}")
    };
    Identity { job, instance: text("service.instance.id").into_owned() }
}

/// The labels that all series of a point have.
fn naming(identity: &Identity, metric: &MetricView<'_>, point: &[u8]) -> Result<Naming, Unfit> {
    let mut naming = Naming::default();
    let mut bytes = 0;
    for (number, attribute) in values::head(metric, point)?.attributes().enumerate() {
        let attribute = attribute?;
        let key = std::str::from_utf8(attribute.key).map_err(|_| Unfit)?;
        let value = match attribute.value? {
            AnyValue::Empty => continue,
            AnyValue::Text(text) => std::str::from_utf8(text).map_err(|_| Unfit)?.to_owned(),
            AnyValue::Bool(value) => value.to_string(),
            AnyValue::Int(value) => value.to_string(),
            AnyValue::Double(value) => value.to_string(),
            AnyValue::Other => return Err(Unfit),
        };
        bytes += key.len() + value.len();
        if number >= MAX_ATTRIBUTES || bytes > MAX_LABEL_BYTES || key.is_empty() {
            return Err(Unfit);
        }
        naming.set(key, &value);
    }
    for (key, value) in [("job", &identity.job), ("instance", &identity.instance)] {
        if bytes + value.len() > MAX_LABEL_BYTES {
            return Err(Unfit);
        }
        if !value.is_empty() {
            naming.set(key, value);
        }
    }
    Ok(naming)
}

#[cfg(test)]
mod tests;
