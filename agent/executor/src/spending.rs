//! What has been spent of each rule's budget, kept in a file so that a new start is no new budget.
//!
//! What is not on disk has not been counted, and is then not done. The file is as small as the budgets are: of each rule
//! the latest moments, as many as its budget has. Rules that the policy no longer has are forgotten.

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
        if !spent.entry(rule.to_owned()).or_default().spend(budget, now) {
            return Ok(false);
        }
        if let Some(path) = &self.file {
            write(path, &spent).map_err(|source| SpendingError::Write { path: path.clone(), source })?;
        }
        self.known = Some(spent);
        Ok(true)
    }

    /// The rules are these from now on; what was spent under others is forgotten.
    pub(crate) fn know(&mut self, rules: BTreeSet<String>) {
        if let Some(known) = &mut self.known {
            known.retain(|rule, _| rules.contains(rule));
        }
        self.rules = rules;
    }

    fn known(&mut self) -> Result<ByRule, SpendingError> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let mut known = self.file.as_deref().map(read).transpose()?.unwrap_or_default();
        known.retain(|rule, _| self.rules.contains(rule));
        self.known = Some(known.clone());
        Ok(known)
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
