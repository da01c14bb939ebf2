//! Guards by what other runs do, here and on other hosts.

use std::time::Duration;

use telemetry::{Timestamp, format_duration};

use super::{Question, Verdict, allow, refuse, verdict};
use crate::history::{History, Touch, overlap};

/// Two runbooks that changed one target within this time work against each other. Both are held back for as long after
/// the later of them.
const CONFLICT_WINDOW: Duration = Duration::from_hours(1);

/// No second run of a runbook beside the first.
pub(super) fn one_at_a_time(question: &Question<'_>, history: &History, _: Timestamp) -> Verdict {
    let runbook = &question.subject.runbook.name;
    match history.open().find(|(_, open)| open.started && open.runbook == *runbook) {
        Some((run, _)) => refuse(format!("run {run} has not ended")),
        None => allow("no other run of this runbook"),
    }
}

/// No run on what another may be changing.
pub(super) fn one_per_target(question: &Question<'_>, history: &History, _: Timestamp) -> Verdict {
    let targets = question.subject.runbook.targets();
    for (run, open) in history.open().filter(|(_, open)| open.acts()) {
        let shared = open.touches.iter().find(|held| targets.iter().any(|target| overlap(held, target)));
        if let Some(shared) = shared {
            return refuse(format!("run {run} of {} is at work on {shared}", open.runbook));
        }
    }
    match targets.as_slice() {
        [] => allow("it has no targets"),
        targets => allow(format!("no other run is at work on {}", targets.join(", "))),
    }
}

/// At most so many runs at a time on this host.
pub(super) fn at_once(question: &Question<'_>, history: &History, _: Timestamp) -> Verdict {
    let (acting, at_once) =
        (history.open().filter(|(_, open)| open.acts()).count(), question.settings.at_once);
    verdict(acting < at_once, format!("{acting} of {at_once} runs at work on this host"))
}

/// Two runbooks that take turns on one target fight each other.
pub(super) fn conflict(question: &Question<'_>, history: &History, now: Timestamp) -> Verdict {
    for target in question.subject.runbook.targets() {
        let recent: Vec<&Touch> =
            history.touches(&target).filter(|touch| touch.at.plus(CONFLICT_WINDOW * 2) > now).collect();
        let Some((earlier, later)) = fight(&recent, now) else { continue };
        let ago = |touch: &Touch| format_duration(now.since(touch.at));
        let ends = format_duration(later.at.plus(CONFLICT_WINDOW).since(now));
        return refuse(format!(
            "{} ran on {target} {} ago and {} {} ago; both wait for {ends}, or for `hostmend unfreeze '{target}'`",
            earlier.runbook,
            ago(earlier),
            later.runbook,
            ago(later),
        ));
    }
    allow(format!("no two runbooks ran on one of its targets within {}", format_duration(CONFLICT_WINDOW)))
}

/// The latest two runs of different runbooks that lie within the window of each other, if the later still counts.
fn fight<'a>(touches: &[&'a Touch], now: Timestamp) -> Option<(&'a Touch, &'a Touch)> {
    let mut latest_first = touches.to_vec();
    latest_first.sort_by_key(|touch| std::cmp::Reverse(touch.at));
    let pairs = latest_first.iter().enumerate().flat_map(|(place, later)| {
        latest_first.iter().skip(place + 1).map(move |earlier| (*earlier, *later))
    });
    let mut fights = pairs.filter(|(earlier, later)| {
        earlier.runbook != later.runbook
            && later.at.since(earlier.at) < CONFLICT_WINDOW
            && later.at.plus(CONFLICT_WINDOW) > now
    });
    fights.next()
}

/// At most so many hosts of a group at a time.
pub(super) fn fleet_lock(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let Some(terms) = &question.subject.runbook.guards.fleet_lock else {
        return allow("the runbook asks for no lock of the fleet");
    };
    let (group, max) = (&terms.group, terms.max);
    match &question.circumstances.fleet_lock {
        Some(Ok(())) => allow(format!("a place among {max} of {group} is free")),
        Some(Err(why)) => refuse(format!("no place among {max} of {group}: {why}")),
        None => refuse(format!("no place among {max} of {group}: nobody has asked for it")),
    }
}
