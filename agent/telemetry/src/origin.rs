//! Where a series comes from, which decides how far it may be trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a series or an alert comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Measured on this host by the agent: collectors and probes.
    Host,
    /// Computed by a rule.
    Rule,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Rule => "rule",
        })
    }
}
