//! Answers alerts: runbooks, guards, the sandbox for scripts, runs and their journal.
//!
//! This crate decides and records; it never touches the host. What it must know or have done it asks of a [`World`],
//! which the daemon supplies, and scripts ask it, from a process of their own.

#![forbid(unsafe_code)]

mod functions;
mod grants;
mod guard;
mod history;
mod ledger;
mod matcher;
mod run;
mod runbook;
mod runner;
mod sandbox;
mod script;
mod world;

pub use functions::{FunctionKind, HOST_FUNCTIONS, HostFunction};
pub use grants::{Capability, Grants};
pub use ledger::{Ledger, LedgerError};
pub use matcher::{Matcher, MatcherError};
pub use run::Remediator;
pub use runbook::{Guards, Runbook, Verify};
pub use runner::{Sandbox, ServeError, serve};
pub use script::{Script, check_script, load_scripts};
pub use world::{Answer, FoundProcess, World};
