//! The units and the configuration of the Debian package.

#![expect(clippy::disallowed_methods, reason = "tests start programs")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::program::{root, run, skip, stderr, stdout};

const SERVICES: [&str; 2] = ["hostmend.service", "hostmend-executor.service"];

/// The highest exposure, in tenths: `systemd-analyze security` must say less than 2.0.
const MOST_EXPOSED: &str = "19";

/// Where Debian keeps the units of systemd itself, to which ours refer.
const SYSTEMD_UNITS: &str = "/usr/lib/systemd/system";

/// A root directory that holds our units, those of systemd, and something to execute. None, said as a skip, where there
/// is no systemd.
fn unit_root(check: &str) -> Option<TempDir> {
    let missing = Command::new("systemd-analyze").arg("--version").output().is_err();
    if missing || !Path::new(SYSTEMD_UNITS).exists() {
        skip(check, "systemd-analyze is missing");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let units = directory.path().join(SYSTEMD_UNITS.trim_start_matches('/'));
    std::fs::create_dir_all(&units).unwrap();
    for entry in std::fs::read_dir(SYSTEMD_UNITS).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), units.join(entry.file_name())).unwrap();
        }
    }
    for entry in std::fs::read_dir(root().join("packaging/systemd")).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), units.join(entry.file_name())).unwrap();
    }
    let program = directory.path().join("usr/bin/hostmend");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(directory)
}

fn systemd_analyze(root: &TempDir, arguments: &[&str]) -> Output {
    let root = format!("--root={}", root.path().display());
    Command::new("systemd-analyze").arg(root).args(arguments).output().unwrap()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let Some(root) = unit_root("units") else { return };
    for unit in SERVICES.into_iter().chain(["hostmend-executor.socket"]) {
        let output = systemd_analyze(&root, &["verify", "--man=no", unit]);
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{unit}");
    }
}

#[test]
fn systemd_finds_nothing_wrong_with_the_drop_ins_of_the_executor_all_at_once() {
    let Some(root) = unit_root("drop-ins") else { return };
    let directory = root.path().join("etc/systemd/system/hostmend-executor.service.d");
    std::fs::create_dir_all(&directory).unwrap();
    let mut installed = 0;
    for entry in
        std::fs::read_dir(crate::program::root().join("packaging/examples")).unwrap().map(Result::unwrap)
    {
        if entry.file_name().to_string_lossy().starts_with("executor-") {
            std::fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
            installed += 1;
        }
    }
    assert!(installed >= 6);
    let output = systemd_analyze(&root, &["verify", "--man=no", "hostmend-executor.service"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}

#[test]
fn both_services_expose_less_than_2_0() {
    let Some(root) = unit_root("exposure") else { return };
    for unit in SERVICES {
        let threshold = format!("--threshold={MOST_EXPOSED}");
        let output = systemd_analyze(&root, &["security", "--offline=true", "--no-pager", &threshold, unit]);
        assert!(output.status.success(), "{unit}\n{}", stdout(&output));
    }
}

#[test]
fn the_installed_configuration_has_no_problem_and_finds_its_files_beside_it() {
    let output = Command::new(root().join("packaging/installed-config.sh")).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("hostmend.yaml");
    std::fs::write(&configuration, &output.stdout).unwrap();
    for line in ["scripts: scripts", "executor: { socket: /run/hostmend/executor.sock }"] {
        assert!(stdout(&output).lines().any(|found| found == line), "{line}");
    }
    for (from, to) in
        [("config/rules", "rules"), ("config/runbooks", "runbooks"), ("remediation-scripts", "scripts")]
    {
        let to = directory.path().join(to);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(root().join(from)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    std::fs::copy(root().join("config/policy.yaml"), directory.path().join("policy.yaml")).unwrap();
    let output = run(&["check", "--config", configuration.to_str().unwrap()]);
    assert!(stdout(&output).contains("errors: 0, warnings: 0"), "{}", stdout(&output));
}
