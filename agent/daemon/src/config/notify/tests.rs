use super::super::tests::{load_text, problems};
use super::*;

fn loaded(text: &str) -> Notify {
    load_text(text).config.unwrap().notify
}

#[test]
fn by_default_nobody_is_told_but_the_destinations_and_alerts_bear_the_hosts_name() {
    let notify = loaded("collect: {}\nresource: { attributes: { host.name: web-01 } }\n");
    assert!(notify.options.receivers.is_empty() && notify.options.dead_mans_switch.is_none());
    assert!(notify.options.watchdog && notify.otlp_events);
    assert_eq!(notify.options.externals.labels.get("host_name"), "web-01");
    assert_eq!(notify.options.resend_delay, DEFAULT_RESEND_DELAY);
    assert!(loaded("notify: { external_labels: {} }\n").options.externals.labels.is_empty());
}

#[test]
fn all_that_can_be_said_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let url = directory.path().join("url");
    std::fs::write(&url, "https://hooks.example/T0?token=1\n").unwrap();
    std::fs::set_permissions(&url, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!(
        "notify:\n  external_labels: {{ region: eu }}\n  external_url: https://web-01.example\n  resend_delay: 30s\n  \
         alertmanagers:\n    - {{ name: one, url: \"http://one:9093/base/\", headers: {{ authorization: x }} }}\n    \
         - {{ name: two, url: \"http://two:9093/api/v2/alerts\", timeout: 3s }}\n  webhooks:\n    - {{ name: chat, url: {{ file: {} }}, \
         secret: s, repeat_interval: 1h }}\n  dead_mans_switch: {{ url: \"http://d/ping\", interval: 5m }}\n  \
         watchdog: false\n  otlp_events: false\n",
        url.display()
    );
    let Notify { options, otlp_events } = loaded(&text);
    assert!(!otlp_events && !options.watchdog);
    assert_eq!(options.resend_delay, Duration::from_secs(30));
    let names: Vec<&str> = options.receivers.iter().map(|receiver| receiver.target.name()).collect();
    assert_eq!(names, ["one", "two", "chat"]);
    assert!(
        matches!(&options.receivers[2].kind, Kind::Webhook { repeat, secret: Some(_) } if repeat.as_secs() == 3_600)
    );
    let switch = options.dead_mans_switch.unwrap();
    assert_eq!((switch.target.name(), switch.interval.as_secs()), ("dead_mans_switch", 300));
}

#[test]
fn what_templates_may_speak_of_changes_with_the_section_so_that_a_reload_sees_it() {
    let judgement = |text: &str| load_text(text).config.unwrap().judgement;
    let (one, other) = (
        judgement("notify: { external_labels: { a: b } }\n"),
        judgement("notify: { external_labels: { a: c } }\n"),
    );
    assert_ne!(one.digest, other.digest);
    assert_eq!(one.defaults.externals.labels.get("a"), "b");
}

#[test]
fn mistakes_are_told_where_they_are_with_what_would_be_right_and_without_secrets() {
    for (text, expected) in [
        ("notify: { alertmanager: [] }\n", "unknown field"),
        (
            "notify: { alertmanagers: [{ url: \"http://a\" }] }\n",
            "1:34: a receiver needs a name; what it was told",
        ),
        (
            "notify: { alertmanagers: [{ name: a, url: a:9093 }] }\n",
            "url has no scheme; write http://host:port",
        ),
        (
            "notify: { webhooks: [{ name: a, url: \"http://u:SECRET@a/\" }] }\n",
            "url holds credentials; put them into headers",
        ),
        (
            "notify: { alertmanagers: [{ name: a, url: \"http://a\", secret: s }] }\n",
            "an Alertmanager has no use for secret; leave it out",
        ),
        (
            "notify: { webhooks: [{ name: a, url: \"http://a\", repeat_interval: 1s }] }\n",
            ": 1m is the shortest",
        ),
        (
            "notify: { webhooks: [{ name: a, url: \"http://a\" }, { name: a, url: \"http://b\" }] }\n",
            "two receivers are named \"a\"",
        ),
        (
            "notify: { webhooks: [{ name: a/b, url: \"http://a\" }] }\n",
            "1:30: a receiver needs a name of up to 200 letters",
        ),
        ("notify: { webhooks: [{ name: a, url: { file: none } }] }\n", "reading"),
        ("notify: { resend_delay: 1 }\n", "1:25: \"1\" is not a duration"),
        ("notify: { external_url: web-01 }\n", "1:25: links need a scheme"),
        ("notify: { external_labels: { alertname: a } }\n", "\"alertname\" is no label that a host may give"),
        (
            "notify: { webhooks: [{ name: a, url: \"http://a\" }], watchdog: false }\n",
            "nobody is told of anything: there are no rules",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        assert!(!found[0].contains("SECRET"), "{found:?}");
    }
}
