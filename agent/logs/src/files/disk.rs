//! What the follower asks of a file system: few questions, so that a model can answer them in tests.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

pub(crate) use real::RealDisk;

#[cfg(test)]
pub(crate) mod model;
mod real;
mod watch;

/// What makes a file the same file under another name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// When it was created, in nanoseconds since the epoch; 0 where the file system does not know. An inode that is used
    /// again differs in it.
    pub(crate) born: i64,
}

/// What kind of thing has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// Anything else, in words.
    Other(&'static str),
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) id: FileId,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// When it was written last, in nanoseconds since the epoch.
    pub(crate) modified: i64,
    /// How many names it has.
    pub(crate) names: u32,
    pub(crate) owner: u32,
    /// Whose the symbolic link is through which it was found.
    pub(crate) link_owner: Option<u32>,
}

impl Facts {
    /// Why it is not to be read, if so.
    ///
    /// Whoever may create names in a directory of logs could point one at a file that only the agent may read. So a link
    /// leads only to a file of the link's owner, unless root made the link.
    pub(crate) const fn refusal(&self) -> Option<&'static str> {
        match (self.kind, self.link_owner) {
            (Kind::Directory, _) => Some("it is a directory"),
            (Kind::Other(kind), _) => Some(kind),
            (Kind::File, Some(owner)) if owner != 0 && owner != self.owner => {
                Some("it is a symbolic link to a file of another owner; only root's links may lead there")
            }
            (Kind::File, _) => None,
        }
    }
}

/// Something happened in a directory that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// The file of this name was written or truncated.
    Written(&'a Path, &'a OsStr),
    /// The name was given or taken.
    Named(&'a Path, &'a OsStr),
    /// Anything may have happened: directories came or went, or changes were not told.
    Anything,
}

/// An open file. Clones share it.
pub(crate) trait Handle: Clone + Send + 'static {
    /// Reads at `at` as much as there is and fits.
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize>;

    fn facts(&self) -> io::Result<Facts>;
}

/// Whether a name in a directory is wanted, given its inode and whether it is a directory.
pub(crate) type Want<'a> = dyn FnMut(&OsStr, u64, bool) -> bool + 'a;

/// A file system, or a model of one.
pub(crate) trait Disk: Send {
    type File: Handle;

    /// Appends the names in `directory` that are wanted, with what is known of them.
    fn scan(
        &mut self,
        directory: &Path,
        want: &mut Want<'_>,
        found: &mut Vec<(OsString, Facts)>,
    ) -> io::Result<()>;

    /// What has the name now.
    fn look(&mut self, directory: &Path, name: &OsStr) -> io::Result<Facts>;

    /// Opens for reading what has the name now, if [`Facts::refusal`] allows. Who calls it compares the identity.
    fn open(&mut self, directory: &Path, name: &OsStr) -> io::Result<(Self::File, Facts)>;

    /// Tells of changes in `directory` from now on, where it can.
    fn watch(&mut self, directory: &Path);

    /// The changes since the last call.
    fn changes(&mut self, each: &mut dyn FnMut(Change<'_>));
}
