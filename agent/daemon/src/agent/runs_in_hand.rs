//! The run that is under way, for whoever asks what the agent is doing.

use std::sync::{Mutex, PoisonError};

use telemetry::{RunEvent, RunStep, Timestamp};

#[derive(Debug)]
struct InHand {
    alert: String,
    runbook: String,
    since: Timestamp,
}

/// There is one at a time.
#[derive(Debug, Default)]
pub(crate) struct RunsInHand(Mutex<Option<InHand>>);

impl RunsInHand {
    /// Follows a run by its steps.
    pub(crate) fn stepped(&self, event: &RunEvent) {
        let next = match &event.step {
            RunStep::Matched { alert, runbook, .. } => {
                Some(InHand { alert: alert.clone(), runbook: runbook.clone(), since: event.at })
            }
            RunStep::Finished { .. } => None,
            _ => return,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// Alert and runbook of the run under way, and for how many seconds it has been.
    pub(crate) fn in_hand(&self, now: Timestamp) -> Option<(String, String, u64)> {
        let in_hand = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_hand.as_ref().map(|run| (run.alert.clone(), run.runbook.clone(), now.since(run.since).as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{RunId, RunOutcome, Stage};

    #[test]
    fn a_run_is_in_hand_from_its_match_to_its_end() {
        let runs = RunsInHand::default();
        let step =
            |at, step| runs.stepped(&RunEvent { run: RunId("1".into()), at: Timestamp::from_secs(at), step });
        let seen =
            |at| runs.in_hand(Timestamp::from_secs(at)).map(|(_, runbook, seconds)| (runbook, seconds));
        step(
            1,
            RunStep::Matched {
                alert: "{}".into(),
                runbook: "restart".into(),
                stage: Stage::Auto,
                script: String::new(),
                script_sha256: String::new(),
            },
        );
        step(2, RunStep::Started { parameters: String::new() });
        assert_eq!(seen(4), Some(("restart".to_owned(), 3)));
        step(5, RunStep::Finished { outcome: RunOutcome::Escalated, reason: String::new() });
        assert_eq!(seen(6), None);
    }
}
