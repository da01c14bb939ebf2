//! Counts what is in an encoded request, without decoding it.
//!
//! Only the envelopes down to the items are walked, so a request that is broken inside an item still counts; that is
//! for its receiver to judge.

use telemetry::Signal;

use crate::wire::{Field, Fields, Malformed, for_each};

/// How many data points, spans or log records the OTLP request `payload` holds.
///
/// # Errors
///
/// The bytes are no protobuf message down to where the items lie.
pub fn count_items(signal: Signal, payload: &[u8]) -> Result<u64, Malformed> {
    let mut items = 0;
    // The numbering is the same in all three signals: request.resource_x = 1, resource_x.scope_x = 2, scope_x.items = 2.
    for_each(payload, 1, |resource| {
        for_each(resource, 2, |scope| {
            for_each(scope, 2, |item| {
                items += match signal {
                    Signal::Metrics => count_points(item)?,
                    Signal::Traces | Signal::Logs => 1,
                };
                Ok(())
            })
        })
    })?;
    Ok(items)
}

/// The data points of one encoded `Metric`, of whichever kind.
pub(crate) fn count_points(metric: &[u8]) -> Result<u64, Malformed> {
    let mut points = 0;
    for field in Fields::of(metric) {
        // gauge, sum, histogram, exponential_histogram, summary; each has its points in field 1.
        if let (5 | 7 | 9 | 10 | 11, Field::Bytes(data)) = field? {
            for_each(data, 1, |_| {
                points += 1;
                Ok(())
            })?;
        }
    }
    Ok(points)
}

#[cfg(test)]
mod tests;
