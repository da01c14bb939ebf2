//! Services: what systemd is asked to do with them, and their limits.

use telemetry::Timestamp;

use super::Executor;
use crate::changes::{Change, OpenFiles, PropertyValue};
use crate::policy::UnitRule;
use crate::systemd::LimitProperties;
use crate::{ActionError, ChangeId, Limits, Outcome, UnitName, UnitVerb, protected};

impl Executor {
    pub(super) fn unit(
        &mut self,
        verb: UnitVerb,
        name: &UnitName,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let (index, rule) = self.unit_rule(name)?;
        if !rule.may.contains(&verb) {
            let (file, verb) = (self.policy.file.display(), verb.as_str());
            return Err(ActionError::refused(format!(
                "units[{index}] in {file}, {name}, does not allow it; `{verb}` under its `may` would"
            )));
        }
        let systemd = self.systemd.clone();
        let spend = || self.spend(index, &rule, now);
        systemd.perform(verb, &rule.name, rule.restart_timeout, spend)
    }

    pub(super) fn limit_unit(
        &mut self,
        name: &UnitName,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let (index, rule) = self.unit_rule(name)?;
        if limits == Limits::default() {
            return Err(ActionError::refused("no limit is named; name at least one"));
        }
        if let Some(beyond) = rule.limits.refuse(limits) {
            let file = self.policy.file.display();
            return Err(ActionError::refused(format!("for {name}, {file} says that {beyond}")));
        }
        let wanted = LimitProperties::from(limits);
        let (current, cgroup) = self.systemd.limits(name, &wanted)?;
        let properties: Vec<PropertyValue> = current
            .0
            .into_iter()
            .zip(&wanted.0)
            .map(|((property, before), (_, after))| PropertyValue { property, before, after: *after })
            .collect();
        let open_files = limits.open_files.map(|after| self.open_files(name, &cgroup, after)).transpose()?;
        let before = Limits {
            open_files: open_files.as_ref().and_then(|files| Some(files.before.first()?.soft)),
            ..Limits::from(&LimitProperties::before(&properties))
        };
        let change = if properties.iter().all(|value| value.before == value.after)
            && open_files.as_ref().is_none_or(OpenFiles::is_so)
        {
            None
        } else {
            self.spend(index, &rule, now)?;
            Some(self.set_unit(name, properties, open_files.map(|files| (cgroup, files)), now)?)
        };
        let what = format!("the limit of {name}");
        Ok(Outcome::Set { what, before: before.to_string(), after: limits.to_string(), change })
    }

    /// Sets all of them; where one fails, none: what was set before it is taken back.
    fn set_unit(
        &mut self,
        name: &UnitName,
        properties: Vec<PropertyValue>,
        open_files: Option<(String, OpenFiles)>,
        now: Timestamp,
    ) -> Result<ChangeId, ActionError> {
        let files = open_files.as_ref().map(|(_, files)| files.clone());
        let change = Change::Unit { unit: name.clone(), properties: properties.clone(), open_files: files };
        let id = self.remember(change, now)?;
        let set = LimitProperties::after(&properties);
        if !set.0.is_empty()
            && let Err(error) = self.systemd.set_limits(name, &set)
        {
            self.forget(&id);
            return Err(error);
        }
        let Some((cgroup, files)) = open_files else { return Ok(id) };
        match self.set_open_files(&cgroup, files.clone()) {
            Ok(files) => {
                self.amend(&id, Change::Unit { unit: name.clone(), properties, open_files: Some(files) });
                Ok(id)
            }
            Err(error) => {
                if self.undo_unit(name, &properties, Some(&files)).is_ok() {
                    self.forget(&id);
                }
                Err(error)
            }
        }
    }

    /// Puts the limits back that the unit had, if it still has those that it was given.
    pub(super) fn undo_unit(
        &self,
        name: &UnitName,
        properties: &[PropertyValue],
        open_files: Option<&OpenFiles>,
    ) -> Result<Outcome, ActionError> {
        let set = LimitProperties::after(properties);
        let before = LimitProperties::before(properties);
        let (current, cgroup) = self.systemd.limits(name, &set)?;
        if current == set {
            if !properties.is_empty() {
                self.systemd.set_limits(name, &before)?;
            }
        } else if current != before {
            let print = |properties| Limits::from(properties).to_string();
            return Err(super::undo::no_longer(
                &format!("the limit of {name}"),
                &print(&current),
                &print(&set),
            ));
        }
        let mut value = Limits::from(&before);
        if let Some(files) = open_files {
            self.undo_open_files(&cgroup, files)?;
            value.open_files = files.before.first().map(|files| files.soft);
        }
        Ok(Outcome::Undone { what: format!("the limit of {name}"), value: value.to_string() })
    }

    fn unit_rule(&self, name: &UnitName) -> Result<(usize, UnitRule), ActionError> {
        if let Some(reason) = protected::unit(name) {
            return Err(ActionError::refused(reason));
        }
        let found = self.policy.units.iter().position(|rule| rule.name == *name);
        let index = found.ok_or_else(|| self.no_rule::<UnitRule>(&format!("- name: {name}")))?;
        Ok((index, self.policy.units.get(index).cloned().expect("the position was just found")))
    }
}
