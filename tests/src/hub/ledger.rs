//! What the agent says became of everything: `accepted = delivered + queued + refused + dead-lettered + lost(reason)`.

use load::Signal;
use serde_json::Value;

use super::Hub;
use crate::program::{run, stderr, stdout};

/// The ledger of one destination and signal, in items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) queued: u64,
    /// To any reason.
    pub(super) lost: u64,
}

/// Asks the agent, and asserts that every line of the ledger adds up. In one that does not, an item is lost in silence.
pub(super) fn ledger(hub: &Hub, destination: &str, signal: Signal) -> Ledger {
    let socket = hub.state().join("api.sock");
    let output = run(&["status", "--json", "--socket", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let status: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let mut found = None;
    for line in status["destinations"].as_array().unwrap() {
        for (name, figures) in line["signals"].as_object().unwrap() {
            let ledger = balanced(figures);
            if line["name"] == destination && name.eq_ignore_ascii_case(&format!("{signal:?}")) {
                found = Some(ledger);
            }
        }
    }
    found.unwrap_or_else(|| panic!("no {signal:?} for {destination} in {status}"))
}

fn balanced(figures: &Value) -> Ledger {
    let count = |name: &str| figures[name].as_u64().unwrap_or_default();
    let lost =
        figures["lost"].as_object().into_iter().flatten().filter_map(|(_, items)| items.as_u64()).sum();
    let ledger =
        Ledger { accepted: count("accepted"), delivered: count("delivered"), queued: count("queued"), lost };
    let elsewhere = count("refused") + count("dead_lettered");
    assert_eq!(ledger.accepted, ledger.delivered + ledger.queued + ledger.lost + elsewhere, "{figures}");
    ledger
}
