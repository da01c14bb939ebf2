//! The Unix socket of the API: made so that everybody can connect, and removed with the agent.
//!
//! The file's mode decides nothing, the caller's groups do: an ordinary user gets an answer that says which group would be
//! needed. A socket that a dead agent left behind is replaced; one at which an agent answers is not.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use anyhow::{Context, bail};
use rustix::fs::{Mode, chmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// A socket that is listened at.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: Path,
}

/// Where it lies; removed when dropped.
#[derive(Debug)]
pub(super) struct Path(PathBuf);

impl Drop for Path {
    fn drop(&mut self) {
        // Another may have taken it away.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Listens at `path`.
    pub(super) fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
        if is_socket {
            if !is_dead(path).with_context(|| format!("looking who listens at {shown}"))? {
                bail!("another agent answers at {shown}; stop it, or name another path as api.socket");
            }
            std::fs::remove_file(path).with_context(|| format!("removing the dead socket {shown}"))?;
        }
        let listener = listen(path).with_context(|| {
            format!("listening at {shown}; name a path as api.socket that this user may make, of 107 bytes at most")
        })?;
        Ok(Self { listener, path: Path(path.to_owned()) })
    }

    pub(super) fn into_parts(self) -> (UnixListener, Path) {
        (self.listener, self.path)
    }
}

/// Whether nobody listens there. Does not wait for a listener whose backlog is full.
fn is_dead(path: &std::path::Path) -> std::io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&socket, &SocketAddrUnix::new(path)?) == Err(Errno::CONNREFUSED))
}

fn listen(path: &std::path::Path) -> std::io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Its file is made under the umask of the agent. What is not listened at yet refuses connections, so nobody is early.
    chmod(path, Mode::from_raw_mode(0o666))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        let first = Socket::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
        let error = Socket::open(&path).unwrap_err().to_string();
        assert!(error.contains("another agent answers at"), "{error}");
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_of_another_kind_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let _datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert!(Socket::open(&path).is_err());
        assert!(path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        std::fs::write(&path, "notes").unwrap();
        assert!(Socket::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
    }
}
