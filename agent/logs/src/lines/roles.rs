//! Which field of a record means what.

use super::options::FieldNames;

/// What a field is to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Time,
    Severity,
    Message,
    /// The message where there is no other one, as structlog has it; else an attribute.
    Event,
    Trace,
    Span,
    Flags,
    Traceparent,
    /// Has the message among its own fields, as Rust's tracing has it.
    Fields,
}

/// What the fields of one source mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles {
    own: Vec<(Box<[u8]>, Role)>,
}

impl Roles {
    pub(super) fn new(names: &FieldNames) -> Self {
        let rows = [
            (&names.time, Role::Time),
            (&names.severity, Role::Severity),
            (&names.message, Role::Message),
            (&names.trace, Role::Trace),
            (&names.span, Role::Span),
        ];
        let own = rows.into_iter().filter_map(|(name, role)| Some((name.as_ref()?.as_bytes().into(), role)));
        Self { own: own.collect() }
    }

    /// The role of the field of this name, if it has one.
    pub(super) fn of(&self, key: &[u8]) -> Option<Role> {
        if self.own.is_empty() {
            return usual(key);
        }
        if let Some((_, role)) = self.own.iter().find(|(name, _)| **name == *key) {
            return Some(*role);
        }
        let named = |role: Role| self.own.iter().any(|(_, own)| *own == role);
        usual(key).filter(|role| match role {
            Role::Event | Role::Fields => !named(Role::Message),
            Role::Traceparent => !named(Role::Trace),
            role => !named(*role),
        })
    }
}

/// What usual names mean, whatever their case; the shorter ones first.
const USUAL: [(&[u8], Role); 42] = [
    (b"t", Role::Time),
    (b"ts", Role::Time),
    (b"@t", Role::Time),
    (b"@l", Role::Severity),
    (b"@m", Role::Message),
    (b"lvl", Role::Severity),
    (b"msg", Role::Message),
    (b"time", Role::Time),
    (b"level", Role::Severity),
    (b"event", Role::Event),
    (b"fields", Role::Fields),
    (b"spanid", Role::Span),
    (b"asctime", Role::Time),
    (b"instant", Role::Time),
    (b"message", Role::Message),
    (b"traceid", Role::Trace),
    (b"span_id", Role::Span),
    (b"span.id", Role::Span),
    (b"datetime", Role::Time),
    (b"severity", Role::Severity),
    (b"loglevel", Role::Severity),
    (b"@message", Role::Message),
    (b"trace_id", Role::Trace),
    (b"trace.id", Role::Trace),
    (b"timestamp", Role::Time),
    (b"log.level", Role::Severity),
    (b"log_level", Role::Severity),
    (b"levelname", Role::Severity),
    (b"@timestamp", Role::Time),
    (b"timemillis", Role::Time),
    (b"otelspanid", Role::Span),
    (b"traceflags", Role::Flags),
    (b"dd.trace_id", Role::Trace),
    (b"oteltraceid", Role::Trace),
    (b"trace_flags", Role::Flags),
    (b"trace.flags", Role::Flags),
    (b"traceparent", Role::Traceparent),
    (b"otel.span_id", Role::Span),
    (b"severity_text", Role::Severity),
    (b"short_message", Role::Message),
    (b"otel.trace_id", Role::Trace),
    (b"oteltraceflags", Role::Flags),
];

/// The rows of names of one length.
#[derive(Clone, Copy)]
struct Length {
    begin: usize,
    end: usize,
    /// The first letters that they have, one bit each: most keys are told apart from all usual names by this alone.
    letters: u32,
}

#[expect(clippy::indexing_slicing, reason = "what is out of range does not compile")]
const LENGTHS: [Length; 17] = {
    let mut lengths = [Length { begin: 0, end: 0, letters: 0 }; 17];
    let mut at = 0;
    while at < USUAL.len() {
        let name = USUAL[at].0;
        let length = &mut lengths[name.len()];
        if length.letters == 0 {
            length.begin = at;
        }
        // A row out of its place would not be found.
        assert!(at == length.begin || length.end == at);
        length.end = at + 1;
        length.letters |= 1 << (name[0] & 31);
        at += 1;
    }
    lengths
};

fn usual(key: &[u8]) -> Option<Role> {
    let Length { begin, end, letters } = LENGTHS.get(key.len())?;
    if letters >> (key.first()? & 31) & 1 == 0 {
        return None;
    }
    let rows = USUAL.get(*begin..*end)?;
    rows.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, role)| *role)
}
