//! What would be done about an alert, and why or why not: for whoever asks before it happens.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{Alert, RunEvent, RunId, RunStep, Stage};

use super::chronicle::Chronicle;
use super::performance::Run;
use super::places::Places;
use super::session::Ended;
use super::{Remediator, Verdict};
use crate::circumstances::Subject;
use crate::dry_run::DryRun;
use crate::runbook::Runbook;
use crate::script::Script;
use crate::world::World;

/// How long a plan may take to make, however long its script would run.
const PLAN_WITHIN: Duration = Duration::from_secs(5);

/// What a guard says of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSays {
    /// The guard.
    pub guard: String,
    /// Whether it would let the run pass.
    pub allowed: bool,
    /// What it judges by, with values.
    pub reason: String,
}

/// What a runbook has to do with an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The runbook.
    pub runbook: String,
    /// The stage in force.
    pub stage: Stage,
    /// Why that is not the stage that it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demoted: Option<String>,
    /// Its parameters, printed; with what the alert's labels choose, if it answers.
    pub target: String,
    /// The matchers that the alert does not fit; none if the runbook answers it.
    pub unmatched: Vec<String>,
    /// The runbook before it that answers in its stead.
    pub after: Option<String>,
    /// Since when a run of it waits for a person, or what else keeps it from being considered.
    pub held_by: Option<String>,
    /// What all guards say, if it answers.
    pub guards: Vec<GuardSays>,
}

/// What a run would do now, found out by running its script on paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The runbook.
    pub runbook: String,
    /// Its stage.
    pub stage: Stage,
    /// Its script.
    pub script: String,
    /// Its parameters, printed.
    pub target: String,
    /// What it would do, an action each.
    pub actions: Vec<String>,
    /// How the script ended, in its own words.
    pub ended: String,
    /// Whether it holds the cause to be repaired then.
    pub ok: bool,
    /// How long it would take, waiting included; verifying is not.
    pub takes: Duration,
    /// What would have to hold then.
    pub verify: String,
    /// All that happened on paper.
    pub steps: Vec<RunEvent>,
    /// What the guards say now.
    pub guards: Vec<GuardSays>,
}

impl Plan {
    /// The actions, or how it ends without any.
    pub(super) fn in_short(&self) -> Vec<String> {
        if self.actions.is_empty() { vec![format!("nothing: {}", self.ended)] } else { self.actions.clone() }
    }
}

impl Remediator {
    /// Why each runbook would act on the alert or not, guard by guard. Nothing is told or written down.
    pub fn explain(&self, world: &dyn World, alert: &Alert) -> Vec<Explanation> {
        let mut first: Option<String> = None;
        let mut explanations = Vec::new();
        for runbook in &self.runbooks {
            let explanation = self.explain_one(world, runbook, alert, first.clone());
            if first.is_none() && explanation.unmatched.is_empty() {
                first = Some(runbook.name.clone());
            }
            explanations.push(explanation);
        }
        explanations
    }

    fn explain_one(
        &self,
        world: &dyn World,
        runbook: &Runbook,
        alert: &Alert,
        first: Option<String>,
    ) -> Explanation {
        let misses = runbook.matchers.iter().filter(|matcher| !matcher.matches(&alert.labels));
        let mut explanation = Explanation {
            runbook: runbook.name.clone(),
            stage: runbook.stage,
            demoted: None,
            target: runbook.printed_params(),
            unmatched: misses.map(ToString::to_string).collect(),
            after: None,
            held_by: None,
            guards: Vec::new(),
        };
        if !explanation.unmatched.is_empty() {
            return explanation;
        }
        explanation.after = first;
        let Some((answer, script)) = self.as_it_answers(runbook, alert) else {
            explanation.held_by = Some(format!("its script {} was not loaded", runbook.script));
            return explanation;
        };
        let demoted = self.ledger().history().standing(runbook, script.sha256()).demoted;
        let went_back = |(at, why)| format!("it says {}, and went back at {at}: {why}", runbook.stage);
        explanation.stage = answer.stage;
        explanation.demoted = demoted.map(went_back);
        if explanation.demoted.is_none() && answer.stage != runbook.stage {
            let doubt = self.ledger().history().in_doubt(&answer.targets()).cloned();
            explanation.demoted = doubt.map(|run| {
                let stage = runbook.stage;
                format!("it says {stage}, and it is not known what run {run} has done to its targets")
            });
        }
        explanation.target = answer.printed_params();
        explanation.held_by = self.held_by(world, &answer, &script, alert);
        explanation.guards = self.say(world, &answer, alert);
        explanation
    }

    /// What would be done about the alert now. Reads the host, and changes nothing.
    ///
    /// # Errors
    ///
    /// No runbook answers it, or its script was not loaded.
    pub fn plan(&self, world: &dyn World, alert: &Alert) -> Result<Plan, String> {
        let Some((runbook, script)) = self.answer_to(alert) else {
            return Err(format!("no runbook answers {}", alert.labels));
        };
        let mut plan = self.foresee(world, &runbook, &script, alert, RunId("plan".to_owned()));
        plan.guards = self.say(world, &runbook, alert);
        Ok(plan)
    }

    fn say(&self, world: &dyn World, runbook: &Runbook, alert: &Alert) -> Vec<GuardSays> {
        let seen_firing = world.seen_firing(alert).unwrap_or(alert.active_at);
        let verdicts = self.judge(world, &Subject { alert, runbook }, seen_firing, None).into_iter();
        let says = |(name, Verdict { allowed, reason }): (&str, Verdict)| GuardSays {
            guard: name.to_owned(),
            allowed,
            reason,
        };
        verdicts.map(says).collect()
    }

    fn held_by(
        &self,
        world: &dyn World,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
    ) -> Option<String> {
        if self.waits_for(runbook, alert) {
            return Some("a run of it waits for somebody to approve it".to_owned());
        }
        if let Some(denial) = self.news.denial(runbook, script, alert, world.now()) {
            return Some(denial.describe());
        }
        let Some(seen_firing) = world.seen_firing(alert) else {
            return Some("the alert does not fire".to_owned());
        };
        self.predates_last_run(runbook, seen_firing, world.now())
            .then(|| "the alert was not seen firing since the last run".to_owned())
    }

    /// Runs the script on paper.
    pub(super) fn foresee(
        &self,
        world: &dyn World,
        runbook: &Runbook,
        script: &Script,
        alert: &Alert,
        run: RunId,
    ) -> Plan {
        let mut paper = DryRun::over(world, PLAN_WITHIN);
        let begun = paper.now();
        let ended = match script.fit(runbook) {
            Ok(fitted) => {
                let run = Run {
                    runbook: fitted,
                    script: script.clone(),
                    alert: alert.clone(),
                    attempt: 1 + self.attempts(runbook, world.now()),
                    sandbox: self.sandbox.clone(),
                    chronicle: Chronicle::on_paper(run),
                    places: Places::default(),
                    simulated: true,
                    resumed: None,
                };
                run.rehearse(&mut paper)
            }
            Err(error) => Ended::Broke(error),
        };
        let takes = paper.now().since(begun);
        let (ok, ended) = ended.in_words();
        let steps = paper.into_events();
        let intended = steps.iter().filter_map(|event| match &event.step {
            RunStep::ActionIntended { action, .. } => Some(action.clone()),
            _ => None,
        });
        Plan {
            runbook: runbook.name.clone(),
            stage: runbook.stage,
            script: runbook.script.clone(),
            target: runbook.printed_params(),
            actions: intended.collect(),
            ended,
            ok,
            takes,
            verify: runbook.verify.as_ref().map(|verify| verify.expr.clone()).unwrap_or_default(),
            steps,
            guards: Vec::new(),
        }
    }
}
