use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use documents::Trust;
use otlp::{Compression, Destination, Protocol, Temporality};
use telemetry::Signal;

use crate::config::load;
use crate::config::tests::problems;
use crate::self_telemetry::environment::Variables;

/// The problems of these destinations, with their places in a file of a line for each.
fn problems_of(destinations: &[&str]) -> Vec<String> {
    let lines: Vec<String> = destinations.iter().map(|one| format!("  - {{ {one} }}\n")).collect();
    problems(&format!("destinations:\n{}", lines.concat()))
}

/// The destinations of `text`, or the problems, without the directory.
fn loaded(directory: &Path, text: &str, variables: &[(&str, &str)]) -> Result<Vec<Destination>, Vec<String>> {
    let path = directory.join("hostmend.yaml");
    std::fs::write(&path, text).unwrap();
    let variables: Variables =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load(&path, Trust::invoking_user(), &variables);
    let here = format!("{}/", directory.display());
    let problems = || loaded.problems.iter().map(|problem| problem.to_string().replace(&here, "")).collect();
    loaded.config.map(|config| config.destinations).ok_or_else(problems)
}

#[test]
fn every_option_reaches_the_destination() {
    let directory = tempfile::tempdir().unwrap();
    let text = "destinations:\n- name: a\n  endpoint: http://a:4318/in\n  append_path: false\n  protocol: http/json\n  \
                compression: zstd\n  timeout: 3s\n  connect_timeout: 2s\n  signals: [traces]\n  failover: [b]\n  \
                max_request_bytes: 5\n  max_response_bytes: 6\n  concurrency: 7\n  drain_bytes_per_second: 8\n  \
                proxy: http://p:3128\n  temporality: lowmemory\n- { name: b, endpoint: http://b:4317 }\n";
    let found = loaded(directory.path(), text, &[("HTTP_PROXY", "http://other:1")]).unwrap();
    let [a, b] = found.as_slice() else { panic!("{found:?}") };
    let a = a.options();
    assert_eq!((a.append_path, a.protocol, a.compression), (false, Protocol::HttpJson, Compression::Zstd));
    assert_eq!((a.timeout, a.connect_timeout), (Duration::from_secs(3), Duration::from_secs(2)));
    assert_eq!((a.signals.clone(), a.failover.clone()), ([Signal::Traces].into(), vec!["b".to_owned()]));
    assert_eq!((a.max_request_bytes, a.max_response_bytes, a.concurrency), (5, 6, 7));
    assert_eq!((a.drain_bytes_per_second, a.temporality), (Some(8), Temporality::LowMemory));
    assert_eq!(a.proxy, Some("http://p:3128".into()));
    let b = b.options();
    assert_eq!((b.signals.len(), b.proxy.clone()), (3, Some("http://other:1".into())));
    assert_eq!((b.compression, b.timeout), (Compression::Gzip, Duration::from_secs(10)));
    let off = "destinations: [{ name: a, endpoint: http://a, proxy: none }]\n";
    let found = loaded(directory.path(), off, &[("HTTP_PROXY", "http://other:1")]).unwrap();
    assert_eq!(found[0].options().proxy, None);
}

#[test]
fn mistakes_of_a_destination_are_told_where_they_are() {
    for (options, expected) in [
        ("concurrency: 0", "2:56: concurrency must be more than 0"),
        ("max_request_bytes: 0", "2:62: max_request_bytes must be more than 0"),
        ("timeout: 0s", "2:52: timeout must be more than 0"),
        (
            "proxy: \"p:1\"",
            "2:50: the proxy is no URL; write http://host:port, with user:password@ before the host if \
          it wants them",
        ),
        ("proxy: { file: missing }", "reading"),
        ("headers: { a: { file: missing } }", "2:57: header \"a\" has no value: reading "),
        ("headers: { a: { path: b } }", "expected a text, { file: PATH } or { credential: NAME }"),
        ("headers: { a: { credential: ../b } }", "2:57: \"../b\" is no name of a credential"),
        ("headers: { a: { credential: b } }", "2:57: there is no credential \"b\" outside of a service"),
        ("signals: []", "2:13: signals is empty"),
        ("signals: [spans]", "unknown variant `spans`"),
        ("append_path: false", "append_path is off, so the endpoint takes one signal only"),
        ("failover: [a]", "a cannot stand in for itself; name another destination"),
        ("tls: { server_name: b }", "tls is set, but endpoint \"http://a:4318\" is not encrypted"),
    ] {
        let found = problems_of(&[&format!("name: a, endpoint: \"http://a:4318\", {options}")]);
        assert!(found.first().is_some_and(|problem| problem.contains(expected)), "{options}: {found:?}");
    }
}

#[test]
fn stand_ins_exist_and_do_not_go_round() {
    let a = "name: a, endpoint: \"http://a\", failover: [b]";
    let round = problems_of(&[
        a,
        "name: b, endpoint: \"http://b\", failover: [c]",
        "name: c, endpoint: \"http://c\", failover: [a]",
    ]);
    assert_eq!(round.len(), 3, "{round:?}");
    assert!(round[0].starts_with("2:49: \"a\" would stand in for itself, by way of \"b\""), "{}", round[0]);
    let missing = problems_of(&[&a.replace("[b]", "[bb]"), "name: b, endpoint: \"http://b\""]);
    assert_eq!(missing, ["2:49: there is no destination \"bb\" to stand in; did you mean `b`?"]);
    assert_eq!(problems_of(&[a, "name: b, endpoint: \"http://b\""]), Vec::<String>::new());
}

#[test]
fn one_that_wants_deltas_stands_in_for_one_only() {
    let b = "name: b, endpoint: \"http://b\"";
    for (options, a_takes, problems) in [
        ("temporality: delta", "[metrics]", 1),
        ("temporality: delta", "[logs]", 0),
        ("temporality: delta, signals: [logs]", "[metrics, logs]", 0),
        ("temporality: cumulative", "[metrics]", 0),
    ] {
        let found = problems_of(&[
            &format!("name: a, endpoint: \"http://a\", failover: [b], signals: {a_takes}"),
            &format!("{b}, {options}"),
            "name: c, endpoint: \"http://c\", failover: [b]",
        ]);
        assert_eq!(found.len(), problems, "{options} {a_takes}: {found:?}");
        let told = "4:49: \"b\" stands in for another one already, and would be told the same deltas by both";
        assert!(found.iter().all(|problem| problem.starts_with(told)), "{found:?}");
    }
}

#[test]
fn secrets_come_from_files_and_from_systemd_and_files_that_everybody_can_read_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, mode| {
        let path = directory.path().join(name);
        std::fs::write(&path, "Bearer secret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let of = |source: &str| {
        let text = format!(
            "destinations: [{{ name: a, endpoint: \"http://a\", headers: {{ authorization: {source} }} }}]\n"
        );
        let credentials = directory.path().to_str().unwrap();
        loaded(directory.path(), &text, &[("CREDENTIALS_DIRECTORY", credentials)])
    };
    write("token", 0o640);
    assert!(of("{ file: token }").is_ok());
    assert!(of("{ credential: token }").is_ok());
    write("token", 0o644);
    for source in ["{ file: token }", "{ credential: token }"] {
        let found = of(source).unwrap_err();
        assert!(
            found[0].contains("token holds a secret, and everybody may open it; run chmod o= "),
            "{found:?}"
        );
        assert!(!found[0].contains("Bearer"));
    }
}

#[test]
fn without_destinations_in_the_file_the_variables_describe_them_and_are_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let found = loaded(directory.path(), "collect: {}\n", &[endpoint]).unwrap();
    assert_eq!(found.iter().map(Destination::name).collect::<Vec<_>>(), ["default"]);
    let file = "destinations: [{ name: a, endpoint: http://a }]\n";
    let found = loaded(directory.path(), file, &[endpoint]).unwrap();
    assert_eq!(found.iter().map(Destination::name).collect::<Vec<_>>(), ["a"]);
    // Not an error: the agent starts without it.
    for (file, value) in [
        ("collect: {}\n", "c:4318"),
        ("receive: { listeners: [{ name: apps, http: 127.0.0.1:4318 }] }\n", "http://localhost:4318"),
    ] {
        let found = loaded(directory.path(), file, &[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]);
        assert!(found.is_ok_and(|all| all.is_empty()), "{value}");
    }
}
