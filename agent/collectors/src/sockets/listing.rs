//! Counts the lines of `/proc/net/tcp` and its likes by their column `st`, without holding more than a piece of the file.

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use super::{Counts, MOST_SOCKETS};
use crate::error::{CollectError, at_most};
use crate::host::{HostRoot, display};

/// Read at a time, in bytes; the kernel gives a page or so.
const PIECE: usize = 32 << 10;

/// Adds the sockets that process 1 sees in `file`, or this process where 1 is hidden; `false` when it is not there.
pub(super) fn count(
    host: &HostRoot,
    file: &str,
    buffer: &mut Vec<u8>,
    counts: &mut Counts,
) -> Result<bool, CollectError> {
    let open = |of: &str| {
        let path = host.path(format!("proc/{of}/net/{file}"));
        openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
            .map(|file| (file, display(&path)))
    };
    let Ok((file, path)) = open("1").or_else(|_| open("self")) else { return Ok(false) };
    buffer.resize(PIECE, 0);
    let mut lines = Lines::default();
    loop {
        match rustix::io::read(&file, buffer.as_mut_slice()) {
            Ok(0) => return Ok(true),
            Ok(length) => lines.take(buffer.get(..length).unwrap_or_default(), counts),
            Err(Errno::INTR) => {}
            Err(source) => return Err(CollectError::Read { path, source }),
        }
        at_most(MOST_SOCKETS, lines.number, &path, "sockets")?;
    }
}

/// Where in the text one is.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Lines that ended; the first is the titles.
    number: usize,
    /// Columns of this line that began.
    column: usize,
    in_column: bool,
    /// Of the column that says the state.
    state: usize,
}

impl Lines {
    /// `  0: 0100007F:0016 00000000:0000 0A ...`: the state is the 4th column, in hexadecimal digits.
    const STATE: usize = 4;

    pub(crate) fn take(&mut self, piece: &[u8], counts: &mut Counts) {
        for byte in piece {
            if byte.is_ascii_whitespace() {
                if self.in_column && self.column == Self::STATE && self.number > 0 {
                    counts.add(self.state);
                }
                self.in_column = false;
                if *byte == b'\n' {
                    *self = Self { number: self.number + 1, ..Self::default() };
                }
                continue;
            }
            if !self.in_column {
                self.in_column = true;
                self.column += 1;
            }
            if self.column == Self::STATE {
                let digit = char::from(*byte).to_digit(16).map_or(usize::MAX, |digit| digit as usize);
                self.state = self.state.saturating_mul(16).saturating_add(digit);
            }
        }
    }
}
