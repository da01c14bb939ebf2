//! Taps: what is made of received telemetry on its way through, from its bytes.
//!
//! Spans become calls and durations ([`SpanMetrics`]), log records become counts of patterns ([`LogTap`]). A tap looks
//! at no more than [`RECORDS_PER_REQUEST`] records of a request; the rest is counted and not looked at. It keeps no
//! more than its budget says, and knows neither the series that its figures become nor who sent what it sees: there is
//! one for each origin. Nothing here can refuse a request.

mod access;
mod encode;
mod log_rules;
mod log_tap;
mod route;
mod span_metrics;

pub use access::{AccessOptions, AccessTap, Requests};
pub use encode::SpanMetricsEncoder;
pub use log_rules::{LogRule, LogRuleError, LogRules};
pub use log_tap::{LogTap, Matches};
pub use route::RouteTemplate;
pub use span_metrics::{Calls, SpanMetrics};

use crate::view::resources;
use crate::wire::Malformed;

/// How many records of one request a tap looks at: more than twice of what a Collector puts into a batch unless told
/// otherwise, and at most a few milliseconds of work.
pub const RECORDS_PER_REQUEST: u64 = 20_000;

/// What a tap made of the records that it was shown since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapFigures {
    /// Looked at.
    pub seen: u64,
    /// Of these or of their envelopes, could not be read.
    pub malformed: u64,
    /// Not looked at, because their request had too many.
    pub beyond: u64,
}

/// Shows the records of a request to a tap, up to its limit: `enter` is told of each resource, `look` of each record.
pub fn walk<'a, S>(
    payload: &'a [u8],
    figures: &mut TapFigures,
    mut enter: impl FnMut(crate::view::Resource<'a>) -> S,
    mut look: impl FnMut(&mut S, &'a [u8]) -> Result<(), Malformed>,
) {
    let mut left = RECORDS_PER_REQUEST;
    for resource in resources(payload) {
        let Ok(resource) = resource else {
            figures.malformed += 1;
            continue;
        };
        let mut state = enter(resource);
        for record in resource.records() {
            if left == 0 {
                figures.beyond += 1;
                continue;
            }
            left -= 1;
            figures.seen += 1;
            if record.and_then(|record| look(&mut state, record)).is_err() {
                figures.malformed += 1;
            }
        }
    }
}
