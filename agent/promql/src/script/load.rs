//! What `load` has put into the store.

use std::collections::BTreeMap;
use std::time::Duration;

use telemetry::{Labels, Origin, Timestamp};

use ::series::{Limits, Store};

use super::Line;
use super::series::{fault, parse_series, shifted};
use crate::ParseError;

/// Samples that a test holds at once. A longer test is refused before it takes memory.
pub const MAX_SAMPLES: u64 = 1_000_000;

/// Samples since the last `clear`. Loads add up; of two samples of a series for one time the later counts.
#[derive(Default)]
pub(super) struct Data {
    series: BTreeMap<Labels, BTreeMap<i64, f64>>,
    samples: u64,
    /// Filled when first asked.
    store: Option<Store>,
    /// The line of a load that could not be read.
    wrong: Option<usize>,
}

impl Data {
    pub(super) fn cannot_be_read(&mut self, line: usize) {
        self.wrong.get_or_insert(line);
    }

    /// Takes in one line of a load.
    pub(super) fn load(&mut self, line: &Line<'_>, step: Duration) -> Result<(), ParseError> {
        let (labels, values) = parse_series(line.text).map_err(|error| shifted(error, line.start))?;
        self.samples = self.samples.saturating_add(values.samples());
        if self.samples > MAX_SAMPLES {
            let message = format!("the test loads more than {MAX_SAMPLES} samples");
            return Err(fault(line.place(), message, Some("load fewer, or `clear` in between")));
        }
        self.store = None;
        let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        let mut points = values.numbered().peekable();
        if points.peek().is_some() {
            let series = self.series.entry(labels).or_default();
            series.extend(points.map(|(number, value)| {
                (i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(step), value)
            }));
        }
        Ok(())
    }

    /// The store, or the line of the load that kept it from being whole.
    pub(super) fn store(&mut self) -> Result<&Store, usize> {
        match self.wrong {
            Some(line) => Err(line),
            None => Ok(self.store.get_or_insert_with(|| fill(&self.series))),
        }
    }
}

fn fill(series: &BTreeMap<Labels, BTreeMap<i64, f64>>) -> Store {
    let mut store = Store::new(Limits::NONE);
    for (labels, points) in series {
        for (at, value) in points {
            // Times rise and no other origin is there, so it is refused only past the year 2262, where time stands still.
            let _ = store.append_sample(labels, &Origin::Rule, Timestamp::from_millis(*at), *value);
        }
    }
    store
}
