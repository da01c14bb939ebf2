//! Files: removes old ones and empties those that grow, where the policy allows it.

use std::path::Path;
use std::time::Duration;

use telemetry::{Timestamp, format_duration};

use super::Executor;
use crate::beneath::open_directory;
use crate::changes::Change;
use crate::policy::{DirectoryRule, QuarantineRule, TruncatableRule};
use crate::quarantine::Quarantine;
use crate::sweep::{Sweep, Swept};
use crate::{ActionError, ByteCount, ChangeId, Outcome, Selection, protected, truncation};

/// How long removed files stay in quarantine even if others need the room, unless they are kept for less: so long people have
/// to take back what an agent does that has gone wrong. A removal for which there is no room takes less.
const STAYS: Duration = Duration::from_hours(1);

impl Executor {
    pub(super) fn remove_files(
        &mut self,
        selection: &Selection,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let under = selection.under.as_path();
        may_change(under)?;
        let covers = |rule: &DirectoryRule| under.starts_with(&rule.path);
        let found = self.policy.directories.iter().position(covers);
        let index =
            found.ok_or_else(|| self.no_rule::<DirectoryRule>(&format!("- path: {}", under.display())))?;
        let rule = self.policy.directories.get(index).cloned().expect("the position was just found");
        self.within_bounds(&rule, selection)?;
        self.spend(index, &rule, now)?;
        let sweep = Sweep {
            allowed: &rule.path,
            under,
            matching: selection.matching.as_deref(),
            written_before: now.minus(selection.older_than),
            at_most: selection.at_most,
            at_most_files: selection.at_most_files.unwrap_or(rule.at_most_files),
            until_used_percent: selection.until_used_percent,
        };
        if let Some(quarantine) = &rule.quarantine {
            return self.put_into_quarantine(sweep, quarantine, now);
        }
        let found = sweep.find()?;
        Ok(removed(sweep.remove(&found, None)?, false, None))
    }

    /// What is taken is decided first, and room is made for no more than that; otherwise a removal of nothing could delete
    /// what others have put there.
    fn put_into_quarantine(
        &mut self,
        mut sweep: Sweep<'_>,
        rule: &QuarantineRule,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        let mut found = sweep.find()?;
        let quarantine = Quarantine::open(&rule.directory, found.root())?;
        quarantine.purge(now.minus(rule.keep))?;
        let yields_before = now.minus(rule.keep.min(STAYS));
        let room = rule.at_most_bytes.0.saturating_sub(quarantine.held_since(yields_before)?);
        sweep.at_most.0 = sweep.at_most.0.min(room);
        sweep.choose(&mut found)?;
        if found.is_empty() {
            return Ok(removed(sweep.remove(&found, None)?, true, None));
        }
        quarantine.make_room(rule.at_most_bytes.0.saturating_sub(found.charge()), yields_before)?;
        let batch = quarantine.begin(found.files(), now)?;
        let change = Change::Quarantine {
            quarantine: rule.directory.clone(),
            batch: batch.name().to_owned(),
            from: sweep.under.to_owned(),
        };
        let id = self.remember(change, now).inspect_err(|_| log_left(quarantine.discard(&batch)))?;
        let swept = sweep.remove(&found, Some(&batch))?;
        if swept.files == 0 {
            log_left(quarantine.discard(&batch));
            self.forget(&id);
            return Ok(removed(swept, true, None));
        }
        Ok(removed(swept, true, Some(id)))
    }

    fn within_bounds(&self, rule: &DirectoryRule, selection: &Selection) -> Result<(), ActionError> {
        let files = selection.at_most_files.unwrap_or(0);
        let beyond = if selection.older_than < rule.at_least_age {
            format!("at_least_age: {} keeps files younger than that", format_duration(rule.at_least_age))
        } else if selection.at_most > rule.at_most_bytes {
            let asked = selection.at_most;
            format!("at_most_bytes: {} is less than the {asked} asked for", rule.at_most_bytes)
        } else if files > rule.at_most_files {
            format!("at_most_files: {} is less than the {files} asked for", rule.at_most_files)
        } else if selection.until_used_percent.is_some_and(|percent| percent > 100) {
            return Err(ActionError::refused("no file system is more than 100 % full"));
        } else if selection.matching.as_deref().is_some_and(|pattern| pattern.contains('/')) {
            let text =
                "the pattern for names has a `/` in it, which no name has; say below which directory instead";
            return Err(ActionError::refused(text));
        } else {
            return Ok(());
        };
        let (file, path) = (self.policy.file.display(), rule.path.display());
        Err(ActionError::refused(format!("for {path}, {file} says {beyond}")))
    }

    pub(super) fn truncate_file(
        &mut self,
        path: &Path,
        keep: ByteCount,
        now: Timestamp,
    ) -> Result<Outcome, ActionError> {
        may_change(path)?;
        let covers = |rule: &TruncatableRule| path.starts_with(&rule.path);
        let found = self.policy.truncatable.iter().position(covers);
        let index =
            found.ok_or_else(|| self.no_rule::<TruncatableRule>(&format!("- path: {}", path.display())))?;
        let rule = self.policy.truncatable.get(index).cloned().expect("the position was just found");
        if keep < rule.keep_at_least {
            let (file, least) = (self.policy.file.display(), rule.keep_at_least);
            return Err(ActionError::refused(format!(
                "for {}, {file} says keep_at_least: {least} is more than the {keep} asked for",
                rule.path.display()
            )));
        }
        self.spend(index, &rule, now)?;
        Ok(Outcome::Truncated { bytes: truncation::truncate(&rule.path, path, keep)? })
    }
}

/// Moves the files of a batch back to where they were, below `from`.
pub(super) fn undo_quarantine(quarantine: &Path, batch: &str, from: &Path) -> Result<Outcome, ActionError> {
    let root = open_directory(from)?;
    let restored = Quarantine::open(quarantine, &root)?.restore(batch, &root)?;
    let (files, bytes) = (restored.files, ByteCount(restored.bytes));
    if let Some(why) = restored.first_failure {
        let (failed, from) = (restored.failed, from.display());
        let doing = format!("moving {failed} of {} files back below {from}", files + restored.failed);
        return Err(ActionError::failed(doing, format!("{why}; they are still in {}", quarantine.display())));
    }
    let value = format!("as before: {files} files are back, {bytes}");
    Ok(Outcome::Undone { what: from.display().to_string(), value })
}

/// Refuses a path that no policy can allow.
pub(super) fn may_change(path: &Path) -> Result<(), ActionError> {
    if !protected::is_plain_path(path) {
        let reason =
            format!("{} is not an absolute path without `.`, `..` and control characters", path.display());
        return Err(ActionError::refused(reason));
    }
    protected::directory(path).map_or(Ok(()), |reason| Err(ActionError::refused(reason)))
}

fn removed(swept: Swept, quarantined: bool, change: Option<ChangeId>) -> Outcome {
    Outcome::Removed {
        quarantined,
        change,
        files: swept.files,
        bytes: ByteCount(swept.freed),
        too_large: swept.too_large,
        failed: swept.failed,
        first_failure: swept.first_failure,
        incomplete: swept.incomplete,
    }
}

/// An empty batch that stays is purged with the others.
fn log_left(result: Result<(), ActionError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "an empty batch stays in quarantine");
    }
}
