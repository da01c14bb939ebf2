//! Rule files and the alert state machine.
//!
//! [`RuleFile`] reads what people write, [`GroupState`] evaluates it against a store at given times, and [`step`] is
//! the machine itself: pure, so that it can be tested and replayed. This crate tells nobody about alerts and repairs
//! nothing; it returns transitions to whoever does.

#![forbid(unsafe_code)]

mod brief;
mod group;
mod inputs;
mod replay;
mod rule;
mod rule_file;
mod saved;
mod schedule;
mod state;
mod template;
pub mod unit_test;
mod view;

pub use group::{Departed, Failure, GroupState, Round, RoundTimes, RuleError};
pub use replay::{Firing, Replay, ReplayedAlert, ReplayedFailure, TooManyRounds, replay};
pub use rule::{ALERT_NAME, AlertingRule, Defaults, Externals, OnMissing, RecordingRule, Rule, RuleGroup};
pub use rule_file::RuleFile;
pub use saved::{MAX_SAVED_BYTES, SavedError, SavedGroup, SavedGroups};
pub use state::{
    FLAP_HALF_LIFE, FLAPPING, Findings, Instance, RESOLVED_FOR, RuleState, StepError, Transition, step,
};
pub use template::{Ask, Scene, Template, TemplateError};
pub use view::{AlertView, AlertingView, Evaluation, GroupView, Health, KindView, RuleView};
