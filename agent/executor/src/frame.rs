//! One message on a Unix socket: a line of JSON.
//!
//! Whoever is at the other end may send too much, too little, nothing, or one byte a second. A message has a largest
//! size and a moment until which it must be there or gone, so each costs seconds at most. What follows its line is
//! never read.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::children::Deadline;

/// The longest line, its end included. The longest action is a path and two numbers, the longest answer a few texts of
/// bounded length.
pub(crate) const MAX_FRAME_BYTES: usize = 64 << 10;

/// The least that is waited: a timeout of zero would mean for ever.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// A message that did not cross.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("it is longer than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    #[error("the connection ended after {0} bytes, before the end of the line")]
    CutOff(usize),
    #[error("the time for it was over")]
    Late,
    #[error("the connection failed")]
    Io(#[source] std::io::Error),
    #[error("it is not a message of this version")]
    NotAMessage(#[source] serde_json::Error),
}

impl From<std::io::Error> for FrameError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Late,
            _ => Self::Io(error),
        }
    }
}

/// Receives one message.
pub(crate) fn receive<T: DeserializeOwned>(stream: &UnixStream, until: Deadline) -> Result<T, FrameError> {
    read(Timed { stream, until })
}

/// Reads one message.
pub(crate) fn read<T: DeserializeOwned>(from: impl Read) -> Result<T, FrameError> {
    let line = read_line(from)?;
    serde_json::from_slice(&line).map_err(FrameError::NotAMessage)
}

/// Sends one message.
pub(crate) fn send(stream: &UnixStream, message: &impl Serialize, until: Deadline) -> Result<(), FrameError> {
    let mut line = serde_json::to_vec(message).map_err(FrameError::NotAMessage)?;
    line.push(b'\n');
    if line.len() > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong);
    }
    Ok(Timed { stream, until }.write_all(&line)?)
}

/// The first line, without its end.
fn read_line(mut from: impl Read) -> Result<Vec<u8>, FrameError> {
    let mut line = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match from.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        };
        let chunk = chunk.get(..read).unwrap_or_default();
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = chunk.get(..end.unwrap_or(read)).unwrap_or_default();
        // The line's end counts.
        if line.len() + part.len() >= MAX_FRAME_BYTES {
            return Err(FrameError::TooLong);
        }
        line.extend_from_slice(part);
        if end.is_some() {
            return Ok(line);
        }
        if read == 0 {
            return Err(FrameError::CutOff(line.len()));
        }
    }
}

/// A socket on which all reads and writes together end at one moment.
struct Timed<'a> {
    stream: &'a UnixStream,
    until: Deadline,
}

impl Timed<'_> {
    fn remaining(&self) -> std::io::Result<Option<Duration>> {
        let remaining = self.until.remaining();
        if remaining.is_zero() {
            Err(ErrorKind::TimedOut.into())
        } else {
            Ok(Some(remaining.max(LEAST_WAIT)))
        }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(self.remaining()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(self.remaining()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes in pieces of these sizes, then the rest byte by byte.
    struct Pieces<'a> {
        bytes: &'a [u8],
        sizes: std::slice::Iter<'a, usize>,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let size = self.sizes.next().copied().unwrap_or(1).min(buffer.len()).min(self.bytes.len());
            let (piece, rest) = self.bytes.split_at(size);
            buffer[..size].copy_from_slice(piece);
            self.bytes = rest;
            Ok(size)
        }
    }

    proptest! {
        #[test]
        fn a_line_is_the_same_however_it_is_cut(
            bytes in proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'\n')], 0..300),
            sizes in proptest::collection::vec(1_usize..90, 0..20),
        ) {
            let read = read_line(Pieces { bytes: &bytes, sizes: sizes.iter() });
            match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => prop_assert_eq!(read.unwrap(), &bytes[..end]),
                None => prop_assert!(matches!(read, Err(FrameError::CutOff(at)) if at == bytes.len())),
            }
        }

        #[test]
        fn a_line_is_read_up_to_its_limit_and_no_further(over in 0_usize..3, size in 1_usize..9000) {
            let mut bytes = vec![b'x'; MAX_FRAME_BYTES - 2 + over];
            bytes.push(b'\n');
            let sizes = vec![size; bytes.len()];
            let read = read_line(Pieces { bytes: &bytes, sizes: sizes.iter() });
            prop_assert_eq!(read.is_ok(), bytes.len() <= MAX_FRAME_BYTES);
        }
    }

    #[test]
    fn whoever_sends_a_byte_now_and_then_gets_no_more_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let dripping = std::thread::spawn(move || while (&theirs).write_all(b"x").is_ok() {});
        let until = Deadline::after(Duration::ZERO);
        assert!(matches!(receive::<u8>(&ours, until), Err(FrameError::Late)));
        drop(ours);
        dripping.join().unwrap();
    }
}
