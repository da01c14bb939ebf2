//! What the section says, key by key.

use std::collections::BTreeMap;

use documents::Spanned;
use logs::StartAt;
use serde::Deserialize;

use crate::config::file::SeverityName;

/// Logs of this host that are followed. Without it, none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct LogsSection {
    /// Files that grow.
    pub(super) files: Vec<FilesSection>,
    /// systemd's journal.
    pub(super) journal: Option<JournalSection>,
    /// What the kernel says.
    pub(super) kernel: Option<KernelSection>,
    /// `default`, which masks secret keys, tokens and private keys, or `none`. What stands in `masking` at the top holds
    /// besides.
    masking: MaskingName,
}

impl LogsSection {
    pub(super) const fn masks_by_default(&self) -> bool {
        matches!(self.masking, MaskingName::Default)
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MaskingName {
    #[default]
    Default,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesSection {
    /// The origin of what is counted from it is `log:<name>`.
    pub(super) name: Spanned<String>,
    /// Globs of absolute paths; `**` is any number of directories.
    pub(super) include: Vec<Spanned<String>>,
    /// Globs of what is left out: of paths where there is a `/` in them, else of names.
    #[serde(default)]
    pub(super) exclude: Vec<Spanned<String>>,
    /// Where files are begun that are there at the very first start: `end` (default) or `beginning`. Files that come later
    /// are read whole.
    pub(super) start: Option<StartName>,
    /// How a line is read: `plain` (default), `json`, `logfmt`, `syslog`, `access`, `error_log`, `cri`, `docker`, or
    /// `{ pattern: REGEX }`, whose named groups are the fields.
    pub(super) format: Option<Spanned<FormatValue>>,
    /// How the text inside is read where the format only wraps it: `cri`, `docker`, `syslog`.
    pub(super) inner: Option<Spanned<FormatValue>>,
    /// Which lines together are one record. Default: each for itself.
    pub(super) multiline: Option<Spanned<MultilineSection>>,
    /// Where the time stands, and how it is written. Default: what is usual for the format.
    #[serde(default)]
    pub(super) timestamp: TimestampSection,
    /// Where it stands how grave it is.
    #[serde(default)]
    pub(super) severity: SeveritySection,
    /// Which other fields mean what. Default: their usual names.
    #[serde(default)]
    pub(super) fields: FieldsSection,
    /// Whether the whole line is kept as `log.record.original` where it is not the body. Default `false`.
    #[serde(default)]
    pub(super) original: bool,
    /// Which part of the records is kept, above 0 and up to 1; errors are kept all the same. Default: all.
    pub(super) sample: Option<Spanned<f64>>,
    /// For how long repetitions of a record are only counted. Default: they are records as well.
    pub(super) dedup: Option<Spanned<String>>,
    /// What the path is held against: a regular expression, whose groups stand in `resource` as `${path.1}`, `${path.name}`.
    pub(super) path: Option<Spanned<String>>,
    /// Attributes of the resource.
    #[serde(default)]
    pub(super) resource: BTreeMap<String, Spanned<String>>,
    /// Whether records bear `log.file.path` besides `log.file.name`. Default `false`.
    #[serde(default)]
    pub(super) file_path: bool,
    /// Longer lines are cut, and flagged. Default 1 MiB.
    pub(super) max_line_bytes: Option<Spanned<usize>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StartName {
    End,
    Beginning,
}

impl StartName {
    pub(super) const fn meaning(self) -> StartAt {
        match self {
            Self::End => StartAt::End,
            Self::Beginning => StartAt::Beginning,
        }
    }
}

/// A format by its name, or a pattern.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected the name of a format, or { pattern: REGEX }")]
pub(super) enum FormatValue {
    Name(String),
    Pattern(PatternSection),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatternSection {
    /// A regular expression with named groups.
    pub(super) pattern: String,
}

/// One of the first four.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MultilineSection {
    /// A line that this finds begins a record.
    pub(super) start: Option<Spanned<String>>,
    /// A line that this finds belongs to the record before it.
    pub(super) continuation: Option<Spanned<String>>,
    /// A line that begins with a space or a tab belongs to the record before it.
    pub(super) indented: bool,
    /// Stack traces of Java, Python, Go, Node and Rust belong to the line before them.
    pub(super) stack_traces: bool,
    /// How long a record waits for its next line. Default `1s`.
    pub(super) flush: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TimestampSection {
    pub(super) field: Option<Spanned<String>>,
    /// `unix`, `unix_ms`, `unix_us`, `unix_ns`, or as for `strftime`.
    pub(super) format: Option<Spanned<String>>,
    /// The zone of times that say none, such as `Europe/Berlin`. Default: the host's.
    pub(super) zone: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeveritySection {
    pub(super) field: Option<Spanned<String>>,
    /// Words of this source for `trace`, `debug`, `info`, `warn`, `error`, `fatal`, or for a number from 1 to 24.
    pub(super) names: BTreeMap<String, Spanned<SeverityValue>>,
    /// Whether numbers from 0 to 7 are syslog's. Default `false`.
    pub(super) syslog: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected trace, debug, info, warn, error, fatal, or a number from 1 to 24")]
pub(super) enum SeverityValue {
    Number(u8),
    Name(SeverityName),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FieldsSection {
    /// What becomes the body.
    pub(super) message: Option<Spanned<String>>,
    /// The trace, in 32 hexadecimal digits, or a whole `traceparent`.
    pub(super) trace: Option<Spanned<String>>,
    /// The span, in 16 hexadecimal digits.
    pub(super) span: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JournalSection {
    /// Default `journal`.
    pub(super) name: Option<Spanned<String>>,
    /// Globs of units; without them all entries, also those of no unit.
    pub(super) units: Vec<Spanned<String>>,
    /// Globs of units that are left out.
    pub(super) exclude_units: Vec<Spanned<String>>,
    /// The least important that is read: `emerg`, `alert`, `crit`, `err`, `warning`, `notice`, `info`, `debug` (default).
    pub(super) priority: Option<Spanned<String>>,
    /// Where the very first start begins: `end` (default) or `beginning`.
    pub(super) start: Option<StartName>,
    /// Default: this machine's in `/var/log/journal` and `/run/log/journal`.
    pub(super) directory: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KernelSection {
    /// Default `kernel`.
    pub(super) name: Option<Spanned<String>>,
    /// Default `/dev/kmsg`.
    pub(super) path: Option<Spanned<String>>,
}
