//! `hostmend runs`: what was repaired, what was not, and one run step by step.

mod standing;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, bail};
use telemetry::{OneLine, format_duration};

use crate::cli::{Moment, RunsArgs};
use crate::exit::Exit;
use crate::local_client::{Asked, ask, parameter};
use crate::run_report::{RunReport, Wanted, reports};
use crate::{clock, print};

pub(crate) fn run(args: &RunsArgs) -> anyhow::Result<Exit> {
    if args.standing {
        let body = match &args.data {
            Some(state) => standing::of_files(state, &args.agent.config)?,
            None => {
                ask(&args.agent, &Asked { method: "GET", path: "/v1/standing".into() })
                    .context("without an agent, name its state directory with --data")?
                    .body
            }
        };
        let page = || anyhow::Ok(standing::page(&serde_json::from_str::<Vec<standing::Stands>>(&body)?));
        print::out(&if args.json {
            body.clone()
        } else {
            page().context("reading the agent's answer; is it of another version?")?
        })?;
        return Ok(Exit::Done);
    }
    let wanted = Wanted {
        run: args.run.clone(),
        runbook: args.runbook.clone(),
        since: args.since.map(|since| match since {
            Moment::At(at) => at,
            Moment::Ago(ago) => clock::now().minus(ago),
        }),
        at_most: args.at_most,
    };
    let runs = match &args.data {
        Some(state) => reports(state, &wanted)
            .with_context(|| format!("reading the run journal in {}", state.display()))?,
        None => asked(args, &wanted)?,
    };
    if let (Some(run), []) = (&wanted.run, runs.as_slice()) {
        bail!("no run {run:?} is in the journal; `hostmend runs` lists the latest");
    }
    if args.json {
        print::out(&format!("{}\n", serde_json::to_string_pretty(&runs)?))?;
    } else if let (Some(_), [run]) = (&wanted.run, runs.as_slice()) {
        print::out(&one(run, args.all))?;
    } else {
        print::out(&list(&runs))?;
    }
    Ok(Exit::Done)
}

fn asked(args: &RunsArgs, wanted: &Wanted) -> anyhow::Result<Vec<RunReport>> {
    let mut query = vec![parameter("at_most", &wanted.at_most.to_string())];
    query.extend(wanted.run.iter().map(|run| parameter("run", run)));
    query.extend(wanted.runbook.iter().map(|name| parameter("runbook", name)));
    let since = wanted.since.map(|since| since.as_millis().div_euclid(1_000).to_string());
    query.extend(since.iter().map(|since| parameter("since", since)));
    let path = format!("/v1/runs?{}", query.join("&"));
    let body = ask(&args.agent, &Asked { method: "GET", path: path.into() })
        .context("without an agent, name its state directory with --data")?
        .body;
    serde_json::from_str(&body).context("reading the agent's answer; is it of another version?")
}

/// A line each, and why below it. Texts of others are kept on their lines.
fn list(runs: &[RunReport]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    runs.iter().fold(String::new(), |mut text, run| {
        let RunReport { at, run: id, runbook, alert, .. } = run;
        let outcome = state_of(run);
        let took = run.milliseconds.map(|took| format!(" after {}", took_for(took))).unwrap_or_default();
        let [runbook, alert] = [runbook, alert].map(OneLine);
        let _ = writeln!(text, "{at}  {id}  {outcome}{took}  {runbook}  {alert}");
        if let Some(reason) = &run.reason {
            let _ = writeln!(text, "    {}", OneLine(reason));
        }
        text
    })
}

/// From the alert to the end. Guards that let it pass are one line, unless all are wanted.
fn one(run: &RunReport, all: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "run {}: {}", run.run, state_of(run));
    for (name, value) in [
        ("alert", &run.alert),
        ("runbook", &run.runbook),
        ("stage", &run.stage),
        ("target", &run.target),
        ("script", &run.script),
        ("sha256", &run.script_sha256),
        ("began", &run.at),
    ] {
        let _ = writeln!(text, "  {name:8} {}", OneLine(value));
    }
    text.push('\n');
    for steps in run.steps.chunk_by(|one, next| !all && one.allows && next.allows) {
        let Some(step) = steps.first() else { continue };
        let told = match steps.len() {
            1 => OneLine(&step.text).to_string(),
            guards => format!("{guards} guards allow; --all shows them"),
        };
        let _ = writeln!(text, "{:>9}  {:12}  {told}", took_for(step.milliseconds), step.source);
    }
    text
}

/// How it ended, or what it is at.
fn state_of(run: &RunReport) -> String {
    match (&run.outcome, &run.waits_until) {
        (Some(outcome), _) => outcome.clone(),
        (None, Some(until)) => format!("waits for approval until {until}"),
        (None, None) => "goes on".to_owned(),
    }
}

fn took_for(milliseconds: u64) -> String {
    // Beyond a minute nobody counts milliseconds.
    let rounded = if milliseconds > 60_000 { milliseconds / 1_000 * 1_000 } else { milliseconds };
    format_duration(Duration::from_millis(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_report::ReportedStep;

    fn report() -> RunReport {
        RunReport {
            run: "r1".to_owned(),
            at: "2026-11-22T01:00:00.000Z".to_owned(),
            runbook: "restart-web".to_owned(),
            stage: "auto".to_owned(),
            alert: "{alertname=\"Web\\nDown\"}".to_owned(),
            target: "web".to_owned(),
            script: "restart.rhai".to_owned(),
            outcome: Some("repaired".to_owned()),
            reason: Some("restarted\nweb".to_owned()),
            milliseconds: Some(61_250),
            steps: vec![ReportedStep {
                at: "2026-11-22T01:00:00.250Z".to_owned(),
                milliseconds: 250,
                source: "action".to_owned(),
                text: "#1 asked for: restart unit web.service".to_owned(),
                allows: false,
            }],
            ..RunReport::default()
        }
    }

    #[test]
    fn a_run_is_a_line_with_its_reason_below_whatever_a_script_said() {
        let going = RunReport { outcome: None, reason: None, milliseconds: None, ..report() };
        let waiting = RunReport { waits_until: Some("2026-11-22T02:00:00.000Z".to_owned()), ..going.clone() };
        assert!(
            one(&waiting, false).starts_with("run r1: waits for approval until 2026-11-22T02:00:00.000Z\n")
        );
        let text = list(&[report(), going]);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.starts_with("2026-11-22T01:00:00.000Z  r1  repaired after 1m1s  restart-web  "),
            "{text}"
        );
        assert!(text.contains("\n    restarted\\nweb\n") && text.contains("  r1  goes on  "), "{text}");
        assert_eq!(list(&[]), "no runs\n");
    }

    #[test]
    fn one_run_is_told_from_its_alert_to_its_end() {
        let text = one(&report(), false);
        assert!(text.starts_with("run r1: repaired\n  alert    "), "{text}");
        assert!(text.contains("    250ms  action        #1 asked for: restart unit web.service\n"), "{text}");
    }

    #[test]
    fn guards_that_let_a_run_pass_are_one_line_unless_all_are_wanted() {
        let mut run = report();
        let guard =
            |text: &str, allows| ReportedStep { text: text.to_owned(), allows, ..run.steps[0].clone() };
        run.steps = vec![guard("a allows", true), guard("b allows", true), guard("c refuses", false)];
        let [short, long] = [one(&run, false), one(&run, true)];
        assert!(
            short.contains("  2 guards allow; --all shows them\n") && short.contains("c refuses"),
            "{short}"
        );
        assert!(
            !short.contains("a allows") && long.contains("a allows") && long.contains("b allows"),
            "{long}"
        );
    }
}
