//! The host as a directory: `/`, a host's root mounted elsewhere, or a fixture.
//!
//! Everything the collectors read goes through here, so whatever works on a fixture works on a host. What belongs to a
//! namespace (mounts, interfaces) is asked of process 1, because the agent's own namespaces may be others; where `/proc`
//! hides the processes of others it sees its own. Only regular files are read, and the kernel's are such: a FIFO that a
//! service lays where its pid file should be would otherwise be waited for without end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::ask_mount::MountAsker;
use crate::descriptors::Descriptors;
use crate::error::{CollectError, Found, Lack};

/// The longest kernel file that is read, in bytes. `/proc/stat` of 1,000 CPUs and `mountinfo` of 10,000 mounts fit; a
/// longer file is an error of its collector.
const LONGEST_FILE: usize = 4 << 20;

/// Buffers kept for the next reading; collectors rarely hold more than two files at once.
const KEPT_BUFFERS: usize = 4;

/// A host, seen as a directory.
#[derive(Debug)]
pub struct HostRoot {
    root: PathBuf,
    captured: bool,
    own_root: bool,
    page_size_bytes: u64,
    ticks_per_second: f64,
    buffers: Mutex<Vec<Vec<u8>>>,
    lacks: Mutex<BTreeSet<&'static Lack>>,
    descriptors: [Descriptors; 2],
    mounts: Mutex<MountAsker>,
}

impl HostRoot {
    /// The host whose root directory is `root`: `/`, or where a container sees the host's root.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            own_root: root == Path::new("/"),
            root,
            captured: false,
            page_size_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            buffers: Mutex::default(),
            lacks: Mutex::default(),
            descriptors: Descriptors::shares(),
            mounts: Mutex::new(MountAsker::of_kernel()),
        }
    }

    /// The captured host `name` below this crate's `fixtures/`, for tests of this crate and of others.
    pub fn fixture(name: &str) -> Self {
        Self::captured(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name))
    }

    /// A captured host in any directory: system calls are answered by the files that `fixtures/capture` wrote.
    pub fn captured(root: impl Into<PathBuf>) -> Self {
        Self { captured: true, page_size_bytes: 4096, ticks_per_second: 100.0, ..Self::at(root) }
    }

    /// Whether the host's root is this process's own, and not one that lies elsewhere.
    pub(crate) fn is_own_root(&self) -> bool {
        self.own_root
    }

    /// Whether this is a captured host, on which system calls say nothing.
    pub(crate) fn is_captured(&self) -> bool {
        self.captured
    }

    /// The same, as if its root were this process's own.
    #[cfg(test)]
    pub(crate) fn into_own_root(self) -> Self {
        Self { own_root: true, ..self }
    }

    /// The size of a memory page, in bytes.
    pub(crate) fn page_size_bytes(&self) -> u64 {
        self.page_size_bytes
    }

    /// How many clock ticks the kernel's files count per second.
    pub(crate) fn ticks_per_second(&self) -> f64 {
        self.ticks_per_second
    }

    /// How many descriptors of files of processes may stay open, over all collectors.
    pub(crate) fn descriptors_of_processes(&self) -> &Descriptors {
        let [processes, _] = &self.descriptors;
        processes
    }

    /// How many descriptors of files of cgroups may stay open, over all collectors.
    pub(crate) fn descriptors_of_cgroups(&self) -> &Descriptors {
        let [_, cgroups] = &self.descriptors;
        cgroups
    }

    /// Whoever asks file systems how full they are.
    pub(crate) fn mounts(&self) -> MutexGuard<'_, MountAsker> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where `path`, absolute or not, lies below the root.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Reads a file of the host as a whole, into a buffer that returns here when the file is dropped. Bytes that are
    /// not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no regular file, or is longer than 4 MiB.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<HostFile<'_>, CollectError> {
        let path = self.path(path);
        let mut bytes = self.lock().pop().unwrap_or_default();
        bytes.clear();
        match read_whole(&path, &mut bytes) {
            Ok(false) => Err(CollectError::NotAFile { path: display(&path) }),
            Ok(true) if bytes.len() > LONGEST_FILE => {
                Err(CollectError::TooMany { path: display(&path), what: "bytes", limit: LONGEST_FILE })
            }
            Ok(true) => {
                let text = String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                Ok(HostFile { path, text, host: Some(self) })
            }
            Err(source) => Err(CollectError::Read { path: display(&path), source }),
        }
    }

    /// Reads `/proc/1/{path}`, or `/proc/self/{path}` where process 1 is hidden from this user (`hidepid`), and says
    /// which.
    ///
    /// # Errors
    ///
    /// Neither can be read.
    pub(crate) fn read_of_init(&self, path: &str) -> Result<(HostFile<'_>, View), CollectError> {
        match self.read(format!("proc/1/{path}")) {
            Err(error) if error.is_out_of_reach() => Ok((self.read(format!("proc/self/{path}"))?, View::Own)),
            other => Ok((other?, View::Host)),
        }
    }

    /// Reads a file that not every kernel or configuration has; `None` when it is not there or refuses to be read.
    pub(crate) fn read_optional(&self, path: impl AsRef<Path>) -> Result<Option<HostFile<'_>>, CollectError> {
        match self.read(path) {
            Ok(file) => Ok(Some(file)),
            // A pressure file may exist and answer EOPNOTSUPP when the kernel was booted with psi=0.
            Err(CollectError::Read { source: Errno::OPNOTSUPP, .. }) => Ok(None),
            Err(error) if error.is_out_of_reach() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads what [`HostRoot::read_of_init`] does; `None` when it is not there or refuses to be read.
    pub(crate) fn read_optional_of_init(&self, path: &str) -> Result<Option<HostFile<'_>>, CollectError> {
        match self.read_of_init(path) {
            Ok((file, _)) => Ok(Some(file)),
            Err(error) if error.is_out_of_reach() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes that this user may not see something.
    pub(crate) fn lacks(&self, lack: &'static Lack) {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).insert(lack);
    }

    /// What was found so far that this user may not see.
    pub fn lacking(&self) -> Vec<&'static Lack> {
        self.lacks.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a regular file; `false` when it is something else.
fn read_whole(path: &Path, bytes: &mut Vec<u8>) -> Result<bool, Errno> {
    // NONBLOCK: opening a FIFO would otherwise wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(CWD, path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    while bytes.len() <= LONGEST_FILE {
        bytes.reserve(8192);
        match rustix::io::read(&file, rustix::buffer::spare_capacity(bytes)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

pub(crate) fn display(path: &Path) -> String {
    path.display().to_string()
}

/// Whose namespaces a file tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Those of process 1.
    Host,
    /// Those of this process, which may be a sandbox.
    Own,
}

/// The text of a file of the host, with its path for messages.
#[derive(Debug)]
pub struct HostFile<'a> {
    path: PathBuf,
    text: String,
    host: Option<&'a HostRoot>,
}

impl HostFile<'_> {
    /// A file that was not read from a host, for tests.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> HostFile<'static> {
        HostFile { path: path.into(), text: text.into(), host: None }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path, for messages.
    pub(crate) fn path(&self) -> String {
        display(&self.path)
    }

    /// The lines, without their ends.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// The error that says what this file should have said.
    pub(crate) fn malformed(&self, expected: &'static str, found: &str) -> CollectError {
        CollectError::Malformed { path: self.path(), expected, found: Found::new(found) }
    }

    /// The next of `fields` as a number.
    pub(crate) fn number<'f, N: std::str::FromStr>(
        &self,
        fields: &mut impl Iterator<Item = &'f str>,
        expected: &'static str,
        line: &str,
    ) -> Result<N, CollectError> {
        fields.next().and_then(|field| field.parse().ok()).ok_or_else(|| self.malformed(expected, line))
    }

    /// The number that the file begins with, mostly its only one.
    pub(crate) fn first_number<N: std::str::FromStr>(
        &self,
        expected: &'static str,
    ) -> Result<N, CollectError> {
        self.number(&mut self.text.split_ascii_whitespace(), expected, &self.text)
    }
}

impl Drop for HostFile<'_> {
    fn drop(&mut self) {
        if let Some(host) = self.host {
            let mut buffers = host.lock();
            if buffers.len() < KEPT_BUFFERS {
                buffers.push(std::mem::take(&mut self.text).into_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_of_process_1_is_asked_of_the_own_process() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/self/net")).unwrap();
        std::fs::write(dir.path().join("proc/self/net/dev"), "own").unwrap();
        let host = HostRoot::at(dir.path());
        let read =
            || host.read_of_init("net/dev").map(|(file, view)| (file.text().to_owned(), view)).unwrap();
        assert_eq!(read(), ("own".to_owned(), View::Own));
        std::fs::create_dir_all(dir.path().join("proc/1/net")).unwrap();
        std::fs::write(dir.path().join("proc/1/net/dev"), "host").unwrap();
        assert_eq!(read(), ("host".to_owned(), View::Host));
    }

    #[test]
    fn a_missing_file_is_named_with_the_cause_as_its_source() {
        let error = HostRoot::at("/nowhere").read("/proc/stat").unwrap_err();
        assert_eq!(error.to_string(), "reading /nowhere/proc/stat");
        assert!(std::error::Error::source(&error).is_some());
        assert!(HostRoot::at("/nowhere").read_optional("proc/stat").unwrap().is_none());
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("long"), vec![b'x'; LONGEST_FILE + 1]).unwrap();
        let error = HostRoot::at(dir.path()).read("long").unwrap_err();
        assert!(
            error.to_string().ends_with("long holds more than the 4194304 bytes that are looked at"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("directory")).unwrap();
        rustix::fs::mknodat(CWD, dir.path().join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        for name in ["directory", "fifo"] {
            let error = HostRoot::at(dir.path()).read(name).unwrap_err();
            let path = dir.path().join(name);
            assert_eq!(error, CollectError::NotAFile { path: display(&path) });
            assert!(HostRoot::at(dir.path()).read_optional(name).is_err());
        }
    }

    #[test]
    fn a_buffer_is_used_again_and_carries_nothing_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a long text").unwrap();
        std::fs::write(dir.path().join("b"), "b").unwrap();
        let host = HostRoot::at(dir.path());
        drop(host.read("a").unwrap());
        assert_eq!(host.lock().len(), 1);
        assert_eq!(host.read("b").unwrap().text(), "b");
    }
}
