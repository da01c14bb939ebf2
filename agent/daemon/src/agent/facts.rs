//! Answers what runs ask about the host, as JSON of the shape that the row of the function says.
//!
//! Nothing here changes anything, and nothing waits without end: what may hang has a deadline. Whether a script may ask is
//! decided before. The surprise: what the processor and the disks give to processes is known from the last collection, and
//! the evidence of a run takes the processes as its guards have just seen them; everything else is looked at when it is asked
//! for.

mod files;
mod flag;
mod http;
mod journal;
mod kernel;
mod processes;
mod units;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::RwLock;

use collectors::{CollectError, HostRoot, ServiceFacts};
use remediation::Fact;
use serde_json::Value;
use series::Store;
use telemetry::{Timestamp, with_causes};

use crate::agent::circumstances::WorkWatch;

/// What answers are found by.
pub(super) struct Sources<'a> {
    pub(super) host: &'a HostRoot,
    pub(super) store: &'a RwLock<Store>,
    pub(super) work: &'a WorkWatch,
    /// Where the processes that the policy defines leave their number, by name.
    pub(super) pid_files: &'a HashMap<String, PathBuf>,
    /// The files of the flags that the policy names, by their names.
    pub(super) flag_files: &'a HashMap<String, PathBuf>,
    pub(super) now: Timestamp,
}

impl Sources<'_> {
    /// The answer to a question; the error is for the script and the journal.
    pub(super) fn answer(&self, fact: &Fact) -> Result<Value, String> {
        match fact {
            Fact::UnitStatus { unit } => units::status(self.host, unit),
            Fact::UnitLimits { unit } => units::limits(self.host, unit),
            Fact::TopProcesses { by, count } => self.top(*by, *count),
            Fact::HeaviestProcesses { count } => Ok(self.heaviest(*count)),
            Fact::ProcessStack { process } => {
                told(collectors::process_stack(self.host, process.pid, process.start_ticks)).map(Value::from)
            }
            Fact::ProcessMaps { process } => {
                told(collectors::process_maps(self.host, process.pid, process.start_ticks)).map(Value::from)
            }
            Fact::DiskUsage { path } => files::disk_usage(self.host, path),
            Fact::DirectoryUsage { path } => {
                told(collectors::directory_usage(self.host, path)).map(Value::from)
            }
            Fact::Files { under, matching, older_than, order, at_most } => {
                let wanted = files::Wanted { matching: matching.as_deref(), older_than: *older_than };
                self.files(under, &wanted, *order, *at_most)
            }
            Fact::Releases { link } => self.releases(link),
            Fact::JournalTail { unit, lines } => journal::tail(unit, *lines).map(Value::from),
            Fact::CgroupLimits { cgroup } => kernel::cgroup_limits(self.host, cgroup),
            Fact::Conntrack => kernel::conntrack(self.host),
            Fact::Sockets => kernel::sockets(self.host),
            Fact::HttpGet { url, within } => http::get(url, *within),
            Fact::Sysctl { name } => told(collectors::sysctl(self.host, name)).map(Value::from),
            Fact::Flag { flag } => flag::get(self.flag_files, flag),
            Fact::Pressure => kernel::pressure(self.host),
        }
    }
}

/// A service, as guards look at it.
pub(super) fn service(host: &HostRoot, unit: &str) -> Result<ServiceFacts, String> {
    told(collectors::service(host, unit))
}

pub(super) use journal::last_stop;

fn told<T>(result: Result<T, CollectError>) -> Result<T, String> {
    result.map_err(|error| with_causes(&error))
}
