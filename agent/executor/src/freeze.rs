//! The kill switch: a file `freeze` beside the policy, in which case nothing is done; the agent has one of its own.
//!
//! Whoever can write beside the policy is root, or owns it. The executor looks for itself, so that it holds also where the
//! agent hangs or lies. The first line says why; `by NAME` and `until SECONDS` since 1970 may follow, as
//! `hostmend freeze` writes them. A file that says nothing of the kind freezes as well, and for ever.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use telemetry::{OneLine, Timestamp};

/// The file's name.
pub const FREEZE_FILE: &str = "freeze";

/// The longest file that is read; what is longer has its reason cut.
const MAX_BYTES: u64 = 1_000;

/// The longest reason that is repeated.
const MAX_REASON_CHARACTERS: usize = 200;

/// That nothing may be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freeze {
    /// Why; empty if nobody said.
    pub reason: String,
    /// Who said so; empty if it is not known.
    pub by: String,
    /// When it is over by itself.
    pub until: Option<Timestamp>,
}

impl Freeze {
    /// What the file in a directory says at `now`: None if there is none, or it is over. What cannot be read freezes.
    pub fn read(directory: &Path, now: Timestamp) -> Option<Self> {
        let path = directory.join(FREEZE_FILE);
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let reason = format!("whether {} is there cannot be seen: {error}", path.display());
                Some(Self { reason, ..Self::default() })
            }
            Ok(_) => {
                let freeze = text_of(&path).map_or_else(Self::default, |text| Self::parse(&text));
                (!freeze.is_over(now)).then_some(freeze)
            }
        }
    }

    /// Puts the file into a directory, in place of one that is there.
    ///
    /// # Errors
    ///
    /// It cannot be written; one that was there stays.
    pub fn write(&self, directory: &Path) -> std::io::Result<()> {
        let beside = directory.join(format!("{FREEZE_FILE}.{}", std::process::id()));
        // Never through a link: the directory may be another user's.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        let written = file.write_all(self.text().as_bytes()).and_then(|()| file.sync_all());
        let written = written.and_then(|()| std::fs::rename(&beside, directory.join(FREEZE_FILE)));
        if written.is_err() {
            // It is of no use; that it could not be written is what counts.
            let _ = std::fs::remove_file(&beside);
        }
        written?;
        File::open(directory)?.sync_all()
    }

    /// Removes the file from a directory; says whether there was one.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(directory: &Path) -> std::io::Result<bool> {
        match std::fs::remove_file(directory.join(FREEZE_FILE)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether its time has passed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// As a clause: `REASON; by NAME until TIME`.
    pub fn describe(&self) -> String {
        let mut text =
            OneLine(if self.reason.is_empty() { "no reason is given" } else { &self.reason }).to_string();
        if !self.by.is_empty() {
            let _ = write!(text, "; by {}", OneLine(&self.by));
        }
        if let Some(until) = self.until {
            let _ = write!(text, "; until {until}");
        }
        text
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", OneLine(&self.reason));
        if !self.by.is_empty() {
            let _ = writeln!(text, "by {}", OneLine(&self.by));
        }
        if let Some(until) = self.until {
            let _ = writeln!(text, "until {} ({until})", until.as_millis().div_euclid(1_000));
        }
        text
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let reason = lines.next().unwrap_or_default().trim();
        let mut freeze =
            Self { reason: reason.chars().take(MAX_REASON_CHARACTERS).collect(), ..Self::default() };
        for line in lines {
            if let Some(by) = line.strip_prefix("by ") {
                by.clone_into(&mut freeze.by);
            } else if let Some(until) = line.strip_prefix("until ") {
                let seconds = until.split_whitespace().next().and_then(|seconds| seconds.parse().ok());
                // Nobody means a time before 1970; in doubt it freezes.
                freeze.until = seconds.filter(|seconds| *seconds > 0).map(Timestamp::from_secs);
            }
        }
        freeze
    }
}

/// Why the policy of this file forbids everything, if so: in doubt it does.
pub(crate) fn reason(policy: &Path, now: Timestamp) -> Option<String> {
    let directory = policy.parent().filter(|_| !policy.as_os_str().is_empty())?;
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let freeze = Freeze::read(directory, now)?;
    let file: PathBuf = policy.with_file_name(FREEZE_FILE);
    let why = freeze.describe();
    Some(format!(
        "{} forbids all actions: {why}; `hostmend unfreeze` or its removal allows them",
        file.display()
    ))
}

fn text_of(path: &Path) -> Option<String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let mut bytes = Vec::new();
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn whatever_stands_in_the_file_freezes_unless_its_time_is_over() {
        for (text, frozen, says) in [
            ("", true, "no reason is given"),
            ("disk swap\n", true, "disk swap"),
            (
                "disk swap\nby ann (1000)\nuntil 1795000001 (soon)\n",
                true,
                "disk swap; by ann (1000); until 2026",
            ),
            ("disk swap\nuntil 1795000000\n", false, ""),
            ("until 1\n", true, "until 1"),
            ("x\nuntil tomorrow\n", true, "x"),
            ("x\nuntil -5\n", true, "x"),
            ("x\nuntil 0\n", true, "x"),
            ("a\u{1b}[2J\nby \u{7}\n", true, "a\\u{1b}[2J"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(FREEZE_FILE), text).unwrap();
            let read = Freeze::read(directory.path(), NOW);
            assert_eq!(read.is_some(), frozen, "{text:?}");
            let said = read.map(|freeze| freeze.describe()).unwrap_or_default();
            assert!(said.starts_with(says), "{text:?}: {said}");
            let refused = reason(&directory.path().join("policy.yaml"), NOW);
            assert_eq!(refused.is_some(), frozen, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_file_that_can_be_read_freezes_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FREEZE_FILE);
        assert_eq!(Freeze::read(directory.path(), NOW), None);
        std::os::unix::fs::symlink("/nowhere/at/all", &path).unwrap();
        assert_eq!(Freeze::read(directory.path(), NOW), Some(Freeze::default()));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(Freeze::read(directory.path(), NOW), Some(Freeze::default()));
    }

    #[test]
    fn what_is_written_is_read_and_a_link_in_its_place_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::write(&elsewhere, "untouched").unwrap();
        std::os::unix::fs::symlink(&elsewhere, directory.path().join(FREEZE_FILE)).unwrap();
        let freeze = Freeze {
            reason: "two\nlines".to_owned(),
            by: "ann".to_owned(),
            until: Some(Timestamp::from_secs(1_795_000_060)),
        };
        freeze.write(directory.path()).unwrap();
        let expected = Freeze { reason: "two\\nlines".to_owned(), ..freeze };
        assert_eq!(Freeze::read(directory.path(), NOW), Some(expected));
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "untouched");
        assert!(Freeze::remove(directory.path()).unwrap() && !Freeze::remove(directory.path()).unwrap());
    }
}
