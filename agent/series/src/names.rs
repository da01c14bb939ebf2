//! The official translation of OpenTelemetry names to Prometheus names.
//!
//! Follows prometheus/otlptranslator 1.0.0 with its default strategy, `UnderscoreEscapingWithSuffixes`. A counter gets
//! its `total` even where the unit says nothing, and a unit in braces says nothing.

use std::borrow::Cow;

use telemetry::{Instrument, MetricSpec};

const UNITS: [(&str, &str); 28] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("bit", "bit"),
    ("B", "B"),
];

const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The name under which Prometheus knows a metric: `system_cpu_time_seconds_total` for `system.cpu.time`.
pub fn prometheus_name(spec: &MetricSpec) -> String {
    prometheus_name_of(spec.name, spec.unit, spec.instrument)
}

/// The name under which Prometheus knows a metric that is not one of ours.
pub fn prometheus_name_of(name: &str, unit_of: &str, instrument: Instrument) -> String {
    let mut tokens: Vec<Cow<'_, str>> = name
        .split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
        .filter(|token| !token.is_empty())
        .map(Cow::Borrowed)
        .collect();
    let (main, per) = match unit_of.split_once('/') {
        Some((main, per)) => (main, per),
        None => (unit_of, ""),
    };
    let main = unit(main, &UNITS);
    let per = unit(per, &PER_UNITS);
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    for token in [main, per] {
        if !token.is_empty() && !tokens.iter().any(|known| *known == token) {
            tokens.push(Cow::Owned(token));
        }
    }
    let last = match instrument {
        Instrument::Counter => Some("total"),
        Instrument::Gauge if unit_of == "1" => Some("ratio"),
        Instrument::Gauge | Instrument::UpDownCounter => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| token != last);
        tokens.push(Cow::Borrowed(last));
    }
    let name = tokens.join("_");
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// The name under which Prometheus knows an attribute: `cpu_mode` for `cpu.mode`.
pub fn prometheus_label(key: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let label: Cow<'_, str> = if key.chars().all(plain) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(key.chars().map(|c| if plain(c) { c } else { '_' }).collect())
    };
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        Cow::Owned(format!("key_{label}"))
    } else if label.starts_with('_') && !label.starts_with("__") {
        Cow::Owned(format!("key{label}"))
    } else {
        label
    }
}

fn unit(unit: &str, table: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return String::new();
    }
    let word = table.iter().find(|(symbol, _)| *symbol == unit).map_or(unit, |(_, word)| word);
    let parts: Vec<&str> =
        word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{Scope, ValueType};

    fn name(name: &'static str, unit: &'static str, instrument: Instrument) -> String {
        prometheus_name(&MetricSpec {
            name,
            unit,
            instrument,
            value: ValueType::Double,
            attributes: &[],
            scope: Scope::Conventions,
            description: "",
            source: "",
            shows: None,
            by_default: true,
        })
    }

    #[test]
    fn names_are_those_of_the_official_translation() {
        use Instrument::{Counter, Gauge, UpDownCounter};
        for (otel, unit, instrument, expected) in [
            ("system.cpu.time", "s", Counter, "system_cpu_time_seconds_total"),
            ("system.memory.usage", "By", UpDownCounter, "system_memory_usage_bytes"),
            ("system.cpu.utilization", "1", Gauge, "system_cpu_utilization_ratio"),
            ("system.disk.io", "By", Counter, "system_disk_io_bytes_total"),
            ("system.network.errors", "{error}", Counter, "system_network_errors_total"),
            ("system.cpu.load_average.1m", "1", Gauge, "system_cpu_load_average_1m_ratio"),
            ("system.cpu.load_average.1m", "{thread}", Gauge, "system_cpu_load_average_1m"),
            ("link.speed", "By/s", Gauge, "link_speed_bytes_per_second"),
            ("queue.bytes.total", "By", Counter, "queue_bytes_total"),
            ("5xx..rate", "{request}/s", Gauge, "_5xx_rate_per_second"),
            ("filesystem.utilization", "1", UpDownCounter, "filesystem_utilization"),
        ] {
            assert_eq!(name(otel, unit, instrument), expected, "{otel} in {unit}");
        }
    }

    #[test]
    fn labels_are_those_of_the_official_translation() {
        for (otel, expected) in [
            ("cpu.mode", "cpu_mode"),
            ("state", "state"),
            ("a..b", "a__b"),
            ("1st", "key_1st"),
            ("_hidden", "key_hidden"),
            ("__own", "__own"),
        ] {
            assert_eq!(prometheus_label(otel), expected);
        }
    }
}
