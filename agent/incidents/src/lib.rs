//! What happened, when, and what it teaches: timelines of incidents and drafts of their post-mortems.
//!
//! Alerts open and close incidents, steps of runs fill them. Nothing here reads the clock, a file or the network.

#![forbid(unsafe_code)]

mod incident;
mod postmortem;
mod record;
mod wording;

pub use incident::{Entry, Incident, MAX_ENTRIES, Source};
pub use postmortem::draft;
pub use record::{IncidentRecord, MAX_OPEN};
pub use wording::sentence;
