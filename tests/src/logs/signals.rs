//! Lines as signals: rules that read what log rules count are woken by the line, and alerts show the lines.

use std::time::SystemTime;

use serde_json::Value;

use super::*;

/// Log rules, each with an alert: one log rule is looked at once a second, so each line is for another.
const RULES: usize = 10;

/// From the write of a line to the alert, on a machine on which much else runs. The group's own interval is sixty times as long.
const WAKES_WITHIN: Duration = Duration::from_secs(5);

/// Longer than the pause between two rounds of reading: in a trickle, a line may wait for the next round.
const SILENCE: Duration = Duration::from_millis(200);

/// An agent of which no group of rules is due for minutes, and that has counted nothing yet.
fn judging(sink: &Sink) -> Bench {
    let numbers = 0..RULES;
    let log_rule = |number: usize| {
        format!(
            "  - {{ name: r{number}, pattern: 'failure {number} of (?<who>\\S+)', labels: {{ who: '${{who}}' }} }}\n"
        )
    };
    let more = format!(
        "evaluation_interval: 5m\nnotify: {{ otlp_events: true }}\nrules: [rules.yaml]\ntaps:\n  log_rules:\n{}",
        numbers.clone().map(log_rule).collect::<String>()
    );
    let alert = |number: usize| {
        format!(
            "  - {{ alert: A{number}, expr: 'log_rule_matches_total{{log_rule_name=\"r{number}\"}} > 0' }}\n"
        )
    };
    let rules = format!("groups:\n- name: g\n  rules:\n{}", numbers.map(alert).collect::<String>());
    let mut bench = Bench::new(sink.address().port(), &more);
    std::fs::write(bench.directory.path().join("rules.yaml"), rules).unwrap();
    bench.start();
    bench
}

fn write(bench: &Bench, line: &str) {
    let path = bench.logs().join("app.log");
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// Waits until an alert fires.
fn fires(bench: &Bench, name: &str) -> Value {
    let begun = Instant::now();
    loop {
        let answer: Value = serde_json::from_str(&bench.ask("alerts")).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let is_it = |alert: &&Value| alert["labels"]["alertname"] == name && alert["state"] == "firing";
        if let Some(alert) = alerts.iter().find(is_it) {
            return alert.clone();
        }
        assert!(begun.elapsed() < WITHIN, "{name} never fired: {answer}\n{}", bench.ask("files"));
    }
}

#[test]
fn a_line_after_a_silence_wakes_the_rule_that_depends_on_it() {
    let sink = listening();
    let mut bench = judging(&sink);
    let mut latencies = Vec::new();
    for number in 0..RULES {
        std::thread::park_timeout(SILENCE);
        let written = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
        write(&bench, &format!("failure {number} of web"));
        let alert = fires(&bench, &format!("A{number}"));
        let fired: jiff::Timestamp = alert["firedAt"].as_str().unwrap().parse().unwrap();
        // Times of alerts are cut to milliseconds.
        latencies.push(fired.duration_since(written).as_millis().max(0));
    }
    latencies.sort_unstable();
    let (median, longest) = (latencies[RULES / 2], latencies[RULES - 1]);
    eprintln!("from the write to the alert: {median} ms (median), {longest} ms (longest): {latencies:?}");
    assert!(u128::try_from(longest).unwrap() < WAKES_WITHIN.as_millis(), "{latencies:?}");
    bench.end(Kill::TERM);
}

#[test]
fn an_alert_shows_the_lines_that_matched_without_their_secrets() {
    let sink = listening();
    let mut bench = judging(&sink);
    write(&bench, "failure 3 of web password=hunter2secret");
    write(&bench, "failure 4 of token=hunter2secret");
    let alert = fires(&bench, "A3");
    let line = &alert["lines"][0];
    assert_eq!(line["text"], "failure 3 of web password=[masked]", "{alert}");
    assert_eq!(line["origin"], "log:app");
    let labels = fires(&bench, "A4")["labels"].to_string();
    assert!(labels.contains("token=[masked]"), "{labels}");
    let configuration = bench.configuration();
    for command in [&["alerts"][..], &["explain", "A3"], &["explain", "A3", "--json"]] {
        let arguments = [command, &["--config", configuration.to_str().unwrap()]].concat();
        let said = stdout(&run(&arguments));
        assert!(said.contains("failure 3 of web password=[masked]"), "{command:?}: {said}");
        assert!(!said.contains("hunter2"), "{command:?}: {said}");
    }
    until(&bench, "the lines are sent", WITHIN, || contains(&sink, "hostmend.alert.lines"));
    bench.end(Kill::TERM);
    assert!(!contains(&sink, "hunter2"));
    let incidents = std::fs::read_to_string(bench.directory.path().join("state/incidents.jsonl")).unwrap();
    assert!(incidents.contains("log:app said: failure 3 of web password=[masked]"), "{incidents}");
    assert!(!incidents.contains("hunter2"), "{incidents}");
}
