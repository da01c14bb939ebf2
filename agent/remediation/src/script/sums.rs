//! `scripts.sum`: which scripts somebody vouches for, in the format of `sha256sum`.
//!
//! It lies beside the scripts and is believed as they are. Where it is, a script counts only as it was when the file was made;
//! where it is not, nothing is asked. What it names and no runbook uses is not looked at.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use documents::{Document, OpenError, Problem, Trust, nearest};
use telemetry::with_causes;

use super::sha256;

/// The name of the file.
const NAME: &str = "scripts.sum";

/// What makes the file anew, to be called in the directory of the scripts.
const MADE_BY: &str = "sha256sum *.rhai > scripts.sum";

/// SHA-256 in hexadecimal.
const SUM_CHARACTERS: usize = 64;

/// The sums of one `scripts.sum`.
#[derive(Debug)]
pub(super) struct Sums {
    document: Document,
    /// By the script's name: its sum, and where the line stands.
    lines: BTreeMap<String, (String, Range<usize>)>,
}

impl Sums {
    /// Reads the file in this directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read or is not to be trusted, or every line that is wrong.
    pub(super) fn beside(directory: &Path, trust: Trust) -> Result<Option<Self>, Vec<Problem>> {
        let path = directory.join(NAME);
        match Document::open(&path, trust) {
            Ok(document) => Self::read(document).map(Some),
            Err(OpenError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(vec![Problem::about(&path, with_causes(&error))]),
        }
    }

    /// As `sha256sum --check` reads it: lines that begin with `#` say nothing, a `*` before the name is for other systems.
    fn read(document: Document) -> Result<Self, Vec<Problem>> {
        let mut lines = BTreeMap::new();
        let mut problems = Vec::new();
        let mut start = 0;
        for line in document.text().split_inclusive('\n') {
            let range = start..start + line.trim_end().len();
            start += line.len();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((sum, name)) = parts(line.trim_end()) else {
                let message = "this is not a SHA-256 and the name of a script beside this file";
                problems.push(Problem::at(&document, range, message).with_hint(anew()));
                continue;
            };
            if lines.insert(name.to_owned(), (sum.to_ascii_lowercase(), range.clone())).is_some() {
                problems.push(Problem::at(&document, range, format!("{name} is named twice; keep one")));
            }
        }
        if problems.is_empty() { Ok(Self { document, lines }) } else { Err(problems) }
    }

    /// Why this script is not one that the file vouches for, if it is not.
    pub(super) fn refuse(&self, name: &str, script: &Document) -> Option<Problem> {
        let is = sha256(script.text());
        let Some((sum, line)) = self.lines.get(name) else {
            let message = format!("{NAME} beside it does not name it, so it is not run");
            let add = format!("look at it and add it: sha256sum {name} >> {NAME}");
            let meant = nearest(name, self.lines.keys().map(String::as_str));
            let hint = meant.map_or(add.clone(), |meant| format!("did you mean `{meant}`? otherwise {add}"));
            return Some(Problem::at(script, 0..0, message).with_hint(hint));
        };
        (*sum != is).then(|| {
            let message =
                format!("{name} is not what this line vouches for, so it is not run; its sum is {is}");
            let hint = format!("put the script back, or, if somebody has looked at it, {}", anew());
            Problem::at(&self.document, line.clone(), message).with_hint(hint)
        })
    }
}

/// The problems of a `scripts.sum` in itself.
pub fn check_sums(document: &Document) -> Vec<Problem> {
    Sums::read(document.clone()).err().unwrap_or_default()
}

fn anew() -> String {
    format!("make it anew: {MADE_BY}")
}

/// The sum and the name, which is one of this directory's own.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (sum, rest) = line.split_at_checked(SUM_CHARACTERS)?;
    let name = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    let name = name.strip_prefix("./").unwrap_or(name);
    let sound = sum.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty() && !name.contains('/');
    sound.then_some((sum, name))
}

#[cfg(test)]
mod tests;
