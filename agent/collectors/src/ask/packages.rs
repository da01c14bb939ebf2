//! Who installs packages or applies a configuration just now.
//!
//! Package tools lock a file for as long as they work, and the kernel lists who holds which lock; so do agents that apply a
//! configuration. Some of the latter, and tools whose files cannot be looked at, are known by their names.

use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

use super::processes::FoundProcess;
use crate::error::CollectError;
use crate::host::HostRoot;

/// Files that are locked during a run, and whose run it is.
pub(super) const LOCKS: &[(&str, &str)] = &[
    ("var/lib/dpkg/lock-frontend", "apt or dpkg"),
    ("var/lib/dpkg/lock", "dpkg"),
    ("var/lib/apt/lists/lock", "apt"),
    ("var/cache/apt/archives/lock", "apt"),
    ("var/lib/rpm/.rpm.lock", "rpm"),
    ("usr/lib/sysimage/rpm/.rpm.lock", "rpm"),
    ("var/chef/cache/chef-client-running.pid", "Chef"),
    ("var/cache/chef/chef-client-running.pid", "Chef"),
];

/// Files that are there during a run only.
const FILES: &[(&str, &str)] = &[
    ("opt/puppetlabs/puppet/cache/state/agent_catalog_run.lock", "Puppet"),
    ("var/lib/puppet/state/agent_catalog_run.lock", "Puppet"),
    ("var/cache/puppet/state/agent_catalog_run.lock", "Puppet"),
];

/// Names of those that run only while they work. `unattended-upgr` is none: it waits for the shutdown.
const NAMES: &[&str] = &[
    "dpkg",
    "apt",
    "apt-get",
    "aptitude",
    "dnf",
    "dnf5",
    "microdnf",
    "yum",
    "rpm",
    "zypper",
    "pacman",
    "transactional-u",
];

/// What Ansible calls the program that it runs on the host.
const ANSIBLE: &[u8] = b"AnsiballZ_";

/// The locks of files as the kernel lists them, none where it does not. For a consistent list the kernel waits until every
/// processor has passed by, mostly for more than 5 ms.
///
/// # Errors
///
/// The list is there and cannot be read.
pub(super) fn file_locks(host: &HostRoot) -> Result<String, CollectError> {
    let file = host.read_optional("proc/locks")?;
    Ok(file.map_or_else(String::new, |file| file.text().to_owned()))
}

/// A clause for each who is at work: `dpkg holds /var/lib/dpkg/lock (process 123)`. `locks` is what [`LockWatch`](super::LockWatch) says,
/// `processes` are all that live.
pub fn package_work(host: &HostRoot, locks: &str, processes: &[FoundProcess]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, who) in LOCKS {
        if let Some(pid) = key_of(host, path).and_then(|key| holder(locks, &key)) {
            found.push(format!("{who} holds /{path} (process {pid})"));
        }
    }
    for (path, who) in FILES {
        let file = host.read_optional(path).ok().flatten();
        let pid = file.and_then(|file| file.text().trim().parse().ok());
        if let Some(FoundProcess { pid, .. }) = processes.iter().find(|process| Some(process.pid) == pid) {
            found.push(format!("{who} applies a configuration (process {pid})"));
        }
    }
    if found.is_empty() {
        for FoundProcess { pid, command, .. } in processes {
            if NAMES.contains(&command.as_str()) {
                found.push(format!("{command} runs (process {pid})"));
            } else if command.starts_with("python") && is_ansible(host, *pid) {
                found.push(format!("Ansible applies a configuration (process {pid})"));
            }
        }
    }
    found
}

fn is_ansible(host: &HostRoot, pid: u32) -> bool {
    let line = host.read(format!("proc/{pid}/cmdline"));
    line.is_ok_and(|line| line.text().as_bytes().windows(ANSIBLE.len()).any(|window| window == ANSIBLE))
}

/// How `/proc/locks` writes which file is meant: `fe:01:1234`.
pub(super) fn key_of(host: &HostRoot, path: &str) -> Option<String> {
    let metadata = std::fs::metadata(host.path(path)).ok()?;
    let device = metadata.dev();
    Some(format!("{:02x}:{:02x}:{}", major(device), minor(device), metadata.ino()))
}

/// Whether somebody holds a lock of a file that counts, or waits for one.
pub(super) fn is_locked(host: &HostRoot, locks: &str) -> bool {
    LOCKS.iter().filter_map(|(path, _)| key_of(host, path)).any(|key| locks.contains(&key))
}

/// Who holds a lock of this file: `1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. Lines with `->` only wait for one.
fn holder(locks: &str, key: &str) -> Option<u32> {
    locks.lines().filter(|line| !line.contains("->")).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(4);
        let pid = fields.next()?;
        (fields.next()? == key).then(|| pid.parse().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_told_and_who_waits_for_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/lib/dpkg")).unwrap();
        std::fs::create_dir_all(dir.path().join("proc")).unwrap();
        std::fs::write(dir.path().join("var/lib/dpkg/lock"), "").unwrap();
        let host = HostRoot::at(dir.path());
        let key = key_of(&host, "var/lib/dpkg/lock").unwrap();
        let locks = |line: String| {
            std::fs::write(dir.path().join("proc/locks"), line).unwrap();
            package_work(&host, &file_locks(&host).unwrap(), &[])
        };
        let told = locks(format!("1: POSIX  ADVISORY  WRITE 4321 {key} 0 EOF\n"));
        assert_eq!(told, ["dpkg holds /var/lib/dpkg/lock (process 4321)"]);
        assert_eq!(holder(&format!("1: -> POSIX  ADVISORY  WRITE 4321 {key} 0 EOF\n"), &key), None);
        assert_eq!(holder("1: FLOCK  ADVISORY  WRITE 7 00:01:2 0 EOF\nx\n", &key), None);
    }

    #[test]
    fn this_test_holds_a_lock_that_the_kernel_tells_of() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/lib/dpkg")).unwrap();
        std::os::unix::fs::symlink("/proc", dir.path().join("proc")).unwrap();
        let file = std::fs::File::create(dir.path().join("var/lib/dpkg/lock-frontend")).unwrap();
        let host = HostRoot::at(dir.path());
        file.lock().unwrap();
        let told = package_work(&host, &file_locks(&host).unwrap(), &[]);
        let expected =
            format!("apt or dpkg holds /var/lib/dpkg/lock-frontend (process {})", std::process::id());
        assert_eq!(told, [expected]);
    }

    #[test]
    fn who_is_at_work_without_a_lock_is_known_by_name_or_by_what_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/7/cmdline", "/usr/bin/python3\0/root/.ansible/tmp/AnsiballZ_apt.py\0");
        write("proc/8/cmdline", "/usr/bin/python3\0-m\0http.server\0");
        write("var/lib/puppet/state/agent_catalog_run.lock", "9\n");
        let host = HostRoot::at(dir.path());
        let told = |commands: &[(u32, &str)]| {
            let process = |(pid, name): &(u32, &str)| FoundProcess {
                pid: *pid,
                command: (*name).to_owned(),
                ..FoundProcess::default()
            };
            package_work(&host, "", &commands.iter().map(process).collect::<Vec<_>>())
        };
        assert_eq!(told(&[(7, "python3"), (8, "python3")]), ["Ansible applies a configuration (process 7)"]);
        assert_eq!(told(&[(3, "apt-get"), (4, "unattended-upgr")]), ["apt-get runs (process 3)"]);
        assert_eq!(told(&[(9, "puppet")]), ["Puppet applies a configuration (process 9)"]);
        assert_eq!(told(&[(10, "puppet")]), [] as [&str; 0]);
    }
}
