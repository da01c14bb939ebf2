//! Why samples are not taken, and how many were not.

use telemetry::Origin;

/// Why a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Samples of a series come in order of time.
    #[error("the sample is not newer than the newest of its series")]
    NotNewer,
    /// The store is full, and none of its series has ended.
    #[error("the store holds its limit of {limit} series")]
    TooManySeries {
        /// [`Limits::max_series`](crate::Limits::max_series).
        limit: usize,
    },
    /// The labels are those of a series from elsewhere, or an alias of one.
    #[error("the series belongs to the origin {owner}")]
    Foreign {
        /// Where the series comes from.
        owner: Origin,
    },
    /// There is no such series.
    #[error("there is no such series")]
    Unknown,
}

/// How many points and samples were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Not newer than the newest sample of their series.
    pub not_newer: u64,
    /// Of a series too many.
    pub too_many_series: u64,
    /// Of a series that comes from elsewhere.
    pub foreign: u64,
}

impl Rejections {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.not_newer + self.too_many_series + self.foreign
    }

    /// What is said of a series that is not there is no loss and is not counted.
    pub(super) fn count(&mut self, reason: Rejected) {
        match reason {
            Rejected::NotNewer => self.not_newer += 1,
            Rejected::TooManySeries { .. } => self.too_many_series += 1,
            Rejected::Foreign { .. } => self.foreign += 1,
            Rejected::Unknown => {}
        }
    }
}
