//! What the audience reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alerting::{Rule, RuleGroup};
use incidents::{Incident, Source, sentence};
use telemetry::{RunOutcome, Timestamp, format_duration};

use super::arrived::Totals;
use super::fault::Fault;
use crate::agent::Happening;

pub(super) fn opening(directory: &Path, otlp: SocketAddr) -> String {
    format!(
        "hostmend demo\n\n\
         An agent with a configuration of its own watches this host and a small service, the victim. The demo breaks\n\
         the victim three ways; the agent notices, repairs and verifies. It takes half a minute. Ctrl-C stops it.\n\n  \
         directory    {}\n  \
         OTLP server  {otlp}, embedded, gRPC\n\n",
        directory.display()
    )
}

pub(super) fn collected(points: usize, entities: usize) -> String {
    format!(
        "Collected   {points} points about this host and {} processes, and again twice a second\n",
        entities.saturating_sub(1)
    )
}

pub(super) fn arrived(totals: &Totals) -> String {
    format!("Arrived     {totals}\n")
}

pub(super) fn breaking(number: usize, fault: Fault, rule: &str) -> String {
    format!(
        "\n{number} of {}: {}\n         rule          {}: {rule}\n",
        Fault::ALL.len(),
        fault.story(),
        fault.alert()
    )
}

/// The conditions of all alerts, by name, on one line each.
pub(super) fn conditions(groups: &[RuleGroup]) -> BTreeMap<String, String> {
    let rules = groups.iter().flat_map(RuleGroup::rules);
    rules
        .map(|rule| {
            let expression: Vec<&str> = rule.expression().split_whitespace().collect();
            let hold = match rule {
                Rule::Alerting(rule) => format!(" for {}", format_duration(rule.hold_for())),
                Rule::Recording(_) => String::new(),
            };
            (rule.name().to_owned(), format!("{}{hold}", expression.join(" ")))
        })
        .collect()
}

pub(super) fn given_up(fault: Fault, after: Duration) -> String {
    format!("  not healed after {} s: {}\n", after.as_secs(), fault.story())
}

/// An incident that the demo caused, and what became of it.
struct Chapter {
    fault: Fault,
    /// From the moment of the fault, which the agent cannot know, to the verified repair.
    healed_after: Option<Duration>,
    incident: Incident,
    draft: PathBuf,
}

/// What happened so far.
#[derive(Default)]
pub(super) struct Story {
    chapters: Vec<Chapter>,
}

impl Story {
    /// The line about a happening, if it belongs to the fault under way.
    pub(super) fn line(&mut self, fault: Fault, broken: Timestamp, happening: &Happening) -> Option<String> {
        match happening {
            Happening::Alert(alert) if alert.name() == fault.alert() => {
                let text = format!("{} is {}, value {}", alert.name(), alert.state, alert.value);
                let at = alert.resolved_at.or(alert.fired_at).unwrap_or(alert.active_at);
                Some(line(broken, at, Source::Alert, &text))
            }
            Happening::Run { alert, event } if alert.name() == fault.alert() => {
                let (source, text) = sentence(&event.step);
                Some(line(broken, event.at, source, &text))
            }
            Happening::IncidentOver { incident, draft } if incident.alert_name() == fault.alert() => {
                let healed = incident.outcome == Some(RunOutcome::Repaired);
                let healed_after = incident.verified.filter(|_| healed).map(|at| at.since(broken));
                let chapter =
                    Chapter { fault, healed_after, incident: incident.clone(), draft: draft.clone() };
                let text = match healed_after {
                    Some(after) => format!(
                        "  healed, {:.1} s from the fault to the verified repair\n",
                        after.as_secs_f64()
                    ),
                    None => "  not healed\n".to_owned(),
                };
                self.chapters.push(chapter);
                Some(text)
            }
            _ => None,
        }
    }

    pub(super) fn is_over(&self, fault: Fault) -> bool {
        self.chapters.iter().any(|chapter| chapter.fault == fault)
    }

    pub(super) fn all_healed(&self) -> bool {
        Fault::ALL.into_iter().all(|fault| {
            self.chapters.iter().any(|chapter| chapter.fault == fault && chapter.healed_after.is_some())
        })
    }

    pub(super) fn ending(&self, totals: &Totals) -> String {
        let mut text = "\nIncidents\n\n".to_owned();
        for chapter in &self.chapters {
            let incident = &chapter.incident;
            let time = |duration: Option<Duration>| {
                duration.map_or_else(|| "-".to_owned(), |duration| format!("{:.1} s", duration.as_secs_f64()))
            };
            let outcome = incident.outcome.map_or_else(|| "no run".to_owned(), |outcome| outcome.to_string());
            let _ = writeln!(
                text,
                "  {}  {:<15} {outcome:<9}  detected after {}, repaired after {} (from the fault: {})",
                incident.started,
                incident.alert_name(),
                time(incident.time_to_detect()),
                time(incident.time_to_repair()),
                time(chapter.healed_after),
            );
        }
        let healed = self.chapters.iter().filter(|chapter| chapter.healed_after.is_some()).count();
        let _ = write!(text, "\nPost-mortem drafts\n\n");
        for chapter in &self.chapters {
            let _ = writeln!(text, "  {}", chapter.draft.display());
        }
        let _ =
            write!(text, "\nArrived over OTLP: {totals}\n{healed} of {} faults healed\n", Fault::ALL.len());
        text
    }
}

fn line(broken: Timestamp, at: Timestamp, source: Source, text: &str) -> String {
    let since = at.since(broken).as_secs_f64();
    format!("  {since:>5.1} s  {:<12}  {text}\n", source.as_str())
}
