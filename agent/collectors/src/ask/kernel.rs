//! Figures of the kernel that a script asks for one by one: control groups, parameters, tracked connections, pressure.

use rustix::io::Errno;

use crate::error::CollectError;
use crate::host::HostRoot;
use crate::pressure::parse;

const CGROUPS: &str = "sys/fs/cgroup";

/// The share of the last 10 s in which tasks waited for a resource, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiting {
    /// `cpu`, `memory` or `io`.
    pub resource: &'static str,
    /// In which at least one did.
    pub some: Option<f64>,
    /// In which all did.
    pub full: Option<f64>,
}

/// The limits of a control group of version 2, and what it uses of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupLimits {
    /// Its memory in bytes, 0 where it is not counted.
    pub memory_current: u64,
    /// Beyond it the kernel takes memory back; in bytes.
    pub memory_high: Option<u64>,
    /// Beyond it the kernel kills; in bytes.
    pub memory_max: Option<u64>,
    /// Of one CPU.
    pub cpu_percent: Option<u64>,
    /// Its threads, 0 where they are not counted.
    pub tasks_current: u64,
    /// Threads that it may have.
    pub tasks_max: Option<u64>,
    /// Whether its processes stand still.
    pub frozen: bool,
}

/// The limits of the control group at this path below the root of the hierarchy.
///
/// # Errors
///
/// There is no such group, the path leads elsewhere, or the host has control groups of version 1 only.
pub fn cgroup_limits(host: &HostRoot, cgroup: &str) -> Result<CgroupLimits, CollectError> {
    let below = cgroup.trim_matches('/');
    let directory = if below.is_empty() { CGROUPS.to_owned() } else { format!("{CGROUPS}/{below}") };
    let controllers = format!("{directory}/cgroup.controllers");
    if below.split('/').any(|name| name == "..") {
        return Err(CollectError::Read {
            path: host.path(controllers).display().to_string(),
            source: Errno::INVAL,
        });
    }
    drop(host.read(controllers)?);
    let text = |name: &str| -> Result<Option<String>, CollectError> {
        let file = host.read_optional(format!("{directory}/{name}"))?;
        Ok(file.map(|file| file.text().trim().to_owned()))
    };
    let number = |name: &str| -> Result<Option<u64>, CollectError> {
        Ok(text(name)?.and_then(|text| text.parse().ok()))
    };
    Ok(CgroupLimits {
        memory_current: number("memory.current")?.unwrap_or(0),
        memory_high: number("memory.high")?,
        memory_max: number("memory.max")?,
        cpu_percent: text("cpu.max")?.as_deref().and_then(cpu_percent),
        tasks_current: number("pids.current")?.unwrap_or(0),
        tasks_max: number("pids.max")?,
        frozen: number("cgroup.freeze")? == Some(1),
    })
}

/// Parses `50000 100000`, microseconds in each so many; `max 100000` is no limit.
fn cpu_percent(text: &str) -> Option<u64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    quota.saturating_mul(100).checked_div(period)
}

/// How many files a process may have open, `None` without a limit.
///
/// # Errors
///
/// The process has ended, or is hidden from this user.
pub fn open_file_limit(host: &HostRoot, pid: u32) -> Result<Option<u64>, CollectError> {
    let file = host.read(format!("proc/{pid}/limits"))?;
    let line = file.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next());
    let soft = soft.ok_or_else(|| file.malformed("a line Max open files", ""))?;
    if soft == "unlimited" {
        return Ok(None);
    }
    soft.parse().map(Some).map_err(|_| file.malformed("a number of files", soft))
}

/// How many connections the kernel tracks, and how many it can.
///
/// # Errors
///
/// It tracks none, or the figures cannot be read.
pub fn conntrack(host: &HostRoot) -> Result<(u64, u64), CollectError> {
    let figure = |name: &str| -> Result<u64, CollectError> {
        let file = host.read_optional(format!("proc/sys/net/netfilter/{name}"))?;
        file.ok_or(CollectError::Absent { what: "tracked connections" })?.first_number("a number")
    };
    Ok((figure("nf_conntrack_count")?, figure("nf_conntrack_max")?))
}

/// A parameter of the kernel that is one number, by its name as sysctl(8) writes it.
///
/// # Errors
///
/// There is none of this name, or it is no number.
pub fn sysctl(host: &HostRoot, name: &str) -> Result<i64, CollectError> {
    let mut path = "proc/sys".to_owned();
    for part in name.split('.') {
        // As sysctl(8) has it, a slash stands for the dot in the name of an interface.
        let part = part.replace('/', ".");
        if part.chars().all(|c| c == '.') {
            let path = format!("/proc/sys: {name:?}");
            return Err(CollectError::Read { path, source: Errno::NOENT });
        }
        path.push('/');
        path.push_str(&part);
    }
    let file = host.read(path)?;
    file.text().trim().parse().map_err(|_| file.malformed("one whole number", file.text()))
}

/// Where tasks waited. Empty where the kernel does not tell.
///
/// # Errors
///
/// A file is there and cannot be read or understood.
pub fn pressure(host: &HostRoot) -> Result<Vec<Waiting>, CollectError> {
    let mut found = Vec::new();
    for resource in ["cpu", "memory", "io"] {
        let Some(file) = host.read_optional(format!("proc/pressure/{resource}"))? else { continue };
        let stalls = parse(&file)?;
        let of = |kind: &str| stalls.iter().find(|stall| stall.is(kind))?.last_10_seconds();
        found.push(Waiting { resource, some: of("some"), full: of("full") });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = HostRoot::at(dir.path());
        (dir, host)
    }

    #[test]
    fn a_limit_that_is_max_is_none() {
        let (_dir, host) = host(&[
            ("sys/fs/cgroup/a.slice/cgroup.controllers", "cpu memory pids\n"),
            ("sys/fs/cgroup/a.slice/memory.current", "4096\n"),
            ("sys/fs/cgroup/a.slice/memory.high", "max\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "8192\n"),
            ("sys/fs/cgroup/a.slice/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/a.slice/cgroup.freeze", "1\n"),
        ]);
        let expected = CgroupLimits {
            memory_current: 4096,
            memory_max: Some(8192),
            cpu_percent: Some(50),
            frozen: true,
            ..CgroupLimits::default()
        };
        assert_eq!(cgroup_limits(&host, "/a.slice"), Ok(expected));
        assert_eq!(cpu_percent("max 100000"), None);
        assert!(cgroup_limits(&host, "/b.slice").is_err());
        assert!(cgroup_limits(&host, "/a.slice/../../..").is_err());
    }

    #[test]
    fn a_parameter_is_read_by_its_name_and_nothing_else_is() {
        let (_dir, host) = host(&[
            ("proc/sys/net/ipv4/conf/eth0.1/forwarding", "1\n"),
            ("proc/sys/kernel/hostname", "web\n"),
            ("proc/secret", "7\n"),
        ]);
        assert_eq!(sysctl(&host, "net.ipv4.conf.eth0/1.forwarding"), Ok(1));
        for name in ["kernel.hostname", "..secret", "//.secret", "/.//.secret", "", "net", "kernel.no"] {
            assert!(sysctl(&host, name).is_err(), "{name}");
        }
    }

    #[test]
    fn pressure_is_of_the_last_ten_seconds() {
        let text = "some avg10=1.50 avg60=0.52 avg300=1.03 total=1\nfull avg10=0.25 avg60=0.00 total=0\n";
        let (_dir, host) = host(&[("proc/pressure/io", text)]);
        assert_eq!(pressure(&host), Ok(vec![Waiting { resource: "io", some: Some(1.5), full: Some(0.25) }]));
    }

    #[test]
    fn the_limit_of_open_files_is_the_soft_one() {
        let text = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        let (_dir, host) = host(&[("proc/7/limits", text)]);
        assert_eq!(open_file_limit(&host, 7), Ok(Some(1024)));
        assert!(open_file_limit(&host, 8).is_err());
    }
}
