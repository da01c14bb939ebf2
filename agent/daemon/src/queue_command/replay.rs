//! Sends dead letters again: the running agent at once, or the next one at its start.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use telemetry::Signal;

use super::{Queues, amount, dead_letters::DeadLetters};
use crate::cli::{AgentArgs, QueueArgs};
use crate::exit::Exit;
use crate::local_client::{Asked, ask};
use crate::print;
use crate::status::Replayed;

pub(super) fn run(queues: &Queues, args: &QueueArgs) -> anyhow::Result<Exit> {
    let signal = args.signal.map(Signal::from);
    let destinations: BTreeSet<&str> = queues.dead.iter().map(|queue| queue.destination.as_str()).collect();
    if let Some(name) = &args.destination
        && !destinations.contains(name.as_str())
    {
        let known = Vec::from_iter(destinations).join(", ");
        bail!(
            "there are no dead letters of a destination {name:?} in {}; there are of: {known}",
            queues.root.display()
        );
    }
    let is_running = queues
        .waiting
        .iter()
        .map(|(_, directory)| queue::is_in_use(directory))
        .collect::<Result<Vec<bool>, _>>()?
        .contains(&true);
    if is_running { by_agent(args, signal) } else { at_next_start(queues, args, signal) }
}

fn by_agent(args: &QueueArgs, signal: Option<Signal>) -> anyhow::Result<Exit> {
    let signal = signal.map(|signal| format!("signal={signal}"));
    // A name of a destination has nothing that would have to be escaped.
    let destination = args.destination.as_ref().map(|name| format!("destination={name}"));
    let query: Vec<String> = destination.into_iter().chain(signal).collect();
    let path = format!("/v1/replay?{}", query.join("&")).into();
    let agent = AgentArgs { config: args.config.clone(), socket: args.socket.clone() };
    let answer = ask(&agent, &Asked { method: "POST", path }).context(
        "the agent is running, so it has to send them; stop it to have them sent at its next start",
    )?;
    let replayed: Vec<Replayed> = serde_json::from_str(&answer.body)
        .context("reading the agent's answer; is it of another version?")?;
    for Replayed { destination, signal, records, items } in &replayed {
        print::out(&format!("{signal}: {items} items in {records} records go to {destination} again\n"))?;
    }
    if replayed.is_empty() {
        print::out("there are no dead letters\n")?;
    }
    Ok(Exit::Done)
}

fn at_next_start(queues: &Queues, args: &QueueArgs, signal: Option<Signal>) -> anyhow::Result<Exit> {
    let wanted = queues.dead.iter().filter(|queue| {
        signal.is_none_or(|signal| signal == queue.signal)
            && args.destination.as_ref().is_none_or(|name| *name == queue.destination)
    });
    let mut is_empty = true;
    for queue in wanted {
        let total = DeadLetters::of(queue)?.total();
        if total.records == 0 {
            continue;
        }
        is_empty = false;
        queue
            .replay_at_next_start()
            .with_context(|| format!("marking {} to be sent again", queue.directory.display()))?;
        print::out(&format!(
            "{}: {} go to {} again when the agent starts\n",
            queue.signal,
            amount(queue.signal, total),
            queue.destination
        ))?;
    }
    if is_empty {
        print::out("there are no dead letters\n")?;
    }
    Ok(Exit::Done)
}
