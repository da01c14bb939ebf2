//! What can go wrong while one source is read.
//!
//! Two failures of the same kind compare equal, so that a caller can log a failure once and not in every cycle.

use rustix::io::Errno;

/// Why a collector could not give (all of) its metrics this time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CollectError {
    /// This host has no such source, or nothing was configured. Not a failure.
    #[error("this host has no {what}")]
    Absent {
        /// The source, in the operator's words.
        what: &'static str,
    },
    /// A file or directory could not be read.
    #[error("reading {path}")]
    Read {
        /// What was being read.
        path: String,
        /// What the kernel said.
        source: Errno,
    },
    /// A directory, a device, a FIFO in the place of a file.
    #[error("{path} is not a regular file; remove it, or name another")]
    NotAFile {
        /// What was to be read.
        path: String,
    },
    /// Too many others do not answer.
    #[error(
        "some file systems were not asked how full they are, because others do not answer; hostmend.filesystem.stuck \
         names those: see whoever serves them, or unmount them"
    )]
    NotAsked,
    /// A file that decides about something may not be read by this user.
    #[error("reading {path}: the agent's user needs permission for it and its directories")]
    Denied {
        /// What was being read.
        path: String,
        /// What the kernel said.
        source: Errno,
    },
    /// Processes of others are hidden from this user, so one that was not found may be there.
    #[error(
        "{path} hides processes from the agent's user: run it as root, or mount {path} without hidepid or with gid= of \
         a group of this user"
    )]
    Hidden {
        /// The file system of processes.
        path: String,
    },
    /// A file does not say what it should.
    #[error("{path}: expected {expected}, found {found:?}")]
    Malformed {
        /// The file.
        path: String,
        /// What would have been right.
        expected: &'static str,
        /// What stood there instead, shortened.
        found: Found,
    },
    /// Another program was asked, and did not answer as it should.
    #[error("asking {by}: {why:?}")]
    Unanswered {
        /// Who was asked, and how.
        by: &'static str,
        /// What went wrong.
        why: Found,
    },
    /// More than the collector reports; the rest was left out.
    #[error("{path} holds more than the {limit} {what} that are looked at")]
    TooMany {
        /// Where they are.
        path: String,
        /// What there is too much of.
        what: &'static str,
        /// How many are taken.
        limit: usize,
    },
}

/// The text that was found in place of the expected one.
///
/// Any two are equal: counters change from reading to reading, the failure does not.
#[derive(Clone)]
pub struct Found(String);

impl Found {
    pub(crate) fn new(text: &str) -> Self {
        /// Enough to recognise the line, short enough for a log.
        const SHOWN_CHARS: usize = 120;
        Self(text.chars().take(SHOWN_CHARS).collect())
    }

    /// A text of our own, which is not shortened.
    pub(crate) fn whole(text: String) -> Self {
        Self(text)
    }
}

impl PartialEq for Found {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Found {}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Something that this user may not see, and what would help. One constant for each; told once, however many
/// processes or files it concerns.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// What is missing from the telemetry: `disk I/O of other users' processes (/proc/PID/io)`.
    pub what: &'static str,
    /// What would give it: `CAP_SYS_PTRACE`.
    pub remedy: &'static str,
}

impl CollectError {
    /// Whether the file is simply not there for us: it does not exist, or this user may not read it.
    pub(crate) fn is_out_of_reach(&self) -> bool {
        matches!(
            self,
            Self::Read {
                source: Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::PERM | Errno::SRCH,
                ..
            }
        )
    }
}

/// Refuses silently dropping what is beyond `limit`: the caller appends `limit` of them and then returns this.
pub(crate) fn at_most(
    limit: usize,
    count: usize,
    path: &str,
    what: &'static str,
) -> Result<(), CollectError> {
    if count > limit { Err(CollectError::TooMany { path: path.to_owned(), what, limit }) } else { Ok(()) }
}
