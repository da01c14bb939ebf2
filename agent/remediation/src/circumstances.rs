//! What guards judge by, apart from earlier runs: how the host is and what people are doing on it.
//!
//! The daemon finds it out, all at once, before the guards are asked, so that each guard is a function of what stands here.
//! What could not be found out says so; a guard then refuses rather than guesses.

use telemetry::{Alert, Timestamp};

use crate::runbook::Runbook;
use crate::world::Answer;

/// What a run would be about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// The runbook that answers it, with its parameters filled in.
    pub runbook: &'a Runbook,
}

/// How things are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// Why all repairs are stopped, if they are: who did so and for how long.
    pub frozen: Option<String>,
    /// When the alert was last seen firing; None if it has resolved since.
    pub seen_firing: Option<Timestamp>,
    /// How often the alert has begun or ceased to fire lately, and within how long that is too often, if it is.
    pub flapping: Option<String>,
    /// When the clock was last set, forwards or back.
    pub clock_set: Option<Timestamp>,
    /// The share of time in which everything waited for a resource, over the last 10 s, in percent: `full` of
    /// `/proc/pressure`. Empty where the kernel does not tell.
    pub pressure_full: Vec<(&'static str, f64)>,
    /// What people, or programs in their stead, are doing that a run would cross.
    pub holds: Vec<Hold>,
    /// Who else looks after what the run would touch: a target, and the program that owns it.
    pub owners: Vec<(String, String)>,
    /// What the targets depend on that is not well itself: a unit, and its state.
    pub unwell_dependencies: Vec<(String, String)>,
    /// What the runbook's condition gave, if it has one.
    pub only_if: Option<Result<Answer, String>>,
    /// The share of the error budget that is left, from 1 down, below 0 once it is overspent, if the runbook names an
    /// objective; the error says why it is not known.
    pub error_budget: Option<Result<f64, String>>,
    /// Who holds the fleet's lock that the runbook names, if all places are taken; the error says why it is not known.
    pub fleet_lock: Option<Result<(), String>>,
}

/// Something that a run should not cross.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What kind of thing it is.
    pub kind: HoldKind,
    /// Who does what to what, as a clause.
    pub what: String,
}

/// The kinds of holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// A person has stopped, disabled or masked a unit that the run would start. No runbook can do without this guard.
    Stopped,
    /// Packages are being installed or removed.
    Packages,
    /// Somebody is logged in.
    Login,
}
