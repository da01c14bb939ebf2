//! What a run had done before the agent ended, so that the next agent goes on with it and repeats nothing.
//!
//! The script is run from its beginning. Steps that are done give their result, and actions get the answer that they got,
//! as long as the script asks for the same in the same order. Facts are asked anew: the host is what it is now. What is
//! uncertain stays so for the rest of the run, however often the script tries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;
use telemetry::{RunEvent, RunStep};

use super::changes::Changes;
use crate::runner::StepState;

/// The past of a run that is resumed; empty for one that begins.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    steps: BTreeMap<String, Value>,
    /// Steps that are done and that the script has not asked for again.
    not_asked: BTreeSet<String>,
    actions: VecDeque<Past>,
    last_number: u32,
    /// Steps and actions that the script has asked for again and been told that nobody knows whether they were done.
    uncertain_steps: BTreeSet<String>,
    uncertain_actions: BTreeSet<String>,
    /// Whether the try of a step that is under way has come as far as an action that is known.
    has_consumed: bool,
    tried: Vec<String>,
    changes: Changes,
}

/// An action that is in the journal.
#[derive(Clone, Debug)]
struct Past {
    number: u32,
    action: String,
    step: Option<String>,
    /// None if it is not known whether it was done.
    outcome: Option<PastAnswer>,
}

/// What the script was answered; the error is for the script.
type PastAnswer = Result<Value, String>;

/// What the journal says of an action that the script asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// Nothing: it is new.
    New,
    /// It was done, or failed.
    Done(PastAnswer),
    /// It was intended.
    Uncertain,
    /// The script has taken another way than before: this was done in the place of it.
    Another(String),
}

impl Replay {
    /// The past that these events of one run tell.
    pub(super) fn of(events: &[RunEvent]) -> Self {
        let mut replay = Self { tried: tried(events), changes: Changes::of(events), ..Self::default() };
        let mut inside: Option<String> = None;
        for event in events {
            match &event.step {
                RunStep::StepBegun { id, .. } => {
                    inside = Some(id.clone());
                }
                // A script that is run anew is in no step.
                RunStep::StepFailed { .. } | RunStep::Resumed { .. } => inside = None,
                RunStep::StepDone { id, result } => {
                    inside = None;
                    replay.actions.retain(|past| past.step.as_ref() != Some(id));
                    let result = serde_json::from_str(result).unwrap_or(Value::Null);
                    replay.steps.insert(id.clone(), result);
                    replay.not_asked.insert(id.clone());
                }
                RunStep::ActionIntended { number, action, .. } => {
                    replay.last_number = replay.last_number.max(*number);
                    let (action, step) = (action.clone(), inside.clone());
                    replay.actions.push_back(Past { number: *number, action, step, outcome: None });
                }
                RunStep::ActionDone { number, ok, outcome, answer, .. } => {
                    if let Some(past) = replay.actions.iter_mut().find(|past| past.number == *number) {
                        past.outcome = Some(past_answer(*ok, outcome, answer.as_deref()));
                    }
                }
                _ => {}
            }
        }
        replay
    }

    /// The number of the last action.
    pub(super) fn last_number(&self) -> u32 {
        self.last_number
    }

    /// What was done, also in steps that are over.
    pub(super) fn tried(&self) -> &[String] {
        &self.tried
    }

    /// What was changed.
    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is known of a step that is about to begin.
    pub(super) fn begin(&mut self, id: &str) -> StepState {
        self.has_consumed = false;
        if let Some(result) = self.steps.get(id) {
            self.not_asked.remove(id);
            return StepState::Done(result.clone());
        }
        if self.is_uncertain(id) { StepState::Uncertain } else { StepState::Run }
    }

    fn is_uncertain(&self, id: &str) -> bool {
        let uncertain = |past: &Past| past.step.as_deref() == Some(id) && past.outcome.is_none();
        self.uncertain_steps.contains(id) || self.actions.iter().any(uncertain)
    }

    /// What is known of an action that the script asks for, inside of this step.
    pub(super) fn next(&mut self, action: &str, step: Option<&str>) -> Known {
        // A step's own precondition was asked and says that it is needed; without one it was not begun again.
        let needed = step.is_some_and(|id| self.is_uncertain(id));
        let is_next = |past: &mut Past| past.action == action && past.step.as_deref() == step;
        let Some(past) = self.actions.pop_front_if(is_next) else {
            return match self.actions.front() {
                _ if !needed && self.uncertain_actions.contains(action) => Known::Uncertain,
                Some(past) if !needed || past.step.as_deref() == step => Known::Another(past.action.clone()),
                _ => Known::New,
            };
        };
        self.has_consumed = true;
        match past.outcome {
            Some(outcome) => Known::Done(outcome),
            None if needed => Known::New,
            None => {
                self.uncertain_actions.insert(past.action);
                Known::Uncertain
            }
        }
    }

    /// What was done before and that the script has not asked for again.
    pub(super) fn left_over(&self) -> Option<String> {
        let step = self.left_over_step().map(|id| format!("step {id}"));
        step.or_else(|| self.actions.front().map(|past| past.action.clone()))
    }

    /// A step that was done before and that the script has not asked for again.
    pub(super) fn left_over_step(&self) -> Option<&str> {
        self.not_asked.first().map(String::as_str)
    }

    /// What was intended and of which no outcome is known.
    pub(super) fn uncertain(&self) -> Vec<&str> {
        let uncertain = self.actions.iter().filter(|past| past.outcome.is_none());
        uncertain.map(|past| past.action.as_str()).collect()
    }

    /// A step is done: what is left of it is not asked for again.
    pub(super) fn done(&mut self, id: &str) {
        self.actions.retain(|past| past.step.as_deref() != Some(id));
        self.uncertain_steps.remove(id);
    }

    /// A try of a step has failed. The next one meets what this one has left; an uncertain step that was not even begun
    /// stays uncertain, and the script may go on without it.
    pub(super) fn failed(&mut self, id: &str) {
        if self.has_consumed || !self.is_uncertain(id) {
            return;
        }
        let (of_it, others) =
            std::mem::take(&mut self.actions).into_iter().partition(|past| past.step.as_deref() == Some(id));
        self.actions = others;
        let of_it: VecDeque<Past> = of_it;
        self.uncertain_steps.insert(id.to_owned());
        self.uncertain_actions
            .extend(of_it.into_iter().filter(|past| past.outcome.is_none()).map(|past| past.action));
    }
}

/// What a run with these events has done, an action each with what became of it. First of all what is not known to be done:
/// whoever is called has to look at that.
pub(super) fn tried(events: &[RunEvent]) -> Vec<String> {
    let mut tried: Vec<(u32, String, Option<String>)> = Vec::new();
    for event in events {
        match &event.step {
            RunStep::ActionIntended { number, action, simulated: false } => {
                tried.push((*number, action.clone(), None));
            }
            RunStep::ActionDone { number, outcome, .. } => {
                if let Some(action) = tried.iter_mut().find(|(known, ..)| known == number) {
                    action.2 = Some(outcome.clone());
                }
            }
            _ => {}
        }
    }
    tried.sort_by_key(|(_, _, outcome)| outcome.is_some());
    let uncertain = "the agent ended before it was known whether this was done";
    tried
        .into_iter()
        .map(|(_, action, outcome)| format!("{action}: {}", outcome.as_deref().unwrap_or(uncertain)))
        .collect()
}

fn past_answer(ok: bool, outcome: &str, answer: Option<&str>) -> PastAnswer {
    let value = answer.and_then(|answer| serde_json::from_str(answer).ok());
    match (ok, value) {
        (true, Some(value)) => Ok(value),
        (true, None) => Err("what it was answered is not in the journal".to_owned()),
        (false, _) => Err(outcome.to_owned()),
    }
}
