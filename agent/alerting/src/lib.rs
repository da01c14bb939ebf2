//! Rule files and the alert state machine.
//!
//! [`RuleFile`] reads what people write, [`GroupState`] evaluates it against a store at given times, and [`step`] is
//! the machine itself: pure, so that it can be tested and replayed. This crate tells nobody about alerts and repairs
//! nothing; it returns transitions to whoever does.

#![forbid(unsafe_code)]

mod brief;
mod group;
mod rule;
mod rule_file;
mod schedule;
mod state;
mod template;

pub use group::{Failure, GroupState, Round, RuleError};
pub use rule::{ALERT_NAME, AlertingRule, RecordingRule, Rule, RuleGroup};
pub use rule_file::RuleFile;
pub use state::{RuleState, StepError, Transition, step};
pub use template::{Template, TemplateError};
