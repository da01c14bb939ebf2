//! A script: its text, its hash, its header, and how it fits the runbooks that use it.
//!
//! What a script may do is what both say: its header, that it needs it, and the runbook, that it grants it.

mod check;
mod fit;
mod sums;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

use documents::{Document, OpenError, Problem, Severity, Trust};
use sha2::{Digest, Sha256};
use telemetry::with_causes;

pub use check::check_script;
pub use sums::check_sums;

use crate::header::Header;
use crate::runbook::{Part, Runbook};
use sums::Sums;

/// Files that are looked at for the script that was meant; more than anybody keeps in one directory.
const MAX_NAMES: usize = 1_000;

/// A script as it was read: what is hashed is what is run.
#[derive(Clone, Debug)]
pub struct Script {
    document: Document,
    sha256: String,
    header: Header,
}

impl Script {
    /// The script of this document. Only its header is checked; the rest, [`check_script`] checks.
    ///
    /// # Errors
    ///
    /// Every problem with its header.
    pub fn read(document: Document) -> Result<Self, Vec<Problem>> {
        let header = Header::read(&document)?;
        let sha256 = sha256(document.text());
        Ok(Self { document, sha256, header })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.document.text()
    }

    /// SHA-256 of its text, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Takes what the runbook leaves to the script's header.
    fn complete(&self, runbook: &mut Runbook) {
        if runbook.verify.is_some() {
            return;
        }
        runbook.verify = fit::verify(&self.header, runbook).and_then(Result::ok);
        // The place among the hosts that act must last as long as the run, verification included.
        if let (Some(lock), Some(verify)) = (&mut runbook.guards.fleet_lock, &runbook.verify) {
            lock.ttl = lock.ttl.max(runbook.timeout + verify.within);
        }
    }

    /// The runbook as a run of this script takes it: all parameters with their values, granted only what the script needs,
    /// and no more time than the script says it takes.
    ///
    /// # Errors
    ///
    /// The parameters are not those of the script, which a label of an alert can cause.
    pub fn fit(&self, runbook: &Runbook) -> Result<Runbook, String> {
        fit::fit(&self.header, runbook)
    }
}

fn sha256(text: &str) -> String {
    let mut hexadecimal = String::new();
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hexadecimal, "{byte:02x}");
    }
    hexadecimal
}

/// Scripts by their file names.
pub type Scripts = BTreeMap<String, Script>;

/// Opens and checks the scripts that the runbooks name, and completes the runbooks with how one knows that they helped,
/// where only the scripts say. What is found besides the scripts are warnings.
///
/// # Errors
///
/// Every problem with any of them: unreadable, not to be trusted, not vouched for by the `scripts.sum` beside them, wrong, or
/// not fit for a runbook that uses it.
pub fn load_scripts(
    runbooks: &mut [Runbook],
    directory: &Path,
    trust: Trust,
) -> Result<(Scripts, Vec<Problem>), Vec<Problem>> {
    let mut scripts = Scripts::new();
    let mut problems = Vec::new();
    let sums = Sums::beside(directory, trust).unwrap_or_else(|found| {
        problems.extend(found);
        None
    });
    let names: BTreeSet<String> = runbooks.iter().map(|runbook| runbook.script.clone()).collect();
    for name in names {
        let path = directory.join(&name);
        let document = match Document::open(&path, trust) {
            Ok(document) => document,
            Err(OpenError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                let using = runbooks.iter().filter(|runbook| runbook.script == name);
                problems.extend(using.map(|runbook| missing(runbook, &path)));
                continue;
            }
            Err(error) => {
                problems.push(Problem::about(&path, with_causes(&error)));
                continue;
            }
        };
        problems.extend(sums.as_ref().and_then(|sums| sums.refuse(&name, &document)));
        problems.extend(check_script(&document));
        // What is wrong with the header was told just now.
        let Ok(script) = Script::read(document) else { continue };
        for runbook in runbooks.iter_mut().filter(|runbook| runbook.script == name) {
            problems.extend(fit::misfits(&script, runbook));
            script.complete(runbook);
        }
        scripts.insert(name, script);
    }
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(problems);
    }
    Ok((scripts, problems))
}

/// The problem of a runbook whose script is not there.
fn missing(runbook: &Runbook, path: &Path) -> Problem {
    let message = format!("there is no script {}", path.display());
    let problem = runbook.written.problem(Part::Script, message);
    let there = path.parent().and_then(|directory| directory.read_dir().ok()).into_iter().flatten();
    let paths = there.take(MAX_NAMES).filter_map(|entry| Some(entry.ok()?.path()));
    let scripts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rhai"));
    let names: Vec<String> =
        scripts.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    problem.with_nearest(&runbook.script, names.iter().map(String::as_str))
}

#[cfg(test)]
mod tests;
