//! `hostmend replay`: what rules would have done over the samples that the agent has kept.
//!
//! The samples come from the running agent, or from the state directory of one that does not run; the rules are evaluated
//! here, in this process, so that nothing they do reaches the agent.

mod report;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use alerting::{Defaults, RuleFile, RuleGroup, replay};
use anyhow::{Context, bail};
use documents::{Document, Format, Problem, Severity, Trust, render};
use series::{Limits, Store};
use telemetry::Timestamp;

use crate::cli::ReplayArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, fetch};
use crate::{clock, config, print};

/// What the agent writes its samples to.
const SNAPSHOT: &str = "series.snapshot";

/// The largest snapshot that is taken from an agent: some times what one with the default limits has.
const MAX_SNAPSHOT: usize = 512 << 20;

pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    if args.interval.is_zero() {
        bail!("an interval of nothing would evaluate the rules for ever; give one, as in --interval 10s");
    }
    let Some(groups) = rules(args)? else { return Ok(Exit::Errors) };
    let now = clock::now();
    let past = if let Some(directory) = &args.data {
        stopped(directory, now)?
    } else {
        let question = Asked { method: "GET", path: "/v1/snapshot".into() };
        let snapshot = fetch(&args.agent, &question, MAX_SNAPSHOT)?;
        restored(&*snapshot, now).context("reading the samples of the running agent")?
    };
    // A stopped agent has nothing after its end.
    let to = past.newest().unwrap_or(now).min(now);
    let defaults = Defaults { interval: args.interval, externals: Arc::default() };
    let replay = replay(&past, groups, &defaults, to.minus(args.since), to)?;
    print::out(&if args.json { report::json(&replay) } else { report::page(&replay) })?;
    Ok(Exit::Done)
}

/// The groups of all files; none, with the problems printed, if one has errors.
fn rules(args: &ReplayArgs) -> anyhow::Result<Option<Vec<RuleGroup>>> {
    let (mut groups, mut problems): (_, Vec<Problem>) = (Vec::new(), Vec::new());
    for path in &args.rules {
        match Document::open(path, Trust::Anyone) {
            Ok(document) => match RuleFile::read(&document) {
                Ok(file) => {
                    groups.extend(file.groups);
                    problems.extend(file.warnings);
                }
                Err(found) => problems.extend(found),
            },
            Err(error) => problems.push(config::about_open(path, &error)),
        }
    }
    print::err(&render(&problems, Format::Text))?;
    Ok((!problems.iter().any(|problem| problem.severity == Severity::Error)).then_some(groups))
}

fn stopped(directory: &Path, now: Timestamp) -> anyhow::Result<Store> {
    let path = directory.join(SNAPSHOT);
    let file = File::open(&path).with_context(|| {
        format!("reading {}; an agent writes it when it stops, and every few minutes", path.display())
    })?;
    restored(BufReader::new(file), now).with_context(|| format!("reading {}", path.display()))
}

/// All series of a snapshot, whoever sent them.
fn restored(snapshot: impl Read, now: Timestamp) -> anyhow::Result<Store> {
    let mut store = Store::new(Limits::NONE);
    store.restore(snapshot, now)?;
    Ok(store)
}
