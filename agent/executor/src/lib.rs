//! Typed actions, the policy that allows them, and the only code that changes the host.
//!
//! Whoever asks can name what the policy defines and nothing else: no program, no path outside an allowed directory,
//! no process or unit that the host cannot live without. There is no network, no script language and no shell in here.

#![forbid(unsafe_code)]

mod account;
mod action;
mod beneath;
mod budget;
mod changes;
mod children;
mod command;
mod drop_ins;
mod executor;
mod flag_file;
mod frame;
mod freeze;
#[cfg(any(test, feature = "fuzz"))]
pub mod hostile_input;
mod journal_files;
mod kernel_files;
mod link;
mod outcome;
mod pattern;
mod policy;
mod preparation;
mod process;
mod protected;
mod quarantine;
mod replacement;
mod restart;
mod server;
mod socket;
mod spending;
mod sweep;
mod systemd;
mod thread;
mod truncation;
mod unit_name;

pub use action::{
    Action, ByteCount, ChangeId, Limits, ProcessId, ProcessName, Selection, Signal, UnitVerb, UnknownSignal,
};
pub use budget::{Budget, BudgetError};
pub use drop_ins::DropIn;
pub use executor::Executor;
pub use flag_file::{FlagError, FlagState};
pub use freeze::{FREEZE_FILE, Freeze};
pub use outcome::{ActionError, Cause, Outcome, UnitState};
pub use pattern::name_matches;
pub use policy::{
    CgroupRule, CommandRule, DirectoryRule, FlagRule, JournalRule, LimitBounds, LinkRule, Policy,
    ProcessRule, QuarantineRule, Range, SignalRule, Subject, SysctlRule, TruncatableRule, UnitRule,
};
pub use protected::is_plain_path;
pub use server::{ExecutorServer, ServerOptions, Stopped};
pub use socket::ExecutorSocket;
pub use thread::{Actuator, ExecutorThread, PolicyInForce};
pub use unit_name::{UnitName, UnitNameError};
