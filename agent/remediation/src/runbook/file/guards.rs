//! How a runbook's guards are written: when and how often it may run.

use std::time::Duration;

use documents::{Review, Spanned};
use executor::Budget;
use serde::Deserialize;
use telemetry::format_duration;

use super::{Params, bounded, check_expression};
use crate::circumstances::HoldKind;
use crate::runbook::{ErrorBudgetTerms, FleetLockTerms, Guards, MAX_ATTEMPTS};

/// The longest time for which a host that is gone keeps its place among those that act.
const MAX_LOCK: Duration = Duration::from_hours(24);
/// Hosts of a group that may act at once; more are no lock.
const MAX_PLACES: u32 = 1000;
const DEFAULT_COOLDOWN: Duration = Duration::from_mins(5);
const DEFAULT_BACKOFF: Duration = Duration::from_hours(1);
const DEFAULT_STABLE: Duration = Duration::from_mins(10);
const DEFAULT_ATTEMPTS: Budget = Budget { at_most: 3, per: Duration::from_hours(1) };
const DEFAULT_LOCK: Duration = Duration::from_mins(10);
/// Beyond it something has eaten the host, and what starves is not what is at fault.
const DEFAULT_PRESSURE_FULL: f64 = 40.0;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GuardsEntry {
    cooldown: Option<Spanned<String>>,
    attempts: Option<Spanned<String>>,
    backoff: Option<Spanned<String>>,
    stable: Option<Spanned<String>>,
    window: WindowEntry,
    only_if: Option<Spanned<String>>,
    depends_on: Vec<Spanned<String>>,
    ignore: Vec<Spanned<String>>,
    pressure_full: Option<Spanned<String>>,
    flapping: Option<Spanned<String>>,
    fleet_lock: Option<FleetLockEntry>,
    error_budget: Option<ErrorBudgetEntry>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WindowEntry {
    only: Option<Spanned<String>>,
    not: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetLockEntry {
    group: Spanned<String>,
    max: Option<Spanned<u32>>,
    ttl: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorBudgetEntry {
    objective: Spanned<String>,
    at_least: Option<Spanned<String>>,
}

/// `run` is how long a run may take at most.
pub(super) fn guards(entry: &GuardsEntry, params: &Params, run: Duration, review: &mut Review) -> Guards {
    let attempts = entry.attempts.as_ref();
    let budget: Option<Budget> = attempts.and_then(|written| review.read(written, str::parse));
    if let Some((written, budget)) = attempts.zip(budget)
        && budget.at_most > MAX_ATTEMPTS
    {
        review.error(written, format!("at most {MAX_ATTEMPTS} attempts can be counted"));
    }
    if let Some(only_if) = &entry.only_if {
        check_expression(only_if, params, review);
    }
    let depends_on = entry.depends_on.iter().filter_map(|written| review.read(written, str::parse)).collect();
    Guards {
        cooldown: review.duration_or(entry.cooldown.as_ref(), DEFAULT_COOLDOWN),
        attempts: budget.unwrap_or(DEFAULT_ATTEMPTS),
        backoff: review.duration_or(entry.backoff.as_ref(), DEFAULT_BACKOFF),
        stable: review.duration_or(entry.stable.as_ref(), DEFAULT_STABLE),
        only_within: entry.window.only.as_ref().and_then(|written| review.read(written, str::parse)),
        not_within: entry.window.not.as_ref().and_then(|written| review.read(written, str::parse)),
        only_if: entry.only_if.as_ref().map(|written| written.value.clone()),
        depends_on,
        ignore: entry.ignore.iter().filter_map(|written| review.read(written, hold)).collect(),
        pressure_full: match &entry.pressure_full {
            Some(written) => review.read(written, percent).unwrap_or(DEFAULT_PRESSURE_FULL),
            None => DEFAULT_PRESSURE_FULL,
        },
        acts_while_flapping: entry
            .flapping
            .as_ref()
            .and_then(|written| review.read(written, flapping))
            .unwrap_or_default(),
        fleet_lock: entry.fleet_lock.as_ref().map(|entry| fleet_lock(entry, run, review)),
        error_budget: entry.error_budget.as_ref().map(|entry| ErrorBudgetTerms {
            objective: entry.objective.value.clone(),
            at_least: entry
                .at_least
                .as_ref()
                .and_then(|written| review.read(written, percent))
                .unwrap_or_default(),
        }),
    }
}

fn hold(text: &str) -> Result<HoldKind, String> {
    match text {
        "packages" => Ok(HoldKind::Packages),
        "login" => Ok(HoldKind::Login),
        "stopped" => Err("what a person has stopped stays stopped; this cannot be ignored".to_owned()),
        other => Err(format!("{other:?} is nothing that holds a run back; write packages or login")),
    }
}

fn flapping(text: &str) -> Result<bool, String> {
    match text {
        "suspend" => Ok(false),
        "act" => Ok(true),
        other => Err(format!("{other:?} is no answer to flapping; write suspend or act")),
    }
}

/// `40%`.
pub(in crate::runbook) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| format!("{text:?} is not a share; write it as in `40%`"))
}

fn fleet_lock(entry: &FleetLockEntry, run: Duration, review: &mut Review) -> FleetLockTerms {
    let name = &entry.group.value;
    if name.is_empty()
        || name.len() > 64
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    {
        review.error(&entry.group, "a group is named by up to 64 letters, digits, `-` and `_`");
    }
    let max = entry.max.as_ref().map_or(1, |max| max.value);
    if let Some(written) = entry.max.as_ref().filter(|_| !(1..=MAX_PLACES).contains(&max)) {
        review.error(written, format!("from 1 to {MAX_PLACES} hosts can act at once"));
    }
    let ttl = bounded(entry.ttl.as_ref(), DEFAULT_LOCK, MAX_LOCK, review);
    if let Some(written) = entry.ttl.as_ref().filter(|_| ttl < run) {
        let least = format_duration(run);
        review.error(written, format!("the place must last as long as a run may: at least {least}"));
    }
    FleetLockTerms { group: name.clone(), max: max.max(1), ttl: ttl.max(run) }
}
