//! The answer to an HTTP GET.

use std::time::Duration;

use probes::{Fetched, HttpProbe, MAX_TIMEOUT};
use serde_json::{Value, json};

/// Asks, for at most `within`. What comes too late or not at all is an answer too: status 0, and why in the body.
pub(super) fn get(url: &str, within: Duration) -> Result<Value, String> {
    let within = within.clamp(Duration::from_millis(1), MAX_TIMEOUT);
    let probe = HttpProbe::new("http::get", url, within).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("preparing to ask {url}: {error}"))?;
    let Fetched { status, body, took } = runtime.block_on(probes::fetch(&probe));
    // Not the ordinary end, which would wait for a name server that hangs.
    runtime.shutdown_background();
    Ok(json!({"status": status, "body": body, "took_seconds": took.as_secs_f64()}))
}
