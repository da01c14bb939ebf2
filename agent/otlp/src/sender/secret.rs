//! Values that nobody is shown: given as they are, or kept in a file of their own.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// As it is.
    Text(String),
    /// What the file holds, without the line end at its end. It is read anew when it changes.
    File(PathBuf),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its file cannot be read.
    #[error("reading {path}")]
    Reading {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its file holds no text, or far more than a secret.
    #[error("{path} {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: &'static str,
    },
}

/// The longest tokens in use are a tenth of it.
const LARGEST_FILE: u64 = 64 * 1024;

impl Secret {
    /// Its file, if it has one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Text(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// Its file cannot be read, or is no secret.
    pub fn read(&self) -> Result<String, SecretError> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let reading = |source| SecretError::Reading { path: path.clone(), source };
        let content = |problem| SecretError::Content { path: path.clone(), problem };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(reading)?;
        file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(reading)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(content("is far larger than a secret; is it the right file?"));
        }
        let text = String::from_utf8(bytes).map_err(|_| content("holds bytes that are no text"))?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(content("is empty; write the value into it")),
            text => Ok(text.to_owned()),
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
