//! A host on paper: it answers what its case says, changes as the case says, and its time passes only by waiting.
//!
//! What a case does not say is not made up: the question fails, and its words tell what the case lacks. Actions succeed
//! unless the case says otherwise.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use executor::{Action, ActionError, ByteCount, Cause, ChangeId, Outcome, ProcessId, UnitState};
use remediation::{Answer, Circumstances, Fact, FoundProcess, Page, ProcessFilter, Subject, TopBy, World};
use serde_json::{Map, Value, json};
use telemetry::{Alert, Labels, RunEvent, RunId, RunStep, Timestamp};

/// When every case begins.
pub(super) const BEGIN: Timestamp = Timestamp::from_secs(1_700_000_000);

/// What an action frees, unless the case says how much.
const SOME: ByteCount = ByteCount(1 << 20);

/// Steps that are told of a case that failed, and how much of each: an answer can be as long as a log.
const LAST_STEPS: usize = 8;
const STEP_CHARACTERS: usize = 200;

/// What an action, or time alone, does to the host.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) on: Option<String>,
    pub(super) nth: Option<usize>,
    pub(super) after: Duration,
    pub(super) set: BTreeMap<String, Value>,
    pub(super) fails: Option<String>,
    pub(super) outcome: Option<Value>,
}

pub(super) struct Paper {
    now: Cell<Timestamp>,
    answers: RefCell<BTreeMap<String, Value>>,
    effects: Vec<Effect>,
    due: RefCell<Vec<(Timestamp, BTreeMap<String, Value>)>>,
    verified: bool,
    performed: Vec<String>,
    attached: BTreeSet<String>,
    told: RefCell<Vec<RunEvent>>,
}

impl Paper {
    pub(super) fn new(host: BTreeMap<String, Value>, effects: Vec<Effect>, verified: bool) -> Self {
        let by_itself = effects.iter().filter(|effect| effect.on.is_none());
        let due = by_itself.map(|effect| (BEGIN.plus(effect.after), effect.set.clone())).collect();
        Self {
            now: Cell::new(BEGIN),
            answers: RefCell::new(host),
            effects,
            due: RefCell::new(due),
            verified,
            performed: Vec::new(),
            attached: BTreeSet::new(),
            told: RefCell::default(),
        }
    }

    pub(super) fn actions(&self) -> &[String] {
        &self.performed
    }

    pub(super) fn attached(&self) -> &BTreeSet<String> {
        &self.attached
    }

    pub(super) fn reason(&self) -> String {
        let told = self.told.borrow();
        let finished = told.iter().rev().find_map(|event| match &event.step {
            RunStep::Finished { reason, .. } => Some(reason.clone()),
            _ => None,
        });
        finished.unwrap_or_default()
    }

    /// The last things that happened, as a timeline tells them.
    pub(super) fn last_steps(&self) -> Vec<String> {
        let told = self.told.borrow();
        let evidence = |step: &RunStep| matches!(step, RunStep::Guard { .. } | RunStep::Evidence { .. });
        let steps: Vec<String> = told
            .iter()
            .filter(|event| !evidence(&event.step))
            .map(|event| shortened(incidents::sentence(&event.step).1))
            .collect();
        steps.get(steps.len().saturating_sub(LAST_STEPS)..).unwrap_or_default().to_vec()
    }

    fn set(&self, changes: &BTreeMap<String, Value>) {
        let mut answers = self.answers.borrow_mut();
        for (question, change) in changes {
            merge(answers.entry(question.clone()).or_default(), change);
        }
    }

    fn pass(&self, to: Timestamp) {
        self.now.set(to);
        let due: Vec<_> = self.due.borrow_mut().extract_if(.., |(at, _)| *at <= to).collect();
        for (_, changes) in &due {
            self.set(changes);
        }
    }

    fn answer(&self, question: &str) -> Result<Value, String> {
        let answers = self.answers.borrow();
        answers.get(question).cloned().ok_or_else(|| format!("the case has no answer for {question:?}"))
    }

    fn unit(&self, unit: &str) -> UnitState {
        let status = self.answer(&format!("unit::status {unit}")).unwrap_or_default();
        UnitState { active: text(&status, "active"), sub: text(&status, "sub"), main_pid: pid(&status) }
    }

    fn outcome(&self, action: &Action, before: UnitState) -> Outcome {
        let set = |what: String, after: String| {
            let change = Some(ChangeId(self.performed.len().to_string()));
            Outcome::Set { what, before: String::new(), after, change }
        };
        match action {
            Action::RestartProcess { process } => Outcome::Restarted {
                process: process.clone(),
                ended: None,
                killed: false,
                pid: 1,
                unnamed_by: None,
            },
            Action::Unit { verb, unit } => {
                let after = self.unit(&unit.to_string());
                Outcome::UnitChanged { verb: *verb, unit: unit.clone(), before, after }
            }
            Action::LimitUnit { unit, limits } => set(format!("limits of {unit}"), limits.to_string()),
            Action::LimitCgroup { cgroup, limits } => set(format!("limits of {cgroup}"), limits.to_string()),
            Action::FreezeCgroup { cgroup, frozen } => set(cgroup.clone(), frozen.to_string()),
            Action::SwitchLink { link, to } => set(link.display().to_string(), to.display().to_string()),
            Action::SetFlag { flag, variant } => set(flag.clone(), variant.clone()),
            Action::SetSysctl { name, value } => set(name.clone(), value.to_string()),
            Action::SignalProcess { process, signal } => {
                Outcome::Signalled { process: *process, command: String::new(), signal: *signal }
            }
            Action::RemoveFiles { .. } => Outcome::Removed {
                quarantined: false,
                change: None,
                files: 1,
                bytes: SOME,
                too_large: 0,
                failed: 0,
                first_failure: None,
                incomplete: false,
            },
            Action::TruncateFile { .. } => Outcome::Truncated { bytes: SOME },
            Action::ReclaimCgroup { .. } => Outcome::Reclaimed { bytes: SOME },
            Action::RotateJournal => Outcome::JournalRotated,
            Action::VacuumJournal { .. } => Outcome::JournalVacuumed { files: 1, bytes: SOME },
            Action::RunCommand { .. } => Outcome::Ran { status: Some(0), output: String::new() },
            Action::Undo { change } => Outcome::Undone { what: change.to_string(), value: String::new() },
        }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(STEP_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(of: &Value, name: &str, fallback: u64) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or(fallback)
}

fn pid(status: &Value) -> Option<u32> {
    status.get("main_pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok())
}

/// A process that a case has, with what it does not say of it.
fn process(listed: &Value) -> FoundProcess {
    let pid = u32::try_from(number(listed, "pid", 0)).unwrap_or(0);
    FoundProcess {
        id: ProcessId { pid, start_ticks: number(listed, "start_ticks", 7) },
        state: text(listed, "state").chars().next().unwrap_or('S'),
        command: text(listed, "command"),
        ppid: u32::try_from(number(listed, "ppid", 1)).unwrap_or(1),
        unit: text(listed, "unit"),
        age_seconds: number(listed, "age_seconds", 60),
        rss_bytes: number(listed, "rss_bytes", 1 << 20),
    }
}

fn merge(into: &mut Value, change: &Value) {
    match (into.as_object_mut(), change.as_object()) {
        (Some(fields), Some(changes)) => fields.extend(changes.clone()),
        _ => *into = change.clone(),
    }
}

/// A question as cases write it.
fn question(fact: &Fact) -> String {
    match fact {
        Fact::UnitStatus { unit } => format!("unit::status {unit}"),
        Fact::UnitLimits { unit } => format!("unit::limits {unit}"),
        Fact::TopProcesses { by, .. } => {
            let by = match by {
                TopBy::Cpu => "cpu",
                TopBy::Memory => "memory",
                TopBy::Io => "io",
            };
            format!("proc::top {by}")
        }
        Fact::ProcessStack { process } => format!("proc::stack {}", process.pid),
        Fact::ProcessMaps { process } => format!("proc::maps {}", process.pid),
        Fact::DiskUsage { path } => format!("disk::usage {}", path.display()),
        Fact::Files { under, .. } => format!("file::list {}", under.display()),
        Fact::Releases { link } => format!("file::releases {}", link.display()),
        Fact::JournalTail { unit, .. } => format!("journal::tail {unit}"),
        Fact::HttpGet { url, .. } => format!("http::get {url}"),
        Fact::Flag { flag } => format!("flag::get {flag}"),
        Fact::DirectoryUsage { path } => format!("disk::directory_usage {}", path.display()),
        Fact::CgroupLimits { cgroup } => format!("cgroup::limits {cgroup}"),
        Fact::Conntrack => "net::conntrack".to_owned(),
        Fact::Sockets => "net::sockets".to_owned(),
        Fact::Sysctl { name } => format!("sysctl::get {name}"),
        // For the evidence of runs, as pressure; no script asks it.
        Fact::HeaviestProcesses { .. } => "heaviest processes".to_owned(),
        Fact::Pressure => "pressure".to_owned(),
    }
}

impl World for Paper {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn query(&self, expr: &str, since: Option<Timestamp>) -> Result<Answer, String> {
        let value = match since {
            Some(_) => self.verified.then_some(1.0),
            None => self.answer(&format!("metric::query {expr}"))?.as_f64(),
        };
        Ok(Answer { values: value.into_iter().map(|value| (Labels::empty(), value)).collect() })
    }

    fn fact(&self, fact: &Fact) -> Result<Value, String> {
        self.answer(&question(fact))
    }

    fn find_processes(&self, filter: &ProcessFilter) -> Result<Vec<FoundProcess>, String> {
        let listed = self.answer("proc::find")?;
        let found = listed.as_array().into_iter().flatten().map(process);
        let wanted = |process: &FoundProcess| {
            filter.pid.is_none_or(|pid| process.id.pid == pid)
                && filter.ppid.is_none_or(|ppid| process.ppid == ppid)
                && filter.state.is_none_or(|state| process.state == state)
                && filter.unit.as_ref().is_none_or(|unit| process.unit == *unit)
                && filter.name.as_ref().is_none_or(|name| process.command == *name)
        };
        Ok(found.filter(wanted).collect())
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        let printed = action.to_string();
        self.performed.push(printed.clone());
        let times = self.performed.iter().filter(|done| **done == printed).count();
        let before = match action {
            Action::Unit { unit, .. } => self.unit(&unit.to_string()),
            _ => UnitState { active: String::new(), sub: String::new(), main_pid: None },
        };
        let effect = self
            .effects
            .iter()
            .find(|effect| effect.on.as_ref() == Some(&printed) && effect.nth.is_none_or(|nth| nth == times));
        let Some(effect) = effect.cloned() else { return Ok(self.outcome(action, before)) };
        if effect.after.is_zero() {
            self.set(&effect.set);
        } else {
            self.due.borrow_mut().push((self.now().plus(effect.after), effect.set));
        }
        if let Some(words) = effect.fails {
            return Err(ActionError::Failed { doing: printed, cause: Cause(words) });
        }
        let mut outcome = json!(self.outcome(action, before));
        merge(&mut outcome, &effect.outcome.unwrap_or_else(|| Map::new().into()));
        serde_json::from_value(outcome).map_err(|error| {
            let cause = Cause(format!("the case's `outcome` is none that there is: {error}"));
            ActionError::Failed { doing: printed, cause }
        })
    }

    fn wait(&self, duration: Duration) -> bool {
        self.pass(self.now().plus(duration));
        true
    }

    fn record(&mut self, event: &RunEvent) {
        self.told.borrow_mut().push(event.clone());
    }

    fn attach(&mut self, _: &RunId, name: &str, _: &str) -> Result<String, String> {
        self.attached.insert(name.to_owned());
        Ok(name.to_owned())
    }

    fn page(&mut self, _: &Page) -> Vec<String> {
        Vec::new()
    }

    fn frozen(&self) -> Option<String> {
        None
    }

    fn seen_firing(&self, _: &Alert) -> Option<Timestamp> {
        Some(self.now())
    }

    fn circumstances(&self, _: &Subject<'_>) -> Circumstances {
        Circumstances { seen_firing: Some(self.now()), ..Circumstances::default() }
    }
}
