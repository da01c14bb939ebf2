use super::*;

#[test]
fn clear_when_holds_an_alert_until_it_has_a_sample_whose_labels_the_alert_has() {
    for (clear_when, clears) in [
        ("load < 1", true),
        ("sum by (web) (load) < 1", true),
        ("sum(load) < 1", true),
        ("vector(1)", true),
        ("label_replace(load, \"more\", \"x\", \"\", \"\") < 1", false),
        ("label_replace(load, \"web\", \"x\", \"\", \"\") < 1", false),
    ] {
        let mut host =
            Host::new(&format!("rules: [{{alert: Busy, expr: load > 5, clear_when: '{clear_when}'}}]"));
        host.has("load", "a", 9.0);
        assert_eq!(words(&host.round()), ["Busy firing"]);
        host.has("load", "a", 0.5);
        assert_eq!(words(&host.round()), if clears { vec!["Busy resolved"] } else { vec![] }, "{clear_when}");
    }
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 5, clear_when: load < 1}]");
    for (value, expected) in
        [(9.0, vec!["Busy firing"]), (3.0, vec![]), (9.0, vec![]), (0.0, vec!["Busy resolved"])]
    {
        host.has("load", "a", value);
        assert_eq!(words(&host.round()), expected, "{value}");
    }
}

#[test]
fn a_clear_when_that_fails_changes_no_alert() {
    let mut host =
        Host::new("rules: [{alert: Busy, expr: load > 5, clear_when: load < on (web) group_left () limit}]");
    host.has("load", "a", 9.0);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    host.has("load", "a", 1.0);
    for more in ["x", "y"] {
        let labels: Labels = [("__name__", "limit"), ("web", "a"), ("more", more)].into_iter().collect();
        host.store.append_sample(&labels, &Origin::Host, host.now, 1.0).unwrap();
    }
    let round = host.round();
    assert_eq!((round.errors.len(), round.transitions.len()), (1, 0));
    assert_eq!(host.group.active_alerts().count(), 1);
}

#[test]
fn a_rule_that_fires_on_missing_series_raises_one_alert_for_them() {
    let mut host = Host::new(
        "rules: [{alert: Busy, expr: 'load{job=\"node\"} > 5', for: 10s, on_missing: fire, labels: {severity: page}}]",
    );
    let has = |host: &mut Host, value: f64| {
        let labels: Labels = [("__name__", "load"), ("job", "node"), ("web", "a")].into_iter().collect();
        host.store.append_sample(&labels, &Origin::Host, host.now, value).unwrap();
    };
    assert_eq!(words(&host.round()), ["Busy pending"]);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    let alert = host.group.active_alerts().next().unwrap();
    assert_eq!(alert.labels.to_string(), r#"{alertname="Busy", job="node", severity="page"}"#);
    assert!(alert.value.is_nan());
    has(&mut host, 9.0);
    assert_eq!(words(&host.round()), ["Busy resolved", "Busy pending"]);
    assert_eq!(words(&host.round()), ["Busy firing"]);
    has(&mut host, series::STALE);
    assert_eq!(words(&host.round()), Vec::<String>::new(), "the alert that is there stands for it");
    has(&mut host, 1.0);
    assert_eq!(words(&host.round()), ["Busy resolved"]);
}

#[test]
fn a_rule_that_keeps_on_missing_series_tells_missing_from_well() {
    let mut host = Host::new("rules: [{alert: Busy, expr: load > 5, on_missing: keep}]");
    host.has("load", "a", 9.0);
    host.has("load", "b", 9.0);
    assert_eq!(words(&host.round()), ["Busy firing", "Busy firing"]);
    host.lacks("load", "a");
    host.has("load", "b", 1.0);
    assert_eq!(words(&host.round()), ["Busy resolved"]);
    assert_eq!(host.group.active_alerts().next().unwrap().labels.get("web"), "a");
    host.has("load", "a", 1.0);
    assert_eq!(words(&host.round()), ["Busy resolved"]);
}
