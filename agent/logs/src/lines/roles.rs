//! Which field of a record means what.

use super::options::FieldNames;

/// How long the longest usual name is.
const NAME_BYTES: usize = 16;

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

/// What usual names mean, whatever their case.
fn usual(key: &[u8]) -> Option<Role> {
    let mut lower = [0; NAME_BYTES];
    let lower = lower.get_mut(..key.len())?;
    lower.copy_from_slice(key);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"time" | b"timestamp" | b"ts" | b"@timestamp" | b"t" | b"@t" | b"asctime" | b"datetime"
        | b"timemillis" | b"instant" => Role::Time,
        b"level" | b"severity" | b"lvl" | b"loglevel" | b"log.level" | b"log_level" | b"levelname"
        | b"@l" | b"severity_text" => Role::Severity,
        b"message" | b"msg" | b"@message" | b"@m" | b"short_message" => Role::Message,
        b"event" => Role::Event,
        b"fields" => Role::Fields,
        b"trace_id" | b"traceid" | b"trace.id" | b"dd.trace_id" | b"otel.trace_id" | b"oteltraceid" => {
            Role::Trace
        }
        b"span_id" | b"spanid" | b"span.id" | b"otel.span_id" | b"otelspanid" => Role::Span,
        b"trace_flags" | b"traceflags" | b"trace.flags" => Role::Flags,
        b"traceparent" => Role::Traceparent,
        _ => return None,
    })
}
