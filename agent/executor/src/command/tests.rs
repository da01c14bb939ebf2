use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

/// A rule whose program is this script.
fn rule(directory: &tempfile::TempDir, script: &str, arguments: &[&str]) -> CommandRule {
    let program = directory.path().join("program");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    CommandRule {
        name: "tidy".to_owned(),
        program,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        timeout: Duration::from_secs(20),
        user: None,
        at_most: "1 per 1h".parse().unwrap(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn ran(rule: &CommandRule, arguments: &[&str]) -> (Option<i32>, String) {
    match run(rule, &texts(arguments)) {
        Ok(Outcome::Ran { status, output }) => (status, output),
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_gets_its_arguments_as_they_are_and_an_empty_environment() {
    let directory = tempfile::tempdir().unwrap();
    let rule = rule(&directory, "printf '<%s>' \"$@\"; /usr/bin/env; echo done >&2; exit 3", &[]);
    let (status, output) = ran(&rule, &["a b", "$(id)", ";reboot"]);
    assert_eq!(status, Some(3));
    assert!(output.starts_with("<a b><$(id)><;reboot>"), "{output}");
    assert!(output.ends_with("done"), "{output}");
    // What the shell itself sets.
    for line in output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name) {
        assert!(line.ends_with("PWD") || line.ends_with("SHLVL") || line.ends_with('_'), "{line}");
    }
}

#[test]
fn the_end_of_much_output_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let rule =
        rule(&directory, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo last", &[]);
    let (status, output) = ran(&rule, &[]);
    assert!(status == Some(0) && output.len() <= MAX_OUTPUT_BYTES && output.ends_with("line 19999\nlast"));
    let rule = self::rule(&directory, "head -c 9000 /dev/zero | tr '\\0' '\\377'", &[]);
    assert!(ran(&rule, &[]).1.len() <= MAX_OUTPUT_BYTES);
}

/// Whether a process of this number runs.
fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Whether it is gone soon: a process that was killed needs a moment in which it is scheduled once more.
fn ends(pid: &str) -> bool {
    (0..100_000).any(|_| {
        std::thread::yield_now();
        !is_alive(pid)
    })
}

#[test]
fn at_its_deadline_it_is_killed_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut rule = rule(&directory, "trap '' TERM; sleep 1000 & echo $! $$; wait", &[]);
    rule.timeout = Duration::from_millis(300);
    let error = telemetry::with_causes(&run(&rule, &[]).unwrap_err());
    let (said, printed) = error.split_once("; it printed: ").unwrap();
    assert!(said.ends_with("it had not ended after 300ms and was killed"), "{said}");
    for pid in printed.split_ascii_whitespace() {
        assert!(ends(pid), "{pid}");
    }
}

#[test]
fn what_it_leaves_behind_ends_with_it_and_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let (status, pid) = ran(&rule(&directory, "sleep 1000 & echo $!", &[]), &[]);
    assert_eq!(status, Some(0));
    // It was killed before; the kernel may take a moment to end it.
    let deadline = Deadline::after(Duration::from_secs(10));
    while is_alive(&pid) && !deadline.remaining().is_zero() {
        std::thread::yield_now();
    }
    assert!(!is_alive(&pid));
}

#[test]
fn a_program_that_others_could_have_changed_is_not_run() {
    let directory = tempfile::tempdir().unwrap();
    let rule = rule(&directory, "echo run", &[]);
    fs::set_permissions(&rule.program, PermissionsExt::from_mode(0o777)).unwrap();
    let error = run(&rule, &[]).unwrap_err().to_string();
    assert!(error.starts_with("refused: command tidy is not run: ") && error.contains("everybody can write"));
    fs::set_permissions(&rule.program, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(run(&rule, &[]).is_err());
}

#[test]
fn another_user_gets_nothing_of_root() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut rule = rule(&directory, "/usr/bin/id -u; /usr/bin/id -G", &[]);
    rule.user = Some("nobody".to_owned());
    if !rustix::process::geteuid().is_root() {
        assert!(run(&rule, &[]).is_err());
        return;
    }
    let nobody = Account::named("nobody", Path::new(USERS)).unwrap();
    assert_eq!(ran(&rule, &[]), (Some(0), format!("{}\n{}", nobody.user, nobody.group)));
    rule.user = Some("no such user".to_owned());
    assert!(run(&rule, &[]).is_err());
}

#[test]
fn only_what_fits_an_open_place_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let rule = rule(&directory, "", &["--site", "www-*", "/srv/*/cache", "--level=?"]);
    let fill = |asked: &[&str]| arguments(&rule, &texts(asked));
    let filled = fill(&["www-1", "/srv/shop/cache", "--level=3"]).unwrap();
    assert_eq!(filled, ["--site", "www-1", "/srv/shop/cache", "--level=3"]);
    for asked in [
        &["www-1", "/srv/shop/cache"][..],
        &["www-1", "/srv/shop/cache", "--level=3", "more"],
        &["www-a b", "/srv/shop/cache", "--level=3"],
        &["www-1", "/srv/../cache", "--level=3"],
        &["www-1", "/srv/a/b/cache", "--level=3"],
        &["www-1", "/srv/shop/cache", "--level=33"],
        &["www-\0", "/srv/shop/cache", "--level=3"],
        &["www-\u{e9}", "/srv/shop/cache", "--level=3"],
    ] {
        assert!(fill(asked).is_err(), "{asked:?}");
    }
    let any = self::rule(&directory, "", &["*"]);
    for asked in ["-rf", "", "..", "/etc", "a;b", "$x"] {
        assert!(arguments(&any, &texts(&[asked])).is_err(), "{asked}");
    }
    assert!(arguments(&any, &[("a".repeat(257))]).is_err());
    assert!(arguments(&any, &["a".repeat(256)]).is_ok());
}

proptest! {
    #[test]
    fn nothing_in_an_open_place_is_more_than_a_name(given in any::<String>()) {
        let fits = fits("*", &given);
        let is_name = !given.is_empty() && !given.starts_with('-') && given != ".."
            && given.chars().all(|c| c.is_ascii_alphanumeric() || "._-@:+=,%".contains(c));
        prop_assert!(!fits || is_name);
    }
}
