use super::*;
use crate::grants::Capability;

pub(crate) const SOUND: &str = r#"
runbooks:
  - name: restart-web
    matchers: ['alertname="WebDown"', 'severity=~"page|ticket"']
    script: restart-process.rhai
    params: { process: web, tries: 2 }
    grants: { process.restart: [web], file.remove: [/var/spool/web] }
    stage: auto
    guards: { cooldown: 1m, attempts: 3 per 10m }
    timeout: 30s
    verify: { expr: 'sum(up{job="web"}) == 1', within: 10s, settle: 1s }
    escalate: { text: "${process} did not come back after ${tries} restarts" }
"#;

fn read(text: &str) -> Result<Vec<Runbook>, Vec<String>> {
    let document = Document::from_text(std::path::Path::new("r.yaml"), text);
    Runbook::read(&document).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_sound_runbook_is_read() {
    let runbooks = read(SOUND).unwrap();
    let runbook = runbooks.first().unwrap();
    assert_eq!(runbook.stage, Stage::Auto);
    assert_eq!(runbook.guards.attempts.to_string(), "3 per 10m");
    assert_eq!(runbook.escalation().unwrap(), "web did not come back after 2 restarts");
    assert_eq!(runbook.printed_params(), "process=\"web\", tries=2");
    assert!(runbook.answers(&[("alertname", "WebDown"), ("severity", "page")].into_iter().collect()));
    assert!(!runbook.answers(&[("alertname", "WebDown")].into_iter().collect()));
}

#[test]
fn what_is_left_out_is_the_careful_choice() {
    let text = "runbooks:\n- name: x\n  matchers: ['a=\"b\"']\n  script: x.rhai\n  verify: { expr: up }\n";
    let runbooks = read(text).unwrap();
    let runbook = runbooks.first().unwrap();
    assert_eq!(runbook.stage, Stage::Observe);
    assert_eq!(runbook.guards.cooldown, Duration::from_mins(5));
    assert!(!runbook.grants.has(Capability::ProcessRestart));
}

#[test]
fn every_problem_names_its_place() {
    for (from, to, expected) in [
        (
            "'alertname=\"WebDown\"'",
            "WebDown",
            "r.yaml:4:16: \"WebDown\" is not a matcher: it has no operator =, !=, =~ or !~; write it as in alertname=\"WebDown\" or severity=~\"page|ticket\"",
        ),
        (
            "['alertname=\"WebDown\"', 'severity=~\"page|ticket\"']",
            "[]",
            "r.yaml:3:11: a runbook without matchers would answer every alert; add matchers: ['alertname=\"…\"']",
        ),
        (
            "restart-process.rhai",
            "../evil.rhai",
            "r.yaml:5:13: \"../evil.rhai\" is not the name of a script; name a file of the scripts directory, as in restart-process.rhai",
        ),
        (
            "restart-process.rhai",
            "restart.sh",
            "r.yaml:5:13: \"restart.sh\" is not the name of a script; name a file of the scripts directory, as in restart-process.rhai",
        ),
        (
            "process.restart",
            "proces.restart",
            "r.yaml:7:15: there is no capability `proces.restart`; did you mean `process.restart`?",
        ),
        (
            "[/var/spool/web]",
            "[var/spool]",
            "r.yaml:7:53: \"var/spool\" is not an absolute path without `.`, `..` and control characters",
        ),
        (
            "stage: auto",
            "stage: once",
            "r.yaml:8:12: \"once\" is not a stage; write observe, shadow, ask or auto",
        ),
        (
            "3 per 10m",
            "often",
            "r.yaml:9:39: \"often\" is not a budget; write it as in `10 per 1h`, from 1 to 10000 per window",
        ),
        ("3 per 10m", "101 per 10m", "r.yaml:9:39: at most 100 attempts can be counted"),
        ("timeout: 30s", "timeout: 1h", "r.yaml:10:14: at most 10m is possible"),
        ("settle: 1s", "settle: 20s", "r.yaml:11:69: it cannot hold for 20s within 10s"),
        ("${tries}", "${trise}", "r.yaml:12:59: there is no parameter `trise`; did you mean `${tries}`?"),
    ] {
        assert!(SOUND.contains(from), "{from}");
        assert_eq!(read(&SOUND.replacen(from, to, 1)).unwrap_err(), [expected], "{to}");
    }
}

#[test]
fn what_is_written_wrongly_is_found_where_it_is() {
    for (from, to, expected) in [
        ("    script: restart-process.rhai\n", "", "3:5: missing field `script`"),
        ("name: restart-web\n    matchers", "matchers", "3:5: missing field `name`"),
        (
            "['alertname=\"WebDown\"', 'severity=~\"page|ticket\"']",
            "alertname=\"WebDown\"",
            "4:15: expected a list",
        ),
        (
            "'alertname=\"WebDown\"'",
            "'alertname=\"WebDown'",
            "4:16: \"alertname=\\\"WebDown\" is not a matcher",
        ),
        ("page|ticket", "page|(ticket", "4:39: \"severity=~\\\"page|(ticket\\\"\" is not a matcher"),
        ("tries: 2 }", "tries: 2, tries: 3 }", "6:39: duplicate mapping key"),
        ("grants: {", "grant: {", "7:5: unknown field `grant`"),
        ("grants: { process.restart: [web],", "grants: { process.restart: web,", "7:32: expected a list"),
        ("stage: auto", "stage: [auto]", "8:12: expected string scalar"),
        ("stage: auto", "stage: auto\n    stage: ask", "9:5: duplicate mapping key"),
        ("cooldown: 1m", "coldown: 1m", "9:15: unknown field `coldown`"),
        ("attempts: 3 per 10m", "attempts: 3", "9:39: \"3\" is not a budget"),
        ("attempts: 3 per 10m", "window: 09:00-17:00", "9:37: expected keys and values"),
        ("attempts: 3 per 10m", "depends_on: db.service", "9:41: expected a list"),
        ("attempts: 3 per 10m", "fleet_lock: { max: 2 }", "9:41: missing field `group`"),
        ("attempts: 3 per 10m", "fleet_lock: { group: web, max: two }", "9:60: expected a whole number"),
        (
            "attempts: 3 per 10m",
            "only_if: 'up{process=\"${process}\"} = 1'",
            "9:64: as up{process=\"web\"} = 1: unexpected \"=\"",
        ),
        ("timeout: 30s", "timeout: 30", "10:14: \"30\" is not a duration"),
        ("within: 10s", "within: 10", "11:56: \"10\" is not a duration"),
        (
            "sum(up{job=\"web\"}) == 1",
            "sum(up{job=\"${process}\"}) == ${tries} 1",
            "11:60: as sum(up{job=\"web\"}) == 2 1: unexpected number",
        ),
        ("up{job=\"web\"}", "up{job=\"${proces}\"}", "11:34: there is no parameter `proces`"),
        ("escalate: {", "escalate: { page: sometimes,", "12:23: \"sometimes\" is no time to call people"),
    ] {
        assert!(SOUND.contains(from), "{from}");
        let problems = read(&SOUND.replacen(from, to, 1)).unwrap_err();
        assert_eq!(problems.len(), 1, "{to}: {problems:?}");
        assert!(problems[0].starts_with(&format!("r.yaml:{expected}")), "{to}: {problems:?}");
    }
}

#[test]
fn an_error_in_the_verification_is_shown_where_it_is() {
    let text = SOUND.replace("sum(up{", "sum((up{");
    let problems = read(&text).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems.first().unwrap().starts_with("r.yaml:11:"), "{problems:?}");
}

#[test]
fn all_problems_come_at_once() {
    let text = SOUND.replace("30s", "soon").replace("stage: auto", "stage: now").replace("1m,", "x,");
    assert_eq!(read(&text).unwrap_err().len(), 3);
}

const FULL: &str = r#"
runbooks:
  - name: restart
    matchers: ['alertname="UnitFailed"']
    script: restart-unit.rhai
    params: { unit: "${labels.unit}", tries: 2 }
    grants: { unit.restart: [nginx.service, web.service], file.remove: [/var/log/web], http.get: ["http://a/"] }
    trust: [otlp:apps, log:nginx, textfile]
    stage: ask
    guards:
      backoff: 2h
      stable: 30m
      window: { only: "Mon-Fri 09:00-17:00 UTC", not: "Fri 16:00-17:00 UTC" }
      only_if: 'up{unit="${unit}"} == 0'
      depends_on: [db.service]
      ignore: [packages, login]
      pressure_full: 60%
      flapping: act
      fleet_lock: { group: web, max: 2, ttl: 20m }
      error_budget: { objective: checkout, at_least: 10% }
    verify: { expr: 'active{unit="${unit}"} == 1' }
    escalate: { text: "${unit} of ${labels.team}", page: never }
    approve_within: 1h
    success: 90% of 10
"#;

#[test]
fn everything_that_a_runbook_can_say_is_read() {
    let runbook = read(FULL).unwrap().pop().unwrap();
    let trusted: Vec<&str> = runbook.trust.iter().map(String::as_str).collect();
    assert_eq!(trusted, ["log:nginx", "otlp:apps", "textfile"]);
    let guards = &runbook.guards;
    assert_eq!((guards.backoff, guards.stable), (Duration::from_hours(2), Duration::from_mins(30)));
    assert_eq!(guards.only_within.as_ref().unwrap().to_string(), "Mon-Fri 09:00-17:00 UTC");
    assert_eq!(guards.not_within.as_ref().unwrap().to_string(), "Fri 16:00-17:00 UTC");
    assert_eq!(guards.depends_on.first().unwrap().to_string(), "db.service");
    assert_eq!(guards.ignore.iter().copied().collect::<Vec<_>>(), [HoldKind::Packages, HoldKind::Login]);
    assert!(guards.acts_while_flapping && (guards.pressure_full - 60.0).abs() < f64::EPSILON);
    let lock = FleetLockTerms { group: "web".to_owned(), max: 2, ttl: Duration::from_mins(20) };
    assert_eq!(guards.fleet_lock, Some(lock));
    let budget = ErrorBudgetTerms { objective: "checkout".to_owned(), at_least: 10.0 };
    assert_eq!(guards.error_budget, Some(budget));
    assert_eq!((runbook.escalate.page, runbook.approve_within), (Paging::Never, Duration::from_hours(1)));
    assert_eq!(runbook.success.to_string(), "90% of 10");
    assert_eq!(
        runbook.targets(),
        ["path /var/log/web", "unit nginx.service", "unit web.service"],
        "asking over HTTP touches nothing"
    );
}

#[test]
fn an_alert_s_labels_fill_a_runbook_in() {
    let labels: Labels = [("unit", "web.service"), ("team", "shop")].into_iter().collect();
    let runbook = read(FULL).unwrap().pop().unwrap();
    assert!(runbook.is_chosen_by_labels());
    let filled = runbook.filled_in(&labels);
    assert!(!filled.is_chosen_by_labels());
    assert_eq!(filled.printed_params(), "tries=2, unit=\"web.service\"");
    assert_eq!(filled.verify.as_ref().unwrap().expr, "active{unit=\"web.service\"} == 1");
    assert_eq!(filled.guards.only_if.as_deref(), Some("up{unit=\"web.service\"} == 0"));
    assert_eq!(filled.escalation().unwrap(), "web.service of shop");
    assert!(filled.unfit.is_empty());
}

#[test]
fn a_label_cannot_end_the_text_that_it_stands_in() {
    let hostile: Labels = [("unit", "x\"} or vector(1) # `'\\\n${tries}")].into_iter().collect();
    let filled = read(FULL).unwrap().pop().unwrap().filled_in(&hostile);
    assert_eq!(filled.unfit.len(), 1);
    let expr = promql::parse(&filled.verify.as_ref().unwrap().expr).unwrap();
    assert_eq!(expr.selectors().len(), 1, "{}", filled.verify.as_ref().unwrap().expr);
    assert!(filled.verify.as_ref().unwrap().expr.ends_with("\"} == 1"));
    assert!(!filled.escalation().unwrap().contains("x\"} or vector(1) # `'\\\n2"));
}

#[test]
fn the_hash_is_that_of_what_a_runbook_says_and_not_of_how() {
    let of = |text: &str| read(text).unwrap().pop().unwrap().sha256;
    assert_eq!(of(FULL), of(&FULL.replace("    stage: ask\n", "    # careful\n    stage:   'ask'\n")));
    assert_ne!(of(FULL), of(&FULL.replace("ask", "auto")));
    assert_eq!(of(FULL).len(), 64);
}

#[test]
fn what_a_guard_cannot_mean_names_its_place() {
    for (from, to, expected) in [
        (
            "otlp:apps",
            "apps",
            "8:13: \"apps\" is not who said something; write otlp: and a listener, log: and a source, or textfile",
        ),
        (
            "Mon-Fri 09:00-17:00 UTC",
            "always",
            "13:23: \"always\" is not days, hours and a time zone; write it as in `Mon-Fri 09:00-17:00 Europe/Berlin`",
        ),
        ("[db.service]", "[db]", "15:20: "),
        (
            "packages, login",
            "stopped",
            "16:16: what a person has stopped stays stopped; this cannot be ignored",
        ),
        ("60%", "0.6", "17:22: \"0.6\" is not a share; write it as in `40%`"),
        ("60%", "101%", "17:22: \"101%\" is not a share; write it as in `40%`"),
        ("flapping: act", "flapping: on", "18:17: \"on\" is no answer to flapping; write suspend or act"),
        ("group: web", "group: a/b", "19:28: a group is named by up to 64 letters, digits, `-` and `_`"),
        ("max: 2", "max: 0", "19:38: from 1 to 1000 hosts can act at once"),
        ("ttl: 20m", "ttl: 1s", "19:46: the place must last as long as a run may: at least 1m"),
        (
            "page: never",
            "page: maybe",
            "22:58: \"maybe\" is no time to call people; write fix_then_page, always or never",
        ),
        ("approve_within: 1h", "approve_within: 2d", "23:21: at most 1d is possible"),
        (
            "90% of 10",
            "90%",
            "24:14: \"90%\" is not how many repairs must hold; write it as in `70% of 5`, of at most 50",
        ),
        (
            "up{unit=\"${unit}\"}",
            "up{unit=${unit}}",
            "14:25: as up{unit=${labels.unit}} == 0: unexpected character",
        ),
        (
            "\"${labels.unit}\"",
            "\"${unit}\"",
            "6:21: the parameter `unit` can hold labels of the alert only; write it as in ${labels.unit}",
        ),
        (
            "grants: {",
            "grants: {} #",
            "6:21: an alert's label would choose `unit`, and nothing bounds what it can be; add grants with every target that it may become",
        ),
    ] {
        assert!(FULL.contains(from), "{from}");
        let problems = read(&FULL.replacen(from, to, 1)).unwrap_err();
        assert_eq!(problems.len(), 1, "{to}: {problems:?}");
        assert!(problems[0].starts_with(&format!("r.yaml:{expected}")), "{to}: {problems:?}");
    }
}
