//! Parameters of the kernel, within the bounds of the policy.

use std::path::{Path, PathBuf};

use telemetry::Timestamp;

use super::{Executor, failed};
use crate::changes::Change;
use crate::kernel_files::KernelFileError;
use crate::policy::{Range, SysctlRule};
use crate::{ActionError, ChangeId, Outcome, protected};

/// What a network of one's own holds at first: `/proc/net/dev` with two lines of headings, and this interface.
const LOOPBACK: &str = "lo";

impl Executor {
    pub(super) fn set_sysctl(
        &mut self,
        name: &str,
        value: i64,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        if let Some(reason) = protected::sysctl(name) {
            return Err(ActionError::refused(reason));
        }
        let found = self.policy.sysctls.iter().position(|rule| rule.name == name);
        let index = found.ok_or_else(|| self.no_rule::<SysctlRule>(&format!("- name: {name}")))?;
        let rule = self.policy.sysctls.get(index).cloned().expect("the position was just found");
        let Range { at_least, at_most } = rule.value;
        if !(at_least..=at_most).contains(&value) {
            let file = self.policy.file.display();
            return Err(ActionError::refused(format!(
                "for {name}, {file} says that the value must lie between {at_least} and {at_most}; {value} was asked for"
            )));
        }
        if name.starts_with("net.") && self.is_in_a_network_of_its_own() {
            return Err(ActionError::refused(format!(
                "{name} here is that of a network of the executor's own, without interfaces, and not the host's; the drop-in \
                 executor-sysctls.conf in /usr/share/doc/hostmend/examples lets it reach the host's"
            )));
        }
        let before = self.sysctl(name)?;
        if before.parse::<i64>().is_err() {
            return Err(ActionError::refused(format!("{name} is no whole number; it holds {before:?}")));
        }
        let after = value.to_string();
        if before == after {
            return Ok(Outcome::Set { what: name.to_owned(), before, after, change: None });
        }
        self.spend(index, &rule, now)?;
        let what = name.to_owned();
        let change = Change::Sysctl { name: what.clone(), before: before.clone(), after: after.clone() };
        let id = self.remember(change, now)?;
        if let Err(error) = self.write_sysctl(name, &after) {
            return Err(self.put_back(&id, name, &before, error));
        }
        Ok(Outcome::Set { what, before, after, change: Some(id) })
    }

    /// After a value was not taken as it is: puts back what was before. Where that fails too, the change stays remembered as
    /// what has become of it.
    fn put_back(&mut self, id: &ChangeId, name: &str, before: &str, error: ActionError) -> ActionError {
        let is_as_before = |executor: &Self| executor.sysctl(name).is_ok_and(|is| is == before);
        if is_as_before(self) || self.write_sysctl(name, before).is_ok() {
            self.forget(id);
            return match error {
                ActionError::Failed { doing, cause } => {
                    ActionError::failed(doing, format!("{cause}; it is {before} again"))
                }
                other => other,
            };
        }
        if let Ok(after) = self.sysctl(name) {
            self.amend(id, Change::Sysctl { name: name.to_owned(), before: before.to_owned(), after });
        }
        let why = telemetry::with_causes(&error);
        ActionError::failed(
            format!("putting {name} back to {before}, which change {id} would do when it is taken back"),
            format!("it could not be set: {why}"),
        )
    }

    /// Sets a parameter to what it was, if it still is what it was set to.
    pub(super) fn undo_sysctl(&self, name: &str, before: &str, after: &str) -> Result<Outcome, ActionError> {
        let current = self.sysctl(name)?;
        if current == after {
            self.write_sysctl(name, before)?;
        } else if current != before {
            return Err(super::undo::no_longer(name, &current, after));
        }
        Ok(Outcome::Undone { what: name.to_owned(), value: before.to_owned() })
    }

    fn sysctl(&self, name: &str) -> Result<String, ActionError> {
        self.sysctls.read(&path_of(name)).map_err(|error| match error {
            KernelFileError::Absent { .. } => ActionError::refused(format!(
                "this kernel has no parameter {name}; correct the name under `sysctls` in the policy, or load the module that \
                 brings it"
            )),
            error => failed(format!("looking at {name}"), &error),
        })
    }

    /// The kernel may take a value and make another of it; that is an error, and the parameter is changed all the same.
    fn write_sysctl(&self, name: &str, value: &str) -> Result<(), ActionError> {
        let doing = || format!("setting {name} to {value}");
        self.sysctls.write(&path_of(name), value).map_err(|error| failed(doing(), &error))?;
        match self.sysctl(name)? {
            is if is == value => Ok(()),
            is => Err(ActionError::failed(doing(), format!("the kernel made {is:?} of it"))),
        }
    }

    fn is_in_a_network_of_its_own(&self) -> bool {
        let text = std::fs::read_to_string(&self.interfaces).unwrap_or_default();
        let mut names =
            text.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
        names.all(|name| name == LOOPBACK)
    }
}

/// sysctl.d(5): a dot for each slash.
fn path_of(name: &str) -> PathBuf {
    Path::new(&name.replace('.', "/")).to_owned()
}
