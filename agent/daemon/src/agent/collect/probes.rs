//! The thread `probes`, and what is said about services that stop to answer.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use probes::{HttpProbe, ProbeResult, Prober};

use crate::agent::heartbeat::{ATTENTION, Pulse};

/// Starts the thread `probes`, if there is something to ask.
pub(crate) fn start_probes(
    services: Vec<(HttpProbe, Duration)>,
    pulse: Pulse,
) -> anyhow::Result<Option<Prober>> {
    if services.is_empty() {
        return Ok(None);
    }
    let alive = move || pulse.beat(ATTENTION);
    Ok(Some(Prober::start(services, ATTENTION, alive, say_changes())?))
}

/// Says when a service begins to fail its probe, with the reason, and when it answers again.
fn say_changes() -> impl Fn(&HttpProbe, &ProbeResult) + Send + 'static {
    let failing = Mutex::new(BTreeSet::new());
    move |probe, result| {
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &result.failure {
            Some(reason) => {
                if failing.insert(probe.name().to_owned()) {
                    tracing::warn!(probe = probe.name(), url = probe.url(), "the probe fails: {reason}");
                }
            }
            None => {
                if failing.remove(probe.name()) {
                    tracing::info!(probe = probe.name(), url = probe.url(), "the probe succeeds again");
                }
            }
        }
    }
}
