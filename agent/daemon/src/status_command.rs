//! `hostmend status`: how the running agent fares, for a person at three in the morning.
//!
//! What is wrong comes first; then what the agent is and does. `--json` prints what the agent said as it came.

mod tables;

use anyhow::Context;

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask};
use crate::print;
use crate::status::Status;
pub(crate) use tables::{bytes, table};

pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<Exit> {
    let answer = ask(&args.agent, &Asked { method: "GET", path: "/v1/status".into() })?;
    if args.json {
        print::out(&answer.body)?;
        return Ok(Exit::Done);
    }
    let status: Status = serde_json::from_str(&answer.body)
        .context("reading the agent's answer; is it of another version? --json prints it as it is")?;
    print::out(&tables::page(&status))?;
    Ok(Exit::Done)
}
