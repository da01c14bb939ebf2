use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{LAYER, NEEDS, VirtualMachine, directory, sweep};
use crate::machine::{Ran, Release, command, missing};
use crate::program::skip;

const WITHIN: Duration = Duration::from_mins(1);

fn machine(release: Release) -> Option<VirtualMachine> {
    if let Some(why) = missing(NEEDS) {
        skip("emulated machines", &why);
        return None;
    }
    Some(VirtualMachine::boot(release).unwrap_or_else(|error| panic!("{error:#}")))
}

fn sh(machine: &VirtualMachine, script: &str) -> Ran {
    let ran = machine.run(&["sh", "-euc", script], b"", WITHIN).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(ran.status, 0, "{script}: {ran:?}");
    ran
}

fn random(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut content).unwrap();
    content
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn a_fresh_machine_resumes_soon_and_is_gone_soon() {
    for release in [Release::Debian12, Release::Debian13] {
        let begun = Instant::now();
        let Some(machine) = machine(release) else { return };
        assert_eq!(sh(&machine, "true").status, 0);
        let up = begun.elapsed();
        let state = machine.run(&["systemctl", "is-system-running"], b"", WITHIN).unwrap();
        assert_eq!(state.stdout, "running\n", "{state:?}");
        let clock: f64 = sh(&machine, "date +%s.%N").stdout.trim().parse().unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!((now.as_secs_f64() - clock).abs() < 2.0, "{now:?} here, {clock} there");
        let layer = machine.layer.clone();
        let begun = Instant::now();
        drop(machine);
        println!("{release:?}: up after {up:?}, gone after {:?}", begun.elapsed());
        assert!(!layer.exists());
        assert_eq!(processes_with(&layer), Vec::<String>::new());
    }
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn a_command_gives_its_status_and_both_outputs_and_is_killed_in_time() {
    let Some(machine) = machine(Release::Debian13) else { return };
    let ran = machine.run(&["sh", "-c", "cat; echo no >&2; exit 3"], b"yes", WITHIN).unwrap();
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (3, "yes", "no\n"));
    let ran = machine.run(&["/nowhere"], b"", WITHIN).unwrap();
    assert_eq!((ran.status, ran.stderr.as_str()), (127, "/nowhere: No such file or directory\n"));
    let ran = machine.run(&["sh", "-c", "echo begun; sleep 1000"], b"", Duration::from_secs(2)).unwrap();
    assert_eq!((ran.status, ran.stdout.as_str()), (137, "begun\n"));
    // What stays behind with the output open does not hold up who asked.
    assert_eq!(sh(&machine, "sleep 1000 & echo done").stdout, "done\n");
    let ran = sh(&machine, "head -c 20000000 /dev/zero; cat /proc/self/oom_score_adj >&2");
    assert_eq!((ran.stdout.len(), ran.stderr.as_str()), (8 << 20, "0\n"));
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn a_file_goes_in_and_comes_out_as_it_was() {
    let Some(machine) = machine(Release::Debian13) else { return };
    let content = random(20_000_000);
    machine.write("/usr/bin/file-of-ours", &content, 0o750).unwrap();
    assert!(machine.read("/usr/bin/file-of-ours").unwrap() == content);
    assert_eq!(sh(&machine, "stat -c %a /usr/bin/file-of-ours").stdout, "750\n");
    let refused = machine.write("/nowhere/file", &content, 0o600).unwrap_err();
    assert!(format!("{refused:#}").contains("/nowhere/file.part: No such file or directory"), "{refused:#}");
    let refused = machine.read("/nowhere").unwrap_err();
    assert!(format!("{refused:#}").contains("/nowhere: No such file or directory"), "{refused:#}");
    sh(&machine, "true");
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn what_was_synced_survives_a_loss_of_power_and_what_was_not_does_not() {
    let Some(mut machine) = machine(Release::Debian13) else { return };
    sh(&machine, "echo kept > /var/kept; sync; echo lost > /var/lost; ls /var/lost");
    machine.lose_power().unwrap();
    assert_eq!(processes_with(&machine.layer), Vec::<String>::new());
    assert!(machine.run(&["true"], b"", WITHIN).is_err());
    let begun = Instant::now();
    machine.power_on().unwrap_or_else(|error| panic!("{error:#}"));
    println!("booted within {:?}", begun.elapsed());
    assert_eq!(sh(&machine, "cat /var/kept; ls /var").stdout.lines().next(), Some("kept"));
    assert_eq!(machine.run(&["test", "-e", "/var/lost"], b"", WITHIN).unwrap().status, 1);
    let failed = machine.run(&["systemctl", "--failed", "--quiet"], b"", WITHIN).unwrap();
    assert_eq!(failed.stdout, "");
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn the_machine_can_do_what_namespaces_cannot() {
    for release in [Release::Debian12, Release::Debian13] {
        let Some(machine) = machine(release) else { return };
        let controllers = sh(&machine, "cat /sys/fs/cgroup/cgroup.controllers").stdout;
        for controller in ["cpu", "io", "memory", "pids"] {
            assert!(controllers.split_whitespace().any(|found| found == controller), "{controllers}");
        }
        sh(&machine, "grep -q avg10 /proc/pressure/memory");
        sh(&machine, "tc qdisc add dev lo root netem delay 200ms; tc qdisc del dev lo root");
        sh(&machine, "dmsetup targets | grep -q flakey");
        sh(
            &machine,
            "truncate -s 32M /var/disk; mkfs.ext4 -q /var/disk; mount -o loop /var/disk /mnt; umount /mnt",
        );
        let eaten = "systemd-run --quiet --wait --unit=eater -p MemoryMax=20M -p MemorySwapMax=0 \
                     tail /dev/zero || systemctl show --property=Result eater";
        assert_eq!(sh(&machine, eaten).stdout, "Result=oom-kill\n");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let reach = format!("exec 3<>/dev/tcp/{}/{port}; echo hello >&3", VirtualMachine::HOST);
        assert_eq!(machine.run(&["bash", "-c", &reach], b"", WITHIN).unwrap().status, 0);
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello\n");
        // A deadline holds although the clock jumps meanwhile.
        let jump = "date -s @$(($(date +%s) + 86400)) >/dev/null; date -s @$(($(date +%s) - 172800))";
        sh(&machine, jump);
        let ran = machine.run(&["sh", "-c", &format!("{jump}; sleep 1000")], b"", Duration::from_secs(2));
        assert_eq!(ran.unwrap().status, 137);
    }
}

#[test]
#[ignore = "boots a machine: ./test --system"]
fn a_killed_test_leaves_no_machine_behind() {
    const HOLDER: &str = "HOSTMEND_HOLDS_A_MACHINE";
    if std::env::var_os(HOLDER).is_some() {
        let machine = machine(Release::Debian13).unwrap();
        println!("layer {}", machine.layer.display());
        loop {
            std::thread::park();
        }
    }
    if machine(Release::Debian13).is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let test = "machine::virtual_machine::tests::a_killed_test_leaves_no_machine_behind";
    let mut holder = crate::program::Running::start(
        &std::env::current_exe().unwrap(),
        &[test, "--exact", "--ignored", "--nocapture"],
        &[(HOLDER, "1")],
        &log,
    );
    let layer = holder.wait_for("machine", WITHIN, |log| {
        let (_, rest) = log.split_once("layer ")?;
        rest.split_once('\n').map(|(layer, _)| PathBuf::from(layer))
    });
    assert!(!processes_with(&layer).is_empty());
    holder.signal(rustix::process::Signal::KILL);
    holder.ended(WITHIN);
    let begun = Instant::now();
    while layer.exists() || !processes_with(&layer).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", processes_with(&layer));
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn what_a_dead_process_left_is_swept() {
    let mut dead = command("true").spawn().unwrap();
    dead.wait().unwrap();
    let left = directory().join(format!("{LAYER}{}-0", dead.id()));
    let ours = directory().join(format!("{LAYER}{}-sweep", std::process::id()));
    for layer in [&left, &ours] {
        std::fs::create_dir(layer).unwrap();
    }
    sweep();
    assert!(!left.exists() && ours.exists());
    std::fs::remove_dir(ours).unwrap();
}

/// Command lines of processes that mention the layer.
fn processes_with(layer: &Path) -> Vec<String> {
    let layer = layer.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(layer))
        .collect()
}
