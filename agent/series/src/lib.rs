//! Recent samples in memory, bounded; names and aliases.
//!
//! A [`Store`] keeps the last hours of every series and answers selectors. It does not evaluate anything, does not read
//! the clock and knows nothing of rules. What would surprise you: one series has several names, each an entry of its
//! own in the index, and all of them read the same ring of samples.

#![forbid(unsafe_code)]

mod chunk;
mod host_names;
mod index;
mod label_matcher;
mod matcher;
mod names;
mod ring;
mod store;
mod timeline;

pub use host_names::HostNames;
pub use label_matcher::{LabelMatcher, LabelMatcherError};
pub use matcher::{MatchOp, Matcher, MatcherError};
pub use names::{prometheus_label, prometheus_name, prometheus_name_of};
pub use ring::{Samples, Scratch};
pub use store::{
    Appended, Between, Figures, Limits, Need, Outside, OutsideFigures, Rejected, Rejections, RestoreError,
    Restored, ScrapedAs, SeriesId, Snapshot, Store,
};

/// The value that says that a series has ended: a NaN with the bits that Prometheus reserves for it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the stale marker, which no other NaN is.
pub const fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}
