//! What the running agent says of itself: the JSON of `GET /v1/status`, which the agent writes and `hostmend status` reads.
//!
//! Fields may be added; a reader ignores what it does not know. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) agent: Agent,
    pub(crate) health: Health,
    pub(crate) configuration: Configuration,
    pub(crate) receiver: Receiver,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) collecting: Collecting,
    pub(crate) series: Series,
    pub(crate) rules: Rules,
    /// The run in hand.
    pub(crate) runs: Option<Run>,
}

/// The process.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Agent {
    pub(crate) version: String,
    /// Its number.
    pub(crate) process: u32,
    pub(crate) started: String,
    pub(crate) uptime_seconds: u64,
    pub(crate) state_directory: PathBuf,
    /// Connections and requests that the API turned away.
    pub(crate) turned_away: u64,
}

/// Whether the agent does its work.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Health {
    pub(crate) healthy: bool,
    /// Why not.
    pub(crate) reasons: Vec<String>,
    /// What is wrong outside the agent.
    pub(crate) notes: Vec<String>,
}

/// The configuration in force, and the last attempt to change it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Configuration {
    pub(crate) file: PathBuf,
    /// Since when it has been in force.
    pub(crate) since: String,
    pub(crate) reloads: u64,
    pub(crate) failed_reloads: u64,
    pub(crate) last_reload: Option<LastReload>,
}

/// A reload and its result.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LastReload {
    pub(crate) at: String,
    #[serde(flatten)]
    pub(crate) result: Reloaded,
}

/// What became of a reload.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum Reloaded {
    /// The new configuration is in force.
    Done {
        /// The parts that it changed.
        changed: Vec<String>,
        /// Parts that go over to it when they have finished what they are doing.
        still_to_come: Vec<String>,
        /// Warnings, as `hostmend check` prints them.
        warnings: String,
    },
    /// The files have errors; the old configuration stays.
    Errors {
        /// As `hostmend check` prints them.
        problems: String,
    },
    /// The files are right, and cannot be put in force; the old configuration stays.
    Failed {
        /// Why.
        error: String,
    },
}

/// What came in.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Receiver {
    pub(crate) connections: usize,
    /// Requests that are being received or wait to become durable.
    pub(crate) in_flight_bytes: usize,
    pub(crate) listeners: Vec<Listener>,
}

/// One listener.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Listener {
    pub(crate) name: String,
    /// Requests.
    pub(crate) accepted: u64,
    /// Points, spans and records of accepted requests.
    pub(crate) items: u64,
    pub(crate) bytes: u64,
    /// Items of accepted requests that were rejected.
    pub(crate) rejected_items: u64,
    pub(crate) failed_handshakes: u64,
    /// Requests, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

/// One destination.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Destination {
    pub(crate) name: String,
    /// What waits for it, on disk and in memory.
    pub(crate) queued_bytes: u64,
    /// Attempts that failed since the last one that did not.
    pub(crate) failed_attempts: u32,
    /// Since when, to within seconds.
    pub(crate) failing_since: Option<String>,
    pub(crate) last_error: Option<String>,
    /// By signal.
    pub(crate) signals: BTreeMap<String, Owed>,
}

/// What became of the items of one signal for one destination: `accepted = delivered + queued + dead_lettered + lost`.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Owed {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) queued: u64,
    /// Kept for the operator, since the destination refused them for good.
    pub(crate) dead_lettered: u64,
    /// By reason.
    pub(crate) lost: BTreeMap<String, u64>,
    /// Of the accepted ones, those that no disk took.
    pub(crate) not_durable: u64,
    /// Of the delivered ones, those that another destination took because this one failed.
    pub(crate) delivered_by_others: u64,
    /// When the oldest of what waits was received.
    pub(crate) oldest: Option<String>,
}

/// Dead letters that are being sent again, in the answer of `POST /v1/replay`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Replayed {
    pub(crate) destination: String,
    pub(crate) signal: String,
    pub(crate) records: u64,
    pub(crate) items: u64,
}

/// How the host is looked at.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Collecting {
    /// How many times as long as configured intervals are, so that the agent keeps within its budget.
    pub(crate) stretch: u32,
    /// What the agent took when it was last measured: CPUs.
    pub(crate) cpu: f64,
    /// Resident.
    pub(crate) memory_bytes: u64,
    /// What the agent's user may not see.
    pub(crate) lacking: Vec<Lack>,
}

/// Something that cannot be seen.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Lack {
    pub(crate) what: String,
    /// The capability or setting that would help.
    pub(crate) remedy: String,
}

/// What is kept in memory for rules.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Series {
    pub(crate) kept: usize,
    pub(crate) at_most: usize,
    pub(crate) retention_seconds: u64,
    pub(crate) evicted: u64,
    /// Samples that were not kept, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
}

/// How the host is judged.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Rules {
    pub(crate) groups: usize,
    /// In all groups.
    pub(crate) total: usize,
    pub(crate) missed_rounds: u64,
    pub(crate) firing: Vec<FiringAlert>,
}

/// An alert that fires.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FiringAlert {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) for_seconds: u64,
}

/// A run in hand.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    /// The labels of its alert, printed.
    pub(crate) alert: String,
    pub(crate) runbook: String,
    pub(crate) for_seconds: u64,
}
