//! How the agent stops, and what it says of what it owes then.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use otlp::SenderFigures;
use telemetry::Signal;

use super::phase::{Phase, STOP_WITHIN};
use super::{Agent, SharedExecutor};
use crate::clock;

impl Agent {
    /// Stops in phases, each within its share of the time.
    pub(crate) fn stop(mut self) {
        self.shared.phase.enter(Phase::StoppingInputs);
        self.shared.heartbeats.stopping(STOP_WITHIN);
        self.supervision.stopping();
        drop(self.stages.stop_inputs);
        self.stages.logs.stop();
        let begun = clock::monotonic();
        self.receiver.stop(Phase::StoppingInputs.share() / 2);
        let left = || Phase::StoppingInputs.share().saturating_sub(begun.elapsed());
        let late: Vec<_> = self.stages.inputs.into_iter().filter_map(|it| it.await_end(left())).collect();
        self.stages.logs.join(left());
        drop(self.stages.stop_persist);
        let persist_until =
            clock::monotonic() + Phase::FinishingRuns.share() + Phase::EndingProcesses.share();
        self.shared.phase.enter(Phase::FinishingRuns);
        self.shared.firing.close();
        self.stages.runs.join(Phase::FinishingRuns.share());
        self.shared.books.write_open();
        self.shared.phase.enter(Phase::EndingProcesses);
        end_what_was_started(&self.shared.executor, Phase::EndingProcesses.share());
        self.stages.persist.join(clock::left(persist_until));
        // What a collection under way has seen is still sent where the phases between needed less than their shares.
        for stage in late {
            stage.join(clock::left(persist_until));
        }
        self.shared.phase.enter(Phase::LastExport);
        let begun = clock::monotonic();
        let share = Phase::LastExport.share();
        self.shared.notify.notifier.stop(share / 4);
        self.telemetry.stop(share / 4);
        let figures = self.sender.flush_and_stop(share.saturating_sub(begun.elapsed()));
        say_what_was_lost(&figures);
        drop(self.api);
        self.shared.phase.enter(Phase::Stopped);
        tracing::info!(collections = self.shared.collections.load(Ordering::Relaxed), "stopped");
    }
}

/// Ends the processes whose policy says that they end with the executor. Not when an action is still under way: it
/// would have to be waited for.
fn end_what_was_started(executor: &SharedExecutor, within: Duration) {
    match executor.try_lock() {
        Ok(mut executor) => executor.stop_started(within),
        Err(TryLockError::Poisoned(executor)) => executor.into_inner().stop_started(within),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!(
                "an action is still under way; what the executor started is left to end by itself"
            );
        }
    }
}

/// What is on disk is not lost.
fn say_what_was_lost(figures: &SenderFigures) {
    for destination in &figures.destinations {
        for signal in Signal::ALL {
            let figures = destination.signal(signal);
            if figures.queued > 0 {
                let (waiting, items) = (figures.queued, signal.items());
                tracing::info!(
                    destination = destination.name,
                    "{waiting} {items} wait on disk for the next start"
                );
            }
            if figures.dead_lettered > 0 {
                let (kept, items) = (figures.dead_lettered, signal.items());
                tracing::info!(
                    destination = destination.name,
                    "{kept} {items} are kept as dead letters; `hostmend queue replay` sends them again"
                );
            }
            if figures.lost() > 0 {
                tracing::warn!(
                    destination = destination.name,
                    %signal,
                    delivered = figures.delivered,
                    refused = figures.refused,
                    bytes = figures.lost_bytes,
                    age = figures.lost_age,
                    disk = figures.lost_disk,
                    damaged = figures.lost_damaged,
                    dead_letters = figures.lost_dead_letters,
                    queue_full = figures.dropped_queue_full,
                    shutdown = figures.dropped_shutdown,
                    last_error = destination.last_error,
                    "telemetry was lost"
                );
            }
        }
    }
}
