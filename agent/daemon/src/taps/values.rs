//! The values of a point, and the series that they belong to, in the same order.
//!
//! A gauge or a sum has one. A histogram has a bucket up to each of its bounds and one for all, a count and, if it says
//! so, a sum; a summary its quantiles, count and sum. Values are read for each point, names are made for new series only.

use std::hash::Hasher;

use otlp::Malformed;
use otlp::view::{DataKind, DistributionView, MetricView, NumberView, PointHead, SummaryView};
use series::{Outside, prometheus_name_of};
use telemetry::{Instrument, Origin};

use super::labels::{Naming, bound};
use super::points::Unfit;

/// Reads the values of a point into `values`, and writes what tells its parts apart into `layout`.
pub(super) fn read<'a>(
    metric: &MetricView<'_>,
    point: &'a [u8],
    values: &mut Vec<f64>,
    layout: &mut impl Hasher,
) -> Result<PointHead<'a>, Unfit> {
    values.clear();
    match metric.kind {
        DataKind::None => Err(Unfit),
        DataKind::Gauge | DataKind::Sum => {
            let point = NumberView::read(point)?;
            match point.value {
                Some(value) => values.push(value.as_f64()),
                None if point.head.is_gone() => {}
                None => return Err(Unfit),
            }
            Ok(point.head)
        }
        DataKind::Histogram => {
            let point = DistributionView::read(point)?;
            read_buckets(&point, values, layout)?;
            read_totals(&point, values, layout);
            Ok(point.head)
        }
        DataKind::ExponentialHistogram => {
            let point = DistributionView::read_exponential(point)?;
            read_totals(&point, values, layout);
            Ok(point.head)
        }
        DataKind::Summary => {
            let point = SummaryView::read(point)?;
            for pair in point.quantiles() {
                let (quantile, value) = pair?;
                layout.write_u64(quantile.to_bits());
                values.push(value);
            }
            values.extend([point.count as f64, point.sum]);
            Ok(point.head)
        }
    }
}

fn read_buckets(
    point: &DistributionView<'_>,
    values: &mut Vec<f64>,
    layout: &mut impl Hasher,
) -> Result<(), Unfit> {
    let (mut counts, mut below) = (point.bucket_counts(), 0_u64);
    let mut any = false;
    for bound in point.explicit_bounds() {
        // A distribution may leave its buckets out.
        let Some(count) = counts.next() else { break };
        below = below.saturating_add(count?);
        layout.write_u64(bound?.to_bits());
        values.push(below as f64);
        any = true;
    }
    let above = match counts.next() {
        Some(count) => count?,
        None if any => return Err(Unfit),
        None => 0,
    };
    if counts.next().is_some() {
        return Err(Unfit);
    }
    values.push(if any { below.saturating_add(above) } else { point.count } as f64);
    Ok(())
}

fn read_totals(point: &DistributionView<'_>, values: &mut Vec<f64>, layout: &mut impl Hasher) {
    layout.write_u8(u8::from(point.sum.is_some()));
    values.push(point.count as f64);
    values.extend(point.sum);
}

/// What all points have, of one that [`read`] has read.
pub(super) fn head<'a>(metric: &MetricView<'_>, point: &'a [u8]) -> Result<PointHead<'a>, Malformed> {
    Ok(match metric.kind {
        DataKind::None | DataKind::Gauge | DataKind::Sum => NumberView::read(point)?.head,
        DataKind::Histogram => DistributionView::read(point)?.head,
        DataKind::ExponentialHistogram => DistributionView::read_exponential(point)?.head,
        DataKind::Summary => SummaryView::read(point)?.head,
    })
}

/// The series of a point that [`read`] has read, each for the value in its place.
pub(super) fn name(
    metric: &MetricView<'_>,
    point: &[u8],
    naming: &Naming,
    origin: &Origin,
) -> Result<Vec<Outside>, Unfit> {
    let name = std::str::from_utf8(metric.name).map_err(|_| Unfit)?;
    let unit = String::from_utf8_lossy(metric.unit);
    let instrument = match metric.kind {
        DataKind::Gauge => Instrument::Gauge,
        DataKind::Sum if metric.monotonic => Instrument::Counter,
        _ => Instrument::UpDownCounter,
    };
    let names = Names { otel: name, prometheus: prometheus_name_of(name, &unit, instrument), naming, origin };
    let mut all = Vec::new();
    match metric.kind {
        DataKind::None => {}
        DataKind::Gauge | DataKind::Sum => all.push(names.whole()),
        DataKind::Histogram => {
            let point = DistributionView::read(point)?;
            let counts = point.bucket_counts().count();
            for limit in point.explicit_bounds().take(counts.saturating_sub(1)) {
                all.push(names.part("_bucket", "le", &bound(limit?)));
            }
            all.push(names.part("_bucket", "le", "+Inf"));
            all.extend(names.totals(point.sum));
        }
        DataKind::ExponentialHistogram => {
            all.extend(names.totals(DistributionView::read_exponential(point)?.sum));
        }
        DataKind::Summary => {
            for pair in SummaryView::read(point)?.quantiles() {
                all.push(names.part("", "quantile", &bound(pair?.0)));
            }
            all.extend(names.totals(Some(0.0)));
        }
    }
    Ok(all)
}

struct Names<'a> {
    otel: &'a str,
    prometheus: String,
    naming: &'a Naming,
    origin: &'a Origin,
}

impl Names<'_> {
    /// The series of a metric that has one for each point, by both its names if they differ.
    fn whole(&self) -> Outside {
        if self.otel == self.prometheus {
            return self.part("", "", "");
        }
        let labels = self.naming.otel(self.otel, self.origin);
        let alias = Some(self.naming.prometheus(&self.prometheus, self.origin, ("", "")));
        Outside { origin: self.origin.clone(), labels, alias, from_zero: false }
    }

    fn part(&self, suffix: &str, key: &str, value: &str) -> Outside {
        let name = format!("{}{suffix}", self.prometheus);
        let labels = self.naming.prometheus(&name, self.origin, (key, value));
        Outside { origin: self.origin.clone(), labels, alias: None, from_zero: false }
    }

    fn totals(&self, sum: Option<f64>) -> impl Iterator<Item = Outside> {
        let sum = sum.map(|_| self.part("_sum", "", ""));
        std::iter::once(self.part("_count", "", "")).chain(sum)
    }
}
