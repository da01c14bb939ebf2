//! The kill switch of the agent: no run starts and no action is performed while it is on.
//!
//! It is a file in the state directory, so that it outlives the agent and can be set without it, and a word in memory for
//! when no file can be written. The executor obeys a file of its own, beside the policy; where the agent may see that, it
//! holds for the agent as well.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use executor::Freeze;
use telemetry::Timestamp;

/// On, off, and why.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    state: PathBuf,
    /// Only for what could not be written.
    unwritten: Mutex<Option<Freeze>>,
    /// The directory of the policy in force.
    policy: Mutex<Option<PathBuf>>,
}

impl KillSwitch {
    /// That of a state directory.
    pub(crate) fn of(state: &Path) -> Self {
        Self { state: state.to_owned(), unwritten: Mutex::new(None), policy: Mutex::new(None) }
    }

    /// Looks beside this policy too from now on.
    pub(crate) fn heed_policy(&self, file: &Path) {
        let directory = file.parent().filter(|_| !file.as_os_str().is_empty());
        let directory =
            directory.map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned());
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// What root has left beside the policy. What the agent may not see is between root and the executor.
    pub(crate) fn beside_policy(&self, now: Timestamp) -> Option<Freeze> {
        let directory = self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        directory.join(executor::FREEZE_FILE).symlink_metadata().ok()?;
        Freeze::read(&directory, now)
    }

    /// Why nothing may be done at `now`, if so.
    pub(crate) fn frozen(&self, now: Timestamp) -> Option<Freeze> {
        let unwritten = self.unwritten().clone().filter(|freeze| !freeze.is_over(now));
        unwritten.or_else(|| Freeze::read(&self.state, now)).or_else(|| self.beside_policy(now))
    }

    /// Turns it on.
    ///
    /// # Errors
    ///
    /// It is on, but an end of the agent would turn it off: the file cannot be written.
    pub(crate) fn freeze(&self, freeze: &Freeze) -> std::io::Result<()> {
        // First in memory, whatever the disk does.
        let written = {
            *self.unwritten() = Some(freeze.clone());
            freeze.write(&self.state)
        };
        if written.is_ok() {
            *self.unwritten() = None;
        }
        written
    }

    /// Turns it off.
    ///
    /// # Errors
    ///
    /// It stays on: the file cannot be removed.
    pub(crate) fn unfreeze(&self) -> std::io::Result<bool> {
        let removed = Freeze::remove(&self.state)?;
        Ok(self.unwritten().take().is_some() || removed)
    }

    fn unwritten(&self) -> MutexGuard<'_, Option<Freeze>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn freeze(seconds: Option<i64>) -> Freeze {
        let until = seconds.map(|seconds| Timestamp::from_secs(1_795_000_000 + seconds));
        Freeze { reason: "test".to_owned(), by: "ann".to_owned(), until }
    }

    #[test]
    fn it_outlives_the_agent_and_ends_when_told_or_when_its_time_is_over() {
        let state = tempfile::tempdir().unwrap();
        let switch = KillSwitch::of(state.path());
        assert_eq!(switch.frozen(NOW), None);
        switch.freeze(&freeze(None)).unwrap();
        assert_eq!(KillSwitch::of(state.path()).frozen(NOW), Some(freeze(None)));
        assert!(switch.unfreeze().unwrap() && switch.frozen(NOW).is_none());
        switch.freeze(&freeze(Some(60))).unwrap();
        assert!(switch.frozen(NOW).is_some());
        assert_eq!(switch.frozen(NOW.plus(std::time::Duration::from_mins(1))), None);
    }

    #[test]
    fn what_root_leaves_beside_the_policy_holds_for_the_agent_too_and_stays_its_own() {
        let (state, policy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let switch = KillSwitch::of(state.path());
        freeze(None).write(policy.path()).unwrap();
        assert_eq!(switch.frozen(NOW), None);
        switch.heed_policy(&policy.path().join("policy.yaml"));
        assert_eq!(switch.frozen(NOW), Some(freeze(None)));
        assert!(!switch.unfreeze().unwrap() && switch.frozen(NOW).is_some());
        switch.heed_policy(Path::new(""));
        assert_eq!(switch.frozen(NOW), None);
    }

    #[test]
    fn it_is_on_even_if_no_file_can_be_written() {
        let state = tempfile::tempdir().unwrap();
        let switch = KillSwitch::of(&state.path().join("gone"));
        assert!(switch.freeze(&freeze(None)).is_err());
        assert_eq!(switch.frozen(NOW), Some(freeze(None)));
        assert!(switch.unfreeze().unwrap() && switch.frozen(NOW).is_none());
    }
}
