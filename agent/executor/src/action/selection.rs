//! Which files are removed.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::{OneLine, format_duration};

use super::ByteCount;

/// Which files, always bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Regular files below this directory; links are not followed, neither to it nor below it.
    pub under: PathBuf,
    /// Only names that match this pattern, in which `*` stands for any text and `?` for one character.
    pub matching: Option<String>,
    /// Only files last written longer ago than this.
    pub older_than: Duration,
    /// Never more bytes of disk space than this.
    pub at_most: ByteCount,
    /// Never more files than this, if given.
    pub at_most_files: Option<u64>,
    /// No more once the file system is not fuller than this, in percent.
    pub until_used_percent: Option<u8>,
}

impl Selection {
    /// All files of this age below a directory, up to so many bytes.
    pub fn old_files(under: impl Into<PathBuf>, older_than: Duration, at_most: ByteCount) -> Self {
        Self {
            under: under.into(),
            matching: None,
            older_than,
            at_most,
            at_most_files: None,
            until_used_percent: None,
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("files ")?;
        if let Some(pattern) = &self.matching {
            write!(f, "like {} ", OneLine(pattern))?;
        }
        write!(
            f,
            "older than {} under {}, at most {}",
            format_duration(self.older_than),
            OneLine(self.under.display()),
            self.at_most
        )?;
        if let Some(files) = self.at_most_files {
            write!(f, " and {files} files")?;
        }
        self.until_used_percent.map_or(Ok(()), |percent| write!(f, ", until {percent} % are used"))
    }
}
