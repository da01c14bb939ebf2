//! `hostmend audit verify`: whether the run journal is as it was written.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use remediation::Hash;
use remediation::audit::{AuditError, Verified, verify};
use serde_json::json;

use crate::cli::{AuditAction, AuditArgs};
use crate::exit::Exit;
use crate::{agent, config, print};

pub(crate) fn run(action: &AuditAction) -> anyhow::Result<Exit> {
    let AuditAction::Verify(args) = action;
    let state = state_directory(args)?;
    let mut expected = Vec::new();
    for text in &args.expect {
        let Some(hash) = Hash::parse(text) else {
            print::err(&format!("hostmend: {text:?} is no hash; it has 64 characters, 0 to 9 and a to f\n"))?;
            return Ok(Exit::WrongUsage);
        };
        expected.push(hash);
    }
    match verify(&state, &expected) {
        Ok(verified) => {
            print::out(&if args.json { as_json(&verified) } else { page(&verified, expected.len()) })?;
            Ok(Exit::Done)
        }
        Err(error @ (AuditError::Broken { .. } | AuditError::Unknown { .. })) if args.json => {
            print::out(&format!("{}\n", json!({ "whole": false, "error": error.to_string() })))?;
            Ok(Exit::Failed)
        }
        Err(error) => Err(error.into()),
    }
}

fn state_directory(args: &AuditArgs) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &args.directory {
        return Ok(directory.clone());
    }
    let told = config::where_the_agent_listens(&args.config).state_directory;
    told.map_or_else(agent::default_directory, Ok).context("finding the state directory; name it")
}

fn as_json(verified: &Verified) -> String {
    let Verified { segments, events, events_gone, between, head, unfinished } = verified;
    let between = between.map(|(first, last)| [first.to_string(), last.to_string()]);
    let value = json!({
        "whole": true, "files": segments, "events": events, "events_gone": events_gone, "between": between,
        "hash": head.as_str(), "unfinished_line": unfinished,
    });
    format!("{value}\n")
}

fn page(verified: &Verified, expected: usize) -> String {
    let Verified { segments, events, events_gone, between, head, unfinished } = verified;
    let mut text = format!("the run journal is whole: {events} events in {segments} files");
    if let Some((first, last)) = between {
        let _ = write!(text, ", from {first} to {last}");
    }
    text.push('\n');
    if *events_gone > 0 {
        let _ = writeln!(text, "  {events_gone} older events are no longer kept");
    }
    if *unfinished {
        text.push_str("  the last line is without an end: it is being written, or a crash cut it short\n");
    }
    if expected > 0 {
        let _ = writeln!(text, "  it has all of the {expected} hashes that were expected");
    } else {
        text.push_str(
            "  who can write all of it can also write it anew: compare with a hash that was sent, by --expect\n",
        );
    }
    let _ = writeln!(text, "  hash: {head}");
    text
}
