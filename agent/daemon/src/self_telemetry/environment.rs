//! What the `OTEL_*` variables say about the agent's own telemetry.
//!
//! Reads by the rules of the OpenTelemetry specification 1.60: an empty value counts as none, and what cannot be read is
//! told and ignored. A pure function of the variables. The SDK would read some of them by itself and by laxer rules, so
//! everything it could read is read here and set by its builders.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use telemetry::Signal;

/// The variables that the file may have under `own_telemetry`, with the same meaning; there they win.
pub(crate) const NAMES: [&str; 29] = [
    "OTEL_SDK_DISABLED",
    "OTEL_LOG_LEVEL",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_METRICS_EXEMPLAR_FILTER",
];

/// The attributes of the resource; in the file they are `resource: { attributes: … }`.
pub(crate) const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
pub(crate) const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Names a file that hostmend does not read; by the specification all other variables are then ignored.
pub(crate) const CONFIG_FILE: &str = "OTEL_CONFIG_FILE";

/// Of entities only a draft exists.
const ENTITIES: &str = "OTEL_ENTITIES";

/// How long spans and records wait for company, in place of the specification's 5 s for spans: a run is over in seconds,
/// and whoever watches wants to see it.
const DELAY: Duration = Duration::from_secs(1);
/// Shorter delays would spin, in milliseconds.
const DELAYS: RangeInclusive<u64> = 10..=3_600_000;
/// Spans or records that may wait; the SDK drops what comes beyond. A run makes about twenty.
const WAITING: usize = 2_048;
/// The SDK sets the room for all of them aside at once.
const MAX_WAITING: usize = 65_536;
const IN_A_BATCH: usize = 512;

/// By name, as the process was given them.
pub(crate) type Variables = BTreeMap<String, String>;

/// How the agent's own telemetry is made.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) traces: bool,
    pub(crate) logs: bool,
    /// Whether the agent's own figures are sent. Rules see them in any case.
    pub(crate) metrics: bool,
    /// What goes to standard error unless the command line says.
    pub(crate) log_level: Option<&'static str>,
    pub(crate) sampler: Sampler,
    pub(crate) limits: SpanLimits,
    pub(crate) spans: Batching,
    pub(crate) records: Batching,
    /// For the resource of what the agent sends, unless the file says otherwise.
    pub(crate) attributes: Vec<(String, String)>,
}

/// How spans or records are batched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batching {
    pub(crate) delay: Duration,
    pub(crate) waiting: usize,
    pub(crate) in_a_batch: usize,
}

/// Something that a variable says in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) variable: String,
    pub(crate) message: String,
}

impl Default for Settings {
    fn default() -> Self {
        read(&Variables::new()).0
    }
}

/// What the variables say, and what they say in vain.
pub(crate) fn read(variables: &Variables) -> (Settings, Vec<Complaint>) {
    let mut reader = Reader { variables, complaints: Vec::new() };
    let enabled = !reader.boolean("OTEL_SDK_DISABLED");
    let settings = Settings {
        traces: reader.exports("OTEL_TRACES_EXPORTER", Signal::Traces) && enabled,
        logs: reader.exports("OTEL_LOGS_EXPORTER", Signal::Logs) && enabled,
        metrics: reader.exports("OTEL_METRICS_EXPORTER", Signal::Metrics) && enabled,
        log_level: reader.log_level(),
        sampler: reader.sampler(),
        limits: reader.limits(),
        spans: reader.batching("OTEL_BSP"),
        records: reader.batching("OTEL_BLRP"),
        attributes: reader.attributes(),
    };
    reader.propagators();
    reader.figures();
    reader.unsupported();
    (settings, reader.complaints)
}

struct Reader<'a> {
    variables: &'a Variables,
    complaints: Vec<Complaint>,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn complain(&mut self, name: &str, message: impl Into<String>) {
        self.complaints.push(Complaint { variable: name.to_owned(), message: message.into() });
    }

    fn boolean(&mut self, name: &str) -> bool {
        let Some(text) = self.text(name) else { return false };
        let is_true = text.eq_ignore_ascii_case("true");
        if !is_true && !text.eq_ignore_ascii_case("false") {
            self.complain(name, format!("{text:?} is neither true nor false, and counts as false"));
        }
        is_true
    }

    fn number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            self.complain(name, format!("{text:?} is no number from {low} to {high}, and is ignored"));
        }
        number
    }

    fn choice(&mut self, name: &str, of: &[&'static str]) -> Option<&'static str> {
        let text = self.text(name)?;
        let chosen = of.iter().find(|word| text.eq_ignore_ascii_case(word)).copied();
        if chosen.is_none() {
            self.complain(name, format!("{text:?} is ignored; it may be {}", of.join(", ")));
        }
        chosen
    }

    /// Whether one of the exporters is the agent's queue, as it is unless something else is chosen.
    fn exports(&mut self, name: &str, signal: Signal) -> bool {
        let mut chosen = None;
        for word in self.text(name).unwrap_or_default().split(',').map(str::trim) {
            match (word.to_ascii_lowercase().as_str(), signal) {
                ("", _) => {}
                ("otlp", _) => chosen = Some(true),
                // Standard error has the records in any case.
                ("none", _) | ("console", Signal::Logs) => chosen = chosen.or(Some(false)),
                ("console" | "logging" | "otlp/stdout", _) => {
                    self.complain(
                        name,
                        format!("{word:?} is ignored: a service has nobody at its standard output"),
                    );
                }
                ("prometheus", Signal::Metrics) => {
                    let message =
                        "\"prometheus\" is ignored; `api: { listen: … }` in the file offers a page to scrape";
                    self.complain(name, message);
                }
                _ => self.complain(name, format!("{word:?} is ignored; it may be otlp or none")),
            }
        }
        chosen.unwrap_or(true)
    }

    fn log_level(&mut self) -> Option<&'static str> {
        let levels = ["off", "none", "fatal", "error", "warn", "info", "debug", "trace"];
        Some(match self.choice("OTEL_LOG_LEVEL", &levels)? {
            "none" => "off",
            "fatal" => "error",
            level => level,
        })
    }

    fn sampler(&mut self) -> Sampler {
        let names = [
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
            "always_on",
            "always_off",
            "traceidratio",
        ];
        let name = self.choice("OTEL_TRACES_SAMPLER", &names).unwrap_or("parentbased_always_on");
        let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => {
                let ratio = self.number("OTEL_TRACES_SAMPLER_ARG", 0.0..=1.0);
                Sampler::TraceIdRatioBased(ratio.unwrap_or(1.0))
            }
            _ => Sampler::AlwaysOn,
        };
        if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
    }

    fn limits(&mut self) -> SpanLimits {
        let default = SpanLimits::default();
        let all = 0..=u32::MAX;
        let attributes = self.number("OTEL_ATTRIBUTE_COUNT_LIMIT", all.clone());
        let mut limit = |name, fallback| self.number(name, all.clone()).unwrap_or(fallback);
        let attributes = |default| attributes.unwrap_or(default);
        SpanLimits {
            max_attributes_per_span: limit(
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                attributes(default.max_attributes_per_span),
            ),
            max_events_per_span: limit("OTEL_SPAN_EVENT_COUNT_LIMIT", default.max_events_per_span),
            max_links_per_span: limit("OTEL_SPAN_LINK_COUNT_LIMIT", default.max_links_per_span),
            max_attributes_per_event: limit(
                "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
                attributes(default.max_attributes_per_event),
            ),
            max_attributes_per_link: limit(
                "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
                attributes(default.max_attributes_per_link),
            ),
        }
    }

    fn batching(&mut self, prefix: &str) -> Batching {
        let name = |rest| format!("{prefix}_{rest}");
        let delay = self.number(&name("SCHEDULE_DELAY"), DELAYS).map_or(DELAY, Duration::from_millis);
        let waiting = self.number(&name("MAX_QUEUE_SIZE"), 1..=MAX_WAITING).unwrap_or(WAITING);
        let in_a_batch = self.number(&name("MAX_EXPORT_BATCH_SIZE"), 1..=waiting);
        // Handing over to the queue never waits, so any time is enough.
        self.number(&name("EXPORT_TIMEOUT"), 0..=u64::MAX);
        Batching { delay, waiting, in_a_batch: in_a_batch.unwrap_or(IN_A_BATCH.min(waiting)) }
    }

    fn attributes(&mut self) -> Vec<(String, String)> {
        let text = self.text(RESOURCE_ATTRIBUTES).unwrap_or_default();
        let mut attributes = parse_attributes(text).unwrap_or_else(|reason| {
            self.complain(RESOURCE_ATTRIBUTES, format!("{reason}; all of it is ignored"));
            BTreeMap::new()
        });
        if let Some(name) = self.text(SERVICE_NAME) {
            attributes.insert("service.name".to_owned(), name.to_owned());
        }
        attributes.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The agent calls nobody as part of a trace, so none is ever used.
    fn propagators(&mut self) {
        const KNOWN: [&str; 8] =
            ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"];
        let name = "OTEL_PROPAGATORS";
        for word in self.text(name).unwrap_or_default().split(',').map(str::trim) {
            if !word.is_empty() && !KNOWN.iter().any(|known| word.eq_ignore_ascii_case(known)) {
                self.complain(name, format!("{word:?} is ignored; it may be {}", KNOWN.join(", ")));
            }
        }
    }

    /// The agent's own figures travel with the host's.
    fn figures(&mut self) {
        let interval = "OTEL_METRIC_EXPORT_INTERVAL";
        if self.number(interval, 1..=u64::MAX).is_some() {
            self.complain(
                interval,
                "ignored: the agent's figures leave with each collection; `collect: { interval: … }`",
            );
        }
        self.number("OTEL_METRIC_EXPORT_TIMEOUT", 0..=u64::MAX);
        let filter = "OTEL_METRICS_EXEMPLAR_FILTER";
        if self.choice(filter, &["trace_based", "always_on", "always_off"]) == Some("always_on") {
            self.complain(filter, "ignored: the agent's figures have no exemplars");
        }
    }

    fn unsupported(&mut self) {
        for name in [
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ] {
            if self.number(name, 0..=u64::MAX).is_some() {
                self.complain(name, "ignored: the SDK has no such limit; own spans and records are limited in bytes per second");
            }
        }
        if self.text(ENTITIES).is_some() {
            self.complain(ENTITIES, format!("ignored: it is a draft; use {RESOURCE_ATTRIBUTES}"));
        }
    }
}

/// Parses `key=value,key=value` with `,` and `=` inside percent-encoded. The last of two equal keys holds.
fn parse_attributes(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} has no `=`"))?;
        if value.contains('=') {
            return Err(format!("the value of {pair:?} has a `=`, which is written %3D"));
        }
        let decode =
            |part: &str| decode(part.trim()).ok_or_else(|| format!("{pair:?} is not percent-encoded UTF-8"));
        let (key, value) = (decode(key)?, decode(value)?);
        if key.is_empty() {
            return Err(format!("{pair:?} has no key"));
        }
        attributes.insert(key, value);
    }
    Ok(attributes)
}

/// Percent-decoded; `None` where that gives no text.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
