//! A record under way: what a format finds in a line becomes the part of the record that it means.

use telemetry::{LogScalar, LogWriter, Timestamp};

use super::options::RecordOptions;
use super::repeats::grouped;
use super::roles::Role;

/// The line's text, of which each part is a slice unless it had escapes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    /// In decimal, as JSON writes numbers.
    Number(&'a [u8]),
    Bool(bool),
    Null,
}

impl<'a> Value<'a> {
    pub(super) fn scalar(self) -> LogScalar<'a> {
        match self {
            Self::Text(text) => LogScalar::Text(text),
            Self::Number(digits) => number(digits),
            Self::Bool(answer) => LogScalar::Bool(answer),
            Self::Null => LogScalar::Empty,
        }
    }

    const fn written(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Bool(_) | Self::Null => None,
        }
    }
}

/// A whole number where it is one that fits, else the nearest that there is.
pub(super) fn number(digits: &[u8]) -> LogScalar<'_> {
    if digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit) {
        return LogScalar::Int(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')));
    }
    let Ok(text) = std::str::from_utf8(digits) else { return LogScalar::Bytes(digits) };
    if let Ok(number) = text.parse() {
        return LogScalar::Int(number);
    }
    match text.parse() {
        Ok(number) => LogScalar::Double(number),
        Err(_) => LogScalar::Text(digits),
    }
}

/// A record to which a format adds what it finds.
#[expect(clippy::struct_excessive_bools, reason = "each says of a part whether the record has it")]
pub(super) struct Draft<'a> {
    pub(super) writer: LogWriter<'a>,
    pub(super) options: &'a RecordOptions,
    pub(super) now: Timestamp,
    /// How often the record came again, if it says that.
    again: u64,
    /// Kept until it is known whether there is a better body.
    event: &'a mut Vec<u8>,
    has_event: bool,
    pub(super) has_body: bool,
    pub(super) has_time: bool,
    pub(super) severity: u8,
    has_trace: bool,
    has_span: bool,
    /// It is no error by its severity, but tells of one.
    pub(super) is_failure: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        writer: LogWriter<'a>,
        options: &'a RecordOptions,
        event: &'a mut Vec<u8>,
        again: u64,
        now: Timestamp,
    ) -> Self {
        Self {
            writer,
            options,
            now,
            again,
            event,
            has_event: false,
            has_body: false,
            has_time: false,
            severity: 0,
            has_trace: false,
            has_span: false,
            is_failure: false,
        }
    }

    /// A field at the top of a line: part of the record where its name says so and its value is understood, else an
    /// attribute.
    pub(super) fn field(&mut self, key: &[u8], value: Value<'_>) {
        let role = self.options.roles.of(key);
        if !role.is_some_and(|role| self.take(role, value)) {
            self.writer.attribute(key, value.scalar());
        }
    }

    /// Whether a value has become the part of the record that its role says.
    pub(super) fn take(&mut self, role: Role, value: Value<'_>) -> bool {
        let Some(text) = value.written() else { return false };
        match role {
            Role::Time => self.time(text),
            Role::Severity => self.severity(text),
            Role::Message => !self.has_body && self.body(value),
            Role::Event => self.event(value),
            Role::Trace => self.trace(text) || self.traceparent(text),
            Role::Span => self.span(text),
            Role::Flags => self.flags(text),
            Role::Traceparent => self.traceparent(text),
            Role::Fields => false,
        }
    }

    pub(super) fn time(&mut self, text: &[u8]) -> bool {
        if self.has_time {
            return false;
        }
        match self.options.time.read(text, self.now) {
            Some(time) => self.moment(time),
            None => false,
        }
    }

    pub(super) fn moment(&mut self, time: Timestamp) -> bool {
        self.writer.set_time(time);
        self.has_time = true;
        true
    }

    pub(super) fn severity(&mut self, word: &[u8]) -> bool {
        let Some(number) = self.options.severities.of(word).filter(|_| self.severity == 0) else {
            return false;
        };
        self.grave(number, word);
        true
    }

    pub(super) fn grave(&mut self, number: u8, word: &[u8]) {
        self.writer.set_severity(number, word);
        self.severity = number;
    }

    pub(super) fn body(&mut self, value: Value<'_>) -> bool {
        match value {
            Value::Text(text) if self.again > 0 => {
                let mut body = format!("repeated {} times: ", grouped(self.again)).into_bytes();
                body.extend_from_slice(text);
                self.writer.set_body(LogScalar::Text(&body));
            }
            value => drop(self.writer.set_body(value.scalar())),
        }
        self.has_body = true;
        true
    }

    fn event(&mut self, value: Value<'_>) -> bool {
        let Value::Text(text) = value else { return false };
        if self.has_event {
            return false;
        }
        self.event.clear();
        self.event.extend_from_slice(text);
        self.has_event = true;
        true
    }

    fn trace(&mut self, text: &[u8]) -> bool {
        let Some(trace) = hex::<16>(text).filter(|_| !self.has_trace) else { return false };
        self.writer.set_trace(trace);
        self.has_trace = true;
        true
    }

    fn span(&mut self, text: &[u8]) -> bool {
        let Some(span) = hex::<8>(text).filter(|_| !self.has_span) else { return false };
        self.writer.set_span(span);
        self.has_span = true;
        true
    }

    fn flags(&mut self, text: &[u8]) -> bool {
        let flags = match text {
            [digit @ b'0'..=b'9'] => Some([digit - b'0']),
            text => digits(text),
        };
        flags.is_some_and(|[flags]| {
            self.writer.set_flags(u32::from(flags));
            true
        })
    }

    /// W3C's `00-<trace>-<span>-<flags>`.
    fn traceparent(&mut self, text: &[u8]) -> bool {
        let mut parts = text.split(|byte| *byte == b'-');
        let version = parts.next().and_then(digits::<1>).filter(|version| *version != [0xff]);
        let (trace, span) = (parts.next().and_then(hex), parts.next().and_then(hex));
        let flags = parts.next().and_then(digits::<1>);
        let (Some(_), Some(trace), Some(span), Some([flags])) = (version, trace, span, flags) else {
            return false;
        };
        if self.has_trace {
            return false;
        }
        self.writer.set_trace(trace).set_span(span).set_flags(u32::from(flags));
        (self.has_trace, self.has_span) = (true, true);
        true
    }

    /// Ends the message of a line that has more: it is the body where there is no better one.
    pub(super) fn end_message(&mut self, message: &[u8]) {
        self.place_event();
        if !self.has_body {
            self.body(Value::Text(message));
        }
    }

    /// Ends the record of `line`: it has a body now.
    pub(super) fn end(&mut self, line: &[u8]) {
        self.place_event();
        if !self.has_body {
            self.body(Value::Text(line));
        } else if self.options.settings().original {
            self.writer.attribute(b"log.record.original", LogScalar::Text(line));
        }
        if self.again > 0 {
            self.writer.attribute(b"hostmend.log.repeated", LogScalar::Int(self.again as i64));
        }
    }

    fn place_event(&mut self) {
        if std::mem::take(&mut self.has_event) {
            let event = std::mem::take(self.event);
            if self.has_body {
                self.writer.attribute(b"event", LogScalar::Text(&event));
            } else {
                self.body(Value::Text(&event));
            }
            *self.event = event;
        }
    }
}

/// An id: so many bytes in hexadecimal digits, not all zero.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    digits(text).filter(|bytes: &[u8; N]| bytes.iter().any(|byte| *byte != 0))
}

fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(*high)? * 16 + digit(*low)?) as u8;
    }
    Some(bytes)
}
