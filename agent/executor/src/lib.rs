//! Typed actions, the policy that allows them, and the only code that changes the host.
//!
//! Whoever asks can name what the policy defines and nothing else: no program, no path outside an allowed directory,
//! no process or unit that the host cannot live without. There is no network, no script language and no shell in here.

#![forbid(unsafe_code)]

mod action;
mod budget;
mod children;
mod executor;
mod frame;
mod outcome;
mod policy;
mod preparation;
mod process;
mod protected;
mod replacement;
mod restart;
mod server;
mod socket;
mod spending;
mod sweep;
mod systemd;
mod thread;
mod unit_name;

pub use action::{Action, ByteCount, ProcessId, ProcessName, Signal, UnknownSignal};
pub use budget::{Budget, BudgetError};
pub use executor::Executor;
pub use outcome::{ActionError, Cause, Outcome, UnitState};
pub use policy::{DirectoryRule, Policy, ProcessRule, SignalRule, Subject, UnitRule};
pub use protected::is_plain_path;
pub use server::{ExecutorServer, ServerOptions, Stopped};
pub use socket::ExecutorSocket;
pub use thread::{Actuator, ExecutorThread, PolicyInForce};
pub use unit_name::{UnitName, UnitNameError};
