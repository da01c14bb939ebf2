//! Runbooks: which alerts a script answers, on what it may act, how often, and how one knows that it helped.
//!
//! What may be done stands here and in the executor's policy, never in the script: a guard in a script can be forgotten,
//! and what is the script's fault it cannot guard against.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, nearest, yaml};
use executor::Budget;
use serde::Deserialize;
use telemetry::{Labels, Stage, format_duration};

use crate::grants::{Capability, Grants};
use crate::matcher::Matcher;

/// The longest that a script may run; while it does, no other runbook can.
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
/// The longest that a verification may take, for the same reason.
const MAX_VERIFY: Duration = Duration::from_mins(10);
/// The largest attempts budget: the ledger keeps as many starts of each runbook.
pub(crate) const MAX_ATTEMPTS: u32 = 100;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_WITHIN: Duration = Duration::from_secs(30);
const DEFAULT_SETTLE: Duration = Duration::from_secs(1);
const DEFAULT_COOLDOWN: Duration = Duration::from_mins(5);
const DEFAULT_ATTEMPTS: Budget = Budget { at_most: 3, per: Duration::from_hours(1) };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunbookFile {
    runbooks: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    matchers: Vec<Spanned<String>>,
    script: Spanned<String>,
    #[serde(default)]
    parameters: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    grants: GrantEntries,
    stage: Option<Spanned<String>>,
    guards: Option<GuardsEntry>,
    timeout: Option<Spanned<String>>,
    verify: VerifyEntry,
    escalate: Option<Spanned<String>>,
}

/// A mapping whose keys keep their places.
#[derive(Default)]
struct GrantEntries(Vec<(Spanned<String>, Vec<Spanned<String>>)>);

impl<'de> Deserialize<'de> for GrantEntries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> serde::de::Visitor<'de> for Entries {
            type Value = GrantEntries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("capabilities with their targets, as in { process.restart: [web] }")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<GrantEntries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(GrantEntries(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardsEntry {
    cooldown: Option<Spanned<String>>,
    attempts: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyEntry {
    expr: Spanned<String>,
    within: Option<Spanned<String>>,
    settle: Option<Spanned<String>>,
}

/// A runbook that cannot be wrong in itself; whether its script is sound, [`crate::check_script`] says.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// Its name, unique among all runbooks of its file.
    pub name: String,
    /// All must match for an alert to be answered.
    pub matchers: Vec<Matcher>,
    /// The script's file name in the scripts directory.
    pub script: String,
    /// Handed to the script as `ctx.parameters`.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// What the script may act on.
    pub grants: Grants,
    /// How much it does by itself.
    pub stage: Stage,
    /// How often it may run.
    pub guards: Guards,
    /// How long the script may take, waiting included.
    pub timeout: Duration,
    /// How one knows that it helped.
    pub verify: Verify,
    /// What to tell the person who is called when it did not.
    pub escalate: Option<String>,
}

/// How often a runbook may run.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// How long after the end of a run the next may begin; doubled by every run in a row that did not repair.
    pub cooldown: Duration,
    /// How many runs may begin in a window.
    pub attempts: Budget,
}

/// The independent proof of a repair.
#[derive(Clone, Debug)]
pub struct Verify {
    /// A PromQL expression that must have a result. It sees only samples taken after the script's end, so one that holds
    /// without any, as `absent(..)` does, proves nothing unless it must settle for longer than samples are apart.
    pub expr: String,
    /// How long it may take until it holds.
    pub within: Duration,
    /// How long it must hold without a break.
    pub settle: Duration,
}

impl Runbook {
    /// Reads a runbook file.
    ///
    /// # Errors
    ///
    /// Every problem that the file has, or the first structural one.
    pub fn read(document: &Document) -> Result<Vec<Self>, Vec<Problem>> {
        let file: RunbookFile = yaml::parse(document).map_err(|problem| vec![problem])?;
        let mut review = Review::new(document);
        let mut runbooks: Vec<Self> = Vec::new();
        for (at, entry) in file.runbooks.iter().enumerate() {
            if file.runbooks.iter().take(at).any(|earlier| earlier.name.value == entry.name.value) {
                review.error(&entry.name, format!("runbook `{}` is defined twice", entry.name.value));
            }
            runbooks.extend(runbook(entry, &mut review));
        }
        if review.has_errors() { Err(review.into_problems()) } else { Ok(runbooks) }
    }

    /// Whether the runbook answers an alert with these labels.
    pub fn answers(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }

    /// The parameters as the journal shows them: `process="web"`.
    pub fn printed_parameters(&self) -> String {
        let printed: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        printed.join(", ")
    }

    /// The escalation text with its parameters filled in.
    pub fn escalation(&self) -> Option<String> {
        let mut text = self.escalate.clone()?;
        for (name, value) in &self.parameters {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text = text.replace(&format!("${{{name}}}"), &value);
        }
        Some(text)
    }
}

fn runbook(entry: &Entry, review: &mut Review) -> Option<Runbook> {
    if entry.name.value.is_empty() || entry.name.value.contains(char::is_whitespace) {
        review.error(&entry.name, "a runbook needs a name without white space");
    }
    if entry.matchers.is_empty() {
        review.error(&entry.name, "a runbook without matchers would answer every alert").hint =
            Some("add matchers: ['alertname=\"…\"']".to_owned());
    }
    let matchers = entry.matchers.iter().filter_map(|written| review.read(written, str::parse)).collect();
    script_name(&entry.script, review);
    let grants = grants(&entry.grants, review);
    let stage = match &entry.stage {
        Some(written) => review.read(written, stage),
        None => Some(Stage::default()),
    };
    let guards = guards(entry.guards.as_ref(), review);
    let timeout = bounded(entry.timeout.as_ref(), DEFAULT_TIMEOUT, MAX_TIMEOUT, review);
    let verify = verify(&entry.verify, review);
    if let Some(escalate) = &entry.escalate {
        placeholders(escalate, &entry.parameters, review);
    }
    Some(Runbook {
        name: entry.name.value.clone(),
        matchers,
        script: entry.script.value.clone(),
        parameters: entry.parameters.clone(),
        grants,
        stage: stage?,
        guards,
        timeout,
        verify,
        escalate: entry.escalate.as_ref().map(|text| text.value.clone()),
    })
}

fn script_name(written: &Spanned<String>, review: &mut Review) {
    let name = &written.value;
    let is_script = Path::new(name).extension().is_some_and(|extension| extension == "rhai");
    if !is_script || name.starts_with('.') || name.contains(['/', '\0']) {
        let message = format!("{name:?} is not the name of a script");
        review.error(written, message).hint =
            Some("name a file of the scripts directory, as in restart-process.rhai".to_owned());
    }
}

fn stage(text: &str) -> Result<Stage, String> {
    match text {
        "observe" => Ok(Stage::Observe),
        "auto" => Ok(Stage::Auto),
        other => Err(format!("{other:?} is not a stage; write observe or auto")),
    }
}

fn grants(entries: &GrantEntries, review: &mut Review) -> Grants {
    let mut grants = Grants::default();
    for (written, targets) in &entries.0 {
        let Some(capability) = Capability::named(&written.value) else {
            let known = Capability::ALL.map(Capability::name);
            let meant = nearest(&written.value, known);
            review.error(written, format!("there is no capability `{}`", written.value)).hint =
                Some(meant.map_or_else(
                    || format!("known are {}", known.join(", ")),
                    |m| format!("did you mean `{m}`?"),
                ));
            continue;
        };
        if targets.is_empty() {
            review.error(written, format!("`{}` grants nothing without a target", written.value));
        }
        for target in targets {
            if let Err(message) = grants.add(capability, &target.value) {
                review.error(target, message);
            }
        }
    }
    grants
}

fn guards(entry: Option<&GuardsEntry>, review: &mut Review) -> Guards {
    let cooldown = entry.and_then(|entry| entry.cooldown.as_ref());
    let attempts = entry.and_then(|entry| entry.attempts.as_ref());
    let budget: Option<Budget> = attempts.and_then(|written| review.read(written, str::parse));
    if let Some((written, budget)) = attempts.zip(budget)
        && budget.at_most > MAX_ATTEMPTS
    {
        review.error(written, format!("at most {MAX_ATTEMPTS} attempts can be counted"));
    }
    Guards {
        cooldown: review.duration_or(cooldown, DEFAULT_COOLDOWN),
        attempts: budget.unwrap_or(DEFAULT_ATTEMPTS),
    }
}

fn bounded(
    written: Option<&Spanned<String>>,
    fallback: Duration,
    most: Duration,
    review: &mut Review,
) -> Duration {
    let duration = review.duration_or(written, fallback);
    if let Some(written) = written.filter(|_| duration > most) {
        review.error(written, format!("at most {} is possible", format_duration(most)));
    }
    duration
}

fn verify(entry: &VerifyEntry, review: &mut Review) -> Verify {
    if let Err(error) = promql::parse(&entry.expr.value) {
        review.error_within(&entry.expr, error.span, error.message).hint = error.hint;
    }
    let within = bounded(entry.within.as_ref(), DEFAULT_WITHIN, MAX_VERIFY, review);
    let settle = review.duration_or(entry.settle.as_ref(), DEFAULT_SETTLE);
    if let Some(written) = entry.settle.as_ref().filter(|_| settle > within) {
        let message =
            format!("it cannot hold for {} within {}", format_duration(settle), format_duration(within));
        review.error(written, message);
    }
    Verify { expr: entry.expr.value.clone(), within, settle }
}

/// Reports every `${name}` that is no parameter.
fn placeholders(
    written: &Spanned<String>,
    parameters: &BTreeMap<String, serde_json::Value>,
    review: &mut Review,
) {
    let mut from = 0;
    while let Some(start) = written.value.get(from..).and_then(|rest| rest.find("${")).map(|at| from + at) {
        let rest = written.value.get(start + 2..).unwrap_or_default();
        let Some(length) = rest.find('}') else {
            review.error_within(written, start..start + 2, "this `${` is not closed");
            return;
        };
        let name = rest.get(..length).unwrap_or_default();
        from = start + 2 + length + 1;
        if !parameters.contains_key(name) {
            let meant = nearest(name, parameters.keys().map(String::as_str));
            review.error_within(written, start..from, format!("there is no parameter `{name}`")).hint =
                meant.map(|meant| format!("did you mean `${{{meant}}}`?"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
