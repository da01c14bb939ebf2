//! Joins lines to records: the parts into which a container's line was cut, and the lines of a stack trace.

use std::time::Duration;

use telemetry::Timestamp;

use super::options::Joining;

/// How many lines a record can have. At the limit it ends, counted, and what follows begins another one.
const LINES: u32 = 1_000;

/// How large a record of many lines can become, in bytes; four times a deep trace of Java. At the limit it ends, counted,
/// and what follows begins another one.
pub(super) const RECORD_BYTES: usize = 1 << 18;

/// How large a line of many parts can become, in bytes; as large as a line of a file may be by default. At the limit it
/// ends, counted, and what follows begins another one.
pub(super) const LINE_BYTES: usize = 1 << 20;

/// How much memory is kept for the next record, in bytes.
const KEPT_BYTES: usize = 1 << 14;

/// What is known of a text beside itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Where it begins in the stream.
    pub(super) begins_at: u64,
    /// Which of a container's two streams wrote it.
    pub(super) stream: Option<Stream>,
    /// When its envelope says that it was written.
    pub(super) time: Option<Timestamp>,
    /// It went on beyond a limit.
    pub(super) is_cut: bool,
}

impl About {
    /// Whether none of it becomes part of the record.
    pub(super) const fn says_nothing(&self) -> bool {
        self.stream.is_none() && self.time.is_none() && !self.is_cut
    }
}

/// One of the two streams of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"stdout" => Some(Self::Stdout),
            b"stderr" => Some(Self::Stderr),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A text that may go on.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) text: Vec<u8>,
    pub(super) about: About,
    lines: u32,
    /// When the last line came.
    since: Timestamp,
    trace: Trace,
}

impl Held {
    pub(super) const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Begins with a first line.
    pub(super) fn begin(&mut self, line: &[u8], about: About, now: Timestamp) {
        self.clear();
        self.text.extend_from_slice(line);
        (self.about, self.lines, self.since) = (about, 1, now);
        self.trace.see(line);
    }

    /// Whether there is room for `line` within a limit in bytes.
    pub(super) const fn takes(&self, line: &[u8], limit: usize) -> bool {
        self.lines < LINES && self.text.len() + line.len() < limit
    }

    /// Appends a line, after `between`.
    pub(super) fn append(&mut self, between: &[u8], line: &[u8], is_cut: bool, now: Timestamp) {
        self.text.extend_from_slice(between);
        self.text.extend_from_slice(line);
        self.about.is_cut |= is_cut;
        (self.lines, self.since) = (self.lines + 1, now);
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        (self.lines, self.trace) = (0, Trace::default());
    }

    /// When it has waited for `patience`.
    pub(super) fn due(&self, patience: Duration) -> Option<Timestamp> {
        (!self.is_empty()).then(|| self.since.plus(patience))
    }

    /// Whether `line` belongs to what is held.
    pub(super) fn goes_on(&mut self, joining: &Joining, line: &[u8]) -> bool {
        match joining {
            Joining::Start(pattern) => !pattern.is_match(line),
            Joining::Continuation(pattern) => pattern.is_match(line),
            Joining::Indented => is_indented(line),
            Joining::StackTraces => self.trace.goes_on(line),
        }
    }
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Which kind of trace the lines so far are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trace {
    /// Only indented lines, and causes, go on.
    #[default]
    None,
    /// After `Traceback`: the first line that is not indented says what was raised.
    Python,
    /// After that line: perhaps another traceback follows.
    Raised,
    /// After `panic:` or `goroutine`: functions are not indented.
    Go,
    /// After an empty line between goroutines.
    GoBetween,
    /// After `thread … panicked at`: the message.
    Rust,
    /// After the message of a panic.
    RustAfter,
}

impl Trace {
    /// Whether the line belongs to the lines before it.
    fn goes_on(&mut self, line: &[u8]) -> bool {
        let belongs = self.belongs(line);
        if belongs {
            self.advance(line);
        }
        belongs
    }

    fn belongs(self, line: &[u8]) -> bool {
        if is_indented(line) && !line.trim_ascii().is_empty() {
            return true;
        }
        let begins = |with: &[&[u8]]| with.iter().any(|with| line.starts_with(with));
        if begins(&[
            b"Caused by: ",
            b"Suppressed: ",
            b"Traceback (most recent call last)",
            b"stack backtrace:",
        ]) {
            return true;
        }
        match self {
            Self::None => line == b"}" || begins(&[b"goroutine "]) || is_exception(line),
            Self::Python | Self::Rust => true,
            Self::Raised => {
                line.trim_ascii().is_empty()
                    || begins(&[b"During handling of the above", b"The above exception was the direct cause"])
            }
            Self::Go => {
                line.is_empty()
                    || begins(&[b"created by ", b"goroutine ", b"exit status ", b"[signal "])
                    || is_call(line)
            }
            Self::GoBetween => begins(&[b"goroutine ", b"exit status "]),
            Self::RustAfter => {
                begins(&[b"note: run with `RUST_BACKTRACE", b"note: Some details are omitted"])
            }
        }
    }

    fn advance(&mut self, line: &[u8]) {
        *self = match *self {
            Self::Python if is_indented(line) || line.is_empty() => Self::Python,
            Self::Python => Self::Raised,
            Self::Rust => Self::RustAfter,
            Self::Go if line.is_empty() => Self::GoBetween,
            before => before,
        };
        self.see(line);
    }

    /// Sees how a trace begins.
    fn see(&mut self, line: &[u8]) {
        if line.starts_with(b"Traceback (most recent call last)") {
            *self = Self::Python;
        } else if line.starts_with(b"panic: ")
            || line.starts_with(b"goroutine ")
            || line.starts_with(b"fatal error: ")
        {
            *self = Self::Go;
        } else if line.starts_with(b"thread '") && memchr::memmem::find(line, b"' panicked at ").is_some()
            || line.starts_with(b"thread '") && memchr::memmem::find(line, b") panicked at ").is_some()
        {
            *self = Self::Rust;
        }
    }
}

/// `java.lang.IllegalStateException: message`: after the line that the program logged with it.
fn is_exception(line: &[u8]) -> bool {
    let end =
        line.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')));
    let (name, rest) = line.split_at_checked(end.unwrap_or(line.len())).unwrap_or_default();
    let is_thrown = [&b"Exception"[..], b"Error", b"Throwable"].iter().any(|kind| name.ends_with(kind));
    is_thrown && name.contains(&b'.') && (rest.is_empty() || rest.starts_with(b": "))
}

/// `main.(*Server).run(0xc000, …)`
fn is_call(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b'(').next().unwrap_or_default();
    line.ends_with(b")") && name.contains(&b'.') && !name.contains(&b' ')
}
