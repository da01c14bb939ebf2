//! Alerts, as rules raise them and runbooks answer them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::{Labels, Origins, Timestamp};

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds, but not yet for as long as the rule's `for`.
    Pending,
    /// The condition has held for `for`.
    Firing,
    /// It was firing and the condition no longer holds.
    Resolved,
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        })
    }
}

/// The rule that raised an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AlertSource {
    /// The rule file.
    pub file: PathBuf,
    /// The group's name.
    pub group: String,
    /// The rule's expression.
    pub expression: String,
}

/// A line in which a log rule found what it looks for, masked: evidence for the alerts that read its counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedLine {
    /// When it was read or received. As JSON it is a text.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// `log:` and its source, or `otlp:` and the listener by which it came.
    pub origin: String,
    /// The line, cut if it was long.
    pub text: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// One alert: a rule's condition for one label set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// All labels, `alertname` among them. They identify the alert.
    pub labels: Labels,
    /// Texts for people, with their templates expanded.
    pub annotations: BTreeMap<String, String>,
    /// Pending, firing or resolved.
    pub state: AlertState,
    /// The value of the rule's expression when it was last evaluated.
    pub value: f64,
    /// Since when the condition has held without a break.
    pub active_at: Timestamp,
    /// When it began to fire.
    pub fired_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// All that the expression read, since the condition began to hold: how far the alert may be trusted.
    pub origins: Origins,
    /// The rule that raised it.
    pub source: Arc<AlertSource>,
}

impl Alert {
    /// An alert of whose rule nothing is known, active since `at`, and firing or resolved since then too if that is its
    /// state.
    pub fn new(labels: Labels, state: AlertState, at: Timestamp) -> Self {
        Self {
            labels,
            annotations: BTreeMap::new(),
            state,
            value: 0.0,
            active_at: at,
            fired_at: (state != AlertState::Pending).then_some(at),
            resolved_at: (state == AlertState::Resolved).then_some(at),
            origins: Origins::new(),
            source: Arc::default(),
        }
    }

    /// The value of the label `alertname`.
    pub fn name(&self) -> &str {
        self.labels.get("alertname")
    }
}
