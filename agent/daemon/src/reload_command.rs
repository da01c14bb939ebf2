//! `hostmend reload`: has the running agent read its configuration anew.

use anyhow::{Context, bail};

use crate::cli::ReloadArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask};
use crate::print;
use crate::status::Reloaded;

pub(crate) fn run(args: &ReloadArgs) -> anyhow::Result<Exit> {
    let path = if args.wait { "/v1/reload" } else { "/v1/reload?wait=false" };
    let answer = ask(&args.agent, &Asked { method: "POST", path: path.into() })?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    let result = serde_json::from_str(&answer.body);
    match result.context("reading the agent's answer; is it of another version?")? {
        Reloaded::Done { changed, still_to_come, warnings } => {
            print::err(&warnings)?;
            let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
            print::out(&format!("reloaded; changed: {changed}\n"))?;
            if !still_to_come.is_empty() {
                print::out(&format!("once it has finished what it does: {}\n", still_to_come.join(", ")))?;
            }
            Ok(Exit::Done)
        }
        Reloaded::Errors { problems } => {
            print::err(&problems)?;
            Ok(Exit::Errors)
        }
        Reloaded::Failed { error } => {
            bail!("not reloaded; the configuration in force stays: {error}")
        }
    }
}
