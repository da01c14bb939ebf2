//! The functions that a script can call, in one table.
//!
//! Registration in the sandbox, the check of a script, its documentation, `hostmend list functions` and what the agent does
//! with a call are all read from [`HOST_FUNCTIONS`]. A row turns the arguments of a call into a [`Call`]; it performs
//! nothing.

mod answers;
mod arguments;
mod options;
mod shape;
mod table;

use std::fmt::Write as _;
use std::time::Duration;

use executor::{Action, ProcessId, UnitName};

pub(crate) use arguments::Arguments;
pub use shape::{Kind, Parameter, Shape};
pub use table::HOST_FUNCTIONS;

use crate::fact::{Fact, ProcessFilter};
use crate::grants::Capability;

/// Whether a function looks or acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// It asks for a fact, waits, or leaves a note: the host stays as it is.
    Read,
    /// It asks for a change to the host.
    Act,
}

/// One function that a script can call.
#[derive(Clone, Copy, Debug)]
pub struct HostFunction {
    /// `proc` in `proc::find`.
    pub namespace: &'static str,
    /// `find` in `proc::find`.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// How many of them, from the end, may be left out.
    pub optional: usize,
    /// What it returns.
    pub returns: Shape,
    /// One sentence for the author of a script.
    pub summary: &'static str,
    /// Whether it looks or acts.
    pub kind: FunctionKind,
    /// The capability without which it does not exist for the script.
    pub needs: Option<Capability>,
    /// Understands the arguments of a call.
    pub(crate) read: fn(&Arguments<'_>) -> Result<Call, String>,
}

impl HostFunction {
    /// `proc::find`.
    pub fn path(&self) -> String {
        format!("{}::{}", self.namespace, self.name)
    }

    /// `unit::wait_active(unit: unit, within: duration[, settle: duration]) -> bool`.
    pub fn signature(&self) -> String {
        let mut text = format!("{}(", self.path());
        for (at, parameter) in self.parameters.iter().enumerate() {
            let optional = at >= self.parameters.len() - self.optional;
            text.push_str(if optional { "[" } else { "" });
            text.push_str(if at == 0 { "" } else { ", " });
            let _ = write!(text, "{}: {}", parameter.name, parameter.kind);
        }
        text.push_str(&"]".repeat(self.optional));
        text.push(')');
        if self.returns != Shape::Nothing {
            let _ = write!(text, " -> {}", self.returns);
        }
        text
    }

    /// With how many arguments it can be called.
    pub fn arities(&self) -> std::ops::RangeInclusive<usize> {
        self.parameters.len() - self.optional..=self.parameters.len()
    }

    /// The function of this path.
    pub(crate) fn at(path: &str) -> Option<&'static Self> {
        let (namespace, name) = path.split_once("::")?;
        HOST_FUNCTIONS.iter().find(|function| function.namespace == namespace && function.name == name)
    }
}

/// What a script asks of the agent, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// The answer's processes may be signalled by this run.
    FindProcesses {
        filter: ProcessFilter,
    },
    Ask {
        fact: Fact,
        /// What must be granted, where the row needs a capability.
        on: Option<Target>,
    },
    Query {
        expr: String,
    },
    /// Waits until a unit has been active for `settle` without a break, `within` at most.
    WaitActive {
        unit: UnitName,
        within: Duration,
        settle: Duration,
    },
    Sleep {
        duration: Duration,
    },
    Now,
    Note {
        text: String,
    },
    /// Keeps a text beside the incident.
    Attach {
        name: String,
        text: String,
    },
    Act {
        action: Action,
        on: Target,
    },
}

/// What a call must be granted on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// A name, a path or an address.
    Named(String),
    /// A process that the run itself has found; the run knows under which names.
    Found(ProcessId),
}

#[cfg(test)]
mod tests;
