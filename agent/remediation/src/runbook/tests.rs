use super::*;

pub(crate) const SOUND: &str = r#"
runbooks:
  - name: restart-web
    matchers: ['alertname="WebDown"', 'severity=~"page|ticket"']
    script: restart-process.rhai
    parameters: { process: web, tries: 2 }
    grants: { process.restart: [web], file.delete: [/var/spool/web] }
    stage: auto
    guards: { cooldown: 1m, attempts: 3 per 10m }
    timeout: 30s
    verify: { expr: 'sum(up{job="web"}) == 1', within: 10s, settle: 1s }
    escalate: "${process} did not come back after ${tries} restarts"
"#;

fn read(text: &str) -> Result<Vec<Runbook>, Vec<String>> {
    let document = Document::from_text(Path::new("r.yaml"), text);
    Runbook::read(&document).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_sound_runbook_is_read() {
    let runbooks = read(SOUND).unwrap();
    let runbook = runbooks.first().unwrap();
    assert_eq!(runbook.stage, Stage::Auto);
    assert_eq!(runbook.guards.attempts.to_string(), "3 per 10m");
    assert_eq!(runbook.escalation().unwrap(), "web did not come back after 2 restarts");
    assert_eq!(runbook.printed_parameters(), "process=\"web\", tries=2");
    assert!(runbook.answers(&[("alertname", "WebDown"), ("severity", "page")].into_iter().collect()));
    assert!(!runbook.answers(&[("alertname", "WebDown")].into_iter().collect()));
}

#[test]
fn what_is_left_out_is_the_careful_choice() {
    let text = "runbooks:\n- name: x\n  matchers: ['a=\"b\"']\n  script: x.rhai\n  verify: { expr: up }\n";
    let runbooks = read(text).unwrap();
    let runbook = runbooks.first().unwrap();
    assert_eq!(runbook.stage, Stage::Observe);
    assert_eq!(runbook.guards.cooldown, DEFAULT_COOLDOWN);
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
        ("stage: auto", "stage: ask", "r.yaml:8:12: \"ask\" is not a stage; write observe or auto"),
        (
            "3 per 10m",
            "often",
            "r.yaml:9:39: \"often\" is not a budget; write it as in `10 per 1h`, from 1 to 10000 per window",
        ),
        ("3 per 10m", "101 per 10m", "r.yaml:9:39: at most 100 attempts can be counted"),
        ("timeout: 30s", "timeout: 1h", "r.yaml:10:14: at most 10m is possible"),
        ("settle: 1s", "settle: 20s", "r.yaml:11:69: it cannot hold for 20s within 10s"),
        ("${tries}", "${trise}", "r.yaml:12:51: there is no parameter `trise`; did you mean `${tries}`?"),
        (
            "    verify: { expr: 'sum(up{job=\"web\"}) == 1', within: 10s, settle: 1s }\n",
            "",
            "r.yaml:11:5: missing field `verify`",
        ),
    ] {
        assert!(SOUND.contains(from), "{from}");
        assert_eq!(read(&SOUND.replacen(from, to, 1)).unwrap_err(), [expected], "{to}");
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
