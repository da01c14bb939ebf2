//! Answers alerts: runbooks, the functions that scripts may call, and the check of both.

#![forbid(unsafe_code)]

mod functions;
mod matcher;
mod runbook;
mod sandbox;
mod script;

pub use functions::{Capability, FunctionKind, Grants, HOST_FUNCTIONS, HostFunction};
pub use matcher::{Matcher, MatcherError};
pub use runbook::{Guards, Runbook, Verify};
pub use script::{Script, check_script, load_scripts};
