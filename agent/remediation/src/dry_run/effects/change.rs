//! Values that would be set, and how they would be taken back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use executor::{ActionError, ChangeId, Limits, Outcome};
use serde_json::{Value, json};

use super::Effects;
use crate::fact::Fact;
use crate::world::World;

/// What there is to take back. What a thing was on paper before is None where it was as on the host; the last text is
/// what it was, printed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Value(String, Option<Value>, String),
    Limits(String, Option<Limits>, String),
    Frozen(String, Option<bool>, String),
    Removed(Vec<PathBuf>),
}

impl Effects {
    /// Sets a value under its key, which says what it is.
    pub(super) fn set(&mut self, what: String, before: &Value, after: &Value) -> Outcome {
        let (before, printed) = (plain(before), plain(after));
        let on_paper = self.values.insert(what.clone(), after.clone());
        let undo = Change::Value(what.clone(), on_paper, before.clone());
        let change = (before != printed).then(|| self.remember(undo));
        Outcome::Set { what, before, after: printed, change }
    }

    /// Sets limits, and keeps those that are not named.
    pub(super) fn limit(&mut self, host: &dyn World, of: &str, fact: &Fact, limits: Limits) -> Outcome {
        let before = host.fact(fact).map_or_else(|error| error, |value| self.limits(value, of).to_string());
        let on_paper = self.limits.get(of).copied();
        let known = on_paper.unwrap_or_default();
        let now = Limits {
            memory_high: limits.memory_high.or(known.memory_high),
            memory_max: limits.memory_max.or(known.memory_max),
            cpu_percent: limits.cpu_percent.or(known.cpu_percent),
            tasks_max: limits.tasks_max.or(known.tasks_max),
            open_files: limits.open_files.or(known.open_files),
        };
        self.limits.insert(of.to_owned(), now);
        let change = self.remember(Change::Limits(of.to_owned(), on_paper, before.clone()));
        let (what, after) = (format!("limits of {of}"), limits.to_string());
        Outcome::Set { what, before, after, change: Some(change) }
    }

    /// The limits in force, with what would be different.
    pub(super) fn limits(&self, mut in_force: Value, of: &str) -> Value {
        let Some(fields) = in_force.as_object_mut() else { return in_force };
        if let Some(limits) = self.limits.get(of) {
            for (name, limit) in [
                ("memory_high", limits.memory_high),
                ("memory_max", limits.memory_max),
                ("cpu_percent", limits.cpu_percent),
                ("tasks_max", limits.tasks_max),
                ("open_files", limits.open_files),
            ] {
                if let Some(limit) = limit {
                    let shown = if limit == u64::MAX { Value::Null } else { json!(limit) };
                    fields.insert(name.to_owned(), shown);
                }
            }
        }
        if let Some(frozen) = self.frozen.get(of) {
            fields.insert("frozen".to_owned(), json!(frozen));
        }
        in_force
    }

    pub(super) fn freeze(&mut self, host: &dyn World, cgroup: &str, frozen: bool) -> Outcome {
        let fact = Fact::CgroupLimits { cgroup: cgroup.to_owned() };
        let real = host.fact(&fact).ok().and_then(|limits| limits.get("frozen")?.as_bool());
        let on_paper = self.frozen.insert(cgroup.to_owned(), frozen);
        let is_frozen = on_paper.or(real).unwrap_or(!frozen);
        let before = is_frozen.to_string();
        let undo = Change::Frozen(cgroup.to_owned(), on_paper, before.clone());
        let change = (is_frozen != frozen).then(|| self.remember(undo));
        Outcome::Set { what: format!("freezer of {cgroup}"), before, after: frozen.to_string(), change }
    }

    pub(super) fn flag(&self, mut flag: Value, name: &str) -> Value {
        if let Some((variant, fields)) = self.values.get(&format!("flag {name}")).zip(flag.as_object_mut()) {
            fields.insert("variant".to_owned(), variant.clone());
            fields.insert("targeted".to_owned(), json!(false));
        }
        flag
    }

    pub(super) fn undo(&mut self, change: &ChangeId) -> Result<Outcome, ActionError> {
        let Some(known) = self.changes.remove(change) else {
            return Err(ActionError::Refused { reason: format!("there is no change {change}") });
        };
        let (what, value) = match known {
            Change::Value(what, on_paper, before) => {
                restore(&mut self.values, what.clone(), on_paper);
                (what, before)
            }
            Change::Limits(of, on_paper, before) => {
                restore(&mut self.limits, of.clone(), on_paper);
                (format!("limits of {of}"), before)
            }
            Change::Frozen(of, on_paper, before) => {
                restore(&mut self.frozen, of.clone(), on_paper);
                (format!("freezer of {of}"), before)
            }
            Change::Removed(paths) => {
                self.bring_back(&paths);
                (format!("{} files", paths.len()), "in place".to_owned())
            }
        };
        Ok(Outcome::Undone { what, value })
    }
}

fn restore<T>(map: &mut BTreeMap<String, T>, key: String, before: Option<T>) {
    match before {
        Some(before) => drop(map.insert(key, before)),
        None => drop(map.remove(&key)),
    }
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
