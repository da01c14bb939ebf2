//! Smoke checks: asks a service whether it answers. Calls out, and does nothing else.
//!
//! A probe judges one answer and keeps no history; what an answer means for the host is for the rules to say. An
//! answer's body is read, because a service that cannot finish it is not well, but its words are not judged. A script gets
//! to see them.

#![forbid(unsafe_code)]

mod ask;
mod http_probe;
mod names;
mod prober;

pub use ask::{Fetched, MAX_BODY_BYTES, ProbeResult, ask, fetch};
pub use http_probe::{HttpProbe, MAX_TIMEOUT, ProbeError};
pub use names::{METRICS, PROBE_DURATION, PROBE_SUCCESS};
pub use prober::{MAX_PROBES, Prober, StartError, check};
