use super::*;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (format!("OTEL_EXPORTER_OTLP_{name}"), (*value).to_owned())).collect()
}

/// The destinations as `name protocol address signals`, and the complaints.
fn summary(pairs: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (all, complaints) = read(&variables(pairs));
    let all = all.into_iter().map(|options| {
        let signals: Vec<_> = options.signals.iter().map(|signal| signal.as_str()).collect();
        let how = if options.append_path { "" } else { " exactly" };
        format!("{} {} {}{how} {}", options.name, options.protocol, options.endpoint, signals.join(","))
    });
    let complaints = complaints.into_iter().map(|one| format!("{}: {}", one.variable, one.message));
    (all.collect(), complaints.collect())
}

fn only(pairs: &[(&str, &str)]) -> DestinationOptions {
    let (all, complaints) = read(&variables(pairs));
    let [one] = all.try_into().unwrap_or_else(|all: Vec<_>| panic!("{} destinations", all.len()));
    assert_eq!(complaints, []);
    one
}

const ALL: &str = "metrics,traces,logs";

#[test]
fn endpoints_of_signals_win_and_are_used_as_they_are() {
    for (pairs, expected) in [
        (&[][..], &[][..]),
        (&[("ENDPOINT", " ")], &[]),
        (&[("ENDPOINT", "http://c:4318/my/")], &["default http/protobuf http://c:4318/my/ {}"]),
        (&[("PROTOCOL", "grpc")], &["default grpc http://localhost:4317 {}"]),
        (&[("TIMEOUT", "5")], &["default http/protobuf http://localhost:4318 {}"]),
        (
            &[("ENDPOINT", "http://c:4318"), ("TRACES_ENDPOINT", "http://t:4318/in")],
            &[
                "default http/protobuf http://c:4318 metrics,logs",
                "default-traces http/protobuf http://t:4318/in exactly traces",
            ],
        ),
        (
            &[("ENDPOINT", "http://c:4317"), ("PROTOCOL", "grpc"), ("LOGS_ENDPOINT", "http://c:4317")],
            &["default grpc http://c:4317 {}"],
        ),
        (
            &[
                ("METRICS_ENDPOINT", "http://m"),
                ("TRACES_ENDPOINT", "http://t"),
                ("LOGS_ENDPOINT", "http://l:4317"),
                ("LOGS_PROTOCOL", "GRPC"),
            ],
            &[
                "default-metrics http/protobuf http://m exactly metrics",
                "default-traces http/protobuf http://t exactly traces",
                "default-logs grpc http://l:4317 logs",
            ],
        ),
        // gRPC without a scheme: encrypted, unless it says that it is not; a scheme beats that.
        (&[("PROTOCOL", "grpc"), ("ENDPOINT", "c:4317")], &["default grpc https://c:4317 {}"]),
        (
            &[("PROTOCOL", "grpc"), ("ENDPOINT", "c:4317"), ("INSECURE", "TRUE")],
            &["default grpc http://c:4317 {}"],
        ),
        (
            &[("PROTOCOL", "grpc"), ("ENDPOINT", "https://c"), ("INSECURE", "true")],
            &["default grpc https://c {}"],
        ),
    ] {
        let expected: Vec<_> = expected.iter().map(|text| text.replace("{}", ALL)).collect();
        assert_eq!(summary(pairs), (expected, Vec::new()), "{pairs:?}");
    }
}

#[test]
fn a_signal_without_an_endpoint_where_others_have_one_is_not_sent_and_that_is_told() {
    let (all, complaints) = summary(&[("TRACES_ENDPOINT", "http://t:4318/in")]);
    assert_eq!(all, ["default-traces http/protobuf http://t:4318/in exactly traces"]);
    assert_eq!(
        complaints,
        [
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: metrics have no endpoint, and are not sent",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: logs have no endpoint, and are not sent",
        ]
    );
}

#[test]
fn a_path_is_appended_to_a_base_and_an_endpoint_of_a_signal_has_its_own_or_the_root() {
    for (pairs, expected) in [
        (&[("ENDPOINT", "http://c:4318/my/")][..], Ok(())),
        (&[("TRACES_ENDPOINT", "http://t:4318")], Ok(())),
        (&[("ENDPOINT", "collector:4318")], Err("has no scheme")),
        (&[("ENDPOINT", "http://c:4317/path"), ("PROTOCOL", "grpc")], Err("has a path")),
    ] {
        let (all, _) = read(&variables(pairs));
        let made = Destination::new(all[0].clone()).map(|_| ()).map_err(|error| error.to_string());
        match expected {
            Ok(()) => assert_eq!(made, Ok(()), "{pairs:?}"),
            Err(text) => assert!(made.as_ref().is_err_and(|error| error.contains(text)), "{made:?}"),
        }
    }
}

#[test]
fn headers_are_decoded_and_those_of_a_signal_stand_in_place_of_the_general_ones() {
    let of = |pairs: &[(&str, &str)]| {
        let text = |secret: Secret| match secret {
            Secret::Text(text) => text,
            Secret::File(_) => panic!("a file"),
        };
        let headers = only(pairs).headers.into_iter();
        headers.map(|(name, value)| (name, text(value))).collect::<Vec<_>>()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        of(&[("HEADERS", " api-key = a%20b , x-tenant=t=1;p,, ")]),
        [pair("api-key", "a b"), pair("x-tenant", "t=1;p")]
    );
    let (all, _) = read(&variables(&[("HEADERS", "a=1,b=2"), ("LOGS_HEADERS", "c=3")]));
    let names: Vec<Vec<&str>> =
        all.iter().map(|one| one.headers.iter().map(|(name, _)| name.as_str()).collect()).collect();
    assert_eq!(names, [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn headers_that_cannot_be_read_are_told_without_their_values() {
    let (all, complaints) = summary(&[("HEADERS", "secret,key=%zzsecret,=secret,good=1")]);
    assert_eq!(all.len(), 1);
    assert_eq!(
        complaints,
        [
            "OTEL_EXPORTER_OTLP_HEADERS: a part without `=` is ignored; write key=value,key=value",
            "OTEL_EXPORTER_OTLP_HEADERS: \"key\" is ignored: its value is not percent-encoded UTF-8",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_told_and_ignored() {
    for (name, value, may_be) in [
        ("PROTOCOL", "http/xml", "grpc, http/protobuf, http/json"),
        ("TIMEOUT", "-1", "a whole number of milliseconds"),
        ("TIMEOUT", "10s", "a whole number of milliseconds"),
        ("COMPRESSION", "brotli", "gzip, none"),
        ("METRICS_TEMPORALITY_PREFERENCE", "sometimes", "cumulative, delta, lowmemory"),
        ("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "none", "explicit_bucket_histogram"),
    ] {
        let endpoint = ("ENDPOINT", "http://c:4318");
        let (all, complaints) = summary(&[endpoint, (name, value)]);
        assert_eq!(all, [format!("default http/protobuf http://c:4318 {ALL}")]);
        let expected = format!("OTEL_EXPORTER_OTLP_{name}: {value:?} is ignored; it may be {may_be}");
        assert_eq!(complaints, [expected]);
    }
    // An unreadable value of a signal leaves the general one.
    let (all, _) = read(&variables(&[("TIMEOUT", "7"), ("LOGS_TIMEOUT", "soon")]));
    assert!(all.iter().all(|one| one.timeout == Duration::from_millis(7)));
}

#[test]
fn the_other_settings_are_taken_as_they_are() {
    let all = only(&[
        ("ENDPOINT", "https://c:4318"),
        ("TIMEOUT", "250"),
        ("COMPRESSION", "GZIP"),
        ("CERTIFICATE", "/ca.pem"),
        ("CLIENT_CERTIFICATE", "/me.pem"),
        ("CLIENT_KEY", "/me.key"),
        ("METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        ("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
    ]);
    assert_eq!((all.timeout, all.compression), (Duration::from_millis(250), Compression::Gzip));
    assert_eq!(all.temporality, Temporality::Delta);
    let tls = all.tls.unwrap();
    let paths = [tls.ca_file, tls.certificate_file, tls.key_file].map(Option::unwrap);
    assert_eq!(paths, ["/ca.pem", "/me.pem", "/me.key"].map(PathBuf::from));
    let plain = only(&[("ENDPOINT", "http://c:4318"), ("CERTIFICATE", "/ca.pem"), ("TIMEOUT", "0")]);
    assert_eq!((plain.tls, plain.timeout), (None, Duration::MAX));
    let default = only(&[("ENDPOINT", "http://c:4318")]);
    assert_eq!((default.timeout, default.compression), (Duration::from_secs(10), Compression::None));
}

#[test]
fn a_configuration_file_of_opentelemetry_silences_the_variables() {
    let mut variables = variables(&[("ENDPOINT", "http://c:4318")]);
    variables.insert(CONFIG_FILE.to_owned(), "/etc/otel.yaml".to_owned());
    assert!(read(&variables).0.is_empty());
}
