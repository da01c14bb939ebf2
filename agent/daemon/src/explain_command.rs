//! `hostmend explain` and `hostmend plan`: why an alert is answered or not, guard by guard, and what a run would do now.

use std::fmt::Write as _;

use anyhow::Context;
use remediation::{Explanation, GuardSays, Plan};
use serde::de::DeserializeOwned;
use telemetry::{OneLine, RunStep, format_duration};

use crate::cli::AlertArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask, parameter};
use crate::print;
use crate::status::Explained;

pub(crate) fn explain(args: &AlertArgs) -> anyhow::Result<Exit> {
    let body = asked(args, "GET", "/v1/explain")?;
    if args.json {
        print::out(&body)?;
    } else {
        print::out(&explanations(&read::<Vec<Explained>>(&body)?))?;
    }
    Ok(Exit::Done)
}

pub(crate) fn plan(args: &AlertArgs) -> anyhow::Result<Exit> {
    let body = asked(args, "POST", "/v1/plan")?;
    if args.json {
        print::out(&body)?;
    } else {
        print::out(&planned(&read::<Plan>(&body)?))?;
    }
    Ok(Exit::Done)
}

fn asked(args: &AlertArgs, method: &'static str, path: &str) -> anyhow::Result<String> {
    let path = format!("{path}?{}", parameter("alert", &args.alert));
    Ok(ask(&args.agent, &Asked { method, path: path.into() })?.body)
}

fn read<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body).context("reading the agent's answer; is it of another version?")
}

/// Texts of others are kept on their lines.
fn explanations(alerts: &[Explained]) -> String {
    let mut text = String::new();
    for Explained { alert, fires, runbooks, lines } in alerts {
        let fires = if *fires { "fires" } else { "does not fire; this is what would count if it did" };
        let _ = writeln!(text, "{} {fires}", OneLine(alert));
        for line in lines {
            let _ = writeln!(text, "  {line}");
        }
        if runbooks.is_empty() {
            text.push_str("  there are no runbooks\n");
        }
        // What answers comes first; the others are worth a line each.
        let (answering, others): (Vec<_>, Vec<_>) =
            runbooks.iter().partition(|explanation| explanation.unmatched.is_empty());
        for explanation in answering {
            answer(&mut text, explanation);
        }
        for explanation in others {
            let unmatched = OneLine(explanation.unmatched.join(" and "));
            let _ = writeln!(
                text,
                "  {} does not answer: {unmatched} does not hold",
                OneLine(&explanation.runbook)
            );
        }
    }
    text
}

fn answer(text: &mut String, explanation: &Explanation) {
    let Explanation { runbook, stage, demoted, target, after, held_by, guards, .. } = explanation;
    let runbook = OneLine(runbook);
    if let Some(first) = after {
        let _ = writeln!(text, "  {runbook} would answer, but {} comes first", OneLine(first));
        return;
    }
    let refusing = guards.iter().filter(|says| !says.allowed).count();
    let verdict = match (held_by, refusing) {
        (Some(why), _) => format!("does nothing now: {}", OneLine(why)),
        (None, 0) => format!("answers at stage {stage}"),
        (None, 1) => "is refused by one guard".to_owned(),
        (None, several) => format!("is refused by {several} guards"),
    };
    let _ = writeln!(text, "  {runbook} ({}) {verdict}", OneLine(target));
    if let Some(why) = demoted {
        let _ = writeln!(text, "    its stage is {stage}: {}", OneLine(why));
    }
    says(text, guards);
}

fn says(text: &mut String, guards: &[GuardSays]) {
    let width = guards.iter().map(|says| says.guard.len()).max().unwrap_or(0);
    for GuardSays { guard, allowed, reason } in guards {
        let sign = if *allowed { "  " } else { "! " };
        let _ = writeln!(text, "    {sign}{guard:width$}  {}", OneLine(reason));
    }
}

fn planned(plan: &Plan) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} would run {} with {} (stage {})",
        OneLine(&plan.runbook),
        OneLine(&plan.script),
        OneLine(&plan.target),
        plan.stage
    );
    for step in &plan.steps {
        if matches!(step.step, RunStep::Started { .. } | RunStep::Ended { .. }) {
            continue;
        }
        let (source, told) = incidents::sentence(&step.step);
        let _ = writeln!(text, "  {:12}  {}", source.as_str(), OneLine(&told));
    }
    let sign = if plan.ok { " " } else { "!" };
    let _ =
        writeln!(text, "{sign} it would end after {}: {}", format_duration(plan.takes), OneLine(&plan.ended));
    if plan.ok {
        let _ = writeln!(text, "  then this would have to hold: {}", OneLine(&plan.verify));
    }
    if plan.guards.iter().any(|says| !says.allowed) {
        text.push_str("! guards refuse it now:\n");
        let refusing: Vec<GuardSays> = plan.guards.iter().filter(|says| !says.allowed).cloned().collect();
        says(&mut text, &refusing);
    }
    text.push_str("nothing was done\n");
    text
}
