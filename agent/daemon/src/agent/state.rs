//! The directory in which the agent keeps what must outlive it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::FlockOperation;

/// The directory in the state directory in which telemetry waits.
pub(crate) const QUEUE: &str = "queue";

/// The state directory, owned by this process for as long as the value lives.
#[derive(Debug)]
pub(crate) struct StateDirectory {
    path: PathBuf,
    _lock: File,
}

impl StateDirectory {
    /// Makes the directory where it is missing, readable by nobody else, and takes its lock.
    ///
    /// # Errors
    ///
    /// It cannot be made or written, or another agent has it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
            format!("making the state directory {}; name another one as state_directory", path.display())
        })?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .with_context(|| format!("opening {}", lock_path.display()))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            bail!("another agent uses the state directory {}; stop it, or name another one", path.display());
        }
        // For people. The lock counts without it, and a full disk must not keep the agent from starting.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where state goes when the configuration does not say: systemd's choice, the system's place for root, or the
/// user's own.
///
/// # Errors
///
/// The user has no home.
pub(crate) fn default_directory() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("STATE_DIRECTORY") {
        return Ok(PathBuf::from(given));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/hostmend"));
    }
    let home = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state")));
    home.map(|home| home.join("hostmend")).context("there is no home directory; set state_directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_on_the_same_directory_is_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let first = StateDirectory::open(&path).unwrap();
        let error = StateDirectory::open(&path).unwrap_err().to_string();
        assert!(error.contains("another agent uses the state directory"), "{error}");
        drop(first);
        assert!(StateDirectory::open(&path).is_ok());
    }

    #[test]
    fn nobody_else_can_read_the_state() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(&directory.path().join("state")).unwrap();
        assert_eq!(state.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
