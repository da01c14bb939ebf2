use crate::config::{Trust, Variables, load};

const RULES: &str = r#"
groups:
  - name: recorded
    rules:
      - { record: "job:calls:rate5m", expr: "rate(traces_span_metrics_calls_total[5m])" }
      - { record: "host:load", expr: "system_cpu_load_average_1m" }
      - { record: "a:a", expr: "b:b + backups_total" }
      - { record: "b:b", expr: "a:a" }
  - name: alerts
    rules:
"#;

const CONFIGURATION: &str = r#"
rules: [rules.yaml]
receive:
  listeners:
    - { name: apps, grpc: "127.0.0.1:4317" }
    - { name: others, grpc: "127.0.0.1:4327" }
collect: { textfile: . }
"#;

/// What an alert on `expression` depends on.
fn origins(configuration: &str, expression: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let rules = format!("{RULES}      - {{ alert: A, expr: '{expression}' }}\n");
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let path = directory.path().join("hostmend.yaml");
    std::fs::write(&path, configuration).unwrap();
    let loaded = load(&path, Trust::Anyone, &Variables::new());
    let errors: Vec<String> = loaded
        .problems
        .iter()
        .filter(|it| it.severity == crate::config::Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let alert = loaded.origins.iter().find(|alert| alert.alert == "A").unwrap();
    let origins: Vec<String> = alert.origins.iter().map(ToString::to_string).collect();
    origins.join(" ")
}

#[test]
fn an_alert_depends_on_whoever_can_bear_the_names_it_reads() {
    for (expression, expected) in [
        ("vector(1)", ""),
        ("up", "host"),
        ("node_filesystem_avail_bytes == 0", "host"),
        ("system_cpu_load_average_1m > 1", "host"),
        ("{\"system.cpu.time\"} > 1", "host"),
        ("node_backup_age > 1", "host textfile"),
        ("shop_orders_total > 1", "otlp:apps otlp:others textfile"),
        ("shop_orders_total{hostmend_origin=\"otlp:apps\"} > 1", "otlp:apps"),
        ("shop_orders_total{hostmend_origin=~\"otlp:.*\"} > 1", "otlp:apps otlp:others"),
        ("traces_span_metrics_calls_total > 1", "otlp:apps otlp:others textfile"),
        ("shop_orders_total > on() system_cpu_load_average_1m", "host otlp:apps otlp:others textfile"),
        ("absent(up)", "host"),
        ("host:load > 1", "host"),
        ("job:calls:rate5m > 1", "otlp:apps otlp:others textfile"),
        ("a:a > 1", "otlp:apps otlp:others textfile"),
        ("ALERTS{alertname=\"B\"}", ""),
        ("{job=\"x\"} > 1", "host otlp:apps otlp:others textfile"),
        ("{__name__=~\"host:.*\", hostmend_origin=\"nobody\"} > 1", "host"),
    ] {
        assert_eq!(origins(CONFIGURATION, expression), expected, "{expression}");
    }
}

#[test]
fn what_the_configuration_does_not_let_in_is_nothing_to_depend_on() {
    let listener = "receive: { listeners: [{ name: apps, grpc: \"127.0.0.1:4317\" }] }\n";
    for (more, expression, expected) in [
        ("", "shop_orders_total > 1", ""),
        ("taps: { received_points: { enabled: false } }\n", "shop_orders_total > 1", ""),
        (
            "taps: { received_points: { enabled: false } }\n",
            "traces_span_metrics_calls_total > 1",
            "otlp:apps",
        ),
        (
            "taps: { span_metrics: { enabled: false }, received_points: { enabled: false } }\n",
            "{job=\"x\"}",
            "host",
        ),
    ] {
        let listener = if more.is_empty() { "" } else { listener };
        assert_eq!(
            origins(&format!("rules: [rules.yaml]\n{listener}{more}"), expression),
            expected,
            "{expression}"
        );
    }
}

#[test]
fn an_alert_on_alerts_depends_on_what_those_depend_on() {
    let rules = "groups:\n- name: g\n  rules:\n  - { alert: B, expr: shop > 1 }\n  - { alert: C, expr: up == 0 }\n  \
                 - { alert: A, expr: 'ALERTS{alertname=\"B\"}' }\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
    let path = directory.path().join("hostmend.yaml");
    std::fs::write(&path, CONFIGURATION).unwrap();
    let loaded = load(&path, Trust::Anyone, &Variables::new());
    let origins: Vec<usize> = loaded.origins.iter().map(|alert| alert.origins.len()).collect();
    assert_eq!(origins, [3, 1, 3]);
}

#[test]
fn an_alert_depends_on_the_log_sources_whose_lines_it_can_read() {
    let configuration = "rules: [rules.yaml]\nlogs:\n  files:\n  - { name: nginx, include: [/etc/hostname], format: access }\n  \
                         - { name: shop, include: [/etc/hosts] }\n  journal: {}\ntaps:\n  log_rules:\n  \
                         - { name: denied, pattern: denied, sources: [nginx] }\n  - { name: oom, pattern: killed }\n";
    for (expression, expected) in [
        ("log_rule_matches_total{log_rule_name=\"denied\"} > 0", "log:nginx"),
        ("log_rule_matches_total{log_rule_name=\"oom\"} > 0", "log:journal log:nginx log:shop"),
        ("{\"log.rule.matches\", \"log.rule.name\"=\"denied\"} > 0", "log:nginx"),
        ("log_rule_matches_total{log_rule_name=\"oom\", hostmend_origin=\"log:shop\"} > 0", "log:shop"),
        ("log_rule_matches_total > 0", "log:journal log:nginx log:shop"),
        ("log_rule_matches_total{log_rule_name=\"other\"} > 0", ""),
        ("rate(http_server_requests_total[5m]) > 1", "log:nginx"),
        ("{job=\"x\"}", "host log:journal log:nginx log:shop"),
    ] {
        assert_eq!(origins(configuration, expression), expected, "{expression}");
    }
    let without = configuration.replace("taps:\n", "taps:\n  access_logs: { enabled: false }\n");
    assert_eq!(origins(&without, "rate(http_server_requests_total[5m]) > 1"), "");
}
