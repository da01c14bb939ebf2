//! Commands that the policy defines.

use telemetry::Timestamp;

use super::Executor;
use crate::policy::CommandRule;
use crate::{ActionError, Outcome, command};

impl Executor {
    pub(super) fn run_command(
        &mut self,
        name: &str,
        arguments: &[String],
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let found = self.policy.commands.iter().position(|rule| rule.name == name);
        let index = found.ok_or_else(|| self.no_rule::<CommandRule>(&format!("- name: {name}")))?;
        let rule = self.policy.commands.get(index).cloned().expect("the position was just found");
        let arguments = command::arguments(&rule, arguments).map_err(|why| {
            let place = format!("for command {name}, commands[{index}] in {}", self.policy.file.display());
            ActionError::refused(format!("{place}: {why}"))
        })?;
        self.spend(index, &rule, now)?;
        command::run(&rule, &arguments)
    }
}
