use super::units::DEFAULT_RESTART_TIMEOUT;
use super::*;
use crate::ByteCount;
use crate::UnitVerb;

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
    may: [stop, freeze]
    limits:
      memory_max: { at_least: 256MiB, at_most: infinity }
      cpu_percent: { at_least: 10, at_most: 200 }
    at_most: 1 per 1h
cgroups:
  - path: /batch.slice
    limits: { memory_high: { at_least: 1GiB, at_most: 2GiB } }
    reclaim_at_most: 1GiB
    freeze: true
    at_most: 9 per 1h
sysctls:
  - name: vm.swappiness
    value: { at_least: 0, at_most: 60 }
    at_most: 2 per 1h
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
    let [nginx, cron] = policy.units.as_slice() else { panic!() };
    assert_eq!(nginx.may, [UnitVerb::Restart, UnitVerb::Reload, UnitVerb::Start, UnitVerb::ResetFailed]);
    assert_eq!(cron.may, [UnitVerb::Stop, UnitVerb::Freeze]);
    assert_eq!(cron.limits.memory_max, Some(Range { at_least: 256 << 20, at_most: u64::MAX }));
    assert_eq!(cron.limits.tasks_max, None);
    let batch = policy.cgroups.first().unwrap();
    assert!(batch.freeze && batch.reclaim_at_most == ByteCount(1 << 30));
    assert_eq!(policy.sysctls.first().unwrap().value, Range { at_least: 0, at_most: 60 });
    assert_eq!(policy.len(), 8);
    assert!(policy.unit("cron.service").is_some() && policy.unit("cron").is_none());
    assert_eq!(policy.directories.first().unwrap().at_most_bytes, ByteCount(1 << 30));
}

#[test]
fn an_empty_policy_allows_nothing() {
    let policy = read("processes: []\n").unwrap();
    assert!(policy.processes.is_empty() && policy.signals.is_empty() && policy.directories.is_empty());
}

#[test]
fn a_file_that_says_nothing_is_no_policy() {
    for text in ["", "\n", "# units: []\n", "{}\n", "---\n", "null\n"] {
        let problems = read(text).unwrap_err();
        assert!(
            matches!(problems.as_slice(), [problem] if problem.contains("a policy that allows nothing is `units: []`")),
            "{text:?}: {problems:?}"
        );
    }
}

/// A sound policy with `to` in place of `from` has exactly one problem.
fn assert_problem(from: &str, to: &str, expected: &str) {
    assert!(SOUND.contains(from), "{from}");
    assert_eq!(read(&SOUND.replacen(from, to, 1)).unwrap_err(), [expected], "{to}");
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
            "SIGWINCH",
            "policy.yaml:10:21: \"SIGWINCH\" is not a signal that can be sent; known are HUP, INT, QUIT, ABRT, KILL, USR1, USR2, TERM, CONT, STOP, CHLD",
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
            "policy.yaml:21:11: ssh.service is never touched: the host cannot be reached or repaired without it",
        ),
        (
            "name: cron.service",
            "name: nginx.service",
            "policy.yaml:24:11: unit `nginx.service` is named twice",
        ),
        ("restart_timeout: 90s", "restart_timeout: 6m", "policy.yaml:22:22: at most 5m can be waited"),
    ] {
        assert_problem(from, to, expected);
    }
}

#[test]
fn a_problem_of_what_units_and_the_kernel_are_told_names_its_place() {
    for (from, to, expected) in [
        (
            "[stop, freeze]",
            "[stop, frieze]",
            "policy.yaml:25:17: \"frieze\" is nothing that can be done with a unit; known are restart, reload, start, stop, reset_failed, freeze, thaw; did you mean `freeze`?",
        ),
        (
            "at_least: 256MiB",
            "at_least: 0",
            "policy.yaml:27:31: a limit of 0 would leave nothing; write 1 or more",
        ),
        (
            "at_most: 200",
            "at_most: 5",
            "policy.yaml:28:45: it is less than `at_least`, so nothing lies between them",
        ),
        (
            "path: /batch.slice",
            "path: /system.slice",
            "policy.yaml:31:11: /system.slice is never touched: it holds what the host cannot live without",
        ),
        (
            "limits: { memory_high: { at_least: 1GiB, at_most: 2GiB",
            "limits: { open_files: { at_least: 1, at_most: 2",
            "policy.yaml:32:39: a control group has no limit of open files; set it for a service under `units`",
        ),
        (
            "vm.swappiness",
            "kernel.sysrq",
            "policy.yaml:37:11: kernel.sysrq is never set: what begins with kernel.sysrq protects the host, or cannot be set back",
        ),
        ("at_most: 60 }", "at_most: many }", "policy.yaml:38:36: \"many\" is not a whole number"),
    ] {
        assert_problem(from, to, expected);
    }
}

#[test]
fn all_problems_come_at_once() {
    let text =
        SOUND.replace("/usr/bin/web", "web").replace("bytes: 1GiB", "bytes: much").replace("KILL", "WINCH");
    assert_eq!(read(&text).unwrap_err().len(), 4);
}

const FILES: &str = r#"
directories:
  - path: /var/spool/web
    at_least_age: 1m
    at_most_bytes: 1GiB
    quarantine: { directory: /var/spool/.removed, keep: 1d, at_most_bytes: 2GiB }
    at_most: 4 per 1h
truncatable:
  - path: /var/log/web
    keep_at_least: 1MiB
    at_most: 4 per 1h
links:
  - path: /srv/web/current
    releases: /srv/web/releases
    at_most: 2 per 1h
journal: { keep_at_least: 500MiB, at_most: 4 per 1h }
flags:
  - name: checkout
    file: /srv/web/flags.json
    at_most: 2 per 1h
commands:
  - name: purge
    program: /usr/local/bin/purge
    arguments: [--site, "www-*"]
    timeout: 1m
    user: web
    at_most: 2 per 1h
"#;

#[test]
fn files_flags_and_commands_are_read() {
    let policy = read(FILES).unwrap();
    assert_eq!(policy.len(), 6);
    let directory = policy.directories.first().unwrap();
    assert_eq!(directory.quarantine.as_ref().unwrap().keep, Duration::from_hours(24));
    assert_eq!(directory.at_most_files, u64::MAX);
    assert_eq!(policy.truncatable.first().unwrap().keep_at_least, ByteCount(1 << 20));
    assert_eq!(policy.journal.as_ref().unwrap().keep_at_least, ByteCount(500 << 20));
    let command = policy.commands.first().unwrap();
    assert_eq!((command.timeout, command.user.as_deref()), (Duration::from_mins(1), Some("web")));
}

#[test]
fn every_problem_of_files_flags_and_commands_names_its_place() {
    for (from, to, expected) in [
        (
            "/var/spool/.removed",
            "/var/spool/web/.removed",
            "policy.yaml:6:30: the quarantine and /var/spool/web, which is swept, must not lie in each other",
        ),
        (
            "/var/spool/.removed",
            "/var/spool",
            "policy.yaml:6:30: the quarantine and /var/spool/web, which is swept, must not lie in each other",
        ),
        ("/var/spool/.removed", "/etc/removed", "policy.yaml:6:30: nothing is ever deleted below /etc"),
        (
            "/var/log/web",
            "/var/log/journal/x",
            "policy.yaml:9:11: nothing is ever deleted below /var/log/journal",
        ),
        ("/srv/web/current", "/usr/bin/web", "policy.yaml:13:11: nothing is ever deleted below /usr"),
        (
            "releases: /srv",
            "releases: srv",
            "policy.yaml:14:15: \"srv/web/releases\" must be an absolute path without `.`, `..` and control characters",
        ),
        (
            "flags.json",
            "flags.yaml",
            "policy.yaml:19:11: only a file in JSON, called *.json, can be changed and stay as it is otherwise",
        ),
        ("timeout: 1m", "timeout: 6m", "policy.yaml:25:14: at most 5m can be waited"),
        ("name: purge", "name: purge it", "policy.yaml:22:11: a command needs a name without white space"),
        ("--site,", "\"a\\0b\",", "policy.yaml:24:17: an argument cannot hold a NUL"),
        (
            "  - name: checkout",
            "  - { name: checkout, file: /x.json, at_most: 1 per 1h }\n  - name: checkout",
            "policy.yaml:19:11: flag `checkout` is named twice",
        ),
    ] {
        assert!(FILES.contains(from), "{from}");
        assert_eq!(read(&FILES.replacen(from, to, 1)).unwrap_err(), [expected], "{to}");
    }
}
