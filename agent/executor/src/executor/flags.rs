//! Feature flags: chooses a variant for everybody, where the policy and the flag itself allow it.

use std::path::Path;

use telemetry::{Timestamp, with_causes};

use super::Executor;
use crate::changes::Change;
use crate::flag_file::{self, FlagBefore, FlagError, FlagFile, FlagState};
use crate::policy::FlagRule;
use crate::{ActionError, Outcome};

impl Executor {
    pub(super) fn set_flag(
        &mut self,
        flag: &str,
        variant: &str,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let found = self.policy.flags.iter().position(|rule| rule.name == flag);
        let index = found.ok_or_else(|| self.no_rule::<FlagRule>(&format!("- name: {flag}")))?;
        let rule = self.policy.flags.get(index).cloned().expect("the position was just found");
        let file = FlagFile::open(&rule.file)?;
        let set = flag_file::set(file.text(), flag, variant).map_err(|error| refused(&rule.file, &error))?;
        let (what, after) = (format!("flag {flag}"), variant.to_owned());
        let Some(set) = set else {
            return Ok(Outcome::Set { what, before: after.clone(), after, change: None });
        };
        self.spend(index, &rule, now)?;
        let (file_path, flag) = (rule.file.clone(), flag.to_owned());
        let change = Change::Flag { file: file_path, flag, before: set.before, after: after.clone() };
        let id = self.remember(change, now)?;
        if let Err(error) = file.replace(&set.text) {
            if FlagFile::open(&rule.file).is_ok_and(|is| is.text() == file.text()) {
                self.forget(&id);
            }
            return Err(error);
        }
        Ok(Outcome::Set { what, before: printed(&set.state_before), after, change: Some(id) })
    }
}

/// Gives a flag what it gave before, if it still gives what it was set to.
pub(super) fn undo_flag(
    path: &Path,
    flag: &str,
    before: &FlagBefore,
    after: &str,
) -> Result<Outcome, ActionError> {
    let file = FlagFile::open(path)?;
    let text =
        flag_file::put_back(file.text(), flag, before, after).map_err(|error| refused(path, &error))?;
    let state = FlagState::read(&text, flag).map_err(|error| refused(path, &error))?;
    file.replace(&text)?;
    Ok(Outcome::Undone { what: format!("flag {flag}"), value: printed(&state) })
}

/// What the flag gives.
fn printed(state: &FlagState) -> String {
    let variant = state.variant.as_deref().unwrap_or("the program's default");
    if state.targeted { format!("{variant}, with targeting") } else { variant.to_owned() }
}

fn refused(file: &Path, error: &FlagError) -> ActionError {
    ActionError::refused(format!("{}: {}", file.display(), with_causes(error)))
}
