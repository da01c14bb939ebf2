//! The status of the agent, put together from the parts that know it.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use otlp::{DestinationFigures, ReceiverFigures};
use telemetry::{Labels, RunId, Signal, Timestamp};

use super::routes::Reply;
use super::{Facts, health};
use crate::agent::own_metrics::{Outcome, answers, outcomes, rejections};
use crate::agent::runs_in_hand::InHand;
use crate::clock;
use crate::status::{
    Agent, Collecting, Destination, FiringAlert, Kept, Lack, Listener, MatchingNothing, Owed, Receiver,
    Repairs, Rules, Run, Series, Status, Told,
};

/// Rules and alerts that are listed at most, of those that a person should look at.
const MOST_SHOWN: usize = 100;

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
        health: health::of(facts, now),
        configuration: facts.reloads.configuration(),
        receiver: receiver(&facts.receiver.figures()),
        logs: super::logs::status(&facts.shared.logs),
        destinations: destinations.iter().map(|figures| destination(facts, figures)).collect(),
        collecting: collecting(facts),
        series: series(facts),
        rules: rules(facts, now),
        told_of_alerts: facts.shared.notify.notifier.figures().receivers.into_iter().map(told).collect(),
        kept: kept(facts, now),
        repairs: repairs(facts, now),
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
    let figures = store.figures();
    Series {
        kept: figures.series,
        samples: figures.samples,
        bytes: figures.ring_bytes + figures.chunk_bytes,
        squeezed: store.squeezed(),
        at_most: limits.max_series,
        retention_seconds: limits.retention.as_secs(),
        evicted: store.evicted(),
        rejected: rejected.map(|(reason, samples)| (reason.to_owned(), samples)).collect::<BTreeMap<_, _>>(),
    }
}

fn rules(facts: &Facts, now: Timestamp) -> Rules {
    let (groups, total) = facts.reloads.judged();
    let figures = facts.shared.groups.figures(now);
    let (matching_nothing, flapping) = facts.shared.groups.read(|groups| {
        let nothing = groups.iter().flat_map(|judged| {
            judged.matching_nothing().map(|(rule, selectors)| MatchingNothing {
                group: judged.group.group().name().to_owned(),
                rule: rule.name().to_owned(),
                selectors: selectors.to_vec(),
            })
        });
        let flapping = groups.iter().flat_map(|judged| judged.group.flapping(now)).map(texts);
        (nothing.take(MOST_SHOWN).collect(), flapping.take(MOST_SHOWN).collect())
    });
    Rules {
        groups,
        total,
        missed_rounds: figures.missed_rounds,
        evaluations: figures.evaluations,
        failures: figures.failures,
        seconds: figures.took.as_secs_f64(),
        pending: figures.pending,
        firing: firing(facts, now),
        flapping,
        no_series_for: figures.matching_nothing,
        matching_nothing,
    }
}

fn repairs(facts: &Facts, now: Timestamp) -> Repairs {
    let figures = facts.shared.runs.figures();
    let run = |(id, run): (RunId, InHand)| {
        let (plan, waits_until) = run.waits.unzip();
        Run {
            id: id.0,
            alert: run.alert,
            runbook: run.runbook,
            target: run.target,
            stage: run.stage.to_string(),
            for_seconds: now.since(run.since).as_secs(),
            plan: plan.unwrap_or_default(),
            waits_until: waits_until.map(|until| until.to_string()),
        }
    };
    Repairs {
        frozen: facts.shared.kill_switch.frozen(now).map(|freeze| freeze.describe()),
        in_hand: facts.shared.runs.in_hand().into_iter().map(run).collect(),
        outcomes: figures.outcomes,
        journal_events: figures.ledger.events,
        untold_refusals: figures.untold_refusals,
    }
}

fn told(figures: notify::ReceiverFigures) -> Told {
    let (failing_since, last_error) =
        figures.failing.map(|failing| (failing.since.to_string(), failing.error)).unzip();
    Told { name: figures.name, accepted: figures.accepted, owed: figures.owed, failing_since, last_error }
}

fn texts(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn kept(facts: &Facts, now: Timestamp) -> Vec<Kept> {
    let figures = facts.shared.kept.figures().into_iter();
    let kept = figures.map(|(which, figures)| Kept {
        what: which.as_str().to_owned(),
        seconds_ago: figures.at.map(|at| now.since(at).as_secs()),
        bytes: figures.bytes,
        written: figures.written,
        failed: figures.failed,
        unusable: figures.unusable,
    });
    kept.collect()
}

pub(super) fn firing(facts: &Facts, now: Timestamp) -> Vec<FiringAlert> {
    let held = facts.shared.notify.notifier.held();
    let firing = facts.shared.firing.now().into_iter().map(|alert| FiringAlert {
        held_until: held.get(&alert.labels).map(ToString::to_string),
        repair: super::repairs::about(facts, &alert.labels),
        labels: texts(&alert.labels),
        value: alert.value,
        silenced: facts.shared.notify.notifier.silencing(&alert.labels).map(|silence| silence.id),
        for_seconds: now.since(alert.fired_at.unwrap_or(alert.active_at)).as_secs(),
    });
    firing.collect()
}
