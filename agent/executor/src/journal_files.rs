//! The journal of this host: its files, and the service that writes them.
//!
//! Only archived files are deleted, which nobody writes to any more. journald is asked to begin new ones over its varlink
//! socket: one object, ended by a NUL, each way.

use std::ffi::{CStr, CString, OsStr};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, unlinkat};
use rustix::io::Errno;
use telemetry::Timestamp;

use crate::beneath::{disk_space, identity, is_regular, look, open_directory, written};
use crate::{ActionError, ByteCount};

/// How long journald may take. It writes what it has in memory to disk first.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The longest answer that is read; `{"parameters":{}}` is the usual one.
const MAX_ANSWER_BYTES: u64 = 16 << 10;

/// What `journalctl --rotate` says.
const ROTATE: &[u8] = b"{\"method\":\"io.systemd.Journal.Rotate\"}\0";

/// Where the journal is.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    socket: PathBuf,
    machine_id: PathBuf,
    /// Where each machine has a directory of its own.
    stores: Vec<PathBuf>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            socket: "/run/systemd/journal/io.systemd.journal".into(),
            machine_id: "/etc/machine-id".into(),
            stores: vec!["/var/log/journal".into(), "/run/log/journal".into()],
        }
    }
}

#[derive(Debug)]
struct Archived {
    written: Timestamp,
    store: usize,
    name: CString,
    identity: (u64, u64),
    bytes: u64,
}

impl Journal {
    #[cfg(test)]
    pub(crate) fn within(root: &std::path::Path) -> Self {
        Self {
            socket: root.join("socket"),
            machine_id: root.join("machine-id"),
            stores: vec![root.join("persistent"), root.join("volatile")],
        }
    }

    /// Lets it begin new files.
    pub(crate) fn rotate(&self) -> Result<(), ActionError> {
        let failed = |error: std::io::Error| {
            ActionError::failed(
                format!("asking journald at {} to begin new files", self.socket.display()),
                error,
            )
        };
        let answer = self.ask(ROTATE).map_err(failed)?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer).map_err(|error| failed(error.into()))?;
        match answer.get("error") {
            None => Ok(()),
            Some(error) => Err(failed(std::io::Error::other(format!("it answered {error}")))),
        }
    }

    fn ask(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_until(0, &mut answer)?;
        if answer.pop() == Some(0) {
            return Ok(answer);
        }
        Err(std::io::Error::other("it hung up before the end of its answer"))
    }

    /// Deletes archived files, the oldest first, until they take no more than `keep`. Returns how many, and their space.
    pub(crate) fn vacuum(&self, keep: ByteCount) -> Result<(u64, ByteCount), ActionError> {
        let directories = self.directories()?;
        let mut archived = Vec::new();
        for (store, (path, directory)) in directories.iter().enumerate() {
            list(directory, store, &mut archived).map_err(|error| {
                ActionError::failed(format!("listing the journal in {}", path.display()), error)
            })?;
        }
        archived.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        let mut left: u64 = archived.iter().map(|file| file.bytes).sum();
        let (mut files, mut bytes) = (0, 0);
        for file in archived {
            if left <= keep.0 {
                break;
            }
            let (path, directory) = directories.get(file.store).expect("it was listed there");
            delete(directory, &file).map_err(|error| {
                let path = path.join(OsStr::from_bytes(file.name.to_bytes()));
                let doing = format!("deleting {}, after {files} files of the journal", path.display());
                ActionError::failed(doing, error)
            })?;
            files += 1;
            bytes += file.bytes;
            left = left.saturating_sub(file.bytes);
        }
        Ok((files, ByteCount(bytes)))
    }

    /// The directories of this machine, as far as they are there.
    fn directories(&self) -> Result<Vec<(PathBuf, OwnedFd)>, ActionError> {
        let reading = || format!("reading {}", self.machine_id.display());
        let id = std::fs::read_to_string(&self.machine_id)
            .map_err(|error| ActionError::failed(reading(), error))?;
        let id = id.trim();
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ActionError::failed(reading(), "it holds no machine ID"));
        }
        let paths = self.stores.iter().map(|store| store.join(id));
        paths
            .filter(|path| path.is_dir())
            .map(|path| open_directory(&path).map(|open| (path, open)))
            .collect()
    }
}

fn list(directory: &OwnedFd, store: usize, archived: &mut Vec<Archived>) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_archived(name) {
            continue;
        }
        let Ok(stat) = look(directory, name) else { continue };
        if is_regular(&stat) {
            let (name, bytes) = (name.to_owned(), disk_space(&stat));
            let file = Archived { written: written(&stat), store, name, identity: identity(&stat), bytes };
            archived.push(file);
        }
    }
    Ok(())
}

/// `system@SEQNUM_ID-SEQNUM-TIME.journal` is archived, `system@TIME-RANDOM.journal~` was found broken; `system.journal` and
/// `user-1000.journal` are written to: `journal-vacuum.c` of systemd.
fn is_archived(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.contains(&b'@') && (name.ends_with(b".journal") || name.ends_with(b".journal~"))
}

fn delete(directory: &OwnedFd, file: &Archived) -> Result<(), Errno> {
    match look(directory, &*file.name) {
        // journald has its own limits, and was faster.
        Err(Errno::NOENT) => Ok(()),
        Ok(stat) if identity(&stat) == file.identity => unlinkat(directory, &*file.name, AtFlags::empty()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::SystemTime;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn journal() -> (tempfile::TempDir, Journal) {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("machine-id"), format!("{ID}\n")).unwrap();
        fs::create_dir_all(root.path().join("persistent").join(ID)).unwrap();
        let journal = Journal::within(root.path());
        (root, journal)
    }

    fn write(root: &Path, name: &str, age: u64) {
        let path = root.join("persistent").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![b'x'; 8192]).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000 - age);
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
    }

    #[test]
    fn only_archived_files_of_this_machine_are_deleted_the_oldest_first() {
        let (root, journal) = journal();
        let ours = |name: &str| format!("{ID}/{name}");
        for (name, age) in [
            ("system@old-1-1.journal", 300),
            ("user-1000@older-1-1.journal~", 400),
            ("system@new-1-1.journal", 100),
            ("system.journal", 900),
            ("user-1000.journal", 900),
            ("notes@mine.txt", 900),
        ] {
            write(root.path(), &ours(name), age);
        }
        write(root.path(), "ffffffffffffffffffffffffffffffff/system@other-1-1.journal", 900);
        std::os::unix::fs::symlink(
            root.path().join("machine-id"),
            root.path().join("persistent").join(ours("system@link-1-1.journal")),
        )
        .unwrap();
        assert_eq!(journal.vacuum(ByteCount(8192)), Ok((2, ByteCount(16384))));
        let left = fs::read_dir(root.path().join("persistent").join(ID)).unwrap();
        let mut left: Vec<String> =
            left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let expected = [
            "notes@mine.txt",
            "system.journal",
            "system@link-1-1.journal",
            "system@new-1-1.journal",
            "user-1000.journal",
        ];
        assert_eq!(left, expected);
        assert!(
            root.path().join("persistent/ffffffffffffffffffffffffffffffff/system@other-1-1.journal").exists()
        );
        assert_eq!(journal.vacuum(ByteCount(8192)), Ok((0, ByteCount(0))));
    }

    #[test]
    fn a_host_without_an_identity_loses_nothing() {
        let (root, journal) = journal();
        write(root.path(), "system@old-1-1.journal", 300);
        for id in ["", "..", "uninitialized\n"] {
            fs::write(root.path().join("machine-id"), id).unwrap();
            assert!(journal.vacuum(ByteCount(0)).is_err());
        }
        assert!(root.path().join("persistent/system@old-1-1.journal").exists());
    }

    /// Answers one request, and returns it.
    fn journald(root: &Path, answer: &'static [u8]) -> std::thread::JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(root.join("socket")).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; ROTATE.len()];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer).unwrap();
            request
        })
    }

    #[test]
    fn journald_is_asked_and_what_it_says_is_heard() {
        for (answer, said) in [
            (&b"{\"parameters\":{}}\0"[..], None),
            (
                b"{\"error\":\"io.systemd.Journal.NotSupportedByNamespaces\",\"parameters\":{}}\0",
                Some("io.systemd.Journal.NotSupportedByNamespaces"),
            ),
            (b"{\"parameters\":", Some("hung up before the end")),
            (b"yes\0", Some("expected value")),
        ] {
            let (root, journal) = journal();
            let service = journald(root.path(), answer);
            let result = journal.rotate();
            assert_eq!(service.join().unwrap(), ROTATE);
            match said {
                None => assert_eq!(result, Ok(())),
                Some(said) => {
                    let error = telemetry::with_causes(&result.unwrap_err());
                    assert!(error.contains(said), "{error}");
                }
            }
        }
    }

    #[test]
    fn without_journald_the_error_names_its_socket() {
        let (root, journal) = journal();
        let said = journal.rotate().unwrap_err().to_string();
        assert!(said.contains(&root.path().join("socket").display().to_string()), "{said}");
    }
}
