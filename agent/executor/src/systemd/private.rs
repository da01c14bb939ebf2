//! systemd's private socket, made readable for a D-Bus library.
//!
//! systemd puts its name into what it sends there, `org.freedesktop.systemd1` as the sender. The specification wants a
//! unique name in that place, and zbus refuses a whole message for it. So on its way in the name becomes one, of the same
//! length: `:rg.freedesktop.systemd1`.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use async_trait::async_trait;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::Connection;
use zbus::connection::Builder;
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};

/// The first part of a message, of fixed size: the D-Bus specification, "Message Format".
const PRIMARY_HEADER_BYTES: usize = 16;

/// The largest message; what systemd says about a unit or a job is some hundred bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The longest line of the handshake: `OK` and a number of 32 digits.
const MAX_LINE_BYTES: usize = 256;

const SENDER: &[u8] = b"org.freedesktop.systemd1";

/// The code of the field for the sender, and the signature of its value: one string.
const SENDER_FIELD: [u8; 4] = [7, 1, b's', 0];

/// Connects as the user that this process is.
pub(super) async fn connect(path: &Path) -> zbus::Result<Connection> {
    let stream = UnixStream::connect(path).await?;
    let guid = shake_hands(&stream).await?;
    Builder::authenticated_socket(Private(stream), guid.as_str()).p2p().build().await
}

/// The D-Bus specification, "Authentication Protocol": the mechanism EXTERNAL, without passing descriptors. All at once, as
/// systemd's own library does it: a first message that came together with `BEGIN` would lie in systemd's buffer, and be
/// looked at only when more comes.
async fn shake_hands(stream: &UnixStream) -> Result<String> {
    // In hexadecimal, as which the digit 7 is 37.
    let user = rustix::process::geteuid().as_raw().to_string();
    let user: String = user.chars().flat_map(|digit| ['3', digit]).collect();
    write_all(stream, format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes()).await?;
    let line = read_line(stream).await?;
    let guid =
        line.strip_prefix("OK ").ok_or_else(|| Error::other(format!("it answered {line:?}, not OK")))?;
    Ok(guid.trim_end().to_owned())
}

async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            written => bytes = bytes.get(written?..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Nothing follows the line before the first message is sent.
async fn read_line(stream: &UnixStream) -> Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() < MAX_LINE_BYTES {
        stream.readable().await?;
        let mut chunk = [0; MAX_LINE_BYTES];
        match stream.try_read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            read => line.extend_from_slice(chunk.get(..read?).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

struct Private(UnixStream);

impl Socket for Private {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { socket: read, message: Vec::new(), taken: 0 }, Writer(write))
    }
}

/// Takes whole messages from the socket, and hands them out in the pieces that are asked for.
#[derive(Debug)]
struct Reader {
    socket: OwnedReadHalf,
    message: Vec<u8>,
    taken: usize,
}

impl Reader {
    /// Reads the next message; an empty one at the end.
    async fn next_message(&mut self) -> Result<()> {
        self.message.clear();
        self.taken = 0;
        if self.read_up_to(PRIMARY_HEADER_BYTES).await? {
            let (fields, whole) = lengths(&self.message)?;
            if !self.read_up_to(whole).await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            make_sender_unique(&mut self.message, fields);
        }
        Ok(())
    }

    /// Reads until the message has this length; not so if the socket ends before.
    async fn read_up_to(&mut self, length: usize) -> Result<bool> {
        let mut read = self.message.len();
        self.message.resize(length, 0);
        while read < length {
            self.socket.readable().await?;
            match self.socket.try_read(self.message.get_mut(read..).unwrap_or_default()) {
                Ok(0) if read == 0 => {
                    self.message.clear();
                    return Ok(false);
                }
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(more) => read += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
        if self.taken >= self.message.len() {
            self.next_message().await?;
        }
        let left = self.message.get(self.taken..).unwrap_or_default();
        let piece = left.get(..buffer.len()).unwrap_or(left);
        buffer.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        self.taken += piece.len();
        Ok((piece.len(), Vec::new()))
    }
}

#[derive(Debug)]
struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, buffer: &[u8], _: &[BorrowedFd<'_>]) -> Result<usize> {
        loop {
            self.0.writable().await?;
            match self.0.try_write(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    async fn close(&mut self) -> Result<()> {
        // Dropping it ends it.
        Ok(())
    }
}

/// How long the header's fields and the whole message are.
fn lengths(header: &[u8]) -> Result<(usize, usize)> {
    let number = |at: usize| {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        let number =
            if header.first() == Some(&b'B') { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(number).ok()
    };
    let read = || {
        let fields = PRIMARY_HEADER_BYTES.checked_add(number(12)?)?;
        let whole = fields.checked_next_multiple_of(8)?.checked_add(number(4)?)?;
        (whole <= MAX_MESSAGE_BYTES).then_some((fields, whole))
    };
    read().ok_or_else(|| Error::other(format!("a message is longer than {MAX_MESSAGE_BYTES} bytes")))
}

/// A string holds no NUL, so what the field begins with is found nowhere but at its beginning.
fn make_sender_unique(message: &mut [u8], fields_end: usize) {
    let length = SENDER.len() as u32;
    let big = message.first() == Some(&b'B');
    let length = if big { length.to_be_bytes() } else { length.to_le_bytes() };
    let field = [&SENDER_FIELD[..], &length, SENDER, b"\0"].concat();
    let fields = message.get_mut(PRIMARY_HEADER_BYTES..fields_end).unwrap_or_default();
    let found = fields.windows(field.len()).position(|window| window == field);
    let name = found.map(|at| at + SENDER_FIELD.len() + length.len());
    if let Some(first) = name.and_then(|at| fields.get_mut(at)) {
        *first = b':';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::Message;

    #[test]
    fn a_sender_that_is_systemd_s_name_becomes_a_unique_one_and_nothing_else_changes() {
        let body = (7_u32, "org.freedesktop.systemd1", "\u{7}\u{1}s");
        let signal =
            Message::signal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved");
        let message = signal.sender(":rg.freedesktop.systemd1").build(&body).unwrap();
        let wanted = message.data().to_vec();
        let colon = wanted.windows(3).position(|window| window == b":rg").unwrap();
        let mut sent = wanted.clone();
        sent[colon] = b'o';
        let (fields, whole) = lengths(&sent).unwrap();
        assert_eq!(whole, sent.len());
        make_sender_unique(&mut sent, fields);
        assert_eq!(sent, wanted);
    }

    #[test]
    fn a_message_without_that_sender_stays_as_it_is() {
        let signal =
            Message::signal("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved");
        let message = signal.build(&"org.freedesktop.systemd1").unwrap();
        let mut bytes = message.data().to_vec();
        let (fields, _) = lengths(&bytes).unwrap();
        make_sender_unique(&mut bytes, fields);
        assert_eq!(bytes, message.data().to_vec());
    }

    #[test]
    fn a_length_beyond_reason_is_refused() {
        for bytes in [[0xff; 16], *b"l\x01\0\x01\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff", [b'B'; 16]] {
            assert!(lengths(&bytes).is_err());
        }
        assert!(lengths(b"l").is_err());
    }
}
