//! Answers alerts: runbooks, guards, the sandbox for scripts, runs and their journal.
//!
//! This crate decides and records; it never touches the host. What it must know or have done it asks of a [`World`],
//! which the daemon supplies, and scripts ask it, from a process of their own.

#![forbid(unsafe_code)]

pub mod audit;
mod circumstances;
mod dry_run;
mod fact;
mod fleet_lock;
mod functions;
mod grants;
mod guard;
mod header;
mod history;
mod ledger;
mod run;
mod runbook;
mod runner;
mod sandbox;
mod script;
mod world;

pub use circumstances::{Circumstances, Hold, HoldKind, Subject};
pub use fact::{Fact, FileOrder, ProcessFilter, TopBy};
pub use fleet_lock::{ErrorBudgets, FileFleetLock, FleetLock, FleetLockError, Place};
pub use functions::{FunctionKind, HOST_FUNCTIONS, HostFunction, Kind, Parameter, Shape};
pub use grants::{Capability, Grants, TargetKind};
pub use guard::{GUARDS, Guard, HostGuards};
pub use header::{Class, Header, Needs, Param, ParamKind, ParamProblem, Params, Risk};
pub use history::{Counts, Standing};
pub use ledger::{ChainHead, Hash, Ledger, LedgerError, LedgerFigures};
pub use run::{
    Considered, Decision, Explanation, GuardSays, Look, Plan, Remediator, Run, RunbookStanding, Undecided,
    WaitingRun, standings_of,
};
pub use runbook::{
    ErrorBudgetTerms, Escalation, FleetLockTerms, Guards, Paging, Runbook, Success, Verify, Window, Written,
};
pub use runner::{Sandbox, ServeError, serve};
pub use script::{Script, Scripts, check_script, check_sums, load_scripts};
pub use world::{Answer, FoundProcess, LaterFact, Page, World};
