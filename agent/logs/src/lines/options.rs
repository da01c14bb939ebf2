//! What is made of lines, as it was configured, checked and ready for use.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex::bytes::{Regex, RegexBuilder};

use super::roles::Roles;
use super::severity::Severities;
use super::time::TimeRule;

/// How large a pattern may become once compiled, in bytes. A larger one is refused.
const COMPILED_BYTES: usize = 1 << 20;

/// How long a record that may go on waits for its next line, unless told otherwise.
const FLUSH: Duration = Duration::from_secs(1);

/// How a line is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LineFormat {
    /// The line is the body.
    #[default]
    Plain,
    /// A JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 3164 or 5424, with or without `<PRI>`, as files and sockets have it.
    Syslog,
    /// The access log of nginx and Apache: common or combined, with a virtual host before and durations after it.
    Access,
    /// The error log of nginx and Apache.
    ErrorLog,
    /// What containerd and CRI-O write for a container.
    Cri,
    /// What Docker's `json-file` writes for a container.
    Docker,
    /// A regular expression whose named groups are the fields.
    Pattern(String),
}

/// Which lines together are one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Multiline {
    /// A line that matches begins a record.
    Start(String),
    /// A line that matches belongs to the record before it.
    Continuation(String),
    /// A line that begins with a space or a tab belongs to the record before it.
    Indented,
    /// Stack traces of Java, Python, Go, Node and Rust belong to the line before them.
    StackTraces,
}

/// Which fields of a record mean what. Where one is not named, the usual names of logging libraries are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldNames {
    /// When it happened.
    pub time: Option<String>,
    /// How grave it is.
    pub severity: Option<String>,
    /// What becomes the body.
    pub message: Option<String>,
    /// The trace, in 32 hexadecimal digits, or a whole W3C `traceparent`.
    pub trace: Option<String>,
    /// The span, in 16 hexadecimal digits.
    pub span: Option<String>,
}

/// What is made of the lines of a source, as it is configured; plain lines by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordSettings {
    /// How a line is read.
    pub format: LineFormat,
    /// How the text inside is read where the format only wraps it: `Cri`, `Docker`, `Syslog`.
    pub inner: Option<LineFormat>,
    /// Which fields mean what.
    pub fields: FieldNames,
    /// How the time is written: `unix`, `unix_ms`, `unix_us`, `unix_ns` or as for `strftime`; by default what is usual
    /// for the format is recognised.
    pub time_format: Option<String>,
    /// The IANA name of the zone of times that say none.
    pub zone: Option<String>,
    /// The zone where `zone` is not given: the host's; UTC by default.
    pub host_zone: Option<TimeZone>,
    /// Words of this source for `SeverityNumber`s, 1 to 24; they go before the usual ones. Case does not matter.
    pub severities: Vec<(String, u8)>,
    /// Whether severities 0 to 7 are syslog's.
    pub syslog_severities: bool,
    /// Which lines together are one record; each for itself by default.
    pub multiline: Option<Multiline>,
    /// How long a record that may go on waits for its next line; a second by default.
    pub flush: Option<Duration>,
    /// Which part of the records is kept, above 0 and up to 1. Errors are kept all the same.
    pub sample: Option<f64>,
    /// For how long repetitions of a record are only counted.
    pub dedup: Option<Duration>,
    /// Whether the whole line is kept as `log.record.original` where the body is not it.
    pub original: bool,
}

/// The part of [`RecordSettings`] that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordSetting {
    /// The pattern of `format`.
    Format,
    /// The pattern of `inner`, or that there is one.
    Inner,
    /// The pattern of `multiline`.
    Multiline,
    /// `time_format`.
    TimeFormat,
    /// `zone`.
    Zone,
    /// `severities`.
    Severities,
    /// `sample`.
    Sample,
}

/// Why lines cannot be read so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordOptionsError {
    /// A pattern is no regular expression.
    #[error("the pattern is no regular expression: {reason}")]
    Syntax {
        /// Whose pattern.
        setting: RecordSetting,
        /// Which part of it is wrong, in bytes.
        place: Range<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern would take too much memory.
    #[error("the pattern takes more than {COMPILED_BYTES} bytes once compiled; make it simpler")]
    TooLarge {
        /// Whose pattern.
        setting: RecordSetting,
    },
    /// A pattern yields nothing.
    #[error("the pattern has no named group: write (?<name>…) around each part that is to be a field")]
    NoGroup {
        /// Whose pattern.
        setting: RecordSetting,
    },
    /// A format inside one that has no inside, or that is itself a wrapping.
    #[error("only the formats cri, docker and syslog have an inner format, and it is none of these")]
    Inner,
    /// No zone of this name is known.
    #[error("{name:?} is no time zone that this host knows: write a name such as Europe/Berlin or UTC")]
    Zone {
        /// The name.
        name: String,
    },
    /// A time cannot be read by it.
    #[error("{format:?} cannot read a time: {reason}")]
    TimeFormat {
        /// The format.
        format: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A severity that does not exist.
    #[error("{word:?} means severity {number}, but severities are 1 to 24")]
    Severity {
        /// The source's word.
        word: String,
        /// What it was to mean.
        number: u8,
    },
    /// Not a part of all records.
    #[error("{value} is no part of the records: write a number above 0 and up to 1")]
    Sample {
        /// What was given.
        value: f64,
    },
}

impl RecordOptionsError {
    /// Which setting is wrong.
    pub const fn setting(&self) -> RecordSetting {
        match self {
            Self::Syntax { setting, .. } | Self::TooLarge { setting } | Self::NoGroup { setting } => *setting,
            Self::Inner => RecordSetting::Inner,
            Self::Zone { .. } => RecordSetting::Zone,
            Self::TimeFormat { .. } => RecordSetting::TimeFormat,
            Self::Severity { .. } => RecordSetting::Severities,
            Self::Sample { .. } => RecordSetting::Sample,
        }
    }
}

/// A format ready for use.
#[derive(Clone, Debug, Default)]
pub(super) enum Reader {
    #[default]
    Plain,
    Json,
    Logfmt,
    Syslog,
    Access,
    ErrorLog,
    Pattern(Regex),
}

/// What a line is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    Cri,
    Docker,
}

/// Which lines are joined, ready for use.
#[derive(Clone, Debug)]
pub(super) enum Joining {
    Start(Regex),
    Continuation(Regex),
    Indented,
    StackTraces,
}

/// What is made of the lines of one source, checked and ready for use; plain lines by default.
#[derive(Clone, Debug, Default)]
pub struct RecordOptions {
    settings: Arc<RecordSettings>,
    pub(super) envelope: Option<Envelope>,
    pub(super) reader: Reader,
    /// What reads the message of a syslog line.
    pub(super) within: Reader,
    pub(super) joining: Option<Joining>,
    pub(super) time: TimeRule,
    pub(super) severities: Severities,
    pub(super) roles: Roles,
}

/// The same settings make the same records.
impl PartialEq for RecordOptions {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}

impl RecordOptions {
    /// Checks the settings and makes them ready.
    ///
    /// # Errors
    ///
    /// A pattern, zone or number is not usable; [`RecordOptionsError::setting`] says which.
    pub fn new(settings: RecordSettings) -> Result<Self, RecordOptionsError> {
        let envelope = match settings.format {
            LineFormat::Cri => Some(Envelope::Cri),
            LineFormat::Docker => Some(Envelope::Docker),
            _ => None,
        };
        let inner = inner(&settings)?;
        let (reader, within) = match envelope {
            Some(_) => (inner, Reader::Plain),
            None => (reader(&settings.format, RecordSetting::Format)?, inner),
        };
        if let Some(value) = settings.sample.filter(|part| !(*part > 0.0 && *part <= 1.0)) {
            return Err(RecordOptionsError::Sample { value });
        }
        Ok(Self {
            envelope,
            reader,
            within,
            joining: settings.multiline.as_ref().map(joining).transpose()?,
            time: TimeRule::new(&settings)?,
            severities: Severities::new(&settings)?,
            roles: Roles::new(&settings.fields),
            settings: Arc::new(settings),
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &RecordSettings {
        &self.settings
    }

    /// What reads a text and the message in it, from the most that can be made of it to the least.
    pub(super) fn readers(&self, is_wrapped: bool) -> [Option<(&Reader, &Reader)>; 3] {
        const PLAIN: &Reader = &Reader::Plain;
        let Self { reader, within, .. } = self;
        match (is_wrapped, reader, within) {
            (false, ..) | (_, Reader::Plain, _) => [Some((PLAIN, PLAIN)), None, None],
            (_, _, Reader::Plain) => [Some((reader, PLAIN)), Some((PLAIN, PLAIN)), None],
            // A syslog line whose message is not of the inner format is syslog all the same.
            _ => [Some((reader, within)), Some((reader, PLAIN)), Some((PLAIN, PLAIN))],
        }
    }

    pub(super) fn flush(&self) -> Duration {
        self.settings.flush.unwrap_or(FLUSH)
    }
}

fn inner(settings: &RecordSettings) -> Result<Reader, RecordOptionsError> {
    let Some(format) = &settings.inner else { return Ok(Reader::Plain) };
    let wraps = matches!(settings.format, LineFormat::Cri | LineFormat::Docker | LineFormat::Syslog);
    if !wraps || matches!(format, LineFormat::Cri | LineFormat::Docker | LineFormat::Syslog) {
        return Err(RecordOptionsError::Inner);
    }
    reader(format, RecordSetting::Inner)
}

fn reader(format: &LineFormat, setting: RecordSetting) -> Result<Reader, RecordOptionsError> {
    Ok(match format {
        LineFormat::Plain | LineFormat::Cri | LineFormat::Docker => Reader::Plain,
        LineFormat::Json => Reader::Json,
        LineFormat::Logfmt => Reader::Logfmt,
        LineFormat::Syslog => Reader::Syslog,
        LineFormat::Access => Reader::Access,
        LineFormat::ErrorLog => Reader::ErrorLog,
        LineFormat::Pattern(pattern) => {
            let pattern = compile(pattern, setting)?;
            if pattern.capture_names().flatten().next().is_none() {
                return Err(RecordOptionsError::NoGroup { setting });
            }
            Reader::Pattern(pattern)
        }
    })
}

fn joining(multiline: &Multiline) -> Result<Joining, RecordOptionsError> {
    let compile = |pattern: &str| compile(pattern, RecordSetting::Multiline);
    Ok(match multiline {
        Multiline::Start(pattern) => Joining::Start(compile(pattern)?),
        Multiline::Continuation(pattern) => Joining::Continuation(compile(pattern)?),
        Multiline::Indented => Joining::Indented,
        Multiline::StackTraces => Joining::StackTraces,
    })
}

fn compile(pattern: &str, setting: RecordSetting) -> Result<Regex, RecordOptionsError> {
    check(pattern, setting)?;
    // What can be parsed can be compiled, unless it is too large.
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|_| RecordOptionsError::TooLarge { setting })
}

/// Says where a pattern is wrong, which its compiler only draws.
fn check(pattern: &str, setting: RecordSetting) -> Result<(), RecordOptionsError> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let Err(error) = parser.parse(pattern) else { return Ok(()) };
    let (place, reason) = match &error {
        regex_syntax::Error::Parse(error) => (place(error.span()), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (place(error.span()), error.kind().to_string()),
        other => (0..pattern.len(), other.to_string()),
    };
    Err(RecordOptionsError::Syntax { setting, place, reason })
}

const fn place(span: &regex_syntax::ast::Span) -> Range<usize> {
    span.start.offset..span.end.offset
}

#[cfg(test)]
mod tests;
