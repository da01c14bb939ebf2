use super::*;

fn read_pairs(pairs: &[(&str, &str)]) -> (Settings, Vec<String>) {
    let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (settings, complaints) = read(&variables);
    (settings, complaints.into_iter().map(|found| format!("{}: {}", found.variable, found.message)).collect())
}

/// The settings as text, and that nothing is said in vain.
fn quiet(pairs: &[(&str, &str)]) -> Settings {
    let (settings, complaints) = read_pairs(pairs);
    assert_eq!(complaints, Vec::<String>::new(), "{pairs:?}");
    settings
}

#[test]
fn an_empty_value_counts_as_none() {
    let default = format!("{:?}", Settings::default());
    for name in NAMES.into_iter().chain([RESOURCE_ATTRIBUTES, SERVICE_NAME, ENTITIES]) {
        for value in ["", "  "] {
            assert_eq!(format!("{:?}", quiet(&[(name, value)])), default, "{name}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_and_ignored() {
    let default = format!("{:?}", Settings::default());
    for (name, value, told) in [
        ("OTEL_SDK_DISABLED", "1", "\"1\" is neither true nor false, and counts as false"),
        (
            "OTEL_LOG_LEVEL",
            "loud",
            "\"loud\" is ignored; it may be off, none, fatal, error, warn, info, debug, trace",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "\"-1\" is no number from 10 to 3600000, and is ignored"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "\"0\" is no number from 10 to 3600000, and is ignored"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "\"0\" is no number from 1 to 65536, and is ignored"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "99999999", "\"99999999\" is no number from 1 to 65536, and is ignored"),
        (
            "OTEL_BSP_EXPORT_TIMEOUT",
            "-5",
            "\"-5\" is no number from 0 to 18446744073709551615, and is ignored",
        ),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "4096", "\"4096\" is no number from 1 to 2048, and is ignored"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1s", "\"1s\" is no number from 10 to 3600000, and is ignored"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "many", "\"many\" is no number from 0 to 4294967295, and is ignored"),
        (
            "OTEL_TRACES_SAMPLER",
            "jaeger_remote",
            "\"jaeger_remote\" is ignored; it may be parentbased_always_on, parentbased_always_off, \
             parentbased_traceidratio, always_on, always_off, traceidratio",
        ),
        ("OTEL_TRACES_EXPORTER", "zipkin", "\"zipkin\" is ignored; it may be otlp or none"),
        (
            "OTEL_TRACES_EXPORTER",
            "console",
            "\"console\" is ignored: a service has nobody at its standard output",
        ),
        (
            "OTEL_LOGS_EXPORTER",
            "otlp/stdout",
            "\"otlp/stdout\" is ignored: a service has nobody at its standard output",
        ),
        (
            "OTEL_METRICS_EXPORTER",
            "prometheus",
            "\"prometheus\" is ignored; `api: { listen: … }` in the file offers a page to scrape",
        ),
        (
            "OTEL_PROPAGATORS",
            "tracecontext,pigeon",
            "\"pigeon\" is ignored; it may be tracecontext, baggage, b3, b3multi, jaeger, xray, ottrace, none",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "5000",
            "ignored: the agent's figures leave with each collection; `collect: { interval: … }`",
        ),
        (
            "OTEL_METRIC_EXPORT_TIMEOUT",
            "x",
            "\"x\" is no number from 0 to 18446744073709551615, and is ignored",
        ),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "ignored: the agent's figures have no exemplars"),
        (
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "sometimes",
            "\"sometimes\" is ignored; it may be trace_based, always_on, always_off",
        ),
        (
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "100",
            "ignored: the SDK has no such limit; own spans and records are limited in bytes per second",
        ),
        ("OTEL_ENTITIES", "service{service.name=a}", "ignored: it is a draft; use OTEL_RESOURCE_ATTRIBUTES"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b", "\"b\" has no `=`; all of it is ignored"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=1", "\"=1\" has no key; all of it is ignored"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a=1,b=x=y",
            "the value of \"b=x=y\" has a `=`, which is written %3D; all of it is ignored",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%4", "\"a=%4\" is not percent-encoded UTF-8; all of it is ignored"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%+4", "\"a=%+4\" is not percent-encoded UTF-8; all of it is ignored"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff", "\"a=%ff\" is not percent-encoded UTF-8; all of it is ignored"),
    ] {
        let (settings, complaints) = read_pairs(&[(name, value)]);
        assert_eq!(complaints, [format!("{name}: {told}")]);
        assert_eq!(format!("{settings:?}"), default, "{name}={value}");
    }
}

#[test]
fn one_variable_silences_all_signals() {
    for (value, expected) in [("true", false), ("TRUE", false), ("false", true), ("False", true)] {
        let settings = quiet(&[("OTEL_SDK_DISABLED", value), ("OTEL_TRACES_EXPORTER", "otlp")]);
        assert_eq!([settings.traces, settings.logs, settings.metrics], [expected; 3], "{value}");
    }
}

#[test]
fn exporters_are_chosen_by_signal() {
    for (name, value, expected) in [
        ("OTEL_TRACES_EXPORTER", "none", [false, true, true]),
        ("OTEL_TRACES_EXPORTER", " OTLP ", [true, true, true]),
        ("OTEL_LOGS_EXPORTER", "None", [true, false, true]),
        ("OTEL_LOGS_EXPORTER", "console", [true, false, true]),
        ("OTEL_LOGS_EXPORTER", "console,otlp", [true, true, true]),
        ("OTEL_METRICS_EXPORTER", "none", [true, true, false]),
    ] {
        let settings = quiet(&[(name, value)]);
        assert_eq!([settings.traces, settings.logs, settings.metrics], expected, "{name}={value}");
    }
}

#[test]
fn the_log_level_is_one_of_ours() {
    for (value, expected) in [("DEBUG", "debug"), ("none", "off"), ("fatal", "error"), ("warn", "warn")] {
        assert_eq!(quiet(&[("OTEL_LOG_LEVEL", value)]).log_level, Some(expected));
    }
}

#[test]
fn samplers_are_those_of_the_specification() {
    for (sampler, argument, expected) in [
        ("", "", "ParentBased(AlwaysOn)"),
        ("always_on", "", "AlwaysOn"),
        ("Always_Off", "", "AlwaysOff"),
        ("traceidratio", "0.25", "TraceIdRatioBased(0.25)"),
        ("traceidratio", "", "TraceIdRatioBased(1.0)"),
        ("parentbased_traceidratio", "0", "ParentBased(TraceIdRatioBased(0.0))"),
        ("parentbased_always_off", "", "ParentBased(AlwaysOff)"),
    ] {
        let settings = quiet(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        assert_eq!(format!("{:?}", settings.sampler), expected);
    }
    for argument in ["1.5", "-0.1", "NaN", "half"] {
        let (settings, complaints) =
            read_pairs(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        let told = format!("OTEL_TRACES_SAMPLER_ARG: {argument:?} is no number from 0 to 1, and is ignored");
        assert_eq!(complaints, [told]);
        assert_eq!(format!("{:?}", settings.sampler), "TraceIdRatioBased(1.0)");
    }
}

#[test]
fn spans_and_records_are_batched_as_told() {
    let default = quiet(&[]);
    assert_eq!(default.spans, Batching { delay: DELAY, waiting: 2_048, in_a_batch: 512 });
    assert_eq!(default.records, default.spans);
    let settings = quiet(&[
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "0"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "4096"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "30000"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "30000"),
    ]);
    assert_eq!(settings.spans, Batching { delay: Duration::from_secs(5), waiting: 100, in_a_batch: 100 });
    assert_eq!(settings.records, Batching { delay: DELAY, waiting: 4_096, in_a_batch: 4_096 });
}

#[test]
fn a_limit_for_spans_events_or_links_stands_before_the_general_one() {
    let limits = quiet(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "20"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "30"),
    ])
    .limits;
    assert_eq!(limits.max_attributes_per_span, 20);
    assert_eq!((limits.max_attributes_per_event, limits.max_attributes_per_link), (0, 10));
    assert_eq!((limits.max_events_per_span, limits.max_links_per_span), (30, 128));
}

#[test]
fn resource_attributes_are_decoded_and_the_service_has_a_variable_of_its_own() {
    for (attributes, service, expected) in [
        ("a=1,b=two", "", "a=1 b=two"),
        (" a = 1 , ,b=,", "", "a=1"),
        ("a=x%2Cy%3Dz%20%C3%A9", "", "a=x,y=z é"),
        ("k%3D=v+w", "", "k==v+w"),
        ("a=1,a=2", "", "a=2"),
        ("service.name=web,a=1", "", "a=1 service.name=web"),
        ("service.name=web", "agent", "service.name=agent"),
        ("", "agent", "service.name=agent"),
    ] {
        let settings = quiet(&[(RESOURCE_ATTRIBUTES, attributes), (SERVICE_NAME, service)]);
        let text: Vec<String> =
            settings.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(text.join(" "), expected, "{attributes:?} {service:?}");
    }
}
