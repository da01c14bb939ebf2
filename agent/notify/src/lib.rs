//! Tells others of alerts: Alertmanagers, webhooks, a dead man's switch; keeps what is silenced.
//!
//! A [`Notifier`] is told after each round of rules what fires. What each receiver knows and is owed stands in a
//! [`Ledger`], which is pure and outlives the agent. This crate knows nothing of rules, and decides of no alert whether it
//! fires; it goes out by the connections of `otlp`, so that there is one client with TLS, proxies and credentials.

#![forbid(unsafe_code)]

mod alertmanager;
mod desk;
mod externals;
mod ledger;
mod notice;
mod notifier;
mod options;
mod receiver;
mod silences;
mod state_file;
mod webhook;

pub use alertmanager::PATH as ALERTMANAGER_PATH;
pub use externals::Externals;
pub use ledger::{Answer, Call, Ledger, MAX_ALERTS, Pace, REPAIR_FAILED, SavedError};
pub use notice::Notice;
pub use notifier::{ChangeError, Figures, Notifier, ReceiverFigures, StartError};
pub use options::{DeadMansSwitch, Kind, MAX_RECEIVERS, Options, Receiver};
pub use receiver::Failing;
pub use silences::{NewSilence, Silence, SilenceError, Silences};
pub use webhook::SIGNATURE;
