//! Finds out all that guards judge by: how the host is, and what people and other programs are doing on it.
//!
//! It judges nothing itself. What cannot be found out is told as such, in the place where a guard refuses for it: nobody
//! knows whether a unit was stopped by a person when systemd does not answer.

mod clock_watch;
mod owners;
mod stops;
mod work;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;

use collectors::{HostRoot, ServiceFacts};
use remediation::{Circumstances, FleetLock, FleetLockTerms, Hold, HoldKind, Subject, World};
use telemetry::{Alert, with_causes};

pub(crate) use clock_watch::ClockWatch;
pub(crate) use stops::StopWatch;
use work::Work;
pub(crate) use work::WorkWatch;

use crate::agent::Shared;
use crate::agent::facts::{last_stop, service};
use crate::clock;

/// What is looked at.
pub(super) struct Sight<'a> {
    pub(super) host: &'a HostRoot,
    pub(super) shared: &'a Shared,
    /// Where the processes that the policy defines leave their number, by name.
    pub(super) pid_files: &'a HashMap<String, PathBuf>,
    /// Who tells how many hosts act.
    pub(super) fleet_lock: Option<&'a dyn FleetLock>,
}

impl Sight<'_> {
    /// How things are for a run about `subject`. `world` says what it knows itself.
    pub(super) fn look(&self, subject: &Subject<'_>, world: &dyn World) -> Circumstances {
        let guards = &subject.runbook.guards;
        let targets = subject.runbook.targets();
        let work = self.shared.work.look(self.host);
        Circumstances {
            frozen: world.frozen(),
            seen_firing: world.seen_firing(subject.alert),
            flapping: self.flapping(subject.alert),
            clock_set: self.shared.clock.last_set(),
            pressure_full: pressure(self.host),
            holds: holds(self.host, &targets, &work, &self.shared.stops),
            owners: owners::of(self.host, &targets, self.pid_files, &work.processes),
            unwell_dependencies: self.unwell(guards.depends_on.iter().map(executor::UnitName::as_str)),
            only_if: guards.only_if.as_ref().map(|expr| world.query(expr, None)),
            error_budget: guards.error_budget.as_ref().map(|terms| {
                Err(format!("this agent keeps no objectives, and so none called {}", terms.objective))
            }),
            fleet_lock: guards.fleet_lock.as_ref().map(|terms| self.look_for_place(terms)),
        }
    }

    fn look_for_place(&self, terms: &FleetLockTerms) -> Result<(), String> {
        let lock =
            self.fleet_lock.ok_or("hostmend.yaml says nowhere hosts agree (remediation.fleet_lock)")?;
        lock.look(terms, clock::now()).map_err(|error| with_causes(&error))
    }

    fn flapping(&self, alert: &Alert) -> Option<String> {
        let now = clock::now();
        let is_flapping = self.shared.groups.read(|groups| {
            groups.iter().flat_map(|judged| judged.group.flapping(now)).any(|labels| *labels == alert.labels)
        });
        is_flapping.then(|| {
            let half_life = telemetry::format_duration(alerting::FLAP_HALF_LIFE);
            format!("{} changes or more, where each counts half after {half_life}", alerting::FLAPPING)
        })
    }

    fn unwell<'u>(&self, units: impl Iterator<Item = &'u str>) -> Vec<(String, String)> {
        let look = |unit: &'u str| match service(self.host, unit) {
            Ok(facts) if facts.active == "active" => None,
            Ok(facts) => Some((unit.to_owned(), facts.active)),
            Err(why) => Some((unit.to_owned(), format!("unknown ({why})"))),
        };
        units.filter_map(look).collect()
    }
}

/// What people and programs in their stead hold. Every unit that the run may touch counts, whatever the alert is about: the
/// script decides among them.
fn holds(host: &HostRoot, targets: &[String], work: &Work, stops: &StopWatch) -> Vec<Hold> {
    let units = targets.iter().filter_map(|target| target.strip_prefix("unit "));
    let stopped = units.filter_map(|unit| {
        let facts = service(host, unit);
        let told = || stops.told_to_stop(unit, facts.as_ref().ok()?, clock::since_boot(), last_stop);
        stopped(unit, &facts).or_else(told)
    });
    let hold = |kind| move |what| Hold { kind, what };
    stopped.map(hold(HoldKind::Stopped)).chain(work.holds.iter().cloned()).collect()
}

/// The share of the last 10 s in which everything waited. What cannot be read is no number, which no limit allows.
fn pressure(host: &HostRoot) -> Vec<(&'static str, f64)> {
    match collectors::pressure(host) {
        Ok(waiting) => waiting.iter().filter_map(|it| Some((it.resource, it.full?))).collect(),
        Err(error) => {
            tracing::warn!("{}", with_causes(&error));
            vec![("pressure", f64::NAN)]
        }
    }
}

/// Why a unit that a run would touch has to stay as it is. systemd does not say who has stopped a unit, and remembers for a
/// while only that it ended in order; whoever wants it to be repaired starts it, or says so in the unit (`Restart=always`).
/// Of one that ended out of order, [`StopWatch`] finds out whether it was told to.
fn stopped(unit: &str, facts: &Result<ServiceFacts, String>) -> Option<String> {
    let facts = match facts {
        Ok(facts) => facts,
        Err(why) => return Some(format!("it is not known whether {unit} was stopped: {why}")),
    };
    if facts.load == "masked" || facts.enabled.starts_with("masked") {
        return Some(format!("{unit} is masked; `systemctl unmask {unit}` allows it to run again"));
    }
    let rests = matches!(facts.active.as_str(), "inactive" | "failed");
    if rests && facts.enabled.starts_with("disabled") {
        return Some(format!(
            "{unit} is disabled and does not run; `systemctl enable --now {unit}` changes that"
        ));
    }
    if facts.active == "inactive" && facts.result == "success" && facts.load == "loaded" {
        return Some(format!(
            "{unit} was stopped, or ended without a failure; `systemctl start {unit}` ends this hold"
        ));
    }
    (facts.active == "deactivating").then(|| format!("{unit} is being stopped"))
}
