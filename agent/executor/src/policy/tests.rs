use super::*;

const SOUND: &str = r#"
processes:
  - name: web
    command: [/usr/bin/web, --port, "8080"]
    pid_file: /run/web.pid
    environment: { LANG: C }
    at_most: 10 per 1h
signals:
  - process: web
    signals: [TERM, SIGKILL]
    at_most: 10 per 1h
  - command: stress
    signals: [KILL]
    at_most: 1 per 10m
directories:
  - path: /var/spool/web
    at_least_age: 1m
    at_most_bytes: 1GiB
    at_most: 4 per 1h
units:
  - name: nginx.service
    restart_timeout: 90s
    at_most: 5 per 1h
  - name: cron.service
    at_most: 1 per 1h
"#;

fn read(text: &str) -> Result<Policy, Vec<String>> {
    let document = Document::from_text(Path::new("policy.yaml"), text);
    Policy::read(&document).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_sound_policy_is_read() {
    let policy = read(SOUND).unwrap();
    let web = policy.process(&ProcessName::from("web")).unwrap();
    assert_eq!(web.program, Path::new("/usr/bin/web"));
    assert_eq!(web.arguments, ["--port", "8080"]);
    assert_eq!(web.stop_timeout, DEFAULT_STOP_TIMEOUT);
    assert!(!web.stop_with_executor && !web.write_pid_file);
    assert_eq!(policy.signals.first().unwrap().signals, [Signal::Term, Signal::Kill]);
    let timeouts = policy.units.iter().map(|rule| rule.restart_timeout);
    assert!(timeouts.eq([Duration::from_secs(90), DEFAULT_RESTART_TIMEOUT]));
    assert!(policy.unit("cron.service").is_some() && policy.unit("cron").is_none());
    assert_eq!(policy.directories.first().unwrap().at_most_bytes, ByteCount(1 << 30));
}

#[test]
fn an_empty_policy_allows_nothing() {
    let policy = read("processes: []\n").unwrap();
    assert!(policy.processes.is_empty() && policy.signals.is_empty() && policy.directories.is_empty());
}

#[test]
fn every_problem_names_its_place() {
    for (from, to, expected) in [
        (
            "[/usr/bin/web, ",
            "[web, ",
            "policy.yaml:4:15: \"web\" must be an absolute path without `.`, `..` and control characters",
        ),
        (
            "[/usr/bin/web, ",
            "[/usr/sbin/sshd, ",
            "policy.yaml:4:15: no policy can allow touching `sshd`: the host needs it",
        ),
        (
            "/run/web.pid",
            "/run/../web.pid",
            "policy.yaml:5:15: \"/run/../web.pid\" must be an absolute path without `.`, `..` and control characters",
        ),
        (
            "at_most: 10 per 1h\nsig",
            "at_most: often\nsig",
            "policy.yaml:7:14: \"often\" is not a budget; write it as in `10 per 1h`, from 1 to 10000 per window",
        ),
        (
            "SIGKILL",
            "SIGSTOP",
            "policy.yaml:10:21: \"SIGSTOP\" is not a signal that can be sent; known are HUP, INT, QUIT, ABRT, KILL, USR1, USR2, TERM, CONT",
        ),
        (
            "process: web",
            "process: wbe",
            "policy.yaml:9:14: no process `wbe` is defined here; did you mean `web`?",
        ),
        (
            "command: stress",
            "command: systemd-logind",
            "policy.yaml:12:14: no policy can allow touching `systemd-logind`: the host needs it",
        ),
        (
            "  - command: stress\n    sig",
            "  - sig",
            "policy.yaml:13:14: a signal rule names either a command or a process",
        ),
        ("path: /var/spool/web", "path: /", "policy.yaml:16:11: / is too wide; name a directory below it"),
        ("path: /var/spool/web", "path: /etc/web", "policy.yaml:16:11: nothing is ever deleted below /etc"),
        (
            "at_least_age: 1m",
            "at_least_age: 1 min",
            "policy.yaml:17:19: \"1 min\" is not a duration; write it as in 90s, 5m or 1h30m",
        ),
        (
            "1GiB",
            "1GB",
            "policy.yaml:18:20: \"1GB\" is not an amount of bytes; write it as in 500MiB, 2GiB or 65536",
        ),
        (
            "    environment",
            "    enviroment",
            "policy.yaml:6:5: unknown field `enviroment`, expected one of name, command, pid_file, write_pid_file, stop_timeout, log_file, environment, rewrites_title, stop_with_executor, at_most; did you mean `environment`?",
        ),
        (
            "    environment: { LANG: C }",
            "    stop_timeout: 10m",
            "policy.yaml:6:19: at most 5m can be waited",
        ),
        (
            "name: nginx.service",
            "name: '*.service'",
            "policy.yaml:21:11: \"*.service\" is not the exact name of a service; write it as in nginx.service or getmail@ann.service",
        ),
        (
            "name: nginx.service",
            "name: ssh.service",
            "policy.yaml:21:11: ssh.service is never restarted: the host cannot be reached or repaired without it",
        ),
        (
            "name: cron.service",
            "name: nginx.service",
            "policy.yaml:24:11: unit `nginx.service` is named twice",
        ),
        ("restart_timeout: 90s", "restart_timeout: 6m", "policy.yaml:22:22: at most 5m can be waited"),
    ] {
        assert!(SOUND.contains(from), "{from}");
        assert_eq!(read(&SOUND.replacen(from, to, 1)).unwrap_err(), [expected], "{to}");
    }
}

#[test]
fn all_problems_come_at_once() {
    let text = SOUND.replace("/usr/bin/web", "web").replace("1GiB", "much").replace("KILL", "STOP");
    assert_eq!(read(&text).unwrap_err().len(), 4);
}
