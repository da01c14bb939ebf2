//! The files that the configuration names: rules, runbooks, scripts, policy.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alerting::{Defaults, Externals, Rule, RuleFile, RuleGroup};
use documents::{Problem, Review, Severity, Spanned};
use executor::Policy;
use remediation::{Runbook, Script};

use super::file::AgentFile;
use super::remediation::{HostRemediation, remediation};
use super::{Base, DEFAULT_INTERVAL, Load};

/// Evaluating more often than this would judge the same samples again and again.
const MIN_EVALUATION_INTERVAL: Duration = Duration::from_millis(100);

/// Files that the patterns of one kind may match. Each holds many rules or runbooks.
const MAX_MATCHES: usize = 1_000;

/// How the host is judged.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) groups: Vec<RuleGroup>,
    pub(crate) defaults: Defaults,
    /// Tells whether anything of it has changed.
    pub(crate) digest: u64,
}

impl Judgement {
    /// Templates speak of `externals` from now on.
    pub(super) fn speak_as(&mut self, externals: &notify::Externals) {
        let (labels, url) = (externals.labels.clone(), externals.url.clone());
        let mut digest = DefaultHasher::new();
        (self.digest, &labels, &url).hash(&mut digest);
        self.digest = digest.finish();
        self.defaults.externals = Arc::new(Externals { labels, url });
    }

    /// Whether there is an alert to be told of.
    pub(super) fn has_alerts(&self) -> bool {
        let mut rules = self.groups.iter().flat_map(RuleGroup::rules);
        rules.any(|rule| matches!(rule, Rule::Alerting(_)))
    }

    /// How many groups and rules there are.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.groups.len(), self.groups.iter().map(|group| group.rules().len()).sum())
    }
}

impl Default for Judgement {
    fn default() -> Self {
        let defaults = Defaults { interval: DEFAULT_INTERVAL, externals: Arc::default() };
        Self { groups: Vec::new(), defaults, digest: 0 }
    }
}

/// How the host is repaired.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    pub(crate) runbooks: Vec<Runbook>,
    pub(crate) scripts: BTreeMap<String, Script>,
    pub(crate) policy: Policy,
    pub(crate) host: HostRemediation,
    /// Tells whether anything of it has changed.
    pub(crate) digest: u64,
}

impl Load {
    pub(super) fn judgement(&mut self, file: &AgentFile, base: &Base, review: &mut Review) -> Judgement {
        let interval = review.duration_or(file.evaluation_interval.as_ref(), DEFAULT_INTERVAL);
        if let Some(value) = &file.evaluation_interval
            && interval < MIN_EVALUATION_INTERVAL
        {
            review.error(value, "the interval is too short; 100ms is the shortest");
        }
        let mut digest = DefaultHasher::new();
        interval.hash(&mut digest);
        let mut groups = Vec::new();
        for path in paths(&file.rules, base, review) {
            let Some(document) = self.open(&path) else { continue };
            (&path, document.text()).hash(&mut digest);
            match RuleFile::read(&document) {
                Ok(rules) => {
                    self.documents.insert(path, document);
                    groups.extend(rules.groups);
                    self.problems.extend(rules.warnings);
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        let defaults = Defaults { interval, externals: Arc::default() };
        Judgement { groups, defaults, digest: digest.finish() }
    }

    pub(super) fn repairs(&mut self, file: &AgentFile, base: &Base, review: &mut Review) -> Repairs {
        let mut digest = DefaultHasher::new();
        let mut runbooks: Vec<Runbook> = Vec::new();
        for path in paths(&file.runbooks, base, review) {
            let Some(document) = self.open(&path) else { continue };
            (&path, document.text()).hash(&mut digest);
            let read = Runbook::read(&document);
            for runbook in self.keep(read) {
                if let Some(earlier) = runbooks.iter().find(|earlier| earlier.name == runbook.name) {
                    let other = earlier.written.document().path().display();
                    let message =
                        format!("the runbook {:?} is in {other} too; name them apart", runbook.name);
                    self.problems.push(Problem::at(&document, runbook.written.name(), message));
                }
                runbooks.push(runbook);
            }
        }
        let directory = base.path(file.scripts.as_ref().map_or("scripts", |value| value.value.as_str()));
        let loaded = remediation::load_scripts(&mut runbooks, &directory, self.trust);
        let (scripts, warnings) = self.keep(loaded);
        self.problems.extend(warnings);
        self.files += scripts.len();
        let policy = match &file.policy {
            None => Policy::default(),
            Some(value) => match self.open(&base.path(&value.value)) {
                None => Policy::default(),
                Some(document) => {
                    document.text().hash(&mut digest);
                    self.keep(Policy::read(&document))
                }
            },
        };
        for script in scripts.values() {
            script.sha256().hash(&mut digest);
        }
        let host = remediation(&file.remediation, base, review);
        format!("{host:?}").hash(&mut digest);
        Repairs { runbooks, scripts, policy, host, digest: digest.finish() }
    }

    /// The value, or nothing of it and its problems kept.
    fn keep<T: Default>(&mut self, read: Result<T, Vec<Problem>>) -> T {
        read.unwrap_or_else(|problems| {
            self.problems.extend(problems);
            T::default()
        })
    }
}

/// The files that patterns name, each once, by name. A name without a file is an error, a pattern without one a warning.
fn paths(patterns: &[Spanned<String>], base: &Base, review: &mut Review) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in patterns {
        let absolute = base.path(&pattern.value);
        let Some(matches) = review.read(pattern, |_| glob::glob(&absolute.to_string_lossy())) else {
            continue;
        };
        let mut any = false;
        for entry in matches.take(MAX_MATCHES + 1) {
            any = true;
            if found.len() >= MAX_MATCHES {
                review.error(
                    pattern,
                    format!("more than {MAX_MATCHES} files match; name a directory for them alone"),
                );
                break;
            }
            match entry {
                Ok(path) => found.push(path),
                Err(error) => {
                    let message = format!("cannot list {}: {}", error.path().display(), error.error());
                    review.error(pattern, message);
                }
            }
        }
        if !any {
            nothing_matches(pattern, &absolute, review);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn nothing_matches(pattern: &Spanned<String>, absolute: &Path, review: &mut Review) {
    let problem = review.error(pattern, format!("there is no file {}", absolute.display()));
    problem.hint = Some("paths are relative to this file's directory".to_owned());
    // A pattern may wait for files that are to come; a name that leads nowhere is a mistake.
    if pattern.value.contains(['*', '?', '[']) {
        problem.severity = Severity::Warning;
    }
}
