use proptest::prelude::*;

use super::*;
use crate::changes::{Change, FileValue};
use crate::{ChangeId, Limits};

/// A host whose kernel's files lie in a directory.
struct Kernel {
    directory: tempfile::TempDir,
    executor: Executor,
}

const POLICY: &str = "\
sysctls:
- { name: net.netfilter.nf_conntrack_max, value: { at_least: 1000, at_most: 2000 }, at_most: 2 per 1h }
- { name: vm.text, value: { at_least: 0, at_most: 9 }, at_most: 2 per 1h }
- { name: vm.absent, value: { at_least: 0, at_most: 9 }, at_most: 2 per 1h }
cgroups:
- path: /batch.slice
  limits: { memory_high: { at_least: 1MiB, at_most: infinity }, cpu_percent: { at_least: 10, at_most: 200 } }
  reclaim_at_most: 1MiB
  freeze: true
  at_most: 9 per 1h
- { path: /mixed.slice, freeze: true, at_most: 9 per 1h }
- { path: /absent.slice, freeze: true, at_most: 9 per 1h }
- { path: /plain.slice, at_most: 9 per 1h }
";

impl Kernel {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/net/netfilter/nf_conntrack_max", "500\n"),
            ("proc/vm/text", "4096\t87380\n"),
            ("cgroup/batch.slice/memory.high", "max\n"),
            ("cgroup/batch.slice/cpu.max", "max 50000\n"),
            ("cgroup/batch.slice/cgroup.freeze", "0\n"),
            ("cgroup/batch.slice/memory.current", "4096\n"),
            ("cgroup/batch.slice/memory.reclaim", ""),
            ("cgroup/mixed.slice/cgroup.freeze", "0\n"),
            ("cgroup/mixed.slice/inner.slice/ssh.service/cgroup.freeze", "0\n"),
            ("cgroup/plain.slice/cgroup.freeze", "0\n"),
            ("cgroup/other.slice/cgroup.freeze", "0\n"),
            ("interfaces", "Inter-| Receive\n face |bytes\n    lo: 1 2\n  eth0: 3 4\n"),
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::write(directory.path().join("policy.yaml"), POLICY).unwrap();
        Self { executor: Self::executor(directory.path()), directory }
    }

    /// As after a new start.
    fn executor(directory: &Path) -> Executor {
        let document = Document::from_text(&directory.join("policy.yaml"), POLICY);
        let mut executor =
            Executor::new(Policy::read(&document).unwrap(), Some(directory.join("budgets.json")));
        executor.sysctls = KernelFiles::new(directory.join("proc"), "x.conf");
        executor.cgroups = KernelFiles::new(directory.join("cgroup"), "x.conf");
        executor.interfaces = directory.join("interfaces");
        executor
    }

    fn restart(&mut self) {
        self.executor = Self::executor(self.directory.path());
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.directory.path().join(path), text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(path)).unwrap().trim().to_owned()
    }

    fn perform(&mut self, action: &Action) -> Result<Outcome, ActionError> {
        self.executor.perform(action, NOON)
    }

    fn sysctl(&mut self, name: &str, value: i64) -> Result<Outcome, ActionError> {
        self.perform(&Action::SetSysctl { name: name.to_owned(), value })
    }

    fn limit(&mut self, limits: Limits) -> Result<Outcome, ActionError> {
        self.perform(&Action::LimitCgroup { cgroup: "/batch.slice".to_owned(), limits })
    }

    fn freeze(&mut self, cgroup: &str) -> Result<Outcome, ActionError> {
        self.perform(&Action::FreezeCgroup { cgroup: cgroup.to_owned(), frozen: true })
    }

    fn undo(&mut self, change: &ChangeId) -> Result<Outcome, ActionError> {
        self.perform(&Action::Undo { change: change.clone() })
    }
}

const CONNTRACK: &str = "net.netfilter.nf_conntrack_max";
const CONNTRACK_FILE: &str = "proc/net/netfilter/nf_conntrack_max";

fn change(result: Result<Outcome, ActionError>) -> ChangeId {
    match result {
        Ok(Outcome::Set { change: Some(change), .. }) => change,
        other => panic!("not changed: {other:?}"),
    }
}

#[test]
fn a_parameter_is_set_within_its_bounds_and_put_back_beyond_them_after_a_new_start() {
    let mut kernel = Kernel::new();
    let set = kernel.sysctl(CONNTRACK, 2000);
    assert_eq!(set.as_ref().unwrap().to_string(), format!("{CONNTRACK} is 2000; it was 500"));
    let id = change(set);
    assert_eq!(kernel.text(CONNTRACK_FILE), "2000");
    kernel.restart();
    let undone = kernel.undo(&id).unwrap();
    assert_eq!(undone.to_string(), format!("{CONNTRACK} is 500 again"));
    assert_eq!(kernel.text(CONNTRACK_FILE), "500");
    assert_eq!(kernel.undo(&id), Err(ActionError::TakenBack { change: id }));
}

#[test]
fn a_parameter_that_has_been_changed_since_is_not_put_back() {
    let mut kernel = Kernel::new();
    let id = change(kernel.sysctl(CONNTRACK, 2000));
    kernel.write(CONNTRACK_FILE, "3000\n");
    assert!(refusal(kernel.undo(&id)).starts_with(&format!("{CONNTRACK} is 3000 and no longer 2000")));
    assert_eq!(kernel.text(CONNTRACK_FILE), "3000");
}

#[test]
fn taking_back_costs_nothing_and_neither_does_what_is_so_already() {
    let mut kernel = Kernel::new();
    for _ in 0..2 {
        let id = change(kernel.sysctl(CONNTRACK, 1500));
        kernel.undo(&id).unwrap();
    }
    assert!(refusal(kernel.sysctl(CONNTRACK, 1500)).contains("the budget of sysctls[0]"));
    kernel.write(CONNTRACK_FILE, "1500\n");
    assert!(matches!(kernel.sysctl(CONNTRACK, 1500), Ok(Outcome::Set { change: None, .. })));
}

proptest! {
    // Each case lays out a host of its own.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_changes_are_made_and_taken_back_all_taken_back_in_turn_is_as_before(
        steps in proptest::collection::vec((1000_i64..1010, any::<bool>()), 1..20),
    ) {
        let mut kernel = Kernel::new();
        // On disk it would take a minute.
        kernel.executor.changes = Changes::open(None);
        kernel.executor.spending = Spending::open(None, kernel.executor.policy.rule_names().collect());
        let rule = kernel.executor.policy.sysctls.first_mut().unwrap();
        rule.at_most = "1000 per 1h".parse().unwrap();
        let mut made: Vec<(ChangeId, String)> = Vec::new();
        for (value, takes_back) in steps {
            if takes_back && let Some((id, before)) = made.pop() {
                kernel.undo(&id).unwrap();
                prop_assert_eq!(kernel.text(CONNTRACK_FILE), before);
            } else if let Ok(Outcome::Set { before, change: Some(id), .. }) = kernel.sysctl(CONNTRACK, value) {
                made.push((id, before));
            }
        }
        for (id, _) in made.iter().rev() {
            kernel.undo(id).unwrap();
        }
        prop_assert_eq!(kernel.text(CONNTRACK_FILE), "500");
    }
}

#[test]
fn what_no_rule_allows_or_is_no_number_is_not_set() {
    let mut kernel = Kernel::new();
    for (name, value, expected) in [
        (CONNTRACK, 2001, "the value must lie between 1000 and 2000; 2001 was asked for"),
        ("vm.swappiness", 1, "`- name: vm.swappiness` there would"),
        ("kernel.sysrq", 1, "kernel.sysrq is never set"),
        ("../../etc/passwd", 1, "is not the name of a kernel parameter"),
        ("vm.text", 1, "vm.text is no whole number; it holds \"4096\\t87380\""),
        ("vm.absent", 1, "this kernel has no parameter vm.absent"),
    ] {
        let reason = refusal(kernel.sysctl(name, value));
        assert!(reason.contains(expected), "{reason}");
    }
    kernel.write("interfaces", "Inter-| Receive\n face |bytes\n    lo: 1 2\n");
    assert!(refusal(kernel.sysctl(CONNTRACK, 1500)).contains("a network of the executor's own"));
    assert_eq!(kernel.text(CONNTRACK_FILE), "500");
}

#[test]
fn limits_of_a_control_group_are_set_together_and_taken_back_together() {
    let mut kernel = Kernel::new();
    let limits = Limits { memory_high: Some(1 << 30), cpu_percent: Some(50), ..Limits::default() };
    let id = change(kernel.limit(limits));
    assert_eq!(kernel.text("cgroup/batch.slice/memory.high"), (1 << 30).to_string());
    assert_eq!(kernel.text("cgroup/batch.slice/cpu.max"), "25000 50000", "half of the period that it has");
    let undone = kernel.undo(&id).unwrap();
    assert_eq!(undone.to_string(), "/batch.slice is memory.high max, cpu.max max 50000 again");
    assert_eq!(kernel.text("cgroup/batch.slice/cpu.max"), "max 50000");
}

#[test]
fn of_several_limits_all_are_set_or_none() {
    let mut kernel = Kernel::new();
    let limits = Limits { memory_high: Some(1 << 30), tasks_max: Some(3), ..Limits::default() };
    assert!(refusal(kernel.limit(limits)).contains("its `limits` do not name tasks_max"));
    assert!(refusal(kernel.limit(Limits::default())).contains("name at least one of them"));
    let value = |file: &str, before: &str| FileValue {
        file: file.to_owned(),
        before: before.to_owned(),
        after: "5".to_owned(),
    };
    let mut values = [value("memory.high", "max"), value("memory.absent", "1")];
    let (error, all_as_before) = kernel.executor.write_all("/batch.slice", &mut values).unwrap_err();
    assert!(telemetry::with_causes(&error).contains("memory.absent"), "{error}");
    assert!(all_as_before);
    assert_eq!(kernel.text("cgroup/batch.slice/memory.high"), "max");
}

#[test]
fn a_control_group_is_frozen_only_if_the_policy_says_so_and_nothing_protected_lies_in_it() {
    let mut kernel = Kernel::new();
    for (cgroup, expected) in [
        ("/mixed.slice", "/mixed.slice holds one that is protected: ssh.service is never touched"),
        ("/absent.slice", "/absent.slice does not exist now"),
        ("/plain.slice", "says nothing of `freeze: true`"),
        ("/other.slice", "`- path: /other.slice` there would"),
        ("/batch.slice/../other.slice", "is not the path of a control group"),
        ("/system.slice", "/system.slice is never touched"),
        ("/", "/ is never touched"),
    ] {
        let reason = refusal(kernel.freeze(cgroup));
        assert!(reason.contains(expected), "{reason}");
    }
    let id = change(kernel.freeze("/batch.slice"));
    assert_eq!(kernel.text("cgroup/batch.slice/cgroup.freeze"), "1");
    kernel.undo(&id).unwrap();
    assert_eq!(kernel.text("cgroup/batch.slice/cgroup.freeze"), "0");
}

#[test]
fn no_more_memory_is_taken_back_than_the_policy_says() {
    let mut kernel = Kernel::new();
    let mut reclaim = |bytes| {
        kernel.perform(&Action::ReclaimCgroup { cgroup: "/batch.slice".to_owned(), bytes: ByteCount(bytes) })
    };
    assert!(refusal(reclaim(2 << 20)).contains("reclaim_at_most: 1 MiB is less than the 2 MiB asked for"));
    assert_eq!(reclaim(1 << 20), Ok(Outcome::Reclaimed { bytes: ByteCount(0) }));
    assert_eq!(kernel.text("cgroup/batch.slice/memory.reclaim"), (1 << 20).to_string());
}

#[test]
fn a_file_beside_the_policy_forbids_all_actions_and_taking_back_too() {
    let mut kernel = Kernel::new();
    let id = change(kernel.sysctl(CONNTRACK, 1500));
    kernel.write("freeze", "the migration is on; ask ann\nmore\n");
    for action in [
        Action::Undo { change: id.clone() },
        Action::SetSysctl { name: CONNTRACK.to_owned(), value: 1600 },
        Action::RotateJournal,
    ] {
        let reason = refusal(kernel.perform(&action));
        assert!(reason.contains("/freeze forbids all actions: the migration is on; ask ann; "), "{reason}");
    }
    std::fs::remove_file(kernel.directory.path().join("freeze")).unwrap();
    std::os::unix::fs::symlink("/nowhere", kernel.directory.path().join("freeze")).unwrap();
    assert!(refusal(kernel.undo(&id)).contains("no reason is given"), "a link to nowhere forbids too");
    std::fs::remove_file(kernel.directory.path().join("freeze")).unwrap();
    kernel.undo(&id).unwrap();
}

#[test]
fn the_processes_of_a_service_may_open_as_many_files_as_is_said_until_it_is_taken_back() {
    let kernel = Kernel::new();
    let victims = [spawn(&["/bin/sleep", "1000"]), spawn(&["/bin/sleep", "1000"])];
    let stranger = spawn(&["/bin/sleep", "1000"]);
    let [first, second] = victims.each_ref().map(|victim| victim.0.id());
    let directory = kernel.directory.path().join("cgroup/system.slice/web.service/inner");
    std::fs::create_dir_all(&directory).unwrap();
    kernel.write("cgroup/system.slice/web.service/cgroup.procs", &format!("{first}\n"));
    kernel.write("cgroup/system.slice/web.service/inner/cgroup.procs", &format!("{second}\n"));
    let (unit, cgroup) = ("web.service".parse().unwrap(), "/system.slice/web.service");
    let soft = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_ascii_whitespace().next().unwrap().to_owned()
    };
    let before = soft(first);
    let files = kernel.executor.open_files(&unit, cgroup, 77).unwrap();
    assert!(!files.is_so());
    let files = kernel.executor.set_open_files(cgroup, files).unwrap();
    assert_eq!([first, second].map(soft), ["77", "77"]);
    assert_eq!(soft(stranger.0.id()), before);
    kernel.executor.undo_open_files(cgroup, &files).unwrap();
    assert_eq!([first, second].map(soft), [before.clone(), before]);
    kernel.write("cgroup/system.slice/web.service/cgroup.procs", "");
    kernel.write("cgroup/system.slice/web.service/inner/cgroup.procs", "");
    assert!(
        refusal(kernel.executor.open_files(&unit, cgroup, 77).map(|_| Outcome::JournalRotated))
            .contains("no processes now")
    );
}

#[test]
fn what_units_say_of_verbs_and_limits_holds() {
    let text = "\
units:
- { name: web.service, at_most: 1 per 1h, limits: { memory_max: { at_least: 1GiB, at_most: 2GiB } } }
";
    let mut executor = Executor::new(policy(text), None);
    executor.systemd = Systemd::nowhere();
    let unit = || "web.service".parse().unwrap();
    let limit = |limits| Action::LimitUnit { unit: unit(), limits };
    for (action, expected) in [
        (
            Action::Unit { verb: UnitVerb::Stop, unit: unit() },
            "units[0] in policy.yaml, web.service, does not allow it; `stop` under its `may` would",
        ),
        (
            limit(Limits { memory_max: Some(3 << 30), ..Limits::default() }),
            "memory_max must lie between 1 GiB and 2 GiB; 3 GiB was asked for",
        ),
        (limit(Limits { open_files: Some(9), ..Limits::default() }), "its `limits` do not name open_files"),
        (limit(Limits::default()), "no limit is named"),
    ] {
        let reason = refusal(executor.perform(&action, NOON));
        assert!(reason.contains(expected), "{reason}");
    }
    let allowed = limit(Limits { memory_max: Some(1 << 30), ..Limits::default() });
    let said = telemetry::with_causes(&executor.perform(&allowed, NOON).unwrap_err());
    assert!(said.starts_with("connecting to systemd at /nowhere"), "{said}");
}

#[test]
fn a_process_stands_still_and_goes_on_by_signal() {
    let text = "signals:\n- { command: sleep, signals: [STOP, CONT, CHLD], at_most: 9 per 1h }\n";
    let mut executor = Executor::new(policy(text), None);
    let victim = spawn(&["/bin/sleep", "1000"]);
    for (signal, states) in [(Signal::Stop, "T"), (Signal::Cont, "SR"), (Signal::Chld, "SR")] {
        executor.perform(&Action::SignalProcess { process: victim.id(), signal }, NOON).unwrap();
        // The kernel takes a moment.
        while !states.contains(Process::open(victim.0.id()).unwrap().unwrap().stat.state) {
            std::thread::yield_now();
        }
    }
}

/// Sets a parameter of a real process of which the kernel reads back something else than was written, from a value that can
/// be put back or from one that cannot; gives the executor, what is said, and what it holds then.
fn set_what_the_kernel_prints_otherwise(before: &str, value: i64) -> (Executor, String, String) {
    let victim = spawn(&["/bin/sleep", "1000"]);
    let (pid, file) = (victim.0.id(), format!("/proc/{}/coredump_filter", victim.0.id()));
    std::fs::write(&file, before).unwrap();
    let text = format!(
        "sysctls:\n- {{ name: {pid}.coredump_filter, value: {{ at_least: 0, at_most: 9 }}, at_most: 2 per 1h }}\n"
    );
    let mut executor = Executor::new(policy(&text), None);
    executor.sysctls = KernelFiles::new("/proc".into(), "x.conf");
    let action = Action::SetSysctl { name: format!("{pid}.coredump_filter"), value };
    let said = telemetry::with_causes(&executor.perform(&action, NOON).unwrap_err());
    (executor, said, std::fs::read_to_string(&file).unwrap().trim().to_owned())
}

#[test]
fn a_parameter_of_which_the_kernel_makes_another_is_put_back() {
    let (mut executor, said, holds) = set_what_the_kernel_prints_otherwise("7", 5);
    assert!(said.ends_with(": the kernel made \"00000005\" of it; it is 00000007 again"), "{said}");
    assert_eq!(holds, "00000007");
    let id = ChangeId(format!("{}-1", NOON.as_millis()));
    assert_eq!(executor.changes.get(&id).unwrap(), None);
}

#[test]
fn a_parameter_that_cannot_be_put_back_either_stays_remembered_as_it_is() {
    // Read as decimal digits it is 33; the kernel takes the zeros before it for octal.
    let (mut executor, said, holds) = set_what_the_kernel_prints_otherwise("0x33", 7);
    let id = ChangeId(format!("{}-1", NOON.as_millis()));
    assert!(said.contains(&format!("back to 00000033, which change {id} would do")), "{said}");
    assert_eq!(holds, "0000001b");
    let Some(Change::Sysctl { before, after, .. }) = executor.changes.get(&id).unwrap() else { panic!() };
    assert_eq!((before.as_str(), after), ("00000033", holds));
}
