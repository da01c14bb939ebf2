//! Guards by the alert: whose word it is, how fresh it is, and what else must be true.

use std::time::Duration;

use telemetry::{Origin, Timestamp, format_duration};

use super::{Question, Verdict, allow, refuse, verdict};
use crate::circumstances::Subject;
use crate::history::History;

/// An alert that was seen firing longer ago may be about a host that has changed since.
const MAX_AGE: Duration = Duration::from_mins(1);

/// No run on the word of somebody whom the runbook does not trust.
pub(super) fn trust(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    trusted(question.subject)
}

/// See [`trust`]; nothing else has to be known for it.
pub(super) fn trusted(subject: &Subject<'_>) -> Verdict {
    let outside = subject.alert.origins.iter().filter(|origin| Origin::is_outside(origin));
    let outside: Vec<String> = outside.map(ToString::to_string).collect();
    let trusted = &subject.runbook.trust;
    let strangers: Vec<&str> =
        outside.iter().map(String::as_str).filter(|origin| !trusted.contains(*origin)).collect();
    if strangers.is_empty() && outside.is_empty() {
        allow("the alert depends on what this host measured alone")
    } else if strangers.is_empty() {
        allow(format!("the alert depends on {}, which the runbook trusts", outside.join(", ")))
    } else {
        let strangers = strangers.join(", ");
        refuse(format!(
            "the alert depends on {strangers}; the runbook would have to say trust: [{strangers}]"
        ))
    }
}

/// No run about what the alert's labels name and no grant reaches, or the script does not take.
pub(super) fn parameters(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let runbook = question.subject.runbook;
    if !runbook.unfit.is_empty() {
        return refuse(runbook.unfit.join("; "));
    }
    match runbook.printed_params() {
        printed if printed.is_empty() => allow("the runbook has no parameters"),
        printed => allow(format!("it would run with {printed}")),
    }
}

/// No run on an alert that was not seen firing just now, or by a clock that was just set.
pub(super) fn freshness(question: &Question<'_>, _: &History, now: Timestamp) -> Verdict {
    let circumstances = question.circumstances;
    let Some(seen) = circumstances.seen_firing else {
        return refuse("the alert no longer fires");
    };
    let (age, ahead) = (now.since(seen), seen.since(now));
    if ahead > MAX_AGE {
        return refuse(format!("seen firing {} in the future: the clock has jumped", format_duration(ahead)));
    }
    if let Some(set) = circumstances.clock_set {
        let since = now.since(set).max(set.since(now));
        if since < MAX_AGE {
            return refuse(format!(
                "the clock was set {} ago, at least {}: nobody knows how old the alert is",
                format_duration(since),
                format_duration(MAX_AGE)
            ));
        }
    }
    verdict(
        age <= MAX_AGE,
        format!("seen firing {} ago, at most {}", format_duration(age), format_duration(MAX_AGE)),
    )
}

/// An alert that keeps coming and going says little about what would help. People are told of it as ever.
pub(super) fn flapping(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    match &question.circumstances.flapping {
        Some(how) if question.subject.runbook.guards.acts_while_flapping => {
            allow(format!("the alert is flapping, {how}, and the runbook acts all the same"))
        }
        Some(how) => refuse(format!("the alert is flapping: {how}")),
        None => allow("the alert is not flapping"),
    }
}

/// No run unless its own condition holds.
pub(super) fn only_if(question: &Question<'_>, _: &History, _: Timestamp) -> Verdict {
    let Some(expr) = &question.subject.runbook.guards.only_if else {
        return allow("the runbook has no condition");
    };
    match &question.circumstances.only_if {
        Some(Ok(answer)) if answer.values.is_empty() => refuse(format!("{expr} gave no result")),
        Some(Ok(answer)) => allow(format!("{expr} gave {}", answer.describe())),
        Some(Err(why)) => refuse(format!("{expr} cannot be told: {why}")),
        None => refuse(format!("{expr} was not asked")),
    }
}
