//! How far the agent has come, and how the time for stopping is shared out.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long stopping may take from the signal to the end of the process. systemd's default is 90 s, a person's
/// patience is about five.
pub(crate) const STOP_WITHIN: Duration = Duration::from_secs(4);

/// How far the agent has come. Each phase ends when its stage has drained or its share of the deadline is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Opening what it needs; nothing is collected yet.
    Starting,
    /// Collecting, judging, repairing.
    Running,
    /// No new samples and no new probes.
    StoppingInputs,
    /// A run under way stops at its next action, and says so in the journal.
    FinishingRuns,
    /// What the executor started and must not outlive it is ended.
    EndingProcesses,
    /// What is queued is sent as far as the time allows.
    LastExport,
    /// Nothing runs any more.
    Stopped,
}

impl Phase {
    /// The part of [`STOP_WITHIN`] that the phase may use up at most.
    pub(crate) fn share(self) -> Duration {
        let percent = match self {
            Self::Starting | Self::Running | Self::Stopped => 0,
            Self::StoppingInputs | Self::EndingProcesses => 20,
            Self::FinishingRuns | Self::LastExport => 30,
        };
        STOP_WITHIN * percent / 100
    }
}

/// The phase, for everyone to see.
#[derive(Debug)]
pub(crate) struct PhaseBoard {
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Default for PhaseBoard {
    fn default() -> Self {
        Self { phase: Mutex::new(Phase::Starting), changed: Condvar::new() }
    }
}

impl PhaseBoard {
    /// Moves on to `phase`; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut current = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if phase > *current {
            *current = phase;
            tracing::debug!(?phase, "entered phase");
            self.changed.notify_all();
        }
    }

    #[cfg(test)]
    fn now(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, or until the agent begins to finish runs. Says whether the agent goes on.
    pub(crate) fn wait(&self, duration: Duration) -> bool {
        let current = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let (current, _) = self
            .changed
            .wait_timeout_while(current, duration, |phase| *phase < Phase::FinishingRuns)
            .unwrap_or_else(PoisonError::into_inner);
        *current < Phase::FinishingRuns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_fit_into_the_deadline() {
        let all = [Phase::StoppingInputs, Phase::FinishingRuns, Phase::EndingProcesses, Phase::LastExport];
        assert!(all.into_iter().map(Phase::share).sum::<Duration>() <= STOP_WITHIN);
        assert!(STOP_WITHIN < Duration::from_secs(5));
    }

    #[test]
    fn a_phase_is_never_left_backwards() {
        let board = PhaseBoard::default();
        board.enter(Phase::LastExport);
        board.enter(Phase::Running);
        assert_eq!(board.now(), Phase::LastExport);
    }

    #[test]
    fn whoever_waits_is_told_at_once_that_runs_must_end() {
        let board = PhaseBoard::default();
        assert!(board.wait(Duration::ZERO));
        board.enter(Phase::FinishingRuns);
        assert!(!board.wait(Duration::from_mins(1)));
    }
}
