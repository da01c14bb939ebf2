//! The status of the agent, put together from the parts that know it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use otlp::{DestinationFigures, ReceiverFigures};
use telemetry::{Signal, Timestamp};

use super::routes::Reply;
use super::{Facts, health};
use crate::agent::own_metrics::{Outcome, answers, outcomes, rejections};
use crate::clock;
use crate::status::{
    Agent, Collecting, Destination, FiringAlert, Lack, Listener, Owed, Receiver, Rules, Run, Series, Status,
};

pub(super) fn reply(facts: &Facts, _query: &str) -> Reply {
    Reply::json(200, &status(facts, clock::now()))
}

fn status(facts: &Facts, now: Timestamp) -> Status {
    let destinations = facts.sender.figures().destinations;
    Status {
        agent: Agent {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            started: facts.figures.started().to_string(),
            uptime_seconds: now.since(facts.figures.started()).as_secs(),
            state_directory: facts.state.clone(),
            turned_away: facts.shared.turned_away.load(Ordering::Relaxed),
        },
        health: health::of(facts),
        configuration: facts.reloads.configuration(),
        receiver: receiver(&facts.receiver.figures()),
        destinations: destinations.iter().map(|figures| destination(facts, figures)).collect(),
        collecting: collecting(facts),
        series: series(facts),
        rules: rules(facts, now),
        runs: facts.shared.runs.in_hand(now).map(|(alert, runbook, for_seconds)| Run {
            alert,
            runbook,
            for_seconds,
        }),
    }
}

fn receiver(figures: &ReceiverFigures) -> Receiver {
    let listeners = figures.listeners.iter().map(|listener| {
        let mut answers: BTreeMap<String, u64> =
            answers(listener).map(|(outcome, requests)| (outcome.to_owned(), requests)).collect();
        let accepted = answers.remove("accepted").unwrap_or(0);
        answers.retain(|_, requests| *requests > 0);
        Listener {
            name: listener.name.clone(),
            accepted,
            items: listener.items,
            bytes: listener.bytes,
            rejected_items: listener.rejected_items,
            failed_handshakes: listener.failed_handshakes,
            refused: answers,
        }
    });
    Receiver {
        connections: figures.connections,
        in_flight_bytes: figures.in_flight_bytes,
        listeners: listeners.collect(),
    }
}

fn destination(facts: &Facts, figures: &DestinationFigures) -> Destination {
    Destination {
        name: figures.name.clone(),
        queued_bytes: figures.queued_bytes,
        failed_attempts: figures.consecutive_failures,
        failing_since: facts.failing.of(&figures.name).map(|since| since.to_string()),
        last_error: figures.last_error.clone(),
        signals: Signal::ALL.map(|signal| (signal.as_str().to_owned(), owed(figures, signal))).into(),
    }
}

fn owed(figures: &DestinationFigures, signal: Signal) -> Owed {
    let figures = figures.signal(signal);
    let mut owed = Owed {
        accepted: figures.accepted,
        queued: figures.queued,
        dead_lettered: figures.dead_lettered,
        delivered_by_others: figures.delivered_by_others,
        oldest: figures.oldest.map(|oldest| oldest.to_string()),
        not_durable: figures.not_durable,
        ..Owed::default()
    };
    for (outcome, name, items) in outcomes(&figures) {
        match outcome {
            Outcome::Delivered => owed.delivered += items,
            Outcome::Lost if items > 0 => {
                owed.lost.insert(name.to_owned(), items);
            }
            Outcome::Lost => {}
        }
    }
    owed
}

fn collecting(facts: &Facts) -> Collecting {
    let fares = facts.shared.collecting.now();
    let lack = |lack: &collectors::Lack| Lack { what: lack.what.to_owned(), remedy: lack.remedy.to_owned() };
    Collecting {
        stretch: fares.stretch,
        cpu: fares.usage.cpu,
        memory_bytes: fares.usage.memory,
        lacking: fares.lacking.into_iter().map(lack).collect(),
    }
}

fn series(facts: &Facts) -> Series {
    let store = facts.shared.store.read().unwrap_or_else(PoisonError::into_inner);
    let limits = store.limits();
    let rejected = rejections(&store).into_iter().filter(|(_, samples)| *samples > 0);
    Series {
        kept: store.series_count(),
        at_most: limits.max_series,
        retention_seconds: limits.retention.as_secs(),
        evicted: store.evicted(),
        rejected: rejected.map(|(reason, samples)| (reason.to_owned(), samples)).collect::<BTreeMap<_, _>>(),
    }
}

fn rules(facts: &Facts, now: Timestamp) -> Rules {
    let (groups, total) = facts.reloads.judged();
    Rules {
        groups,
        total,
        missed_rounds: facts.shared.missed_rounds.load(Ordering::Relaxed),
        firing: firing(facts, now),
    }
}

pub(super) fn firing(facts: &Facts, now: Timestamp) -> Vec<FiringAlert> {
    let firing = facts.shared.firing.now().into_iter().map(|alert| FiringAlert {
        labels: alert.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        value: alert.value,
        for_seconds: now.since(alert.fired_at.unwrap_or(alert.active_at)).as_secs(),
    });
    firing.collect()
}
