//! Runs that wait for a person: their plan is shown, and they begin when it is approved in time.
//!
//! The guards are asked again then, because what was judged when the alert fired may be hours old. What is only in the way
//! until another run is over takes nothing from the run: it goes on waiting. Who may approve is not known here.

use telemetry::{Alert, RunId, RunOutcome, RunStep, Timestamp};

use super::chronicle::Chronicle;
use super::news::Denial;
use super::{Considered, PASSING, Remediator, Verdict};
use crate::circumstances::Subject;
use crate::runbook::Runbook;
use crate::script::Script;
use crate::world::World;

/// Runs that wait at once; more are refused.
const MAX_WAITING: usize = 100;

/// Who denies when nobody has decided.
const NOBODY: &str = "the end of the time to decide";

/// A run that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) runbook: Runbook,
    pub(super) script: Script,
    pub(super) alert: Alert,
    pub(super) chronicle: Chronicle,
    pub(super) until: Timestamp,
}

/// A run that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingRun {
    /// The run.
    pub run: RunId,
    /// The runbook.
    pub runbook: String,
    /// The alert's labels, printed.
    pub alert: String,
    /// When it is given up.
    pub until: Timestamp,
}

/// What a person has said.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Whether the run may go on.
    pub approved: bool,
    /// Who: a user's name and number.
    pub by: &'a str,
    /// Their words.
    pub comment: &'a str,
}

/// Why what a person has said is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// Nobody knows of such a run; those that wait are named.
    #[error("{0}")]
    Unknown(String),
    /// The run waits for nobody any more, or cannot begin before another is over, and waits on.
    #[error("{0}")]
    NotNow(String),
}

impl Remediator {
    /// The runs that wait for a person, the longest first.
    pub fn waiting(&self) -> Vec<WaitingRun> {
        let waiting = self.waiting.iter().map(|(run, waiting)| WaitingRun {
            run: run.clone(),
            runbook: waiting.runbook.name.clone(),
            alert: waiting.alert.labels.to_string(),
            until: waiting.until,
        });
        waiting.collect()
    }

    /// The alert that a waiting run answers.
    pub fn alert_of_waiting(&self, run: &RunId) -> Option<&Alert> {
        self.waiting.get(run).map(|waiting| &waiting.alert)
    }

    /// A person has decided about a run that waits.
    ///
    /// # Errors
    ///
    /// See [`Undecided`]; nothing has changed then.
    pub fn decide(
        &mut self,
        run: &RunId,
        decision: Decision<'_>,
        world: &mut dyn World,
    ) -> Result<Considered, Undecided> {
        let Decision { approved, by, comment } = decision;
        let Some(waiting) = self.waiting.get(run) else { return Err(self.no_such_run(run)) };
        let judged = if approved { self.judge_again(&*world, waiting) } else { Ok(Vec::new()) };
        if let Some(why) = judged.as_ref().ok().and_then(|verdicts| passing_refusal(verdicts)) {
            let until = waiting.until;
            let text = format!("{why}; approve it again when that is over: it waits until {until}");
            return Err(Undecided::NotNow(text));
        }
        let waiting = self.waiting.remove(run).expect("it waited a moment ago");
        let decided = RunStep::Decided { approved, by: by.to_owned(), comment: comment.to_owned() };
        waiting.chronicle.tell(world, decided);
        if !approved {
            let reason = match comment {
                "" => format!("denied by {by}"),
                comment => format!("denied by {by}: {comment}"),
            };
            return Ok(self.denied(world, &waiting, by, reason));
        }
        let Waiting { runbook, script, alert, chronicle, .. } = waiting;
        let (outcome, reason) = match judged {
            Err(over) => over,
            Ok(mut verdicts) => {
                self.places.claim(&runbook, run, &mut verdicts, world.now());
                Self::tell_verdicts(&chronicle, world, &verdicts);
                match Self::refusal(&verdicts) {
                    Some(reason) => (RunOutcome::Refused, reason),
                    None => match self.begin(world, &runbook, script, &alert, chronicle.clone()) {
                        Ok(run) => return Ok(Considered::Begun(Box::new(run))),
                        Err(reason) => (RunOutcome::Refused, reason),
                    },
                }
            }
        };
        chronicle.tell(world, RunStep::Finished { outcome, reason });
        self.places.give_back(run, world.now());
        Ok(Considered::Told(outcome))
    }

    /// What every guard says of a run that waits, or how it ends because there is nothing to begin any more.
    fn judge_again(
        &self,
        world: &dyn World,
        waiting: &Waiting,
    ) -> Result<Vec<(&'static str, Verdict)>, (RunOutcome, String)> {
        let Waiting { runbook, alert, .. } = waiting;
        let resolved = || (RunOutcome::Skipped, "the alert resolved by itself".to_owned());
        let seen_firing = world.seen_firing(alert).ok_or_else(resolved)?;
        if let Some(why) = self.superseded(waiting) {
            return Err((RunOutcome::Refused, why));
        }
        Ok(self.judge(world, &Subject { alert, runbook }, seen_firing, None))
    }

    /// Why the plan that was shown is not what would be done now, if it is not.
    fn superseded(&self, waiting: &Waiting) -> Option<String> {
        let Waiting { runbook, script, alert, .. } = waiting;
        let name = &runbook.name;
        match self.answer_to(alert) {
            Some((now, now_script))
                if now.name != *name
                    || now.sha256 != runbook.sha256
                    || now_script.sha256() != script.sha256() =>
            {
                Some("the text of its runbook or script has changed since its plan was shown".to_owned())
            }
            Some((now, _)) if now.stage != runbook.stage => {
                Some(format!("{name} is at stage {} now", now.stage))
            }
            Some(_) => None,
            None => Some(format!("{name} does not answer this alert any more")),
        }
    }

    /// Gives a run up that nobody has decided about in time, whose alert has resolved, or whose runbook or script is not the
    /// one whose plan was shown. To be called now and then.
    pub fn expire(&mut self, world: &mut dyn World, run: &RunId) {
        let Some(waiting) = self.waiting.get(run) else { return };
        let until = waiting.until;
        let fires = world.seen_firing(&waiting.alert).is_some();
        let superseded = self.superseded(waiting);
        if fires && superseded.is_none() && world.now() < until {
            return;
        }
        let Some(waiting) = self.waiting.remove(run) else { return };
        if !fires {
            let reason = "the alert resolved by itself".to_owned();
            waiting.chronicle.tell(world, RunStep::Finished { outcome: RunOutcome::Skipped, reason });
        } else if let Some(reason) = superseded {
            // Nobody has denied what is there now.
            waiting.chronicle.tell(world, RunStep::Finished { outcome: RunOutcome::Denied, reason });
        } else {
            let (by, comment) = (NOBODY.to_owned(), String::new());
            waiting.chronicle.tell(world, RunStep::Decided { approved: false, by, comment });
            self.denied(world, &waiting, NOBODY, format!("nobody approved it until {until}"));
        }
    }

    /// Shows the plan and waits. None if it does; otherwise why not.
    pub(super) fn ask(
        &mut self,
        world: &mut dyn World,
        runbook: Runbook,
        script: Script,
        alert: &Alert,
        chronicle: Chronicle,
    ) -> Result<(), String> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(format!("{MAX_WAITING} runs wait for a person already"));
        }
        let doubt = self.ledger().history().in_doubt(&runbook.targets()).cloned();
        if let Some(run) = doubt {
            let text = format!(
                "a person decides about it, because it is not known what run {run} has done to {}",
                runbook.targets().join(", ")
            );
            chronicle.tell(world, RunStep::Note { text });
        }
        let plan = self.foresee(&*world, &runbook, &script, alert, chronicle.run().clone());
        let until = world.now().plus(runbook.approve_within);
        chronicle.tell(world, RunStep::Awaiting { plan: plan.in_short(), until });
        let id = chronicle.run().clone();
        let alert = alert.clone();
        self.waiting.insert(id, Waiting { runbook, script, alert, chronicle, until });
        Ok(())
    }

    /// Whether a run for this alert waits already.
    pub(super) fn waits_for(&self, runbook: &Runbook, alert: &Alert) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|waiting| waiting.runbook.name == runbook.name && waiting.alert.labels == alert.labels)
    }

    /// The same alert is not asked about again for a while.
    fn denied(&mut self, world: &mut dyn World, waiting: &Waiting, by: &str, reason: String) -> Considered {
        let Waiting { runbook, script, alert, chronicle, .. } = waiting;
        let denial = Denial::new(by, runbook, script, alert, world.now());
        self.news.deny(runbook, alert, denial);
        let outcome = RunOutcome::Denied;
        chronicle.tell(world, RunStep::Finished { outcome, reason });
        Considered::Told(outcome)
    }

    fn no_such_run(&self, run: &RunId) -> Undecided {
        let known = self.ledger().events_of(run).is_ok_and(|events| !events.is_empty());
        if known {
            let text =
                format!("run {run} does not wait for anybody; `hostmend runs {run}` tells what became of it");
            return Undecided::NotNow(text);
        }
        let waiting: Vec<String> = self.waiting.keys().map(ToString::to_string).collect();
        Undecided::Unknown(if waiting.is_empty() {
            format!("there is no run {run}, and none waits for anybody")
        } else {
            format!("there is no run {run}; these wait: {}", waiting.join(", "))
        })
    }
}

/// Why a run cannot begin before another is over, if nothing else is in its way.
fn passing_refusal(verdicts: &[(&'static str, Verdict)]) -> Option<String> {
    let refused = || verdicts.iter().filter(|(_, verdict)| !verdict.allowed);
    let passes = refused().all(|(name, _)| PASSING.contains(name));
    if passes { Remediator::refusal(verdicts) } else { None }
}
