//! Is told when journals change.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// What happened since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Files came, went or were renamed.
    pub(super) files: bool,
    /// Something was appended.
    pub(super) entries: bool,
}

/// Watches directories, of which any may come later.
#[derive(Debug)]
pub(super) struct Watch {
    inotify: OwnedFd,
    directories: Vec<PathBuf>,
}

impl Watch {
    pub(super) fn new(directories: Vec<PathBuf>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let watch = Self { inotify, directories };
        watch.look_for_directories();
        Ok(watch)
    }

    /// What can be read when something has happened.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches the directories that there are now; one that is watched already stays so. Where the kernel gives no more
    /// watches, the sweep finds what it does not tell.
    pub(super) fn look_for_directories(&self) {
        // journald sets the size of a file to what it is, to tell that it has written: that is `MODIFY`.
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::ONLYDIR;
        for directory in &self.directories {
            let _ = inotify::add_watch(&self.inotify, directory, flags);
        }
    }

    /// Takes what happened.
    pub(super) fn take(&self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.inotify.as_fd(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events() == ReadFlags::MODIFY => changes.entries = true,
                Ok(_) => changes = Changes { files: true, entries: true },
                Err(Errno::INTR) => {}
                Err(_) => return changes,
            }
        }
    }
}
