//! Guards by how the host is, and by what people and other programs do on it.

use telemetry::Timestamp;

use super::{Question, Verdict, allow, refuse, verdict};
use crate::circumstances::HoldKind;
use crate::history::History;

/// No run while an operator has stopped repairs.
pub(super) fn kill_switch(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    match &question.circumstances.frozen {
        Some(why) => refuse(format!("repairs are frozen: {why}")),
        None => allow("repairs are not frozen"),
    }
}

/// No run that could not be written down.
pub(super) fn journal(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let writable = question.journal_writable;
    let reason = if writable { "the run journal takes events" } else { "the run journal takes no events" };
    verdict(writable, reason)
}

/// No run outside of its hours.
pub(super) fn window(question: &Question<'_>, _: &History, now: Timestamp) -> Verdict {
    let guards = &question.subject.runbook.guards;
    for (window, wanted) in [(&guards.only_within, true), (&guards.not_within, false)] {
        let Some(window) = window else { continue };
        match window.has(now) {
            Some(inside) if inside == wanted => {}
            Some(true) => return refuse(format!("it is {window}, in which this runbook does not run")),
            Some(false) => {
                return refuse(format!("it is not {window}, outside of which this runbook does not run"));
            }
            None => return refuse(format!("the clock is beyond all calendars, so {window} has no meaning")),
        }
    }
    match (&guards.only_within, &guards.not_within) {
        (None, None) => allow("the runbook runs at all hours"),
        (Some(only), None) => allow(format!("it is {only}")),
        (None, Some(not)) => allow(format!("it is not {not}")),
        (Some(only), Some(not)) => allow(format!("it is {only} and not {not}")),
    }
}

/// What people do goes before what a runbook would.
pub(super) fn holds(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let ignored = &question.subject.runbook.guards.ignore;
    let (crossed, let_be): (Vec<_>, Vec<_>) = question
        .circumstances
        .holds
        .iter()
        .partition(|hold| hold.kind == HoldKind::Stopped || !ignored.contains(&hold.kind));
    let say = |holds: &[&crate::circumstances::Hold]| {
        holds.iter().map(|hold| hold.what.as_str()).collect::<Vec<_>>().join(", ")
    };
    if !crossed.is_empty() {
        refuse(say(&crossed))
    } else if let_be.is_empty() {
        allow("nobody is at work on what it would touch")
    } else {
        allow(format!("the runbook ignores that {}", say(&let_be)))
    }
}

/// What another program looks after is that program's.
pub(super) fn owners(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let owned = question.circumstances.owners.iter();
    let owned: Vec<String> =
        owned.map(|(target, program)| format!("{target} belongs to {program}")).collect();
    if owned.is_empty() {
        allow("no other program looks after its targets")
    } else {
        refuse(owned.join(", "))
    }
}

/// Whoever depends on something that is not well cannot be mended first.
pub(super) fn dependencies(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let unwell = question.circumstances.unwell_dependencies.iter();
    let unwell: Vec<String> = unwell.map(|(unit, state)| format!("{unit} is {state}")).collect();
    if !unwell.is_empty() {
        return refuse(format!("what it depends on is not well: {}", unwell.join(", ")));
    }
    let units = &question.subject.runbook.guards.depends_on;
    if units.is_empty() {
        return allow("nothing that it depends on is unwell");
    }
    let units: Vec<String> = units.iter().map(ToString::to_string).collect();
    allow(format!("{} and all else that it depends on are well", units.join(", ")))
}

/// High pressure is no reason to kill the starving.
pub(super) fn starvation(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let limit = question.subject.runbook.guards.pressure_full;
    let pressure = &question.circumstances.pressure_full;
    let say = |(resource, share): &(&str, f64)| format!("{resource} {share:.0}%");
    // Compared so that a share that is no number refuses.
    let within = |share: f64| share <= limit;
    let starving: Vec<String> = pressure.iter().filter(|(_, share)| !within(*share)).map(say).collect();
    if !starving.is_empty() {
        return refuse(format!(
            "everything waits for {} of the time, more than {limit}%: what is slow is starving",
            starving.join(", ")
        ));
    }
    if pressure.is_empty() {
        return allow("this kernel does not tell of pressure");
    }
    let all: Vec<String> = pressure.iter().map(say).collect();
    allow(format!("everything waits for {} of the time, at most {limit}%", all.join(", ")))
}
