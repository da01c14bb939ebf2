//! What the run journal says of a run, as moments, and where the time between them went.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// When what happened in a run, in seconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Run {
    killed: f64,
    met: f64,
    matched: f64,
    started: f64,
    /// The last piece of evidence before the first action.
    looked: f64,
    acted: f64,
    done: f64,
    ended: f64,
    verified: f64,
    finished: f64,
    /// By its name, how long after the event before it a piece of evidence was told.
    evidence: Vec<(String, f64)>,
}

/// What a row shows of a run, in seconds.
type Measured = fn(&Run) -> f64;

/// One after the other, and then what the goals are about.
const STAGES: [(&str, &str, Measured); 12] = [
    ("the process is killed", "its alert's condition is met", |run| run.met - run.killed),
    ("the condition is met", "the guards have judged", |run| run.matched - run.met),
    ("the guards have judged", "the start is written down", |run| run.started - run.matched),
    ("the start is written down", "evidence is taken", |run| run.looked - run.started),
    ("evidence is taken", "the script acts", |run| run.acted - run.looked),
    ("the script acts", "the action is done", |run| run.done - run.acted),
    ("the action is done", "the script has ended", |run| run.ended - run.done),
    ("the script has ended", "the verification holds", |run| run.verified - run.ended),
    ("the verification holds", "the run is over", |run| run.finished - run.verified),
    ("**the condition is met**", "**the script acts**", |run| run.acted - run.met),
    ("**the process is killed**", "**repaired and verified**", |run| run.verified - run.killed),
    ("**the run, without its action and its verification**", "", |run| {
        run.finished - run.matched - (run.done - run.acted) - (run.verified - run.ended)
    }),
];

impl Run {
    /// Reads the events of one run, of which the fault was at `killed`.
    pub(crate) fn read(killed: f64, events: &[Value]) -> anyhow::Result<Self> {
        let mut run = Self { killed, ..Self::default() };
        let mut before = 0.0;
        for event in events {
            let at = nanos(event, "/at")? / 1e9;
            run.take(event, at, at - before)?;
            before = at;
        }
        Ok(run)
    }

    fn take(&mut self, event: &Value, at: f64, after: f64) -> anyhow::Result<()> {
        match kind(event) {
            "matched" => self.matched = at,
            "started" => self.started = at,
            "evidence" => {
                let name = text(event, "/step/name");
                if name == "alert" {
                    let alert: Value = serde_json::from_str(text(event, "/step/text"))?;
                    self.met = nanos(&alert, "/active_at")? / 1e9;
                }
                if self.acted == 0.0 {
                    self.looked = at;
                }
                self.evidence.push((name.to_owned(), after));
            }
            "action_intended" if self.acted == 0.0 => self.acted = at,
            "action_done" => self.done = at,
            "ended" => self.ended = at,
            "verified" => self.verified = at,
            "finished" => {
                ensure!(text(event, "/step/outcome") == "repaired", "{event}");
                self.finished = at;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Prints where the time went.
#[expect(clippy::print_stdout, reason = "figures are printed")]
pub(crate) fn stages(runs: &[Run]) {
    println!("| from | to | median ms | 90 % | at most |");
    println!("|---|---|---|---|---|");
    for (from, to, measured) in STAGES {
        row(from, to, runs.iter().map(measured).collect());
    }
    let mut pieces: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, took) in runs.iter().flat_map(|run| &run.evidence) {
        pieces.entry(name).or_default().push(*took);
    }
    for (name, took) in pieces {
        row("evidence", name, took);
    }
}

#[expect(clippy::print_stdout, reason = "figures are printed")]
fn row(from: &str, to: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (seconds.len().saturating_sub(1) as f64 * share) as usize;
        seconds.get(place).copied().unwrap_or_default() * 1e3
    };
    println!("| {from} | {to} | {:.1} | {:.1} | {:.1} |", at(0.5), at(0.9), at(1.0));
}

fn nanos(value: &Value, pointer: &str) -> anyhow::Result<f64> {
    let nanos = value.pointer(pointer).and_then(Value::as_f64);
    nanos.with_context(|| format!("{value} has no time at {pointer}"))
}

/// What kind of event it is.
pub(crate) fn kind(event: &Value) -> &str {
    text(event, "/step/step")
}

fn text<'a>(event: &'a Value, pointer: &str) -> &'a str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
