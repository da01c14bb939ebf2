//! What the running agent says of itself: the JSON of `GET /v1/status`, which the agent writes and `hostmend status` reads.
//!
//! Fields may be added; a reader ignores what it does not know. Times are RFC 3339 in UTC.

mod line;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use telemetry::Timestamp;

pub(crate) use line::ShownLine;

/// Everything.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) agent: Agent,
    pub(crate) health: Health,
    pub(crate) configuration: Configuration,
    pub(crate) receiver: Receiver,
    #[serde(default)]
    pub(crate) logs: Logs,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) collecting: Collecting,
    pub(crate) series: Series,
    pub(crate) rules: Rules,
    /// The dead man's switch last.
    #[serde(default)]
    pub(crate) told_of_alerts: Vec<Told>,
    #[serde(default)]
    pub(crate) kept: Vec<Kept>,
    #[serde(default)]
    pub(crate) repairs: Repairs,
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

/// Which logs are followed; the answer of `GET /v1/files` has their files as well.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Logs {
    /// Why none are read, while none are.
    pub(crate) held: Option<String>,
    pub(crate) sources: Vec<LogSource>,
}

/// One source. Counts begin with the start, or with its first configuration.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct LogSource {
    pub(crate) name: String,
    /// `files`, `journal` or `kernel`.
    pub(crate) kind: String,
    /// Why it cannot be read now.
    pub(crate) trouble: Option<String>,
    /// How often it could not be read.
    pub(crate) failures: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// What is there and has not been read.
    pub(crate) behind_bytes: u64,
    /// How many files.
    pub(crate) followed: u64,
    pub(crate) truncated: u64,
    pub(crate) unparsed: u64,
    pub(crate) left_out: u64,
    pub(crate) invalid_utf8: u64,
    /// By reason.
    pub(crate) lost: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<FollowedFile>,
    /// Files that are not told of, because there are too many.
    pub(crate) files_left_out: usize,
}

/// A file that a source knows.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct FollowedFile {
    pub(crate) path: PathBuf,
    /// What becomes of it, or why it is not followed.
    pub(crate) state: String,
    /// How far it has been read.
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) behind_bytes: u64,
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
    #[serde(default)]
    pub(crate) samples: u64,
    /// That the samples take.
    #[serde(default)]
    pub(crate) bytes: u64,
    /// Samples given up because all of them took too much.
    #[serde(default)]
    pub(crate) squeezed: u64,
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
    /// Of rules, since the start.
    #[serde(default)]
    pub(crate) evaluations: u64,
    #[serde(default)]
    pub(crate) failures: u64,
    /// That all of them took.
    #[serde(default)]
    pub(crate) seconds: f64,
    #[serde(default)]
    pub(crate) pending: usize,
    pub(crate) firing: Vec<FiringAlert>,
    /// The labels of alerts that fire and end again and again.
    #[serde(default)]
    pub(crate) flapping: Vec<BTreeMap<String, String>>,
    /// How many rules select series of which there are none.
    #[serde(default)]
    pub(crate) no_series_for: usize,
    /// The first of them.
    #[serde(default)]
    pub(crate) matching_nothing: Vec<MatchingNothing>,
}

/// A rule that can say nothing, because it selects series of which there are none.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MatchingNothing {
    pub(crate) group: String,
    pub(crate) rule: String,
    pub(crate) selectors: Vec<String>,
}

/// A receiver of alerts. Counts begin with the start or the last change of who is told.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// Alerts that it took, each time.
    pub(crate) accepted: u64,
    /// Alerts that it is to be told of now.
    pub(crate) owed: usize,
    /// Since it last took something.
    pub(crate) failing_since: Option<String>,
    pub(crate) last_error: Option<String>,
}

/// What a restart will not forget.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Kept {
    pub(crate) what: String,
    /// Since it was last written.
    pub(crate) seconds_ago: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) written: u64,
    pub(crate) failed: u64,
    /// Found at the start and put aside.
    pub(crate) unusable: u64,
}

/// An alert that fires.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FiringAlert {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) for_seconds: u64,
    /// The silence for which nobody is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) silenced: Option<String>,
    /// Until when people are not told of it, because a runbook is to repair it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held_until: Option<String>,
    /// What is or was last done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repair: Option<String>,
}

/// How the host is repaired.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Repairs {
    /// Why no run starts, while the kill switch is on.
    pub(crate) frozen: Option<String>,
    /// Runs that are under way or wait for somebody to approve them.
    pub(crate) in_hand: Vec<Run>,
    /// Runs that are over, by outcome, since the start.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Events in the run journal, since the host's first.
    pub(crate) journal_events: u64,
    /// Refusals that are in no journal, because too many came in a minute.
    #[serde(default)]
    pub(crate) untold_refusals: u64,
}

/// A run in hand.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Run {
    #[serde(rename = "run")]
    pub(crate) id: String,
    /// The labels of its alert, printed.
    pub(crate) alert: String,
    pub(crate) runbook: String,
    pub(crate) target: String,
    pub(crate) stage: String,
    pub(crate) for_seconds: u64,
    /// What it would do, while it waits to be approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) plan: Vec<String>,
    /// When it is given up, while it waits to be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_until: Option<String>,
}

/// What runbooks have to do with an alert, in the answer of `GET /v1/explain`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Explained {
    /// Its labels, printed.
    pub(crate) alert: String,
    /// If not, it is an alert of these labels that could fire.
    pub(crate) fires: bool,
    pub(crate) runbooks: Vec<remediation::Explanation>,
    /// The last lines that log rules matched whose counts it reads, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<ShownLine>,
}

/// What became of a run that waited, in the answer of `POST /v1/approve`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Decided {
    pub(crate) run: String,
    /// None if it has begun.
    pub(crate) outcome: Option<String>,
    pub(crate) reason: Option<String>,
}

/// Whether repairs stand still, in the answer of `POST /v1/freeze` and `/v1/unfreeze`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Frozen {
    /// Why, while they do.
    pub(crate) frozen: Option<String>,
    /// What whoever asked should know.
    pub(crate) note: Option<String>,
}

/// A silence, as `GET /v1/silences` tells of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Silence {
    pub(crate) id: String,
    pub(crate) matchers: Vec<String>,
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) by: String,
    pub(crate) comment: String,
    /// Whether no runbook answers the alerts either.
    pub(crate) repairs: bool,
    /// Whether it holds now.
    pub(crate) holds: bool,
}

impl Silence {
    pub(crate) fn of(silence: notify::Silence, now: Timestamp) -> Self {
        Self {
            holds: silence.holds(now),
            id: silence.id,
            matchers: silence.matchers,
            from: silence.from.to_string(),
            until: silence.until.to_string(),
            by: silence.by,
            comment: silence.comment,
            repairs: silence.repairs,
        }
    }
}
