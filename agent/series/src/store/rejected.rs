//! Why samples are not taken, and how many were not.

use telemetry::Origin;

/// Why a sample was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The series comes from outside, and its origin has spent its budget.
    #[error("the origin holds its limit of {limit} series")]
    OverBudget {
        /// What [`Store::set_budget`](crate::Store::set_budget) said.
        limit: usize,
    },
    /// The series comes from outside, and its name is one that only the host's own may bear.
    #[error("the name belongs to the host")]
    HostName,
    /// The sample is older than what is kept.
    #[error("the sample is older than what is kept")]
    TooOld,
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
    /// Of a series that comes from elsewhere, or that bears a name of the host's.
    pub foreign: u64,
    /// Older than what is kept.
    pub too_old: u64,
}

impl Rejections {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.not_newer + self.too_many_series + self.foreign + self.too_old
    }

    /// What is said of a series that is not there is no loss and is not counted.
    pub(super) fn count(&mut self, reason: &Rejected) {
        match reason {
            Rejected::NotNewer => self.not_newer += 1,
            Rejected::TooManySeries { .. } | Rejected::OverBudget { .. } => self.too_many_series += 1,
            Rejected::Foreign { .. } | Rejected::HostName => self.foreign += 1,
            Rejected::TooOld => self.too_old += 1,
            Rejected::Unknown => {}
        }
    }
}
