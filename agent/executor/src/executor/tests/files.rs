use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::ChangeId;

/// Later than any file of a test is written.
const LATER: Timestamp = Timestamp::from_secs(4_000_000_000);

/// A directory with all that a policy can be about, and an executor whose policy is about it.
struct Site {
    root: tempfile::TempDir,
    executor: Executor,
}

const POLICY: &str = r#"
directories:
- path: ROOT/spool
  at_least_age: 1m
  at_most_bytes: 1MiB
  at_most_files: 100
  quarantine: { directory: ROOT/quarantine, keep: 1d, at_most_bytes: 1MiB }
  at_most: 9 per 1h
truncatable: [{ path: ROOT/log, keep_at_least: 4B, at_most: 2 per 1h }]
links: [{ path: ROOT/current, releases: ROOT/releases, at_most: 2 per 1h }]
journal: { keep_at_least: 1MiB, at_most: 2 per 1h }
flags: [{ name: checkout, file: ROOT/flags.json, at_most: 1 per 1h }]
commands: [{ name: greet, program: ROOT/greet, arguments: [hello, "w*"], at_most: 2 per 1h }]
"#;

const FLAGS: &str = r#"{"flags":{"checkout":{"state":"ENABLED","variants":{"on":true,"off":false},
"defaultVariant":"on","metadata":{"hostmend.remediable":true}}}}"#;

impl Site {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["spool", "releases/1", "releases/2", "log"].map(path) {
            fs::create_dir_all(name).unwrap();
        }
        fs::write(path("spool/a"), "x").unwrap();
        fs::write(path("log/web"), "one\ntwo\n").unwrap();
        symlink("releases/2", path("current")).unwrap();
        fs::write(path("flags.json"), FLAGS).unwrap();
        fs::write(path("greet"), "#!/bin/sh\necho \"$@\"\n").unwrap();
        fs::set_permissions(path("greet"), PermissionsExt::from_mode(0o755)).unwrap();
        let text = POLICY.replace("ROOT", &root.path().display().to_string());
        let mut executor = Executor::new(policy(&text), Some(path("budgets.json")));
        executor.journal = Journal::within(root.path());
        Self { root, executor }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        self.executor.perform(action, LATER)
    }

    fn undo(&mut self, change: Option<ChangeId>) -> Result<Outcome, ActionError> {
        self.perform(&Action::Undo { change: change.unwrap() })
    }

    fn remove(&mut self) -> (u64, Option<ChangeId>) {
        let selection = Selection::old_files(self.path("spool"), Duration::from_mins(1), ByteCount(4096));
        match self.perform(&Action::RemoveFiles { selection }) {
            Ok(Outcome::Removed { quarantined: true, files, change, .. }) => (files, change),
            other => panic!("{other:?}"),
        }
    }

    fn switch(&mut self, to: &str) -> Result<Outcome, ActionError> {
        self.perform(&Action::SwitchLink { link: self.path("current"), to: self.path(to) })
    }

    fn set_flag(&mut self, variant: &str) -> Result<Outcome, ActionError> {
        self.perform(&Action::SetFlag { flag: "checkout".to_owned(), variant: variant.to_owned() })
    }

    fn greet(&mut self, whom: &str) -> Result<Outcome, ActionError> {
        self.perform(&Action::RunCommand { command: "greet".to_owned(), arguments: vec![whom.to_owned()] })
    }
}

/// What was before, what is now, and by which it can be taken back.
fn set(outcome: Result<Outcome, ActionError>) -> (String, String, Option<ChangeId>) {
    match outcome {
        Ok(Outcome::Set { before, after, change, .. }) => (before, after, change),
        other => panic!("{other:?}"),
    }
}

#[test]
fn removed_files_wait_in_quarantine_and_come_back_when_asked_for() {
    let mut site = Site::new();
    let (files, change) = site.remove();
    assert!(files == 1 && !site.path("spool/a").exists());
    assert_eq!(fs::metadata(site.path("quarantine")).unwrap().permissions().mode() & 0o777, 0o700);
    let undone = site.undo(change.clone()).unwrap().to_string();
    assert!(undone.ends_with("/spool is as before: 1 files are back, 4 KiB again"), "{undone}");
    assert_eq!(fs::read_to_string(site.path("spool/a")).unwrap(), "x");
    assert!(matches!(site.undo(change), Err(ActionError::TakenBack { .. })));
}

#[test]
fn a_removal_that_finds_nothing_leaves_nothing_to_take_back() {
    let mut site = Site::new();
    fs::remove_file(site.path("spool/a")).unwrap();
    assert_eq!(site.remove(), (0, None));
    assert_eq!(fs::read_dir(site.path("quarantine")).unwrap().count(), 0);
}

/// Puts `spool/a` into quarantine at noon and so many files of a quarter of it into the spool. Three hours later a removal is
/// asked for; gives the files removed, those too many, and the batches that then wait.
fn ask_with_a_full_quarantine(files: u64, hours: u64, change: fn(&mut Selection)) -> (u64, u64, usize) {
    let mut site = Site::new();
    fs::write(site.path("spool/a"), vec![b'x'; 768 << 10]).unwrap();
    let mut selection = Selection::old_files(site.path("spool"), Duration::from_mins(1), ByteCount(1 << 20));
    let action = Action::RemoveFiles { selection: selection.clone() };
    assert!(matches!(site.perform(&action), Ok(Outcome::Removed { files: 1, .. })));
    for file in 0..files {
        fs::write(site.path(&format!("spool/{file}")), vec![b'x'; 256 << 10]).unwrap();
    }
    change(&mut selection);
    let later = LATER.plus(Duration::from_hours(hours));
    let removed = site.executor.perform(&Action::RemoveFiles { selection }, later);
    let Ok(Outcome::Removed { files, too_large, .. }) = removed else { panic!("{removed:?}") };
    (files, too_large, fs::read_dir(site.path("quarantine")).unwrap().count())
}

#[test]
fn a_removal_makes_only_the_room_that_it_needs_and_none_from_what_is_young() {
    for (what, files, hours, change, expected) in [
        ("nothing to do", 4, 3, (|it| it.until_used_percent = Some(100)) as fn(&mut Selection), (0, 0, 1)),
        ("no file", 4, 3, |it| it.at_most_files = Some(0), (0, 4, 1)),
        ("nothing that fits", 1, 3, |it| it.at_most = ByteCount(252 << 10), (0, 1, 1)),
        ("all, in its place", 4, 3, |_| {}, (4, 0, 1)),
        ("all, but it is young", 4, 0, |_| {}, (0, 4, 1)),
        ("nothing, but its time is over", 0, 25, |_| {}, (0, 0, 0)),
    ] {
        assert_eq!(ask_with_a_full_quarantine(files, hours, change), expected, "{what}");
    }
}

#[test]
fn what_a_selection_asks_for_beyond_the_rule_is_refused() {
    let mut site = Site::new();
    let spool = site.path("spool");
    let mut refuse = |change: fn(&mut Selection)| {
        let mut selection = Selection::old_files(&spool, Duration::from_mins(1), ByteCount(4096));
        change(&mut selection);
        refusal(site.perform(&Action::RemoveFiles { selection }))
    };
    let said = refuse(|selection| selection.at_most_files = Some(101));
    assert!(said.ends_with("at_most_files: 100 is less than the 101 asked for"), "{said}");
    let said = refuse(|selection| selection.at_most = ByteCount(u64::MAX));
    assert!(said.contains("at_most_bytes: 1 MiB is less than"), "{said}");
    assert!(refuse(|selection| selection.until_used_percent = Some(101)).contains("more than 100 % full"));
    assert!(refuse(|selection| selection.matching = Some("../*".to_owned())).contains("has a `/` in it"));
    assert!(refuse(|selection| selection.under.push("../log")).contains("without `.`, `..`"));
}

#[test]
fn a_log_is_emptied_but_for_what_the_policy_keeps() {
    let mut site = Site::new();
    let truncate = |path: PathBuf, keep: u64| Action::TruncateFile { path, keep: ByteCount(keep) };
    let log = site.path("log/web");
    let said = refusal(site.perform(&truncate(log.clone(), 3)));
    assert!(said.ends_with("says keep_at_least: 4 B is more than the 3 B asked for"), "{said}");
    assert!(matches!(site.perform(&truncate(log.clone(), 4)), Ok(Outcome::Truncated { .. })));
    assert_eq!(fs::read_to_string(&log).unwrap(), "two\n");
    let spool = site.path("spool/a");
    assert!(refusal(site.perform(&truncate(spool, 4))).contains("nothing under `truncatable`"));
    assert!(refusal(site.perform(&truncate("/etc/passwd".into(), 4))).contains("nothing is ever deleted"));
    assert!(site.perform(&truncate(log.clone(), 4)).is_ok());
    assert!(refusal(site.perform(&truncate(log, 4))).contains("the budget of truncatable[0]"));
}

#[test]
fn a_link_points_to_a_release_and_back() {
    let mut site = Site::new();
    let release = |number: u32| format!("releases/{number}");
    for (to, said) in [
        ("releases", "is no release"),
        ("releases/3", "is no release"),
        ("releases/1/x", "is no release"),
        ("releases/../spool", "is no release"),
        ("spool", "is no release"),
    ] {
        assert!(refusal(site.switch(to)).contains(said), "{to}");
    }
    let (before, after, change) = set(site.switch("releases/1"));
    assert_eq!((before, after), (release(2), release(1)));
    assert_eq!(fs::read_link(site.path("current")).unwrap(), Path::new("releases/1"));
    assert_eq!(set(site.switch("releases/1")).2, None, "nothing is left to do");
    assert!(site.undo(change.clone()).is_ok());
    assert_eq!(fs::read_link(site.path("current")).unwrap(), Path::new("releases/2"));

    let (_, _, change) = set(site.switch("releases/1"));
    fs::remove_file(site.path("current")).unwrap();
    symlink("releases/4", site.path("current")).unwrap();
    assert!(refusal(site.undo(change)).contains("is releases/4 and no longer releases/1"));
}

#[test]
fn a_flag_gives_what_was_chosen_until_that_is_taken_back() {
    let mut site = Site::new();
    assert!(refusal(site.set_flag("maybe")).contains("has no variant \"maybe\"; there are off, on"));
    let (before, after, change) = set(site.set_flag("off"));
    assert_eq!((before.as_str(), after.as_str()), ("on", "off"));
    assert!(fs::read_to_string(site.path("flags.json")).unwrap().contains("\"defaultVariant\":\"off\""));
    assert!(refusal(site.set_flag("on")).contains("the budget of flags[0]"));
    let undone = site.undo(change).unwrap().to_string();
    assert_eq!(undone, "flag checkout is on again");
    assert_eq!(fs::read_to_string(site.path("flags.json")).unwrap(), FLAGS);
}

#[test]
fn a_change_is_taken_back_by_an_executor_that_was_started_since() {
    let mut site = Site::new();
    let (_, change) = site.remove();
    let text = POLICY.replace("ROOT", &site.root.path().display().to_string());
    site.executor = Executor::new(policy(&text), Some(site.path("budgets.json")));
    assert!(site.undo(change).is_ok());
    assert!(site.path("spool/a").exists());
}

#[test]
fn the_journal_keeps_what_the_policy_says() {
    let mut site = Site::new();
    let said = refusal(site.perform(&Action::VacuumJournal { keep: ByteCount(1) }));
    assert_eq!(said, "for the journal, policy.yaml says keep_at_least: 1 MiB is more than the 1 B asked for");
    fs::write(site.path("machine-id"), "0123456789abcdef0123456789abcdef").unwrap();
    let vacuumed = site.perform(&Action::VacuumJournal { keep: ByteCount(1 << 20) });
    assert_eq!(vacuumed, Ok(Outcome::JournalVacuumed { files: 0, bytes: ByteCount(0) }));
    assert!(matches!(site.perform(&Action::RotateJournal), Err(ActionError::Failed { .. })));
    assert!(refusal(site.perform(&Action::RotateJournal)).contains("the budget of journal in policy.yaml"));
    let mut without = Executor::new(policy("units: []\n"), None);
    let said = refusal(without.perform(&Action::RotateJournal, NOON));
    assert!(
        said.starts_with("nothing under `journal` in policy.yaml allows it; `{ keep_at_least: "),
        "{said}"
    );
}

#[test]
fn a_command_is_run_as_the_policy_defines_it() {
    let mut site = Site::new();
    let Ok(Outcome::Ran { status: Some(0), output }) = site.greet("world") else { panic!() };
    assert_eq!(output, "hello world");
    let said = refusal(site.greet("$(reboot)"));
    assert!(
        said.starts_with("for command greet, commands[0] in policy.yaml: argument \"$(reboot)\""),
        "{said}"
    );
    let unknown = Action::RunCommand { command: "sh".to_owned(), arguments: Vec::new() };
    assert!(refusal(site.perform(&unknown)).contains("nothing under `commands` in policy.yaml allows it"));
    assert!(site.greet("w").is_ok());
    assert!(refusal(site.greet("w")).contains("the budget of commands[0]"));
}
