//! Alerts, as rules raise them and runbooks answer them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{Labels, Timestamp};

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
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
}

impl Alert {
    /// The value of the label `alertname`.
    pub fn name(&self) -> &str {
        self.labels.get("alertname")
    }
}
