//! How a runbook is written, and what is wrong with one.

mod guards;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use documents::{Document, Problem, Review, Spanned, nearest, yaml};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use telemetry::{Stage, format_duration};

use super::params::{in_expression, placeholders_in, unfilled};
use super::written::{Written, WrittenGrant};
use super::{Escalation, Paging, Runbook, Success, Verify};
use crate::grants::{Capability, Grants};
pub(super) use guards::percent;
use guards::{GuardsEntry, guards};

/// The longest that a script may run; while it does, one of few places for runs is taken.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_mins(10);
/// The longest that a verification may take, for the same reason.
pub(crate) const MAX_VERIFY: Duration = Duration::from_mins(10);
/// The longest that a person may be waited for; a plan older than that is about another host.
const MAX_APPROVE_WITHIN: Duration = Duration::from_hours(24);

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_WITHIN: Duration = Duration::from_secs(30);
const DEFAULT_SETTLE: Duration = Duration::from_secs(1);
const DEFAULT_APPROVE_WITHIN: Duration = Duration::from_mins(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunbookFile {
    runbooks: Vec<Spanned<Entry>>,
}

type Params = BTreeMap<String, serde_json::Value>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    matchers: Vec<Spanned<String>>,
    script: Spanned<String>,
    #[serde(default)]
    params: ParamEntries,
    #[serde(default)]
    grants: GrantEntries,
    #[serde(default)]
    trust: Vec<Spanned<String>>,
    stage: Option<Spanned<String>>,
    #[serde(default)]
    guards: GuardsEntry,
    timeout: Option<Spanned<String>>,
    verify: Option<VerifyEntry>,
    #[serde(default)]
    escalate: EscalateEntry,
    approve_within: Option<Spanned<String>>,
    success: Option<Spanned<String>>,
}

type ParamEntries = yaml::Entries<Spanned<serde_json::Value>>;
type GrantEntries = yaml::Entries<Vec<Spanned<String>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyEntry {
    expr: Spanned<String>,
    within: Option<Spanned<String>>,
    settle: Option<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EscalateEntry {
    text: Option<Spanned<String>>,
    page: Option<Spanned<String>>,
}

/// All runbooks of a document.
pub(super) fn read(document: &Document) -> Result<Vec<Runbook>, Vec<Problem>> {
    let file: RunbookFile = yaml::parse(document).map_err(|problem| vec![problem])?;
    let hashes = hashes(document);
    let mut review = Review::new(document);
    let mut runbooks: Vec<Runbook> = Vec::new();
    for (at, Spanned { value: entry, .. }) in file.runbooks.iter().enumerate() {
        if file.runbooks.iter().take(at).any(|earlier| earlier.value.name.value == entry.name.value) {
            review.error(&entry.name, format!("runbook `{}` is defined twice", entry.name.value));
        }
        let begins = |at: usize| file.runbooks.get(at).map(|entry| yaml::range(entry).start);
        let range = begins(at).unwrap_or(0)..begins(at + 1).unwrap_or(document.text().len());
        let sha256 = hashes.get(at).cloned().unwrap_or_default();
        runbooks.extend(runbook(entry, range, sha256, &mut review));
    }
    if review.has_errors() { Err(review.into_problems()) } else { Ok(runbooks) }
}

/// The hash of what each entry says, however it is laid out and commented.
fn hashes(document: &Document) -> Vec<String> {
    #[derive(Deserialize)]
    struct Plain {
        runbooks: Vec<serde_json::Value>,
    }
    let Ok(plain) = yaml::parse::<Plain>(document) else { return Vec::new() };
    let hash = |entry: &serde_json::Value| {
        Sha256::digest(entry.to_string().as_bytes()).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    plain.runbooks.iter().map(hash).collect()
}

fn runbook(entry: &Entry, range: Range<usize>, sha256: String, review: &mut Review) -> Option<Runbook> {
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
    labels_in_params(&entry.params, &grants, review);
    let params: Params =
        entry.params.0.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect();
    let trust = entry.trust.iter().filter_map(|written| review.read(written, origin)).collect();
    let stage = match &entry.stage {
        Some(written) => review.read(written, stage),
        None => Some(Stage::default()),
    };
    let timeout = bounded(entry.timeout.as_ref(), DEFAULT_TIMEOUT, MAX_TIMEOUT, review);
    let verify = entry.verify.as_ref().map(|written| verify(written, &params, review));
    let within = verify.as_ref().map_or(Duration::ZERO, |verify| verify.within);
    let guards = guards(&entry.guards, &params, timeout + within, review);
    let escalate = escalation(&entry.escalate, &params, review);
    Some(Runbook {
        name: entry.name.value.clone(),
        matchers,
        script: entry.script.value.clone(),
        params,
        grants,
        trust,
        stage: stage?,
        guards,
        timeout,
        verify,
        escalate,
        approve_within: bounded(
            entry.approve_within.as_ref(),
            DEFAULT_APPROVE_WITHIN,
            MAX_APPROVE_WITHIN,
            review,
        ),
        success: read_or(entry.success.as_ref(), Success::default(), review),
        sha256,
        unfit: Vec::new(),
        written: Arc::new(written(entry, range, review.document())),
    })
}

fn written(entry: &Entry, range: Range<usize>, document: &Document) -> Written {
    let param = |(name, value): &(Spanned<String>, Spanned<_>)| {
        (name.value.clone(), [yaml::range(name), yaml::range(value)])
    };
    let grant = |(name, targets): &(Spanned<String>, Vec<Spanned<String>>)| {
        let targets = targets.iter().map(|target| (target.value.clone(), yaml::range(target)));
        let grant = WrittenGrant { name: yaml::range(name), targets: targets.collect() };
        Some((Capability::named(&name.value)?, grant))
    };
    Written {
        document: document.clone(),
        entry: range,
        name: yaml::range(&entry.name),
        script: yaml::range(&entry.script),
        params: entry.params.0.iter().map(param).collect(),
        grants: entry.grants.0.iter().filter_map(grant).collect(),
    }
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
        "shadow" => Ok(Stage::Shadow),
        "ask" => Ok(Stage::Ask),
        "auto" => Ok(Stage::Auto),
        other => Err(format!("{other:?} is not a stage; write observe, shadow, ask or auto")),
    }
}

/// Who may be believed besides the host, as origins are printed.
fn origin(text: &str) -> Result<String, String> {
    let named = |kind: &str| text.strip_prefix(kind).is_some_and(|name| !name.is_empty());
    if text == "textfile" || named("otlp:") || named("log:") {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is not who said something; write otlp: and a listener, log: and a source, or textfile"
    ))
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

/// A parameter that an alert's labels fill in could become anything; grants must say what.
fn labels_in_params(params: &ParamEntries, grants: &Grants, review: &mut Review) {
    for (name, value) in &params.0 {
        let Some(text) = value.value.as_str() else { continue };
        let is_label = |place: &Result<(Range<usize>, &str), usize>| {
            place
                .as_ref()
                .is_ok_and(|(_, name)| name.strip_prefix("labels.").is_some_and(|label| !label.is_empty()))
        };
        let mut places = placeholders_in(text).peekable();
        let any = places.peek().is_some();
        if !places.all(|place| is_label(&place)) {
            let message = format!("the parameter `{}` can hold labels of the alert only", name.value);
            review.error(value, message).hint = Some("write it as in ${labels.unit}".to_owned());
        } else if any && grants.is_empty() {
            let message =
                format!("an alert's label would choose `{}`, and nothing bounds what it can be", name.value);
            review.error(value, message).hint =
                Some("add grants with every target that it may become".to_owned());
        }
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

fn read_or<T: FromStr<Err: std::fmt::Display>>(
    written: Option<&Spanned<String>>,
    fallback: T,
    review: &mut Review,
) -> T {
    written.and_then(|written| review.read(written, str::parse)).unwrap_or(fallback)
}

/// Reads an expression, with its parameters filled in, and says what is wrong with it.
fn check_expression(written: &Spanned<String>, params: &Params, review: &mut Review) {
    placeholders(written, params, review);
    let meant = in_expression(&written.value, params);
    let Err(error) = promql::parse(&meant) else { return };
    let place = unfilled(&written.value, params, error.span);
    let message =
        if meant == written.value { error.message } else { format!("as {meant}: {}", error.message) };
    review.error_within(written, place, message).hint = error.hint;
}

fn verify(entry: &VerifyEntry, params: &Params, review: &mut Review) -> Verify {
    check_expression(&entry.expr, params, review);
    let within = bounded(entry.within.as_ref(), DEFAULT_WITHIN, MAX_VERIFY, review);
    let settle = review.duration_or(entry.settle.as_ref(), DEFAULT_SETTLE);
    if let Some(written) = entry.settle.as_ref().filter(|_| settle > within) {
        let message =
            format!("it cannot hold for {} within {}", format_duration(settle), format_duration(within));
        review.error(written, message);
    }
    Verify { expr: entry.expr.value.clone(), within, settle }
}

fn escalation(entry: &EscalateEntry, params: &Params, review: &mut Review) -> Escalation {
    if let Some(text) = &entry.text {
        placeholders(text, params, review);
    }
    Escalation {
        text: entry.text.as_ref().map(|text| text.value.clone()),
        page: read_or(entry.page.as_ref(), Paging::default(), review),
    }
}

/// Reports every `${name}` that is no parameter.
fn placeholders(written: &Spanned<String>, params: &Params, review: &mut Review) {
    let known: BTreeSet<&str> = params.keys().map(String::as_str).collect();
    for place in placeholders_in(&written.value) {
        match place {
            Err(start) => {
                review.error_within(written, start..start + 2, "this `${` is not closed");
            }
            Ok((range, name)) if !known.contains(name) && !name.starts_with("labels.") => {
                let meant = nearest(name, known.iter().copied());
                review.error_within(written, range, format!("there is no parameter `{name}`")).hint =
                    meant.map(|meant| format!("did you mean `${{{meant}}}`?"));
            }
            Ok(_) => {}
        }
    }
}
