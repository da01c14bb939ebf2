//! What an encoded metrics request is about, for a person who watches it arrive.

use std::collections::BTreeSet;

use crate::count::count_points;
use crate::wire::{Field, Fields, Malformed, for_each};

/// What is in one metrics request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSummary {
    /// `ResourceMetrics`: the host and the processes that it tells of.
    pub resources: u64,
    /// The distinct names of metrics.
    pub metrics: BTreeSet<String>,
    /// Data points.
    pub points: u64,
}

impl MetricsSummary {
    /// Reads an encoded `ExportMetricsServiceRequest`.
    ///
    /// # Errors
    ///
    /// As [`crate::count_items`].
    pub fn of(payload: &[u8]) -> Result<Self, Malformed> {
        let mut summary = Self::default();
        for_each(payload, 1, |resource| {
            summary.resources += 1;
            for_each(resource, 2, |scope| for_each(scope, 2, |metric| summary.add(metric)))
        })?;
        Ok(summary)
    }

    fn add(&mut self, metric: &[u8]) -> Result<(), Malformed> {
        self.points += count_points(metric)?;
        for field in Fields::of(metric) {
            if let (1, Field::Bytes(name)) = field? {
                let name = String::from_utf8_lossy(name);
                if !self.metrics.contains(name.as_ref()) {
                    self.metrics.insert(name.into_owned());
                }
            }
        }
        Ok(())
    }
}
