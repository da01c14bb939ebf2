//! inotify on directories: a watch each, however many files are in them.

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use foldhash::{HashMap, HashMapExt as _};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::Change;

/// How many events are taken at once, in bytes; an event takes 16 and its name.
const EVENTS_BYTES: usize = 16 * 1024;

/// How often the events are taken in one call: whoever writes without pause must not keep the reader from reading.
const TAKES: usize = 64;

#[derive(Debug)]
pub(crate) struct Watch {
    fd: OwnedFd,
    directories: HashMap<i32, PathBuf>,
    watched: HashMap<PathBuf, i32>,
}

impl Watch {
    pub(crate) fn open() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { fd, directories: HashMap::new(), watched: HashMap::new() })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Watches `directory`. Where the kernel allows no more watches, the sweep finds what happens there.
    pub(crate) fn add(&mut self, directory: &Path) {
        let what = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        if self.watched.contains_key(directory) {
            return;
        }
        if let Ok(watch) = inotify::add_watch(&self.fd, directory, what) {
            self.directories.insert(watch, directory.to_owned());
            self.watched.insert(directory.to_owned(), watch);
        }
    }

    /// Gives each change since the last call.
    pub(crate) fn drain(&mut self, each: &mut dyn FnMut(Change<'_>)) {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = inotify::Reader::new(&self.fd, &mut buffer);
        let mut takes = 0;
        let mut gone = Vec::new();
        while !events.is_buffer_empty() || takes < TAKES {
            takes += usize::from(events.is_buffer_empty());
            let Ok(event) = events.next() else { break };
            let Some(directory) = self.directories.get(&event.wd()) else {
                // The overflow of the queue comes without a watch.
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    each(Change::Anything);
                }
                continue;
            };
            if event.events().contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
                continue;
            }
            if event.events().contains(ReadFlags::ISDIR) {
                each(Change::Anything);
                continue;
            }
            let name = OsStr::from_bytes(event.file_name().map_or(b"", |name| name.to_bytes()));
            each(if event.events().contains(ReadFlags::MODIFY) {
                Change::Written(directory, name)
            } else {
                Change::Named(directory, name)
            });
        }
        for watch in gone {
            if let Some(directory) = self.directories.remove(&watch) {
                self.watched.remove(&directory);
                each(Change::Anything);
            }
        }
    }
}
