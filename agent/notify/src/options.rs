//! Who is told, and how often.

use std::time::Duration;

use otlp::{PostTarget, Secret};
use telemetry::Timestamp;

use crate::externals::Externals;
use crate::ledger::Pace;

/// Receivers at most: more is a task for an Alertmanager.
pub const MAX_RECEIVERS: usize = 20;

/// For how long the end of an alert is told again to an Alertmanager, as by Prometheus.
pub(crate) const RESOLVED_FOR: Duration = Duration::from_mins(15);

/// Who is told of alerts. Nobody, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Who this host is.
    pub externals: Externals,
    /// How often Alertmanagers are told of what still fires.
    pub resend_delay: Duration,
    /// Those who are told. Their names differ.
    pub receivers: Vec<Receiver>,
    /// Whether the alert `Watchdog` fires for as long as rules are evaluated.
    pub watchdog: bool,
    /// Who notices when nothing comes any more.
    pub dead_mans_switch: Option<DeadMansSwitch>,
}

/// One who is told of alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Where.
    pub target: PostTarget,
    /// In which form.
    pub kind: Kind,
}

/// The form in which somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The API of an Alertmanager, version 2.
    Alertmanager,
    /// Alertmanager's message to webhooks.
    Webhook {
        /// What still fires is told again after so long.
        repeat: Duration,
        /// By which messages are signed.
        secret: Option<Secret>,
    },
}

/// Gets a message in each interval in which rules are evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMansSwitch {
    /// Where.
    pub target: PostTarget,
    /// How often.
    pub interval: Duration,
    /// By which messages are signed.
    pub secret: Option<Secret>,
}

impl Receiver {
    pub(crate) fn pace(&self, resend_delay: Duration) -> Pace {
        match self.kind {
            Kind::Alertmanager => Pace { repeat: resend_delay, resolved_for: Some(RESOLVED_FOR) },
            Kind::Webhook { repeat, .. } => Pace { repeat, resolved_for: None },
        }
    }
}

/// The time of day, as the program has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(pub(crate) fn() -> Timestamp);
