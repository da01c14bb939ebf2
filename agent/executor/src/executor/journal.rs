//! The journal: begins new files and deletes archived ones, where the policy allows it.

use telemetry::Timestamp;

use super::Executor;
use crate::policy::JournalRule;
use crate::{ActionError, ByteCount, Outcome};

impl Executor {
    pub(super) fn rotate_journal(&mut self, now: Timestamp) -> Result<Outcome, ActionError> {
        let rule = self.journal_rule()?;
        self.spend(0, &rule, now)?;
        self.journal.rotate()?;
        Ok(Outcome::JournalRotated)
    }

    pub(super) fn vacuum_journal(&mut self, keep: ByteCount, now: Timestamp) -> Result<Outcome, ActionError> {
        let rule = self.journal_rule()?;
        if keep < rule.keep_at_least {
            let (file, least) = (self.policy.file.display(), rule.keep_at_least);
            return Err(ActionError::refused(format!(
                "for the journal, {file} says keep_at_least: {least} is more than the {keep} asked for"
            )));
        }
        self.spend(0, &rule, now)?;
        let (files, bytes) = self.journal.vacuum(keep)?;
        Ok(Outcome::JournalVacuumed { files, bytes })
    }

    fn journal_rule(&self) -> Result<JournalRule, ActionError> {
        let entry = "{ keep_at_least: 500MiB, at_most: 4 per 1h }";
        self.policy.journal.clone().ok_or_else(|| self.no_rule::<JournalRule>(entry))
    }
}
