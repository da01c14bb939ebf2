//! An agent that was taken over: it says whatever it likes, while somebody else moves what the policy names.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::strategy::ValueTree;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::process::Process;
use crate::{ChangeId, Limits};

const POLICY: &str = r#"
directories:
- { path: ROOT/site/spool, at_least_age: 1m, at_most_bytes: 64KiB, at_most: 900 per 1h }
- path: ROOT/site/kept
  at_least_age: 1m
  at_most_bytes: 64KiB
  quarantine: { directory: ROOT/site/quarantine, keep: 1d, at_most_bytes: 64KiB }
  at_most: 900 per 1h
truncatable: [{ path: ROOT/site/log, at_most: 900 per 1h }]
links: [{ path: ROOT/site/current, releases: ROOT/site/releases, at_most: 900 per 1h }]
flags: [{ name: checkout, file: ROOT/site/flags.json, at_most: 900 per 1h }]
commands: [{ name: greet, program: ROOT/greet, arguments: ["w*"], at_most: 900 per 1h }]
signals: [{ command: may-end, signals: [CONT], at_most: 900 per 1h }]
"#;

const FLAGS: &str = r#"{"flags":{"checkout":{"state":"ENABLED","variants":{"on":true,"off":false},
"defaultVariant":"on","metadata":{"hostmend.remediable":true}}}}"#;

/// What the policy lets change, and what the executor keeps for itself.
const MAY_CHANGE: &[&str] = &[
    "site/spool",
    "site/kept",
    "site/quarantine",
    "site/log",
    "site/current",
    "site/flags.json",
    "budgets.json",
    "changes.json",
];

/// Names that are swapped again and again while the executor acts, each with its decoy beside it.
const SWAPPED: [(&str, &str); 6] = [
    ("site/spool/deep", "site/spool/deep-decoy"),
    ("site/kept/deep", "site/kept/deep-decoy"),
    ("site/log/web", "site/log/web-decoy"),
    ("site/log/twin", "site/log/twin-decoy"),
    ("site/flags.json", "site/flags-decoy.json"),
    ("site/spool", "site/spool-decoy"),
];

struct Place {
    bench: Bench,
    victims: Vec<Child>,
    swapping: Arc<AtomicBool>,
    swapper: Option<JoinHandle<u64>>,
}

impl Place {
    fn new() -> Self {
        let bench = Bench::start("units: []\n", |_| {});
        lay_out(bench.directory.path());
        let root = bench.directory.path().to_owned();
        bench.write_policy(&POLICY.replace("ROOT", &root.display().to_string()));
        let victims = ["may-end", "precious"].map(|name| {
            let program = root.join(name);
            fs::copy("/bin/sleep", &program).unwrap();
            spawn(&program)
        });
        let swapping = Arc::new(AtomicBool::new(true));
        let goes_on = Arc::clone(&swapping);
        let swapper = std::thread::spawn(move || {
            let mut swaps = 0;
            while goes_on.load(Ordering::Relaxed) {
                for (name, decoy) in SWAPPED {
                    let (name, decoy) = (root.join(name), root.join(decoy));
                    swaps += u64::from(renameat_with(CWD, name, CWD, decoy, RenameFlags::EXCHANGE).is_ok());
                }
                std::thread::yield_now();
            }
            swaps
        });
        Self { bench, victims: victims.into(), swapping, swapper: Some(swapper) }
    }

    fn root(&self) -> &Path {
        self.bench.directory.path()
    }

    /// Ends the swapping, puts everything in its place, and returns how often something was swapped.
    fn hold_still(&mut self) -> u64 {
        self.swapping.store(false, Ordering::Relaxed);
        self.swapper.take().unwrap().join().unwrap()
    }

    /// Writes again what was removed, so that there is always something to act on.
    fn refill(&self) {
        for name in ["site/spool/a", "site/spool/deep/b", "site/kept/a", "site/kept/deep/b"] {
            // It may lie behind a link to what nobody may touch, but then it is there.
            let path = self.root().join(name);
            if !path.exists() && path.parent().is_some_and(is_real) {
                let _ = fs::OpenOptions::new().create_new(true).write(true).open(path);
            }
        }
    }
}

/// Whether no part of a path is a link.
fn is_real(path: &Path) -> bool {
    path.canonicalize().is_ok_and(|real| real == path)
}

impl Drop for Place {
    fn drop(&mut self) {
        self.swapping.store(false, Ordering::Relaxed);
        for victim in &mut self.victims {
            let _ = victim.kill();
            let _ = victim.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what must live on has to live")]
fn spawn(program: &Path) -> Child {
    let child = Command::new(program).arg("1000").spawn().unwrap();
    while Process::open(child.id()).unwrap().unwrap().command_line().is_empty() {
        std::thread::yield_now();
    }
    child
}

fn lay_out(root: &Path) {
    for name in [
        "outside/deep",
        "site/spool/deep",
        "site/kept/deep",
        "site/log",
        "site/releases/1",
        "site/releases/2",
        "site/spool-decoy/deep",
    ] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["outside/precious", "outside/deep/b", "outside/a", "outside/web", "site/releases/1/program"]
    {
        fs::write(root.join(name), "precious\n".repeat(100)).unwrap();
    }
    for name in ["site/spool/a", "site/kept/a", "site/log/web", "site/log/twin", "site/spool-decoy/a"] {
        fs::write(root.join(name), "old\n".repeat(100)).unwrap();
    }
    fs::write(root.join("site/flags.json"), FLAGS).unwrap();
    fs::write(root.join("outside/flags.json"), FLAGS).unwrap();
    fs::write(root.join("greet"), "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(root.join("greet"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::hard_link(root.join("outside/precious"), root.join("site/log/twin-decoy")).unwrap();
    for (link, to) in [
        ("site/current", "releases/2"),
        ("site/spool/up", "../../outside"),
        ("site/spool/deep-decoy", "../../outside/deep"),
        ("site/kept/deep-decoy", "../../outside/deep"),
        ("site/log/web-decoy", "../../outside/web"),
        ("site/log/up", "../../outside"),
        ("site/flags-decoy.json", "../outside/flags.json"),
        ("site/releases/3", "../../outside"),
        ("site/spool-decoy/up", "../../outside"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
}

/// All that is there, but for what may change: kind and mode, owner, size, when it was written, and what it holds.
fn manifest(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap();
            let is_decoy = SWAPPED.iter().any(|(_, decoy)| below.starts_with(decoy));
            if is_decoy || MAY_CHANGE.iter().any(|name| below.starts_with(name)) {
                continue;
            }
            let metadata = path.symlink_metadata().unwrap();
            let holds = match metadata.file_type() {
                kind if kind.is_dir() => {
                    ahead.push(path.clone());
                    String::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                kind if kind.is_file() => format!("{:?}", fs::read(&path).unwrap()),
                _ => String::new(),
            };
            // A directory is written to when an entry comes or goes; its entries tell that.
            let written = if metadata.is_dir() { 0 } else { metadata.mtime_nsec() };
            let facts = (metadata.mode(), metadata.uid(), metadata.gid(), written);
            found.insert(path, format!("{facts:?} {holds}"));
        }
    }
    for path in ["/etc/passwd", "/etc/hosts", "/etc", "/bin", "/usr", "/var/log"].map(Path::new) {
        let facts = path.symlink_metadata().map(|metadata| (metadata.mode(), metadata.uid(), metadata.ino()));
        found.insert(path.to_owned(), format!("{:?}", facts.ok()));
    }
    found
}

/// Kernel parameters that a hostile agent would like to set.
fn parameters() -> Vec<String> {
    ["kernel/core_pattern", "kernel/panic", "vm/swappiness", "kernel/sysrq"]
        .map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default())
        .into()
}

/// Paths that begin where something is allowed, or not, and go on as they like.
fn paths() -> impl Strategy<Value = String> {
    const STARTS: [&str; 12] = [
        "ROOT/site/spool",
        "ROOT/site/kept",
        "ROOT/site/log/web",
        "ROOT/site/log/twin",
        "ROOT/site/log",
        "ROOT/site/current",
        "ROOT/site/releases/1",
        "ROOT/site/quarantine",
        "ROOT/outside",
        "ROOT",
        "/etc",
        "",
    ];
    const STEPS: [&str; 12] = [
        "..",
        ".",
        "",
        "deep",
        "up",
        "up/deep",
        "a",
        "web",
        "\0",
        "../../../../../../etc",
        "%2e%2e",
        "\u{202e}\n",
    ];
    let steps = proptest::collection::vec(proptest::sample::select(&STEPS[..]), 0..4);
    let path = (proptest::sample::select(&STARTS[..]), steps).prop_map(|(start, steps)| {
        steps.iter().fold(start.to_owned(), |path, step| format!("{path}/{step}"))
    });
    prop_oneof![3 => proptest::sample::select(&STARTS[..]).prop_map(str::to_owned), 4 => path, 1 => any::<String>()]
}

fn names() -> impl Strategy<Value = String> {
    const NAMES: [&str; 8] = [
        "checkout",
        "greet",
        "on",
        "off",
        "world",
        "w;reboot",
        "../../sys/kernel/core_pattern",
        "kernel.panic",
    ];
    prop_oneof![4 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned), 1 => texts()]
}

fn selections() -> impl Strategy<Value = Selection> {
    let bounds = (prop_oneof![Just(60), Just(0), any::<u64>()], prop_oneof![Just(8192), any::<u64>()]);
    let more = (
        proptest::option::of(prop_oneof![Just("*".to_owned()), texts()]),
        proptest::option::of(0_u64..5),
        proptest::option::of(any::<u8>()),
    );
    (paths(), bounds, more).prop_map(|(under, (age, bytes), (matching, files, percent))| Selection {
        matching,
        at_most_files: files,
        until_used_percent: percent,
        ..Selection::old_files(under, Duration::from_secs(age), ByteCount(bytes))
    })
}

/// A process of the test by its place, some that nobody may touch, or any number; and by how much its start is wrong.
fn targets() -> impl Strategy<Value = (u32, u64)> {
    (prop_oneof![Just(0), Just(1), 2_u32..6, any::<u32>()], prop_oneof![Just(0), Just(1), any::<u64>()])
}

/// What the policy allows, so that the executor is at it while names are swapped beneath its feet.
fn allowed() -> impl Strategy<Value = Action> {
    let swept =
        proptest::sample::select(&["site/spool", "site/spool/deep", "site/kept", "site/kept/deep"][..]);
    let emptied = proptest::sample::select(&["site/log/web", "site/log/twin", "site/log/up/web"][..]);
    let below = |name: &str| PathBuf::from(format!("ROOT/{name}"));
    prop_oneof![
        swept.prop_map(move |name| Action::RemoveFiles {
            selection: Selection::old_files(below(name), Duration::from_mins(1), ByteCount(8192))
        }),
        emptied.prop_map(move |name| Action::TruncateFile { path: below(name), keep: ByteCount(8) }),
        (1..4).prop_map(move |release| Action::SwitchLink {
            link: below("site/current"),
            to: below(&format!("site/releases/{release}"))
        }),
        any::<bool>().prop_map(|on| Action::SetFlag {
            flag: "checkout".to_owned(),
            variant: if on { "on" } else { "off" }.to_owned()
        }),
        names().prop_map(|name| Action::RunCommand { command: "greet".to_owned(), arguments: vec![name] }),
    ]
}

#[derive(Clone, Debug)]
enum Attack {
    Bytes(Vec<u8>),
    Say(Box<Action>),
    Signal((u32, u64), Signal),
    TakeBack(usize),
}

fn attacks() -> impl Strategy<Value = Attack> {
    let units = (proptest::sample::select(&UnitVerb::ALL[..]), units());
    let limits =
        any::<(Option<u64>, Option<u64>, Option<u64>)>().prop_map(|(memory_max, tasks_max, open_files)| {
            Limits { memory_max, tasks_max, open_files, ..Limits::default() }
        });
    let action = prop_oneof![
        4 => selections().prop_map(|selection| Action::RemoveFiles { selection }),
        3 => (paths(), 0_u64..500)
            .prop_map(|(path, keep)| Action::TruncateFile { path: path.into(), keep: ByteCount(keep) }),
        3 => (paths(), paths())
            .prop_map(|(link, to)| Action::SwitchLink { link: link.into(), to: to.into() }),
        2 => (names(), names()).prop_map(|(flag, variant)| Action::SetFlag { flag, variant }),
        1 => (names(), proptest::collection::vec(names(), 0..3))
            .prop_map(|(command, arguments)| Action::RunCommand { command, arguments }),
        1 => units.prop_map(|(verb, unit)| Action::Unit { verb, unit }),
        1 => (self::units(), limits.clone()).prop_map(|(unit, limits)| Action::LimitUnit { unit, limits }),
        1 => (paths(), limits).prop_map(|(cgroup, limits)| Action::LimitCgroup { cgroup, limits }),
        1 => (paths(), any::<u64>())
            .prop_map(|(cgroup, bytes)| Action::ReclaimCgroup { cgroup, bytes: ByteCount(bytes) }),
        1 => (paths(), any::<bool>()).prop_map(|(cgroup, frozen)| Action::FreezeCgroup { cgroup, frozen }),
        1 => (names(), any::<i64>()).prop_map(|(name, value)| Action::SetSysctl { name, value }),
        1 => names().prop_map(|name| Action::RestartProcess { process: name.as_str().into() }),
        1 => any::<u64>().prop_map(|keep| Action::VacuumJournal { keep: ByteCount(keep) }),
        1 => Just(Action::RotateJournal),
        1 => texts().prop_map(|id| Action::Undo { change: ChangeId(id) }),
    ];
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Attack::Bytes),
        6 => action.prop_map(|action| Attack::Say(Box::new(action))),
        6 => allowed().prop_map(|action| Attack::Say(Box::new(action))),
        1 => (targets(), signals()).prop_map(|(target, signal)| Attack::Signal(target, signal)),
        2 => any::<usize>().prop_map(Attack::TakeBack),
    ]
}

/// The action with the place's own paths in it.
fn placed(action: &Action, root: &Path) -> Action {
    let text = serde_json::to_string(action).unwrap().replace("ROOT", &root.display().to_string());
    serde_json::from_str(&text).unwrap()
}

impl Place {
    fn process(&self, (which, wrong_by): (u32, u64)) -> ProcessId {
        let pid = match which {
            1 => self.victims[0].id(),
            2 => self.victims[1].id(),
            3 => 1,
            4 => std::process::id(),
            5 => std::os::unix::process::parent_id(),
            other => other,
        };
        let found = Process::open(pid).ok().flatten();
        let start = found.map_or(0, |process| process.stat.start_ticks);
        ProcessId { pid, start_ticks: start.wrapping_sub(wrong_by) }
    }

    /// What came of it; nothing if it was no request.
    fn attack(&self, attack: &Attack, changes: &[ChangeId]) -> Option<Result<Outcome, ActionError>> {
        let action = match attack {
            Attack::Bytes(bytes) => {
                let stream = self.bench.connect();
                let _ = (&stream).write_all(bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = (&stream).read_to_end(&mut Vec::new());
                return None;
            }
            Attack::Say(action) => placed(action, self.root()),
            Attack::Signal(target, signal) => {
                Action::SignalProcess { process: self.process(*target), signal: *signal }
            }
            Attack::TakeBack(at) => {
                let change = changes.get(at % changes.len().max(1))?.clone();
                Action::Undo { change }
            }
        };
        Some(self.bench.perform(&action))
    }
}

fn change_of(outcome: &Outcome) -> Option<ChangeId> {
    match outcome {
        Outcome::Removed { change, .. } | Outcome::Set { change, .. } => change.clone(),
        _ => None,
    }
}

#[test]
fn a_hostile_agent_changes_nothing_outside_the_policy() {
    let mut place = Place::new();
    let (before, set) = (manifest(place.root()), parameters());
    let (mut performed, mut refused, mut changes) = (BTreeMap::new(), 0_u64, Vec::new());
    let cases = ProptestConfig::default().cases;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let plan = proptest::collection::vec(attacks(), 8);
    for _ in 0..cases {
        let attacks = plan.new_tree(&mut runner).unwrap().current();
        place.refill();
        for attack in &attacks {
            match place.attack(attack, &changes) {
                Some(Ok(outcome)) => {
                    changes.extend(change_of(&outcome));
                    let kind = serde_json::to_value(&outcome).unwrap()["outcome"].to_string();
                    *performed.entry(kind).or_insert(0_u64) += 1;
                }
                Some(Err(_)) => refused += 1,
                None => {}
            }
        }
        assert_eq!(manifest(place.root()), before, "after {attacks:?}");
    }
    assert!(place.hold_still() > 1000, "the names were swapped meanwhile");
    assert_eq!(parameters(), set);
    for victim in &mut place.victims {
        assert!(victim.try_wait().unwrap().is_none(), "it lives");
    }
    for kind in ["\"removed\"", "\"truncated\"", "\"set\"", "\"ran\"", "\"undone\""] {
        assert!(performed.contains_key(kind), "of what the policy allows, some was done: {performed:?}");
    }
    assert!(refused > 0);
    assert_eq!(place.bench.stop(), Stopped::Asked);
}
