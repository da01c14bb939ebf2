//! Whether the list of file locks has to be read at all.
//!
//! For that list the kernel waits until every processor has passed by, which a repair would have to wait for. Who wants a lock
//! opens its file first, and inotify tells of that. So once nobody holds a lock, nobody does until a file is opened.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::packages::{LOCKS, file_locks, is_locked};
use crate::error::CollectError;
use crate::host::HostRoot;

/// Who opens a file locks it at once, or opens it anew for the next try; by then it is in the list.
const LOCKED_WITHIN: Duration = Duration::from_secs(5);

/// Room for the events of one read.
const EVENT_BYTES: usize = 4096;

/// What makes it possible that somebody holds a lock: that its file was opened, or that nobody can tell any more.
const TOLD: WatchFlags = WatchFlags::OPEN
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Knows whether anybody can hold a lock that packages are installed under.
#[derive(Debug, Default)]
pub struct LockWatch {
    events: Option<OwnedFd>,
    /// Directories of files that are locked, of which the kernel tells.
    watched: BTreeSet<&'static Path>,
    /// When it was last seen that such a file had been opened, since the boot.
    opened: Option<Duration>,
    /// Nobody held one when the list was read, nor can have taken one since.
    all_free: bool,
}

impl LockWatch {
    /// The locks of files as `/proc/locks` lists them, or nothing where nobody can hold one that
    /// [`package_work`](super::package_work) looks for.
    ///
    /// # Errors
    ///
    /// The list is there and cannot be read.
    pub fn locks(&mut self, host: &HostRoot, since_boot: Duration) -> Result<String, CollectError> {
        // Both, in this order: what is opened after the look is told by the next one.
        let is_watched = self.watch(host);
        if self.was_opened() || !is_watched {
            self.opened = Some(since_boot);
            self.all_free = false;
        }
        if self.all_free {
            return Ok(String::new());
        }
        let locks = file_locks(host)?;
        let is_settled = self.opened.is_none_or(|opened| since_boot.saturating_sub(opened) >= LOCKED_WITHIN);
        self.all_free = is_settled && !is_locked(host, &locks);
        Ok(locks)
    }

    /// Whether the kernel was already telling of every file that is there.
    fn watch(&mut self, host: &HostRoot) -> bool {
        let directories = LOCKS.iter().filter(|(path, _)| host.path(path).exists());
        let directories = directories.filter_map(|(path, _)| Path::new(*path).parent());
        let mut all = true;
        for directory in directories.collect::<BTreeSet<_>>() {
            if !self.watched.contains(directory) {
                all = false;
                if self.add(&host.path(directory)).is_ok() {
                    self.watched.insert(directory);
                }
            }
        }
        all
    }

    fn add(&mut self, directory: &Path) -> Result<(), Errno> {
        if self.events.is_none() {
            self.events = Some(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?);
        }
        let events = self.events.as_ref().ok_or(Errno::BADF)?;
        inotify::add_watch(events, directory, TOLD).map(drop)
    }

    /// Whether a file was opened since the last call, or the kernel has lost sight of one.
    fn was_opened(&mut self) -> bool {
        let Some(events) = &self.events else { return false };
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = inotify::Reader::new(events, &mut buffer);
        let (mut opened, mut lost) = (false, false);
        loop {
            match reader.next() {
                Ok(event) if event.events().intersects(ReadFlags::OPEN | ReadFlags::MOVED_TO) => {
                    opened |= event.file_name().is_some_and(|name| is_lock(name.to_bytes()));
                }
                Ok(_) => lost = true,
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    lost = true;
                    break;
                }
            }
        }
        if lost {
            self.events = None;
            self.watched.clear();
        }
        opened || lost
    }
}

fn is_lock(name: &[u8]) -> bool {
    LOCKS
        .iter()
        .filter_map(|(path, _)| Path::new(path).file_name())
        .any(|lock| lock.as_encoded_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Host {
        directory: tempfile::TempDir,
        watch: LockWatch,
    }

    impl Host {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(directory.path().join("var/lib/dpkg")).unwrap();
            std::fs::create_dir_all(directory.path().join("proc")).unwrap();
            std::fs::write(directory.path().join("proc/locks"), "of another\n").unwrap();
            let host = Self { directory, watch: LockWatch::default() };
            host.opened();
            host
        }

        fn opened(&self) {
            std::fs::write(self.directory.path().join("var/lib/dpkg/lock"), "").unwrap();
        }

        fn was_read_after(&mut self, seconds: u64) -> bool {
            let host = HostRoot::at(self.directory.path());
            !self.watch.locks(&host, Duration::from_secs(seconds)).unwrap().is_empty()
        }
    }

    #[test]
    fn the_list_is_not_read_again_while_no_file_is_opened() {
        let mut host = Host::new();
        assert!(host.was_read_after(0), "who has opened it before may hold it");
        assert!(host.was_read_after(4), "who has opened it just now may not hold it yet");
        assert!(host.was_read_after(5));
        assert!(!host.was_read_after(6));
        std::fs::write(host.directory.path().join("var/lib/dpkg/status"), "another file").unwrap();
        assert!(!host.was_read_after(1_000));
        host.opened();
        assert!(host.was_read_after(1_001));
        assert!(host.was_read_after(1_007));
        assert!(!host.was_read_after(1_008));
    }

    #[test]
    fn the_list_is_read_as_long_as_somebody_holds_a_lock_or_waits_for_it() {
        let mut host = Host::new();
        let root = HostRoot::at(host.directory.path());
        let key = super::super::packages::key_of(&root, "var/lib/dpkg/lock").unwrap();
        let list = |text: &str| std::fs::write(host.directory.path().join("proc/locks"), text).unwrap();
        list(&format!("1: -> POSIX  ADVISORY  WRITE 4321 {key} 0 EOF\n"));
        for seconds in [0, 10, 20, 30] {
            assert!(host.was_read_after(seconds), "{seconds}");
        }
    }

    #[test]
    fn a_file_that_comes_later_or_comes_anew_is_watched_too() {
        let mut host = Host::new();
        let dpkg = host.directory.path().join("var/lib/dpkg");
        std::fs::remove_dir_all(&dpkg).unwrap();
        assert!(host.was_read_after(0));
        assert!(!host.was_read_after(1), "there is nothing that could be locked");
        for begin in [10, 100] {
            std::fs::create_dir_all(&dpkg).unwrap();
            host.opened();
            assert!(host.was_read_after(begin) && host.was_read_after(begin + 6));
            assert!(!host.was_read_after(begin + 7));
            host.opened();
            assert!(host.was_read_after(begin + 8));
            assert!(host.was_read_after(begin + 20) && !host.was_read_after(begin + 21));
            std::fs::remove_dir_all(&dpkg).unwrap();
            assert!(host.was_read_after(begin + 22));
        }
    }
}
