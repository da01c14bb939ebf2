//! What becomes of an entry's fields: one table.
//!
//! Names are those of systemd.journal-fields(7). What no row names is an attribute of the record, under its own name.

use telemetry::{Attributes, LogBuffer, LogGroup, LogScalar, LogWriter, Timestamp};

use super::entry::FieldView;

/// What a field becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalTarget {
    /// The body of the record.
    Body,
    /// `SeverityNumber` by appendix B of the logs data model, and its text by syslog's keyword.
    Severity,
    /// The time of the record, where it is near the one at which journald received it.
    Time,
    /// An attribute of the resource.
    Resource(&'static str),
    /// An attribute of this name: a text.
    Text(&'static str),
    /// An attribute of this name: a number, where it is one.
    Number(&'static str),
    /// The trace that the record is part of, in hexadecimal digits; an attribute where it is not.
    Trace,
    /// The span, likewise.
    Span,
    /// Nothing: the host's resource says it, or it holds secrets too often.
    LeftOut,
}

/// One field of the journal and what it becomes.
#[derive(Clone, Copy, Debug)]
pub struct JournalField {
    /// Its name in the journal.
    pub name: &'static str,
    /// What it becomes.
    pub target: JournalTarget,
}

const fn row(name: &'static str, target: JournalTarget) -> JournalField {
    JournalField { name, target }
}

/// The fields that become something else than an attribute of the same name.
pub static JOURNAL_FIELDS: [JournalField; 26] = [
    row("MESSAGE", JournalTarget::Body),
    row("PRIORITY", JournalTarget::Severity),
    row("_SOURCE_REALTIME_TIMESTAMP", JournalTarget::Time),
    row("_SYSTEMD_UNIT", JournalTarget::Resource("systemd.unit.name")),
    row("_SYSTEMD_USER_UNIT", JournalTarget::Resource("systemd.unit.name")),
    row("_SYSTEMD_OWNER_UID", JournalTarget::Text("_SYSTEMD_OWNER_UID")),
    row("SYSLOG_IDENTIFIER", JournalTarget::Text("SYSLOG_IDENTIFIER")),
    row("SYSLOG_FACILITY", JournalTarget::Number("syslog.facility")),
    row("SYSLOG_PID", JournalTarget::Text("syslog.procid")),
    row("_PID", JournalTarget::Number("process.pid")),
    row("_COMM", JournalTarget::Text("process.command")),
    row("_EXE", JournalTarget::Text("process.executable.path")),
    row("CODE_FILE", JournalTarget::Text("code.file.path")),
    row("CODE_LINE", JournalTarget::Number("code.line.number")),
    row("CODE_FUNC", JournalTarget::Text("code.function.name")),
    row("TRACE_ID", JournalTarget::Trace),
    row("SPAN_ID", JournalTarget::Span),
    row("_HOSTNAME", JournalTarget::LeftOut),
    row("_MACHINE_ID", JournalTarget::LeftOut),
    row("_BOOT_ID", JournalTarget::LeftOut),
    row("_CMDLINE", JournalTarget::LeftOut),
    // Not other names, but asked for by the choice of units and by events.
    row("_TRANSPORT", JournalTarget::Text("_TRANSPORT")),
    row("_UID", JournalTarget::Text("_UID")),
    row("UNIT", JournalTarget::Text("UNIT")),
    row("OBJECT_SYSTEMD_UNIT", JournalTarget::Text("OBJECT_SYSTEMD_UNIT")),
    row("COREDUMP_UNIT", JournalTarget::Text("COREDUMP_UNIT")),
];

/// The row of a field, by its number; [`NO_ROW`] where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Role(u8);

const NO_ROW: Role = Role(u8::MAX);

/// The row of the field that is called `name`.
pub(super) fn role(name: &[u8]) -> Role {
    let at = JOURNAL_FIELDS.iter().position(|row| row.name.as_bytes() == name);
    at.map_or(NO_ROW, |at| Role(at as u8))
}

impl Role {
    fn row(self) -> Option<&'static JournalField> {
        JOURNAL_FIELDS.get(usize::from(self.0))
    }
}

/// One of 64 bits for a name.
pub(super) fn name_bit(name: &[u8]) -> u8 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash >> 58) as u8
}

/// Numbers by appendix B and syslog's keywords, by `PRIORITY`.
pub(crate) const SEVERITIES: [(u8, &str); 8] = [
    (21, "emerg"),
    (19, "alert"),
    (18, "crit"),
    (17, "err"),
    (13, "warning"),
    (10, "notice"),
    (9, "info"),
    (5, "debug"),
];

/// How far before it was received an entry may claim to be from, and how far after, in microseconds.
const EARLIEST_BEFORE: u64 = 3_600_000_000;
const LATEST_AFTER: u64 = 60_000_000;

/// What stands in an entry that decides about it, its group, and what is not an attribute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) priority: Option<u8>,
    pub(super) unit: &'a [u8],
    pub(super) user_unit: &'a [u8],
    pub(super) owner: &'a [u8],
    pub(super) identifier: &'a [u8],
    message: Option<(&'a [u8], bool)>,
    source_time: Option<u64>,
    pid: &'a [u8],
    uid: &'a [u8],
    transport: &'a [u8],
    facility: &'a [u8],
    about: [&'a [u8]; 3],
    /// Bits of the names that occur more than once, perhaps.
    repeated: u64,
    is_cut: bool,
}

impl<'a> Facts<'a> {
    /// Looks at all fields once.
    pub(super) fn of(fields: impl Iterator<Item = FieldView<'a>>) -> Self {
        let (mut facts, mut seen) = (Self::default(), 0_u64);
        for field in fields {
            let bit = 1 << (field.name_bit & 63);
            facts.repeated |= seen & bit;
            seen |= bit;
            facts.is_cut |= field.is_cut;
            if let Some(row) = field.role.row() {
                facts.take(row, &field);
            }
        }
        facts
    }

    fn take(&mut self, row: &JournalField, field: &FieldView<'a>) {
        match row.name {
            "MESSAGE" if self.message.is_none() => self.message = Some((field.value, field.is_text)),
            "PRIORITY" => self.priority = priority(field.value),
            "_SOURCE_REALTIME_TIMESTAMP" => self.source_time = number(field.value),
            "_SYSTEMD_UNIT" => self.unit = field.value,
            "_SYSTEMD_USER_UNIT" => self.user_unit = field.value,
            "_SYSTEMD_OWNER_UID" => self.owner = field.value,
            "SYSLOG_IDENTIFIER" => self.identifier = field.value,
            "_PID" => self.pid = field.value,
            "_TRANSPORT" => self.transport = field.value,
            "SYSLOG_FACILITY" => self.facility = field.value,
            "_UID" => self.uid = field.value,
            "UNIT" => self.about[0] = field.value,
            "OBJECT_SYSTEMD_UNIT" => self.about[1] = field.value,
            "COREDUMP_UNIT" => self.about[2] = field.value,
            _ => {}
        }
    }

    /// The units whose entry it is, by `journalctl`'s rule: the one that wrote it, and the one about which systemd or root
    /// wrote it.
    pub(super) fn units(&self) -> impl Iterator<Item = &'a [u8]> {
        let [by_systemd, by_root, of_core] = self.about;
        let (is_by_systemd, is_by_root) = (self.pid == b"1", self.uid == b"0");
        let all = [
            (true, self.unit),
            (true, self.user_unit),
            (is_by_systemd, by_systemd),
            (is_by_root, by_root),
            (is_by_root, of_core),
        ];
        all.into_iter().filter(|(counts, unit)| *counts && !unit.is_empty()).map(|(_, unit)| unit)
    }

    /// The message, if it is the kernel's own: what programs write into its log has another facility, and only journald
    /// writes fields that begin with `_`.
    pub(super) fn kernel_message(&self) -> Option<&'a str> {
        let (message, _) = self.message.filter(|_| self.transport == b"kernel" && self.facility == b"0")?;
        std::str::from_utf8(message).ok()
    }

    /// Without a time of its own that is far from `realtime`, when it was received, in microseconds since 1970.
    fn received_at(self, realtime: u64) -> Self {
        let range = realtime.saturating_sub(EARLIEST_BEFORE)..=realtime.saturating_add(LATEST_AFTER);
        Self { source_time: self.source_time.filter(|time| range.contains(time)), ..self }
    }

    /// When it happened, if it was received at `realtime`.
    fn time(&self, realtime: u64) -> Timestamp {
        let micros = self.source_time.unwrap_or(realtime);
        Timestamp::from_nanos(i64::try_from(micros.saturating_mul(1000)).unwrap_or(i64::MAX))
    }
}

fn priority(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    }
}

fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Appends the record of an entry.
pub(super) fn write<'a, 'b>(
    fields: &(impl Iterator<Item = FieldView<'a>> + Clone),
    facts: &Facts<'a>,
    realtime: u64,
    now: Timestamp,
    group: &LogGroup,
    out: &'b mut LogBuffer,
) -> LogWriter<'b> {
    let facts = &facts.received_at(realtime);
    out.set_group(group);
    let mut record = out.push(now);
    record.set_time(facts.time(realtime));
    if let Some((number, text)) = facts.priority.and_then(|it| SEVERITIES.get(usize::from(it))) {
        record.set_severity(*number, text.as_bytes());
    }
    if let Some((message, is_text)) = facts.message {
        record.set_body(scalar(message, is_text));
    }
    for (at, field) in fields.clone().enumerate() {
        // Two names may have one bit.
        if facts.repeated >> (field.name_bit & 63) & 1 == 0 {
            write_one(&mut record, &field, facts);
            continue;
        }
        let others =
            || fields.clone().enumerate().filter(|(other, it)| *other != at && it.name == field.name);
        match others().next() {
            // The list stands where the first one was.
            Some((first, _)) if first < at => {}
            Some(_) => write_list(&mut record, &field, others().map(|(_, it)| it)),
            None => write_one(&mut record, &field, facts),
        }
    }
    if facts.is_cut {
        record.attribute(b"hostmend.log.truncated", LogScalar::Bool(true));
    }
    record
}

const fn scalar(value: &[u8], is_text: bool) -> LogScalar<'_> {
    if is_text { LogScalar::Text(value) } else { LogScalar::Bytes(value) }
}

/// A field that occurs more than once: a list, under the name that one of them would have.
fn write_list<'a>(
    record: &mut LogWriter<'_>,
    first: &FieldView<'a>,
    others: impl Iterator<Item = FieldView<'a>>,
) {
    let target = first.role.row().map(|row| row.target);
    let name = match target {
        Some(JournalTarget::Text(name) | JournalTarget::Number(name)) => name.as_bytes(),
        Some(JournalTarget::LeftOut) => return,
        _ => first.name,
    };
    let list = record.begin_list(name);
    // The first message is the body.
    if target != Some(JournalTarget::Body) {
        record.attribute(b"", scalar(first.value, first.is_text));
    }
    for other in others {
        record.attribute(b"", scalar(other.value, other.is_text));
    }
    record.end(list);
}

fn write_one(record: &mut LogWriter<'_>, field: &FieldView<'_>, facts: &Facts<'_>) {
    let kept = scalar(field.value, field.is_text);
    let Some(row) = field.role.row() else {
        record.attribute(field.name, kept);
        return;
    };
    match row.target {
        JournalTarget::Severity if facts.priority.is_some() => {}
        JournalTarget::Time if facts.source_time.is_some() => {}
        // A user's unit is what the resource names then, and this the slice of the user.
        JournalTarget::Resource(_) if row.name == "_SYSTEMD_UNIT" && !facts.user_unit.is_empty() => {
            record.attribute(field.name, kept);
        }
        JournalTarget::Resource(_) if !field.is_text => drop(record.attribute(field.name, kept)),
        JournalTarget::Body | JournalTarget::LeftOut | JournalTarget::Resource(_) => {}
        JournalTarget::Text(name) => drop(record.attribute(name.as_bytes(), kept)),
        JournalTarget::Number(name) => match number(field.value) {
            Some(number) => drop(record.attribute(name.as_bytes(), LogScalar::Int(number))),
            None => drop(record.attribute(field.name, kept)),
        },
        JournalTarget::Trace => match id(field.value) {
            Some(trace) => drop(record.set_trace(trace)),
            None => drop(record.attribute(field.name, kept)),
        },
        JournalTarget::Span => match id(field.value) {
            Some(span) => drop(record.set_span(span)),
            None => drop(record.attribute(field.name, kept)),
        },
        JournalTarget::Severity | JournalTarget::Time => drop(record.attribute(field.name, kept)),
    }
}

/// An id of `N` bytes that is not zero.
fn id<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    if value.len() != 2 * N {
        return None;
    }
    let mut id = [0; N];
    for (byte, digits) in id.iter_mut().zip(value.chunks_exact(2)) {
        let digits =
            std::str::from_utf8(digits).ok().filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    (id != [0; N]).then_some(id)
}

/// What describes the unit, or whoever wrote, to others.
pub(super) fn resource(unit: &str, owner: &str, identifier: &str) -> Attributes {
    let mut attributes = Attributes::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            attributes.push((name.to_owned(), telemetry::AttributeValue::from(value)));
        }
    };
    add("systemd.unit.name", unit);
    add("user.id", owner);
    add("service.name", identifier);
    attributes
}
