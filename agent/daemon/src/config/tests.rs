use super::*;

/// Loads `text` as `hostmend.yaml` in a directory of its own.
pub(super) fn load_text(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostmend.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, Trust::invoking_user(), &Variables::new())
}

/// The problems without the directory.
pub(super) fn problems(text: &str) -> Vec<String> {
    let problems = load_text(text).problems;
    problems
        .iter()
        .map(|problem| problem.to_string().rsplit("hostmend.yaml:").next().unwrap().to_owned())
        .collect()
}

#[test]
fn mistakes_elsewhere_keep_nobody_from_asking_the_agent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostmend.yaml");
    for mistake in ["queu: {}\n", "queue: { max_bytes: 1GiB }\n", "destinations: [{ name: a }]\n"] {
        std::fs::write(&path, format!("state_directory: state\n{mistake}")).unwrap();
        let told = where_the_agent_listens(&path);
        assert_eq!(told.state_directory, Some(directory.path().join("state")), "{mistake}");
    }
}

#[test]
fn an_empty_section_keeps_every_default() {
    let config = load_text("collect: {}\n").config.unwrap();
    assert_eq!(config.collect.intervals, Intervals::every(Duration::from_secs(10)));
    assert_eq!(config.collect.options.processes_top, Some(20));
    assert!(config.destinations.is_empty() && config.collect.wants("cpu"));
}

#[test]
fn pressure_is_judged_at_once_beyond_what_the_file_says() {
    use collectors::{EventSource, PressureThresholds};
    let pressure = |text: &str| load_text(text).config.unwrap().collect.pressure;
    assert_eq!(pressure("collect: {}\n"), PressureThresholds::default());
    let (cpu, io) = (EventSource::CpuPressure, EventSource::IoPressure);
    let seconds = Duration::from_secs;
    let stalls = vec![(cpu, seconds(3)), (io, seconds(1))];
    let text = "collect: { pressure_triggers: { window: 4s, cpu: 3s, memory: 0s } }\n";
    assert_eq!(pressure(text), PressureThresholds { window: seconds(4), stalls });
}

#[test]
fn the_budget_is_what_the_file_says() {
    use collectors::Budget;
    let budget = |text: &str| load_text(text).config.unwrap().collect.budget;
    assert_eq!(budget("collect: {}\n"), Budget::default());
    let text = "collect: { budget: { cpu: 150%, memory: 67108864 } }\n";
    assert_eq!(budget(text), Budget { cpu: 1.5, memory: 64 << 20 });
}

#[test]
fn paths_start_at_the_directory_of_the_file() {
    let loaded = load_text("state_directory: state\ncollect: { directories: [spool, /var/spool] }\n");
    let config = loaded.config.unwrap();
    let base = config.state_directory.unwrap().parent().unwrap().to_owned();
    assert!(base.is_absolute());
    assert_eq!(config.collect.options.directories, [base.join("spool"), PathBuf::from("/var/spool")]);
}

#[test]
fn all_problems_of_the_file_come_at_once() {
    let found = problems(
        "collect: { interval: 5 }\nprobes: { http: [{ name: a, url: \"https://x\" }] }\n\
         destinations: [{ name: d, endpoint: \"http://\" }]\nseries: { max_series: 0 }\n",
    );
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn mistakes_are_told_where_they_are_with_what_would_be_right() {
    for (text, expected) in [
        ("collect: { interval: 1ms }\n", "1:22: the interval is too short; 100ms is the shortest"),
        ("collect: { intervals: { cpu: 1ms } }\n", "1:30: the interval is too short; 100ms is the shortest"),
        (
            "collect: { intervals: { cpu: 10050ms } }\n",
            "1:30: the intervals have only 50ms in common, and every 100ms is most often; make each a multiple of 100ms",
        ),
        (
            "collect: { intervals: { presure: 1s } }\n",
            "1:34: there is no collector \"presure\"; did you mean `pressure`?",
        ),
        (
            "collect: { intervals: { disk: 15m } }\n",
            "1:31: rules may not see what is collected so seldom; they look back 5m for the newest sample of a series; \
             with 2m or less one may be missed",
        ),
        (
            "collect: { pressure_triggers: { window: 3s } }\n",
            "1:41: the kernel takes windows of 2s, 4s, 6s, 8s or 10s",
        ),
        (
            "collect: { pressure_triggers: { io: 2s } }\n",
            "1:37: nothing waits longer than the window; name less than it, or 0s for never",
        ),
        (
            "collect: { budget: { cpu: 2 } }\n",
            "1:27: \"2\" is no share of a CPU; write it as in 5%, at least 0.1%",
        ),
        (
            "collect: { budget: { memory: 64 } }\n",
            "1:30: 64 bytes are too few: the agent itself takes 33554432",
        ),
        (
            "collect: { disable: [presure] }\n",
            "1:22: there is no collector \"presure\"; did you mean `pressure`?",
        ),
        ("collect: { watch: [{ name: web }] }\n", "1:28: watch \"web\" needs either pid_file or command"),
        (
            "collect: { watch: [{ name: a, command: b }, { name: a, command: c }] }\n",
            "1:53: two watches are named \"a\"; name them apart",
        ),
        (
            "queue: { max_bytes: 1000000 }\n",
            "1:21: 1000000 bytes are too few: at least 16777216 must fit, 4 segments",
        ),
        (
            "destinations: [{ name: a, endpoint: \"http://a\", max_queued_bytes: 1000 }]\n",
            "1:67: telemetry waits on disk now, once for all destinations; leave max_queued_bytes out; \
             `queue: { max_bytes: … }` at the top says how much",
        ),
        (
            "node_exporter: { job: \"\" }\n",
            "1:23: the label needs a value; leave the key out for the default",
        ),
        (
            "collect: { disable: [node_exporter] }\nnode_exporter: { enabled: true }\n",
            "2:27: there would be nothing to serve; `collect.disable` names the collector node_exporter",
        ),
        ("series: { max_series: 0 }\n", "1:23: at least 1 series must fit"),
        ("evaluation_interval: 1ms\n", "1:22: the interval is too short; 100ms is the shortest"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn a_header_that_cannot_be_sent_is_pointed_at() {
    let text = "destinations:\n  - name: d\n    endpoint: http://c:4317\n    headers:\n      \"a b\": c\n";
    let found = problems(text);
    assert!(found.len() == 1 && found[0].starts_with("5:14: header"), "{found:?}");
}

#[test]
fn two_destinations_of_one_name_are_told_apart_by_the_operator() {
    let text =
        "destinations:\n  - { name: d, endpoint: http://c:4317 }\n  - { name: d, endpoint: http://e:4317 }\n";
    assert_eq!(problems(text), ["3:13: two destinations are named \"d\""]);
}

/// The problems of a configuration with this rule, runbook and policy.
fn problems_of(rule: &str, runbook: &str, policy: &str) -> Vec<String> {
    problems_with("", rule, runbook, policy)
}

/// The same, with more in hostmend.yaml.
fn problems_with(more: &str, rule: &str, runbook: &str, policy: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write(
        "hostmend.yaml",
        &format!(
            "collect: {{ watch: [{{ name: web, command: nginx }}] }}\nrules: [rules.yaml]\n\
             runbooks: [runbooks.yaml]\nscripts: .\npolicy: policy.yaml\n{more}"
        ),
    );
    write("rules.yaml", &format!("groups:\n- name: g\n  rules:\n  - alert: WebDown\n    expr: {rule}\n"));
    write(
        "runbooks.yaml",
        &format!(
            "runbooks:\n- name: r\n  script: s.rhai\n  guards: {{ cooldown: 1m, attempts: 3 per 1h }}\n  timeout: 1m\n{runbook}"
        ),
    );
    write("policy.yaml", policy);
    let (needs, call) = if runbook.contains("unit.restart") {
        ("unit.restart: [web.service]", "unit::restart(\"web.service\")")
    } else {
        ("process.restart: [web]", "proc::restart(\"web\")")
    };
    write(
        "s.rhai",
        &format!(
            "//! {{summary: Test, risk: low, needs: {{{needs}}}}}\nfn remediate(ctx) {{ {call}; fixed(\"\") }}\n"
        ),
    );
    let loaded = load(&directory.path().join("hostmend.yaml"), Trust::invoking_user(), &Variables::new());
    let problems = loaded.problems.iter().map(ToString::to_string);
    problems.map(|text| text.rsplit('/').next().unwrap().to_owned()).collect()
}

const RULE: &str = "hostmend_watch_process_count{hostmend_watch_name=\"web\"} == 0";
const RUNBOOK: &str = "  matchers: ['alertname=\"WebDown\"']\n  stage: auto\n  grants: { process.restart: [web] }\n  \
                       verify: { expr: hostmend_watch_process_count > 0, within: 1m }\n";
const POLICY: &str =
    "processes:\n- { name: web, command: [/usr/sbin/nginx], pid_file: /run/w.pid, at_most: 1 per 1h }\n";

#[test]
fn files_that_fit_together_have_no_problem() {
    assert_eq!(problems_of(RULE, RUNBOOK, POLICY), Vec::<String>::new());
}

#[test]
fn rules_on_what_is_received_or_read_are_held_against_listeners_sources_and_log_rules() {
    let listener = "receive: { listeners: [{ name: apps, grpc: 127.0.0.1:4317 }] }\n";
    let log_rules = "taps: { log_rules: [{ name: oom, pattern: killed }] }\n";
    let all = format!("{listener}{log_rules}");
    let kernel = format!("logs: {{ kernel: {{}} }}\n{log_rules}");
    let access = "logs: { files: [{ name: nginx, include: [/etc/hostname], format: access }] }\n";
    let requests = "rate(http_server_requests_total[1m]) > 0";
    let spans = "rate(traces_span_metrics_calls_total[1m]) > 0";
    let lines = |name: &str| format!("log_rule_matches_total{{log_rule_name=\"{name}\"}} > 0");
    for (more, rule, expected) in [
        (all.as_str(), spans, None),
        (all.as_str(), &lines("oom"), None),
        (
            all.as_str(),
            &lines("omm"),
            Some("has no log rule \"omm\", so this sees nothing; did you mean `oom`?"),
        ),
        (
            log_rules,
            &lines("oom"),
            Some("it counts lines; configure a source in `logs`, or a listener in `receive`"),
        ),
        ("", spans, Some("it comes from received telemetry; configure a listener in `receive`")),
        (kernel.as_str(), &lines("oom"), None),
        (
            kernel.as_str(),
            &lines("omm"),
            Some("has no log rule \"omm\", so this sees nothing; did you mean `oom`?"),
        ),
        (access, requests, None),
        (
            kernel.as_str(),
            requests,
            Some("it counts requests; configure a source of `format: access` in `logs`"),
        ),
    ] {
        let trusts = match more {
            _ if more.contains("receive") => "  trust: [otlp:apps]\n",
            _ if more.contains("kernel") => "  trust: [log:kernel]\n",
            _ if more.contains("nginx") => "  trust: [log:nginx]\n",
            _ => "",
        };
        let problems = problems_with(more, rule, &format!("{RUNBOOK}{trusts}"), POLICY);
        let found = problems.first();
        assert_eq!(problems.len(), usize::from(expected.is_some()), "{more}{rule}: {problems:?}");
        assert!(expected.is_none_or(|text| found.is_some_and(|found| found.ends_with(text))), "{problems:?}");
    }
}

#[test]
fn a_log_rule_for_a_source_that_is_not_there_is_told() {
    let listener = "receive: { listeners: [{ name: apps, grpc: 127.0.0.1:4317 }] }\n";
    let rule = |source: &str| {
        format!("{listener}taps: {{ log_rules: [{{ name: a, pattern: x, sources: ['{source}'] }}] }}\n")
    };
    for source in ["otlp:apps", "otlp:*", "*"] {
        assert!(load_text(&rule(source)).problems.is_empty(), "{source}");
    }
    let named = "logs: { kernel: {} }\ntaps: { log_rules: [{ name: a, pattern: x, sources: [kernl] }] }\n";
    assert_eq!(
        problems(named),
        ["2:54: no log source or listener is called \"kernl\"; did you mean `kernel`?"]
    );
    let problems = load_text(&rule("otlp:aps")).problems;
    assert_eq!(problems[0].message, "no log source or listener is called \"otlp:aps\"");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `otlp:apps`?"));
}

#[test]
fn a_rule_on_what_is_not_collected_is_told_what_would_collect_it() {
    let off = |metric: &str, hint: &str| {
        vec![format!("rules.yaml:5:11: {metric} is not collected, so this sees nothing; {hint}")]
    };
    let (share, forks) = ("system_cpu_utilization_ratio", "node_forks_total");
    for (more, metric, expected) in [
        ("", share, off(share, "`collect: { metrics: { system.cpu.utilization: true } }` switches it on")),
        ("", forks, vec![]),
        (
            "node_exporter: { rules: false }\n",
            forks,
            off(forks, "`node_exporter: { rules: true }` collects what rules name"),
        ),
        ("node_exporter: { rules: false, enabled: true }\n", "node_load1", vec![]),
    ] {
        assert_eq!(
            problems_with(more, &format!("{metric} > 0"), RUNBOOK, POLICY),
            expected,
            "{more}{metric}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostmend.yaml");
    std::fs::write(
        directory.path().join("r.yaml"),
        "groups: [{ name: g, rules: [{ record: a, expr: system_uptime_seconds }] }]",
    )
    .unwrap();
    std::fs::write(&file, "rules: [r.yaml]\ncollect: { disable: [uptime] }\n").unwrap();
    let problems = load(&file, Trust::invoking_user(), &Variables::new()).problems;
    let told = problems.iter().map(ToString::to_string).collect::<String>();
    assert!(told.ends_with("`collect.disable` names the collector uptime"), "{told}");
}

#[test]
fn what_one_file_says_and_no_other_knows_is_told_with_its_place() {
    for (rule, runbook, policy, expected) in [
        (
            "hostmend_watch_proces_count == 0",
            RUNBOOK,
            POLICY,
            "rules.yaml:5:11: no metric is called \"hostmend_watch_proces_count\", so this sees nothing; did you mean \
             `hostmend_watch_process_count`?",
        ),
        (
            "hostmend_watch_process_count{hostmend_watch_name=\"wbe\"} == 0",
            RUNBOOK,
            POLICY,
            "rules.yaml:5:61: hostmend.yaml has no watch \"wbe\", so this sees nothing; did you mean `web`?",
        ),
        (
            "hostmend_watch_process_count{watch=\"web\"} == 0",
            RUNBOOK,
            POLICY,
            "rules.yaml:5:20: series of hostmend_watch_process_count have no label \"watch\"; they have \
             hostmend_watch_name",
        ),
        (
            RULE,
            &RUNBOOK.replace("WebDown", "WebDwon"),
            POLICY,
            "runbooks.yaml:6:26: no rule raises the alert \"WebDwon\", so this never runs; did you mean `WebDown`?",
        ),
        (
            RULE,
            &RUNBOOK.replace(" > 0", ""),
            POLICY,
            "runbooks.yaml:9:19: this verification would hold whatever the value is; it holds when the expression \
             gives anything; compare, as in ... == 1",
        ),
        (
            RULE,
            RUNBOOK,
            "units: []\n",
            "runbooks.yaml:8:31: the policy defines no process \"web\", so restarting it will be refused",
        ),
        (
            RULE,
            &RUNBOOK.replace(
                "hostmend_watch_process_count > 0",
                "'hostmend_watch_process_count{hostmend_watch_name=\"web\"} > 0'",
            ),
            "units: []\n",
            "runbooks.yaml:8:31: the policy defines no process \"web\", so restarting it will be refused",
        ),
    ] {
        assert_eq!(problems_of(rule, runbook, policy), [expected]);
    }
}

#[test]
fn series_have_the_labels_of_what_they_are_about_too() {
    for rule in [
        "systemd_unit_state{systemd_unit_name=\"web.service\", systemd_unit_state=\"failed\"} == 1",
        "systemd_unit_memory_working_set_bytes{systemd_unit_name=\"web.service\", user_id=\"1000\"} > 1",
        "container_uptime_seconds{container_id=\"1a2b\"} < 1",
        "process_uptime_seconds{process_pid=\"1\"} < 1",
    ] {
        assert_eq!(problems_of(rule, RUNBOOK, POLICY), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn a_service_to_be_restarted_is_named_in_the_policy() {
    let runbook = RUNBOOK.replace("process.restart: [web]", "unit.restart: [web.service]");
    let named = "units:\n- { name: web.service, at_most: 1 per 1h }\n";
    assert_eq!(problems_of(RULE, &runbook, named), Vec::<String>::new());
    assert_eq!(
        problems_of(RULE, &runbook, POLICY),
        ["runbooks.yaml:8:28: the policy names no unit \"web.service\", so restarting it will be refused"]
    );
}

#[test]
fn an_executor_of_its_own_starts_no_processes_and_check_says_so() {
    let own = "executor: { socket: executor.sock }\n";
    assert_eq!(
        problems_with(own, RULE, RUNBOOK, POLICY),
        [
            "runbooks.yaml:8:31: an executor behind a socket starts no processes, so restarting \"web\" will be \
             refused; let a unit run it, and grant unit.restart on the unit"
        ]
    );
}

#[test]
fn a_bare_file_name_starts_its_paths_at_its_own_directory() {
    assert_eq!(Base::of(Path::new("hostmend.yaml")).0, std::env::current_dir().unwrap());
}

#[test]
fn mistakes_about_taps_are_told_where_they_are() {
    for (text, expected) in [
        (
            "taps: { span_metrics: { buckets: [10ms, 10ms] } }\n",
            "1:41: buckets ascend, each above the one before it and above 0",
        ),
        ("taps: { span_metrics: { buckets: [fast] } }\n", "1:35: \"fast\" is not a duration"),
        ("taps: { span_metrics: { buckets: [1s], max_series: 9 } }\n", "1:52: at least 10 series must fit"),
        ("taps: { received_points: { max_series: 0 } }\n", "1:40: at least 1 series must fit"),
        (
            "taps: { log_rules: [{ name: a, pattern: \"x(y\" }] }\n",
            "1:43: the pattern is no regular expression: unclosed group",
        ),
        (
            "taps: { log_rules: [{ name: a, pattern: x }, { name: a, pattern: y }] }\n",
            "1:54: two log rules are named \"a\"; name them apart",
        ),
        ("taps: { log_rules: [{ name: a, pattern: x, severity: loud }] }\n", "loud"),
        (
            "taps: { log_rules: [{ name: a, pattern: x, labels: { le: '${x' } }] }\n",
            "the label \"le\" has a `${` without a name",
        ),
        (
            "taps: { log_rules: [{ name: a, pattern: x, labels: { a.b: c, a_b: d } }] }\n",
            "1:62: the label \"a_b\" is there twice as Prometheus spells it",
        ),
        (
            "taps: { log_rules: [{ name: a, pattern: x, labels: { hostmend_origin: c } }] }\n",
            "1:54: the label \"hostmend_origin\" is said by hostmend; choose another name",
        ),
        ("taps: { log_rules: [{ name: a, patern: x }] }\n", "did you mean `pattern`?"),
        ("taps: { log_rules: [{ name: a, pattern: x, max_series: 9 }] }\n", "leave max_series out"),
        (
            "taps: { log_rules: [{ name: a, pattern: x, labels: { b: c }, max_series: 0 }] }\n",
            "at least 1 series must fit",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
    }
}

#[test]
fn taps_say_what_they_are_told() {
    let text = "taps: { span_metrics: { buckets: [1ms, 2s], max_series: 50, export: true }, \
                log_rules: [{ name: oom, pattern: Killed, severity: warn }], received_points: { enabled: false } }\n";
    let taps = load_text(text).config.unwrap().taps;
    let spans = taps.spans.unwrap();
    assert_eq!(spans.bounds, [Duration::from_millis(1), Duration::from_secs(2)]);
    assert_eq!((spans.max_series, spans.export, taps.points), (50, true, None));
    let rules: Vec<_> = taps.log_rules.rules().iter().map(|rule| (&*rule.name, rule.severity)).collect();
    assert_eq!(rules, [("oom", 13)]);
    let text = "receive: { listeners: [{ name: apps, grpc: 127.0.0.1:4317, limits: { max_series: 7 } }] }\n";
    assert_eq!(load_text(text).config.unwrap().taps.budgets, BTreeMap::from([("apps".to_owned(), 7)]));
    assert_eq!(load_text("collect: {}\n").config.unwrap().taps, TapOptions::default());
}

#[test]
fn a_name_that_only_applications_know_is_no_mistake_where_they_can_send_it() {
    let receive = "receive: { listeners: [{ name: apps, grpc: 127.0.0.1:4317 }] }\n";
    for (rest, metric, told) in [
        ("", "traces_span_metrics_calls_total", true),
        (receive, "traces_span_metrics_calls_total", false),
        (receive, "hostmend_prob_success", true),
    ] {
        let found = problems_with(rest, &format!("{metric} > 0"), RUNBOOK, POLICY);
        assert_eq!(found.iter().any(|problem| problem.contains("no metric")), told, "{found:?}");
    }
}
