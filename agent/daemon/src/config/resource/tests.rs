use super::*;
use crate::config::{Loaded, load};
use documents::Trust;

fn load_text(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostmend.yaml");
    std::fs::write(&path, text).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&path, Trust::invoking_user(), &variables)
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = load_text(text, variables).problems;
    problems
        .iter()
        .map(|problem| problem.to_string().rsplit("hostmend.yaml:").next().unwrap().to_owned())
        .collect()
}

/// What the host's own and received telemetry get, without what is found out and not asked for here.
fn attributes(text: &str, variables: &[(&str, &str)]) -> [String; 2] {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("proc/sys/kernel")).unwrap();
    std::fs::write(directory.path().join("proc/sys/kernel/hostname"), "web-01\n").unwrap();
    let host = HostRoot::at(directory.path());
    let identity = load_text(text, variables).config.unwrap().identity;
    [identity.own(&host, Some("i".to_owned())), identity.of_received(&host)].map(|attributes| {
        let hidden = ["host.arch", "os.build_id", "service.instance.id", "service.version"];
        let pairs = attributes.iter().filter(|(key, _)| !hidden.contains(&key.as_str()));
        pairs.map(|(key, value)| format!("{key}={}", value.as_text().unwrap())).collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn the_file_stands_before_the_environment_and_that_before_what_is_found_out() {
    let file = "resource: { attributes: { deployment.environment.name: prod, host.name: web-01.example, team: a } }\n";
    let variables =
        [("OTEL_RESOURCE_ATTRIBUTES", "team=b,shift=night,os.type=other"), ("OTEL_SERVICE_NAME", "agent")];
    assert_eq!(
        attributes(file, &variables),
        [
            "host.name=web-01.example os.type=other service.name=agent shift=night team=a \
             deployment.environment.name=prod",
            "host.name=web-01.example os.type=linux deployment.environment.name=prod team=a",
        ]
    );
}

#[test]
fn what_is_not_to_be_found_out_is_not() {
    let [own, _] = attributes("resource: { detect: [os, cpu] }\n", &[]);
    assert_eq!(own, "os.type=linux service.name=hostmend");
    let told = problems("resource: { detect: [clouds] }\n", &[]).join("\n");
    assert!(told.contains("cloud"), "{told}");
}

#[test]
fn nothing_about_a_service_is_added_to_what_others_send() {
    let file = "resource: { attributes: { service.name: fleet, service.namespace: shop, team: a } }\n";
    assert_eq!(
        attributes(file, &[]),
        [
            "host.name=web-01 os.type=linux service.name=fleet service.namespace=shop team=a",
            "host.name=web-01 os.type=linux team=a",
        ]
    );
}

#[test]
fn what_is_not_wanted_is_not_found_out() {
    let own = |file| attributes(file, &[])[0].clone();
    assert_eq!(own("resource: { detect: [host] }\n"), "host.name=web-01 service.name=hostmend");
    assert_eq!(own("resource: { detect: [os] }\n"), "os.type=linux service.name=hostmend");
    assert_eq!(own("resource: { detect: [] }\n"), "service.name=hostmend");
}

#[test]
fn mistakes_about_the_resource_are_told_where_they_are() {
    let long = format!("resource: {{ attributes: {{ a: {} }} }}\n", "x".repeat(MAX_ATTRIBUTE_BYTES));
    for (text, expected) in [
        (
            "resource: { attributes: { \"\": a } }\n",
            "1:31: an attribute needs a name without spaces, such as deployment.environment.name",
        ),
        (
            "resource: { attributes: { \"a b\": c } }\n",
            "1:34: an attribute needs a name without spaces, such as deployment.environment.name",
        ),
        (
            "resource: { attributes: { a: \"\" } }\n",
            "1:30: an attribute without a value says nothing; leave it out",
        ),
        (&long, "1:30: an attribute may have 1024 bytes, for it stands in every request"),
        ("resource: { attributes: { a: b, a: c } }\n", "1:33: duplicate mapping key: a not allowed here"),
        (
            "own_telemetry: { OTEL_BSP_SCHEDULE_DELAI: 5 }\n",
            "1:43: there is no setting \"OTEL_BSP_SCHEDULE_DELAI\"; did you mean `OTEL_BSP_SCHEDULE_DELAY`?",
        ),
        (
            "own_telemetry: { OTEL_SERVICE_NAME: a }\n",
            "1:37: there is no setting \"OTEL_SERVICE_NAME\"; `resource: { attributes: … }` at the top says it",
        ),
        (
            "own_telemetry: { OTEL_BSP_SCHEDULE_DELAY: 5 }\n",
            "1:43: \"5\" is no number from 10 to 3600000, and is ignored",
        ),
    ] {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
    let many: Vec<String> = (0..=MAX_ATTRIBUTES).map(|n| format!("    a{n:03}: b\n")).collect();
    let found = problems(&format!("resource:\n  attributes:\n{}", many.concat()), &[]);
    assert_eq!(found, ["67:11: at most 64 attributes, for they stand in every request"]);
}

#[test]
fn own_telemetry_in_the_file_stands_before_the_variables() {
    let file = "own_telemetry: { OTEL_TRACES_EXPORTER: otlp, OTEL_BSP_SCHEDULE_DELAY: 500 }\n";
    let variables = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")];
    let own = load_text(file, &variables).config.unwrap().own_telemetry;
    assert_eq!((own.traces, own.logs, own.spans.delay.as_millis()), (true, false, 500));
}

#[test]
fn a_variable_in_vain_is_a_warning() {
    let loaded = load_text("{}\n", &[("OTEL_SDK_DISABLED", "maybe")]);
    assert!(loaded.config.is_some());
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["environment: OTEL_SDK_DISABLED: \"maybe\" is neither true nor false, and counts as false"]
    );
}

#[test]
fn a_configuration_file_of_the_sdk_silences_the_other_variables_but_not_our_file() {
    let variables =
        [("OTEL_CONFIG_FILE", "/etc/otel.yaml"), ("OTEL_SDK_DISABLED", "true"), ("OTEL_SERVICE_NAME", "a")];
    let loaded = load_text("own_telemetry: { OTEL_LOGS_EXPORTER: none }\n", &variables);
    let own = loaded.config.unwrap().own_telemetry;
    assert_eq!((own.traces, own.logs, own.attributes), (true, false, Vec::new()));
    assert_eq!(loaded.problems.len(), 1);
    assert!(
        loaded.problems[0].to_string().starts_with("environment: OTEL_CONFIG_FILE: this file is not read")
    );
}
