//! Metrics: what stands above their points.

use super::{Messages, bytes, varint};
use crate::wire::{Fields, Malformed};

/// What kind of points a metric has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataKind {
    /// None is given; a metric without points.
    #[default]
    None,
    /// Values at moments.
    Gauge,
    /// Sums.
    Sum,
    /// Distributions with explicit bounds.
    Histogram,
    /// Distributions with exponential bounds.
    ExponentialHistogram,
    /// Quantiles.
    Summary,
}

/// What a sum or a distribution counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Not said, which no sum may leave open.
    #[default]
    Unspecified,
    /// From the last point on.
    Delta,
    /// From a start that stays.
    Cumulative,
}

/// One metric.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricView<'a> {
    /// The name; whether it is UTF-8 has not been asked.
    pub name: &'a [u8],
    /// The unit.
    pub unit: &'a [u8],
    /// Gauge, sum, ...
    pub kind: DataKind,
    /// What its points count from; gauges and summaries do not say.
    pub temporality: Temporality,
    /// Whether a sum only grows.
    pub monotonic: bool,
    data: &'a [u8],
}

impl<'a> MetricView<'a> {
    /// Reads what stands above the points.
    ///
    /// # Errors
    ///
    /// The bytes are no `Metric`, or one that gives its data twice.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut metric = Self::default();
        for field in Fields::of(message) {
            let (number, field) = field?;
            let kind = match number {
                1 => {
                    metric.name = bytes(field)?;
                    continue;
                }
                3 => {
                    metric.unit = bytes(field)?;
                    continue;
                }
                5 => DataKind::Gauge,
                7 => DataKind::Sum,
                9 => DataKind::Histogram,
                10 => DataKind::ExponentialHistogram,
                11 => DataKind::Summary,
                _ => continue,
            };
            if metric.kind != DataKind::None {
                return Err(Malformed::new("a metric gives its data twice"));
            }
            metric.kind = kind;
            metric.data = bytes(field)?;
        }
        metric.read_data()?;
        Ok(metric)
    }

    fn read_data(&mut self) -> Result<(), Malformed> {
        if matches!(self.kind, DataKind::None | DataKind::Gauge | DataKind::Summary) {
            return Ok(());
        }
        for field in Fields::of(self.data) {
            match field? {
                (2, field) => {
                    self.temporality = match varint(field)? as i32 {
                        1 => Temporality::Delta,
                        2 => Temporality::Cumulative,
                        _ => Temporality::Unspecified,
                    };
                }
                (3, field) if self.kind == DataKind::Sum => self.monotonic = varint(field)? != 0,
                _ => {}
            }
        }
        Ok(())
    }

    /// Its encoded points.
    pub fn points(&self) -> impl Iterator<Item = Result<&'a [u8], Malformed>> + use<'a> {
        Messages::of(self.data, 1)
    }
}
