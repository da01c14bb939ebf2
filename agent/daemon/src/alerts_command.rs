//! `hostmend alerts`: what the running agent's rules have found, or how the rules themselves fare.

mod page;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli::AlertsArgs;
use crate::exit::Exit;
use crate::local_client::{Asked, ask};
use crate::{clock, print};
use page::{Alerts, Groups};

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<T>,
    error: Option<String>,
}

pub(crate) fn run(args: &AlertsArgs) -> anyhow::Result<Exit> {
    let path = if args.rules { "/api/v1/rules" } else { "/api/v1/alerts" };
    let body = ask(&args.agent, &Asked { method: "GET", path: path.into() })?.body;
    if args.json {
        print::out(&format!("{body}\n"))?;
        return Ok(Exit::Done);
    }
    print::out(&if args.rules {
        page::rules(&read::<Groups>(&body)?)
    } else {
        page::alerts(&read::<Alerts>(&body)?, clock::now())
    })?;
    Ok(Exit::Done)
}

fn read<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    let answer: Answer<T> = serde_json::from_str(body)
        .context("reading the agent's answer; is it of another version? --json prints it as it is")?;
    if let Some(error) = answer.error {
        bail!("the agent cannot list them: {error}");
    }
    answer.data.context("reading the agent's answer: it holds no data")
}
