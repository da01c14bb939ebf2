//! `hostmend runs --standing`: how each runbook has done, and what the next stage would mean.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::bail;
use documents::Trust;
use serde::Deserialize;
use telemetry::{OneLine, Stage};

use crate::config;

/// What is read of the answer to `GET /v1/standing`.
#[derive(Debug, Deserialize)]
pub(super) struct Stands {
    runbook: String,
    targets: Vec<String>,
    configured: Stage,
    in_force: Stage,
    demoted: Option<(serde_json::Value, String)>,
    /// By stage, then by outcome.
    counts: BTreeMap<String, BTreeMap<String, usize>>,
    precision: Option<f64>,
    judged: usize,
}

/// What the agent would answer, from its files alone: the run journal of `state`, and the runbooks of the configuration.
pub(super) fn of_files(state: &Path, configuration: &Path) -> anyhow::Result<String> {
    let loaded = config::load(configuration, Trust::Anyone, &config::variables());
    let Some(config) = loaded.config else {
        bail!(
            "{} has errors, so it is not known which runbooks there are; `hostmend check` shows them",
            configuration.display()
        );
    };
    let standings = remediation::standings_of(state, &config.repairs.runbooks, &config.repairs.scripts)?;
    Ok(format!("{}\n", serde_json::to_string(&standings)?))
}

/// Some lines for each runbook. Texts of others are kept on their lines.
pub(super) fn page(runbooks: &[Stands]) -> String {
    if runbooks.is_empty() {
        return "no runbooks\n".to_owned();
    }
    let mut text = String::new();
    for stands in runbooks {
        let (runbook, targets) = (OneLine(&stands.runbook), OneLine(stands.targets.join(", ")));
        let _ = write!(text, "{runbook}  {}", stands.in_force);
        if stands.in_force != stands.configured {
            let _ = write!(text, " in place of {}", stands.configured);
        }
        let _ = writeln!(text, "  {targets}");
        if let Some((_, why)) = &stands.demoted {
            let _ = writeln!(
                text,
                "    ! went back: {}; `hostmend unfreeze {runbook}` or another text of it or its script ends that",
                OneLine(why)
            );
        }
        for (stage, counts) in &stands.counts {
            let counts = counts.iter().filter(|(_, runs)| **runs > 0);
            let counts: Vec<String> =
                counts.map(|(outcome, runs)| format!("{} {runs}", OneLine(outcome))).collect();
            let _ = writeln!(text, "    at stage {}: {}", OneLine(stage), counts.join(", "));
        }
        match stands.precision {
            Some(share) => {
                let _ = writeln!(
                    text,
                    "    verified: {:.0} % of the last {} repairs",
                    share * 100.0,
                    stands.judged
                );
            }
            None => text.push_str("    verified: no repair yet\n"),
        }
        let _ = writeln!(text, "    {}", next(stands));
    }
    text
}

/// What the next stage would mean, by what there was at this one.
fn next(stands: &Stands) -> String {
    let at = |stage: &str, outcome: &str| {
        stands.counts.get(stage).and_then(|counts| counts.get(outcome)).copied().unwrap_or(0)
    };
    match stands.in_force {
        Stage::Observe => format!(
            "at stage shadow its script would have been run and simulated {} times; guards would have refused {}",
            at("observe", "observed"),
            at("observe", "refused")
        ),
        Stage::Shadow => {
            format!(
                "at stage ask a person would have been asked to approve {} times",
                at("shadow", "shadowed")
            )
        }
        Stage::Ask => format!(
            "at stage auto it would have acted without a person {} times, and {} more that were denied",
            at("ask", "repaired") + at("ask", "escalated"),
            at("ask", "denied")
        ),
        Stage::Auto => "it acts by itself".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_stands_by_its_runs_and_is_told_what_the_next_stage_would_mean() {
        let stands = serde_json::from_value::<Vec<Stands>>(serde_json::json!([
            { "runbook": "restart-web", "targets": ["unit web.service"], "configured": "auto", "in_force": "ask",
              "demoted": [0, "2 of the last 5 repairs did not hold"], "precision": 0.6, "judged": 5,
              "counts": { "ask": { "repaired": 1, "escalated": 2, "denied": 4, "skipped": 0 } } },
            { "runbook": "free", "targets": [], "configured": "observe", "in_force": "observe", "demoted": null,
              "precision": null, "judged": 0, "counts": {} },
        ]));
        let text = page(&stands.unwrap());
        for line in [
            "restart-web  ask in place of auto  unit web.service",
            "    at stage ask: denied 4, escalated 2, repaired 1",
            "    verified: 60 % of the last 5 repairs",
            "    at stage auto it would have acted without a person 3 times, and 4 more that were denied",
            "    verified: no repair yet",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
