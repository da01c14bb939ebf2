//! Where a series comes from, which decides how far it may be trusted.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where a series or an alert comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Measured on this host by the agent: collectors and probes.
    Host,
    /// Computed by a rule.
    Rule,
    /// Received by the OTLP listener of this name, or made of what it received. Whoever reaches the listener may have
    /// sent it.
    Otlp(Arc<str>),
    /// Made of the lines of the log source of this name. Whoever gets a line into the log may have said it.
    Log(Arc<str>),
    /// Laid down as a file in the directory for it, by whoever may write there.
    Textfile,
}

/// All that a value was computed from.
pub type Origins = BTreeSet<Origin>;

impl Origin {
    /// Whether it is neither measured nor computed here, but said by somebody.
    pub const fn is_outside(&self) -> bool {
        !matches!(self, Self::Host | Self::Rule)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Rule => f.write_str("rule"),
            Self::Otlp(listener) => write!(f, "otlp:{listener}"),
            Self::Log(source) => write!(f, "log:{source}"),
            Self::Textfile => f.write_str("textfile"),
        }
    }
}
