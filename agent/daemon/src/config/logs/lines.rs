//! How lines become records, as the section says it.

use std::sync::Arc;

use documents::{Review, Spanned, nearest, yaml};
use logs::{
    FieldNames, LineFormat, Multiline, RecordOptions, RecordOptionsError, RecordSetting, RecordSettings,
};

use super::host;
use super::sections::{FilesSection, FormatValue, MultilineSection, SeverityValue};

/// The formats by their names.
const FORMATS: [(&str, LineFormat); 8] = [
    ("plain", LineFormat::Plain),
    ("json", LineFormat::Json),
    ("logfmt", LineFormat::Logfmt),
    ("syslog", LineFormat::Syslog),
    ("access", LineFormat::Access),
    ("error_log", LineFormat::ErrorLog),
    ("cri", LineFormat::Cri),
    ("docker", LineFormat::Docker),
];

/// syslog's priorities by their names, the most important first.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What is made of the lines of these files.
pub(super) fn record(section: &FilesSection, review: &mut Review) -> Arc<RecordOptions> {
    let settings = settings(section, review);
    Arc::new(RecordOptions::new(settings).unwrap_or_else(|error| {
        refuse(section, &error, review);
        RecordOptions::default()
    }))
}

/// Whether the lines are those of an access log.
pub(super) fn is_access_log(record: &RecordOptions) -> bool {
    let settings = record.settings();
    settings.format == LineFormat::Access || settings.inner == Some(LineFormat::Access)
}

fn settings(section: &FilesSection, review: &mut Review) -> RecordSettings {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.value.clone());
    let multiline = section.multiline.as_ref();
    RecordSettings {
        format: section.format.as_ref().and_then(|value| format(value, review)).unwrap_or_default(),
        inner: section.inner.as_ref().and_then(|value| format(value, review)),
        fields: FieldNames {
            time: text(&section.timestamp.field),
            severity: text(&section.severity.field),
            message: text(&section.fields.message),
            trace: text(&section.fields.trace),
            span: text(&section.fields.span),
        },
        time_format: text(&section.timestamp.format),
        zone: text(&section.timestamp.zone),
        host_zone: host::zone(),
        severities: section.severity.names.iter().map(severity).collect(),
        syslog_severities: section.severity.syslog,
        multiline: multiline.and_then(|value| joined(value, review)),
        flush: multiline
            .and_then(|value| value.value.flush.as_ref())
            .and_then(|value| review.duration(value)),
        sample: section.sample.as_ref().map(|value| value.value),
        dedup: section.dedup.as_ref().and_then(|value| review.duration(value)),
        original: section.original,
    }
}

fn format(value: &Spanned<FormatValue>, review: &mut Review) -> Option<LineFormat> {
    let name = match &value.value {
        FormatValue::Pattern(section) => return Some(LineFormat::Pattern(section.pattern.clone())),
        FormatValue::Name(name) => name,
    };
    let found = FORMATS.into_iter().find(|(known, _)| known == name);
    if found.is_none() {
        let names = FORMATS.map(|(known, _)| known);
        let problem = review.error(value, format!("there is no format {name:?}"));
        problem.hint = Some(match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}, and {{ pattern: REGEX }}", names.join(", ")),
        });
    }
    found.map(|(_, format)| format)
}

fn severity((word, value): (&String, &Spanned<SeverityValue>)) -> (String, u8) {
    let number = match value.value {
        SeverityValue::Number(number) => number,
        SeverityValue::Name(name) => name.least() as u8,
    };
    (word.clone(), number)
}

fn joined(value: &Spanned<MultilineSection>, review: &mut Review) -> Option<Multiline> {
    let section = &value.value;
    let said = [
        section.start.as_ref().map(|pattern| Multiline::Start(pattern.value.clone())),
        section.continuation.as_ref().map(|pattern| Multiline::Continuation(pattern.value.clone())),
        section.indented.then_some(Multiline::Indented),
        section.stack_traces.then_some(Multiline::StackTraces),
    ];
    let mut said = said.into_iter().flatten();
    let first = said.next();
    if first.is_none() || said.next().is_some() {
        review.error(value, "say one of start, continuation, indented: true and stack_traces: true");
    }
    first
}

/// An error at the value that it is about.
fn refuse(section: &FilesSection, error: &RecordOptionsError, review: &mut Review) {
    let message = error.to_string();
    let multiline = section.multiline.as_ref().map(|value| &value.value);
    let pattern = multiline.and_then(|value| value.start.as_ref().or(value.continuation.as_ref()));
    if let (RecordOptionsError::Syntax { place, setting: RecordSetting::Multiline, .. }, Some(pattern)) =
        (error, pattern)
    {
        review.error_within(pattern, place.clone(), message);
        return;
    }
    let place = match error.setting() {
        RecordSetting::Format => section.format.as_ref().map(yaml::range),
        RecordSetting::Inner => section.inner.as_ref().map(yaml::range),
        RecordSetting::Multiline => pattern.map(yaml::range),
        RecordSetting::TimeFormat => section.timestamp.format.as_ref().map(yaml::range),
        RecordSetting::Zone => section.timestamp.zone.as_ref().map(yaml::range),
        RecordSetting::Severities => section.severity.names.values().next().map(yaml::range),
        RecordSetting::Sample => section.sample.as_ref().map(yaml::range),
    };
    review.error_at(place.unwrap_or_else(|| yaml::range(&section.name)), message);
}

/// A priority of syslog by its name or number.
pub(super) fn priority(value: &Spanned<String>, review: &mut Review) -> u8 {
    let found = PRIORITIES.iter().position(|name| *name == value.value);
    let found = found.or_else(|| value.value.parse().ok().filter(|number| *number < PRIORITIES.len()));
    if found.is_none() {
        let problem = review.error(value, format!("there is no priority {:?}", value.value));
        problem.hint = Some(format!("there are {}", PRIORITIES.join(", ")));
    }
    found.map_or(7, |number| number as u8)
}
