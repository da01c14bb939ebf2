//! What a run asks of others than this host: a place among those that may act, and what is left of an error budget.
//!
//! Nothing here knows how hosts agree; [`FileFleetLock`] is one way. Whatever the way, it may take long, so whoever must not
//! wait asks it on a thread of its own.

mod file;

use std::path::PathBuf;
use std::time::Duration;

use telemetry::{RunId, Timestamp, format_duration};

use crate::runbook::FleetLockTerms;
pub use file::FileFleetLock;

/// Lets only some hosts of a group act at a time.
pub trait FleetLock: Send + Sync + std::fmt::Debug {
    /// Whether a place is free now. Takes none.
    ///
    /// # Errors
    ///
    /// [`FleetLockError::Taken`] by whom, or why it is not known.
    fn look(&self, terms: &FleetLockTerms, now: Timestamp) -> Result<(), FleetLockError>;

    /// Takes a place for a run. If the run has one, as after a crash of the agent, it keeps that.
    ///
    /// # Errors
    ///
    /// [`FleetLockError::Taken`] by whom, or why it could not be had.
    fn acquire(&self, terms: &FleetLockTerms, run: &RunId, now: Timestamp) -> Result<Place, FleetLockError>;

    /// Keeps a place for its time, counted from now.
    ///
    /// # Errors
    ///
    /// [`FleetLockError::Lost`] if its time was over; the run must then not go on acting.
    fn renew(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError>;

    /// Gives a place back. One whose time is over belongs to whoever has it now, and stays theirs.
    ///
    /// # Errors
    ///
    /// It could not be written; the place is free when its time is over.
    fn release(&self, place: &Place, now: Timestamp) -> Result<(), FleetLockError>;

    /// Gives back every place that this host has but those of these runs: what an agent before this one had taken and
    /// nobody will use.
    ///
    /// # Errors
    ///
    /// The first that could not be read or written; the others are given back all the same.
    fn release_others(&self, but: &[RunId], now: Timestamp) -> Result<(), FleetLockError>;
}

/// Tells what is left of error budgets.
pub trait ErrorBudgets: Send + Sync {
    /// The share that is left of an objective's budget, from 1 down, below 0 once it is overspent.
    ///
    /// # Errors
    ///
    /// The text is for the guard's refusal.
    fn left(&self, objective: &str, now: Timestamp) -> Result<f64, String>;
}

/// A place that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    terms: FleetLockTerms,
    run: RunId,
    number: u32,
    generation: u64,
}

/// A place cannot be had, kept or given back.
#[derive(Debug, thiserror::Error)]
pub enum FleetLockError {
    /// All places are taken.
    #[error("{}", holders.join(", "))]
    Taken {
        /// Who holds each, and for how long still.
        holders: Vec<String>,
    },
    /// The place was kept for too long without word of it.
    #[error("the place in {group} that run {run} held has been lost: its time was over")]
    Lost {
        /// The group.
        group: String,
        /// The run.
        run: RunId,
    },
    /// The others were not heard of in time. What was asked for may still be done; a place taken too late is given back.
    #[error("{doing}: no answer within {}", format_duration(*waited))]
    Unanswered {
        /// What was being done.
        doing: &'static str,
        /// For how long it was waited, or since when nothing is answered.
        waited: Duration,
    },
    /// The shared directory cannot be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
