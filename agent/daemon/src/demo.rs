//! The guided tour: the whole loop on this machine, as any user.
//!
//! Nothing is played: the agent is the one that `hostmend run` starts, with a configuration in a temporary directory.
//! The demo only breaks the victim, and tells what the agent says about it.

mod arrived;
mod fault;
mod stage_set;
mod story;
pub(crate) mod victim;

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver as Channel, select};
use documents::{Format, Trust};
use executor::Action;
use otlp::Receiver;

use crate::agent::signals::{self, Unfinished};
use crate::agent::{Agent, Happening, Watcher};
use crate::cli::DemoArgs;
use crate::exit::Exit;
use crate::{clock, config, print};

use arrived::Arrived;
use fault::Fault;
use stage_set::StageSet;
use story::Story;

/// A fault that is not healed by then will not be: the longest takes about ten seconds.
const HEAL_WITHIN: Duration = Duration::from_mins(1);

/// How long the victim and the first collections may take.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Between faults: time for the audience, and for the cooldown of the runbook.
const PAUSE: Duration = Duration::from_secs(2);

const SINK_GRACE: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &DemoArgs, log: &str) -> anyhow::Result<Exit> {
    let interrupted = signals::stop_requests(Unfinished::AGENT)?;
    let arrived = Arc::new(Arrived::default());
    let counting = Arc::clone(&arrived);
    let sink = Receiver::bind(args.otlp_listen, move |batch| counting.take(&batch))?;
    let set = StageSet::build(sink.local_address())?;
    print::out(&story::opening(set.path(), sink.local_address()))?;
    let tour = Tour::start(&set, log, interrupted, &arrived)?;
    let told = tour.tell();
    tour.agent.stop();
    let totals = arrived.totals();
    sink.stop(SINK_GRACE);
    match told? {
        None => {
            print::out("\nStopped. Nothing is left running.\n")?;
            Ok(Exit::Failed)
        }
        Some(story) => {
            print::out(&story.ending(&totals))?;
            set.keep();
            Ok(if story.all_healed() { Exit::Done } else { Exit::Failed })
        }
    }
}

/// The demo under way.
struct Tour<'a> {
    set: &'a StageSet,
    agent: Agent,
    happenings: Channel<Happening>,
    interrupted: Channel<&'static str>,
    arrived: &'a Arrived,
    /// What each alert asks, by its name.
    conditions: BTreeMap<String, String>,
}

impl<'a> Tour<'a> {
    /// Starts the agent, and the victim by the agent's executor.
    fn start(
        set: &'a StageSet,
        log: &str,
        interrupted: Channel<&'static str>,
        arrived: &'a Arrived,
    ) -> anyhow::Result<Self> {
        let file = set.path().join("hostmend.yaml");
        let loaded = config::load(&file, Trust::invoking_user(), &BTreeMap::new());
        let Some(config) = loaded.config else {
            let problems = documents::render(&loaded.problems, Format::Text);
            bail!("the demo's own configuration has problems:\n{problems}");
        };
        let conditions = story::conditions(&config.judgement.groups);
        let (watcher, happenings) = Watcher::new();
        let agent = Agent::start(config, log, watcher)?;
        let begin = Action::RestartProcess { process: "victim".into() };
        let mut executor = agent.executor().lock().unwrap_or_else(PoisonError::into_inner);
        executor.perform(&begin).context("starting the victim")?;
        drop(executor);
        wait_until_served(set)?;
        Ok(Self { set, agent, happenings, interrupted, arrived, conditions })
    }

    /// Breaks the victim in every way and tells what happens. `None` when the audience left.
    fn tell(&self) -> anyhow::Result<Option<Story>> {
        let mut story = Story::default();
        if let Ok(Happening::Collected { points, entities }) = self.happenings.recv_timeout(READY_WITHIN) {
            print::out(&story::collected(points, entities))?;
        }
        if !self.pause(PAUSE) {
            return Ok(None);
        }
        print::out(&story::arrived(&self.arrived.totals()))?;
        for (number, fault) in (1..).zip(Fault::ALL) {
            let condition = self.conditions.get(fault.alert()).map_or("", String::as_str);
            print::out(&story::breaking(number, fault, condition))?;
            if !self.break_and_watch(fault, &mut story)? || !self.pause(PAUSE) {
                return Ok(None);
            }
        }
        Ok(Some(story))
    }

    /// Says whether the audience is still there.
    fn break_and_watch(&self, fault: Fault, story: &mut Story) -> anyhow::Result<bool> {
        let broken = clock::now();
        fault.inject(self.set.path())?;
        let deadline = clock::monotonic() + HEAL_WITHIN;
        while !story.is_over(fault) {
            select! {
                recv(self.interrupted) -> _ => return Ok(false),
                recv(self.happenings) -> happening => {
                    let happening = happening.context("the agent ended")?;
                    if let Some(line) = story.line(fault, broken, &happening) {
                        print::out(&line)?;
                    }
                }
                default(clock::left(deadline)) => {
                    print::out(&story::given_up(fault, HEAL_WITHIN))?;
                    break;
                }
            }
        }
        Ok(true)
    }

    /// Lets time pass while the agent goes on. Says whether the audience is still there.
    fn pause(&self, duration: Duration) -> bool {
        let deadline = clock::monotonic() + duration;
        loop {
            select! {
                recv(self.interrupted) -> _ => return false,
                recv(self.happenings) -> happening => if happening.is_err() { return false },
                default(clock::left(deadline)) => return true,
            }
        }
    }
}

fn wait_until_served(set: &StageSet) -> anyhow::Result<()> {
    let deadline = clock::monotonic() + READY_WITHIN;
    while let Err(error) = TcpStream::connect(set.victim) {
        if clock::left(deadline).is_zero() {
            return Err(error).context("waiting for the victim to serve");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}
