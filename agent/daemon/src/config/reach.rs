//! Whether the policy lets a runbook do what the runbook grants its script.
//!
//! Both must allow an action. A policy that does not is a warning, since it is delivered by others; a target that is known only
//! when an alert fires is not looked at.

use std::path::Path;

use documents::Problem;
use executor::{Policy, UnitRule, UnitVerb};
use remediation::{Capability, Runbook};
use telemetry::Stage;

use super::coherence::{Site, Whole};

/// A capability, and what is missing in the policy for one of its targets, if so.
type Row = (Capability, fn(&Policy, &str) -> Option<String>);

const ROWS: [Row; 13] = [
    (Capability::ProcessRestart, |policy, name| {
        let message = format!("the policy defines no process {name:?}, so restarting it will be refused");
        policy.process(&name.into()).is_none().then_some(message)
    }),
    (Capability::UnitRestart, |policy, name| {
        unit(policy, name, "restarting", &|rule| rule.may.contains(&UnitVerb::Restart))
    }),
    (Capability::UnitStop, |policy, name| {
        unit(policy, name, "stopping", &|rule| rule.may.contains(&UnitVerb::Stop))
    }),
    (Capability::UnitFreeze, |policy, name| {
        unit(policy, name, "freezing", &|rule| rule.may.contains(&UnitVerb::Freeze))
    }),
    (Capability::UnitLimit, |policy, name| {
        unit(policy, name, "limiting", &|rule| rule.limits != executor::LimitBounds::default())
    }),
    (Capability::FileRemove, |policy, path| {
        let swept = policy.directories.iter().any(|rule| Path::new(path).starts_with(&rule.path));
        (!swept).then(|| format!("the policy lets nothing be deleted below {path}"))
    }),
    (Capability::FileTruncate, |policy, path| {
        let named = policy.truncatable.iter().any(|rule| Path::new(path).starts_with(&rule.path));
        (!named).then(|| format!("the policy lets {path} not be emptied"))
    }),
    (Capability::FileLink, |policy, path| {
        let named = policy.links.iter().any(|rule| rule.path == Path::new(path));
        (!named).then(|| format!("the policy names no link {path}, so switching it will be refused"))
    }),
    (Capability::JournalVacuum, |policy, _| {
        let message = "the policy has no `journal`, so rotating and shortening it will be refused";
        policy.journal.is_none().then(|| message.to_owned())
    }),
    (Capability::FlagSet, |policy, name| {
        let named = policy.flags.iter().any(|rule| rule.name == name);
        (!named).then(|| format!("the policy names no flag {name:?}, so setting it will be refused"))
    }),
    (Capability::ExecRun, |policy, name| {
        let named = policy.commands.iter().any(|rule| rule.name == name);
        (!named).then(|| format!("the policy defines no command {name:?}, so running it will be refused"))
    }),
    (Capability::CgroupLimit, |policy, path| {
        let named = policy.cgroups.iter().any(|rule| Path::new(&rule.path).starts_with(path));
        (!named).then(|| {
            format!("the policy names no control group {path}, so what is done to it will be refused")
        })
    }),
    (Capability::SysctlSet, |policy, name| {
        let named = policy.sysctls.iter().any(|rule| rule.name == name);
        (!named).then(|| format!("the policy names no parameter {name:?}, so setting it will be refused"))
    }),
];

fn unit(policy: &Policy, name: &str, doing: &str, allows: &dyn Fn(&UnitRule) -> bool) -> Option<String> {
    match policy.unit(name) {
        None => Some(format!("the policy names no unit {name:?}, so {doing} it will be refused")),
        Some(rule) if allows(rule) => None,
        Some(_) => Some(format!("what the policy says of unit {name:?} does not allow {doing} it")),
    }
}

/// A runbook that acts needs a policy that lets it.
pub(super) fn policy_reaches(runbook: &Runbook, whole: &Whole<'_>, site: &Site<'_>) -> Vec<Problem> {
    if runbook.stage != Stage::Auto {
        return Vec::new();
    }
    let policy = &whole.repairs.policy;
    let missing = ROWS.into_iter().flat_map(|(capability, missing)| {
        let targets = runbook.grants.targets(capability).filter(|target| !target.contains("${"));
        targets.filter_map(move |target| Some((target, missing(policy, target)?)))
    });
    let unstartable =
        runbook.grants.targets(Capability::ProcessRestart).filter(|_| whole.own_process).map(|name| {
            let message = format!(
                "an executor behind a socket starts no processes, so restarting {name:?} will be refused"
            );
            (name, message + "; let a unit run it, and grant unit.restart on the unit")
        });
    missing.chain(unstartable).map(|(target, message)| site.warning_of_target(target, message)).collect()
}
