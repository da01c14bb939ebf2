//! Sockets that are listened on, and the streams that come from them.

use std::fs::Permissions;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::server::TlsStream;

use super::ReceiverError;
use super::listener::ListenAddress;

/// A socket that is bound but not yet listened to by a task.
pub(crate) enum Bound {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, SocketFile),
}

impl Bound {
    pub(crate) fn new(address: &ListenAddress, mode: u32) -> Result<Self, ReceiverError> {
        let binding = |source: io::Error| match source.kind() {
            ErrorKind::AddrInUse => ReceiverError::AddressInUse { address: address.clone() },
            _ => ReceiverError::Bind { address: address.clone(), source },
        };
        match address {
            ListenAddress::Tcp(at) => {
                let socket = StdTcpListener::bind(at).map_err(binding)?;
                socket.set_nonblocking(true).map_err(binding)?;
                Ok(Self::Tcp(socket))
            }
            ListenAddress::Unix(path) => {
                remove_stale(path).map_err(binding)?;
                let socket = StdUnixListener::bind(path).map_err(binding)?;
                let file = SocketFile::of(path).map_err(binding)?;
                set_mode(path, mode).map_err(binding)?;
                socket.set_nonblocking(true).map_err(binding)?;
                Ok(Self::Unix(socket, file))
            }
        }
    }

    /// The TCP address, with the port that was picked.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Must be called inside the runtime.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(socket) => Listening::Tcp(TcpListener::from_std(socket)?),
            Self::Unix(socket, file) => Listening::Unix(UnixListener::from_std(socket)?, file),
        })
    }
}

/// Sets the mode of the socket at `path`. Follows no link: whoever may write in its directory could have put one to any
/// file there.
pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let file = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if !FileType::from_raw_mode(fstat(&file)?.st_mode).is_socket() {
        return Err(no_socket());
    }
    // By its path alone a file opened as a path cannot be changed, by its descriptor's it can.
    std::fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), Permissions::from_mode(mode))
}

fn no_socket() -> io::Error {
    io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket")
}

/// Removes a socket on which nobody listens any more. Anything else at `path` is left and is in the way.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() && is_dead(path)? => std::fs::remove_file(path),
        Ok(file) if file.file_type().is_socket() => Err(ErrorKind::AddrInUse.into()),
        Ok(_) => Err(no_socket()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether nobody listens at the socket `path`. Does not wait for a listener whose backlog is full.
fn is_dead(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&socket, &SocketAddrUnix::new(path)?) == Err(Errno::CONNREFUSED))
}

/// The file of a Unix socket. Dropping it removes the file, unless it is another's by now.
pub(crate) struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: id(path)? })
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            // When it stays, the next start finds it stale.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket that gives connections.
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file when dropped")] SocketFile),
}

impl Listening {
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // Answers are small and wait for nothing.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(socket, _) => socket.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// A connection of any kind: one type, so that the protocols are compiled once.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that notes that something was read.
pub(crate) struct Noted {
    stream: Stream,
    was_read: Arc<AtomicBool>,
}

impl Noted {
    pub(crate) const fn new(stream: Stream, was_read: Arc<AtomicBool>) -> Self {
        Self { stream, was_read }
    }
}

/// Passes a call on to whichever stream it is.
macro_rules! pass {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.stream {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Noted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = self.get_mut();
        let polled = pass!(this, stream => stream.poll_read(context, buffer));
        if buffer.filled().len() > before {
            this.was_read.store(true, Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Noted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        pass!(this, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        pass!(this, stream => stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        pass!(this, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        pass!(this, stream => stream.poll_shutdown(context))
    }
}
