//! A problem in a document: what, where, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{Document, nearest};

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// Whether a problem keeps the document from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can be used, but probably not as meant.
    Warning,
    /// It cannot be used.
    Error,
}

/// A problem in a document.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    path: PathBuf,
    inside: Option<Box<(Document, Range<usize>)>>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// An error at a byte range of a document.
    pub fn at(document: &Document, range: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: document.path().to_owned(),
            inside: Some(Box::new((document.clone(), document.clamp(range)))),
            message: message.into(),
            hint: None,
        }
    }

    /// An error about a file as a whole.
    pub fn about(path: &Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            inside: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem, asking for the candidate that `word` was probably meant to be, if one is near.
    #[must_use]
    pub fn with_nearest<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, candidates) {
            Some(meant) => self.with_hint(format!("did you mean `{meant}`?")),
            None => self,
        }
    }

    /// The same problem as a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same problem in a document whose text has the same length, line by line: one that this one was made from.
    #[must_use]
    pub fn in_same_place_of(mut self, document: &Document) -> Self {
        if let Some((_, range)) = self.inside.take().map(|inside| *inside) {
            self.inside = Some(Box::new((document.clone(), document.clamp(range))));
        }
        self
    }

    /// The file that the problem is in.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where in the file it begins, if it is in one place.
    pub fn place(&self) -> Option<Place> {
        self.inside().map(|(document, range)| document.place(range.start))
    }

    pub(crate) fn inside(&self) -> Option<(&Document, Range<usize>)> {
        self.inside.as_deref().map(|(document, range)| (document, range.clone()))
    }
}

/// One line: `config/rules/disk.yaml:7:14: "5 min" is not a duration; write it as in 90s, 5m or 1h30m`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(Place { line, column }) = self.place() {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
