//! What has been spent of each rule's budget, kept in a file so that a new start is no new budget.
//!
//! What is not on disk has not been counted, and is then not done. The file is as small as the budgets are: of each rule
//! the latest moments, as many as its budget has. What was spent under a rule that the policy no longer has is known until
//! its window is over: the rule may come back within a minute, as when the file is written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use telemetry::Timestamp;

use crate::Budget;
use crate::budget::Spent;
use crate::replacement::Replacement;

/// The largest file that is read: some eighty rules that have each spent the largest budget.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// How many moments are kept of rules that the policy no longer has. Beyond it the rules that were used last are known.
const MAX_GONE_MOMENTS: usize = 20_000;

/// What was spent is not known, or cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpendingError {
    #[error("reading {}; mend that, or remove it to begin with unspent budgets", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} does not say what was spent; remove it to begin with unspent budgets", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("writing {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

type ByRule = BTreeMap<String, Spent>;

/// The spending of an executor, by the names of its policy's rules.
#[derive(Debug)]
pub(crate) struct Spending {
    file: Option<PathBuf>,
    rules: BTreeSet<String>,
    /// None while the file cannot be read.
    known: Option<ByRule>,
}

impl Spending {
    /// Reads the file, if there is one. Where it cannot be read, it is tried again whenever something is to be spent.
    pub(crate) fn open(file: Option<PathBuf>, rules: BTreeSet<String>) -> Self {
        let mut spending = Self { file, rules, known: None };
        if let Err(error) = spending.known() {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "no action is performed: its budget cannot be counted");
        }
        spending
    }

    /// Counts one deed, unless the budget is used up.
    pub(crate) fn spend(
        &mut self,
        rule: &str,
        budget: Budget,
        now: Timestamp,
    ) -> Result<bool, SpendingError> {
        let mut spent = self.known()?;
        forget_gone(&mut spent, &self.rules, now);
        if !spent.entry(rule.to_owned()).or_default().spend(budget, now) {
            return Ok(false);
        }
        if let Some(path) = &self.file {
            write(path, &spent).map_err(|source| SpendingError::Write { path: path.clone(), source })?;
        }
        self.known = Some(spent);
        Ok(true)
    }

    /// The rules are these from now on.
    pub(crate) fn know(&mut self, rules: BTreeSet<String>) {
        self.rules = rules;
    }

    fn known(&mut self) -> Result<ByRule, SpendingError> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let known = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        self.known = Some(known.clone());
        Ok(known)
    }
}

/// Forgets what no longer counts of rules that are not among these, and what is too much of it.
fn forget_gone(spent: &mut ByRule, rules: &BTreeSet<String>, now: Timestamp) {
    spent.retain(|rule, spent| rules.contains(rule) || spent.counts(now));
    let gone = spent.iter().filter(|(rule, _)| !rules.contains(*rule));
    let mut gone: Vec<_> = gone.map(|(rule, spent)| (spent.latest(), spent.len(), rule.clone())).collect();
    gone.sort_unstable_by(|a, b| b.cmp(a));
    let mut kept = 0;
    for (_, moments, rule) in gone {
        kept += moments;
        if kept > MAX_GONE_MOMENTS {
            tracing::warn!(
                rule,
                "what was spent is forgotten: too much is known of rules that the policy no longer has"
            );
            spent.remove(&rule);
        }
    }
}

fn read(path: &Path) -> Result<ByRule, SpendingError> {
    let failed = |source| SpendingError::Read { path: path.to_owned(), source };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            tracing::info!(file = %path.display(), "nothing has been spent of any budget");
            return Ok(ByRule::new());
        }
        other => other.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        let why = format!("it is no regular file of at most {MAX_FILE_BYTES} bytes");
        return Err(failed(std::io::Error::other(why)));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|source| SpendingError::Malformed { path: path.to_owned(), source })
}

fn write(path: &Path, spent: &ByRule) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(spent)?;
    text.push(b'\n');
    Replacement::create(path, 0o600)?.put_durably(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn rules(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn budget(text: &str) -> Budget {
        text.parse().unwrap()
    }

    #[test]
    fn a_rule_that_is_away_for_a_while_is_as_spent_when_it_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let file = Some(directory.path().join("budgets.json"));
        let (hourly, later) = (budget("1 per 1h"), NOON.plus(Duration::from_mins(59)));
        let mut spending = Spending::open(file.clone(), rules(&["unit web", "unit db"]));
        assert!(spending.spend("unit web", hourly, NOON).unwrap());
        spending.know(rules(&["unit db"]));
        assert!(spending.spend("unit db", hourly, NOON).unwrap());
        spending.know(rules(&["unit web"]));
        assert!(!spending.spend("unit web", hourly, later).unwrap());
        // The same from the file, by one that was started when the rules were away.
        let mut started = Spending::open(file, rules(&[]));
        assert!(started.spend("unit other", hourly, later).unwrap());
        started.know(rules(&["unit web"]));
        assert!(!started.spend("unit web", hourly, later).unwrap());
        assert!(started.spend("unit web", hourly, NOON.plus(Duration::from_hours(1))).unwrap());
    }

    #[test]
    fn of_rules_that_are_gone_only_what_counts_is_known_and_not_too_much() {
        let mut spending = Spending::open(None, rules(&[]));
        for number in 0..9_u64 {
            spending.spend(&format!("unit {number}"), budget("1 per 1h"), NOON).unwrap();
        }
        let next = NOON.plus(Duration::from_mins(90));
        for number in 0..=MAX_GONE_MOMENTS as u64 / 10_000 {
            let full = Spent::full(budget("10000 per 1h"), next.plus(Duration::from_secs(number)));
            spending.known.as_mut().unwrap().insert(format!("unit full {number}"), full);
        }
        assert!(spending.spend("unit web", budget("1 per 1h"), next).unwrap());
        let known: Vec<_> = spending.known.unwrap().into_keys().collect();
        assert_eq!(known, ["unit full 1", "unit full 2", "unit web"]);
    }

    #[test]
    fn a_file_of_moments_alone_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("budgets.json");
        let moments = serde_json::to_string(&[NOON]).unwrap();
        std::fs::write(&file, format!("{{\"unit web\":{moments}}}")).unwrap();
        let mut spending = Spending::open(Some(file), rules(&["unit web"]));
        assert!(!spending.spend("unit web", budget("1 per 1h"), NOON).unwrap());
    }
}
