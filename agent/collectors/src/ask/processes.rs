//! Processes by what they are, and those that weigh most.

use std::cmp::Reverse;

use crate::cgroup;
use crate::collector::WatchTarget;
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::pid_file;
use crate::processes::files::ProcFiles;
use crate::uptime;

/// Processes given at most; more of one name are no service but a flood.
const MOST_FOUND: usize = 1_000;

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundProcess {
    /// Its number.
    pub pid: u32,
    /// Ticks since boot at its start; number and start together are never used again.
    pub start_ticks: u64,
    /// The number of its parent.
    pub ppid: u32,
    /// The letter of its state in `/proc/PID/stat`.
    pub state: char,
    /// What it calls itself.
    pub command: String,
    /// The service or scope of the system whose control group it is in; empty outside of any.
    pub unit: String,
    /// How long it has run, in seconds.
    pub age_seconds: u64,
    /// Its resident memory.
    pub rss_bytes: u64,
    /// The CPU time it has used, in milliseconds.
    pub cpu_millis: u64,
}

/// Which processes are sought. All that is given must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought<'a> {
    /// By the name of its command or executable, or by its pid file.
    pub target: Option<&'a WatchTarget>,
    /// By its number.
    pub pid: Option<u32>,
    /// By the number of its parent.
    pub ppid: Option<u32>,
    /// By the unit whose control group it is in.
    pub unit: Option<&'a str>,
    /// By the letter of its state. Zombies count only if they are asked for by it.
    pub state: Option<char>,
}

impl Sought<'_> {
    /// Whether it is one of those, as far as `stat` says.
    fn may_be(&self, process: &FoundProcess) -> bool {
        let is_wanted = |wanted: Option<u32>, is| wanted.is_none_or(|wanted| wanted == is);
        let in_state = match self.state {
            Some(state) => process.state == state,
            None => !matches!(process.state, 'Z' | 'X' | 'x'),
        };
        in_state && is_wanted(self.pid, process.pid) && is_wanted(self.ppid, process.ppid)
    }
}

/// The processes that are sought, at most a thousand. A process that got the number in a pid file after the file was written
/// does not count.
///
/// # Errors
///
/// The process table or the pid file cannot be read, the latter holds no number, or nothing was found where the
/// processes of others are hidden from this user. A missing or empty pid file is no error: it names no process.
pub fn find_processes(host: &HostRoot, sought: &Sought<'_>) -> Result<Vec<FoundProcess>, CollectError> {
    let mut table = Table::open(host)?;
    let found = match (sought.target, sought.pid) {
        (Some(WatchTarget::PidFile(path)), _) => {
            let Some(file) = pid_file::read(host, path)? else { return Ok(Vec::new()) };
            match table.process(file.pid)? {
                Some(found) if file.means(found.start_ticks, &mut table.files, host)? => {
                    table.keep_sought(vec![found], sought)
                }
                _ => Vec::new(),
            }
        }
        (_, Some(pid)) => {
            let found = table.process(pid)?.into_iter().collect();
            table.keep_sought(found, sought)
        }
        (_, None) => {
            let all = table.all()?;
            table.keep_sought(all, sought)
        }
    };
    if found.is_empty() {
        table.files.check_none_is_hidden()?;
    }
    Ok(found)
}

/// All processes that live and that this user may see, their units apart. One that cannot be read is left out.
///
/// # Errors
///
/// The process table cannot be read.
pub fn live_processes(host: &HostRoot) -> Result<Vec<FoundProcess>, CollectError> {
    let mut table = Table::open(host)?;
    let pids = table.pids()?;
    let live = |process: &FoundProcess| !matches!(process.state, 'Z' | 'X' | 'x');
    Ok(pids.into_iter().filter_map(|pid| table.process(pid).ok().flatten().filter(live)).collect())
}

/// The `count` processes among `all` of which `weight` says most, the heaviest first, with their units. Those that weigh nothing
/// are left out.
pub fn heaviest<W: PartialOrd + Default>(
    host: &HostRoot,
    all: &[FoundProcess],
    count: usize,
    weight: impl Fn(&FoundProcess) -> W,
) -> Vec<FoundProcess> {
    let mut all: Vec<_> = all.iter().map(|process| (weight(process), process)).collect();
    all.retain(|(weight, _)| *weight > W::default());
    all.sort_by(|(one, a), (other, b)| {
        let by_weight = other.partial_cmp(one).unwrap_or(std::cmp::Ordering::Equal);
        by_weight.then(Reverse(a.start_ticks).cmp(&Reverse(b.start_ticks)))
    });
    all.truncate(count);
    let Ok(mut table) = Table::open(host) else { return Vec::new() };
    let with_unit =
        |(_, process): (W, &FoundProcess)| FoundProcess { unit: table.unit(process.pid), ..process.clone() };
    all.into_iter().map(with_unit).collect()
}

/// Whether the process of this number that began then still is there.
pub(super) fn lives(host: &HostRoot, pid: u32, start_ticks: u64) -> bool {
    let found = Table::open(host).and_then(|mut table| table.process(pid));
    found.is_ok_and(|found| found.is_some_and(|process| process.start_ticks == start_ticks))
}

/// Who looks after a process because it is in a container: a clause, `None` outside of any.
pub fn container_keeper(host: &HostRoot, pid: u32) -> Option<&'static str> {
    let file = host.read(format!("proc/{pid}/cgroup")).ok()?;
    let path = cgroup::path_of_process(file.text())?;
    if path.contains("kubepods") {
        return Some("Kubernetes");
    }
    cgroup::container_of(path).map(|_| "the runtime of its container")
}

struct Table {
    files: ProcFiles,
    ticks_per_second: f64,
    page_bytes: u64,
    uptime: f64,
}

impl Table {
    fn open(host: &HostRoot) -> Result<Self, CollectError> {
        Ok(Self {
            files: ProcFiles::open(host)?,
            ticks_per_second: host.ticks_per_second(),
            page_bytes: host.page_size_bytes(),
            // Ages are then 0; the rest is as true.
            uptime: uptime::seconds(host).unwrap_or(0.0),
        })
    }

    /// The process of this number, its unit apart.
    fn process(&mut self, pid: u32) -> Result<Option<FoundProcess>, CollectError> {
        let Some(stat) = self.files.stat(pid)? else { return Ok(None) };
        let seconds = |ticks: u64| ticks as f64 / self.ticks_per_second;
        Ok(Some(FoundProcess {
            pid,
            start_ticks: stat.start_ticks,
            ppid: u32::try_from(stat.parent).unwrap_or(0),
            state: char::from(stat.state),
            command: String::from_utf8_lossy(stat.comm).into_owned(),
            unit: String::new(),
            age_seconds: (self.uptime - seconds(stat.start_ticks)).max(0.0) as u64,
            rss_bytes: stat.resident_pages.saturating_mul(self.page_bytes),
            cpu_millis: (seconds(stat.user_ticks.saturating_add(stat.system_ticks)) * 1_000.0) as u64,
        }))
    }

    /// The numbers of all, ascending.
    fn pids(&mut self) -> Result<Vec<u32>, CollectError> {
        let mut pids = Vec::new();
        self.files.list(|pid, _| pids.push(pid))?;
        pids.sort_unstable();
        Ok(pids)
    }

    /// All that this user may see, their units apart.
    fn all(&mut self) -> Result<Vec<FoundProcess>, CollectError> {
        let pids = self.pids()?;
        let mut all = Vec::with_capacity(pids.len());
        for pid in pids {
            match self.process(pid) {
                Ok(process) => all.extend(process),
                Err(CollectError::Hidden { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    fn keep_sought(&mut self, found: Vec<FoundProcess>, sought: &Sought<'_>) -> Vec<FoundProcess> {
        let mut kept = Vec::new();
        for process in found.into_iter().filter(|process| sought.may_be(process)) {
            if kept.len() == MOST_FOUND {
                break;
            }
            if let Some(WatchTarget::Command(command)) = sought.target {
                let mut runs_it = || self.files.executable_name(process.pid) == Some(command.as_bytes());
                if process.command != *command && !runs_it() {
                    continue;
                }
            }
            let process = FoundProcess { unit: self.unit(process.pid), ..process };
            if sought.unit.is_none_or(|unit| unit == process.unit) {
                kept.push(process);
            }
        }
        kept
    }

    /// The unit that a process is of; empty where it is of none or has ended.
    fn unit(&mut self, pid: u32) -> String {
        let Ok(text) = self.files.read_once(pid, "cgroup") else { return String::new() };
        let text = String::from_utf8_lossy(text);
        cgroup::path_of_process(&text).and_then(cgroup::unit_of).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn find(host: &HostRoot, target: &WatchTarget) -> Result<Vec<FoundProcess>, CollectError> {
        find_processes(host, &Sought { target: Some(target), ..Sought::default() })
    }

    #[test]
    fn this_test_finds_itself_by_command_and_by_pid_file() {
        let host = HostRoot::at("/");
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        let by_command = find(&host, &WatchTarget::Command(comm.trim_end().to_owned())).unwrap();
        let pid_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pid_file.path(), std::process::id().to_string()).unwrap();
        let by_file = find(&host, &WatchTarget::PidFile(pid_file.path().to_owned())).unwrap();
        assert_eq!(by_file.len(), 1);
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        pid_file.as_file().set_modified(long_ago).unwrap();
        let by_old_file = find(&host, &WatchTarget::PidFile(pid_file.path().to_owned()));
        assert_eq!(by_old_file, Ok(Vec::new()), "the number was another's then");
        assert!(by_command.iter().any(|found| found.pid == std::process::id()), "{by_command:?}");
        assert!(by_file[0].start_ticks > 0);
    }

    #[test]
    fn a_pid_file_that_is_missing_or_empty_or_of_an_ended_process_finds_nothing() {
        let host = HostRoot::at("/");
        let pid_file = tempfile::NamedTempFile::new().unwrap();
        let find = |path: &Path| find(&host, &WatchTarget::PidFile(path.to_owned()));
        assert_eq!(find(Path::new("/nowhere/web.pid")), Ok(Vec::new()));
        assert_eq!(find(pid_file.path()), Ok(Vec::new()));
        // Beyond the largest number that a process can have.
        std::fs::write(pid_file.path(), "4194305").unwrap();
        assert_eq!(find(pid_file.path()), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_a_process_that_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::at(dir.path());
        let by_command = WatchTarget::Command("nginx".to_owned());
        let by_file = WatchTarget::PidFile("/it.pid".into());
        let failures = || [&by_command, &by_file].map(|target| find(&host, target).unwrap_err().to_string());
        std::fs::write(dir.path().join("it.pid"), "7").unwrap();
        std::fs::create_dir_all(dir.path().join("proc/8")).unwrap();
        for failure in failures() {
            assert!(failure.contains("proc hides processes from the agent's user"), "{failure}");
        }
        std::fs::create_dir_all(dir.path().join("proc/7/stat")).unwrap();
        for failure in failures() {
            assert!(failure.ends_with("proc/PID/stat"), "{failure}");
        }
        std::fs::remove_dir(dir.path().join("proc/7/stat")).unwrap();
        std::fs::write(dir.path().join("proc/7/stat"), "7 (x").unwrap();
        for failure in failures() {
            assert!(failure.contains("proc/7/stat: expected PID (NAME) STATE"), "{failure}");
        }
        std::fs::write(dir.path().join("it.pid"), "nginx").unwrap();
        let failure = find(&host, &by_file).unwrap_err().to_string();
        assert!(failure.ends_with("it.pid: expected the number of a process, found \"nginx\""), "{failure}");
    }

    #[test]
    fn a_process_is_found_by_its_number_its_parent_and_its_state() {
        let host = HostRoot::at("/");
        let own = std::process::id();
        let by_pid = find_processes(&host, &Sought { pid: Some(own), ..Sought::default() }).unwrap();
        let [found] = by_pid.as_slice() else { panic!("{by_pid:?}") };
        assert!(found.rss_bytes > 0 && found.ppid > 0, "{found:?}");
        let by_parent = Sought { ppid: Some(found.ppid), unit: Some(&found.unit), ..Sought::default() };
        let siblings = find_processes(&host, &by_parent).unwrap();
        assert!(siblings.iter().any(|process| process.pid == own));
        assert!(
            find_processes(&host, &Sought { state: Some('Z'), pid: Some(own), ..Sought::default() })
                == Ok(vec![])
        );
        assert!(lives(&host, own, found.start_ticks) && !lives(&host, own, found.start_ticks + 1));
    }

    #[test]
    fn the_heaviest_come_first_and_what_weighs_nothing_does_not_come() {
        let host = HostRoot::at("/");
        let all = live_processes(&host).unwrap();
        let top = heaviest(&host, &all, 3, |process| process.rss_bytes);
        assert!(!top.is_empty() && top.is_sorted_by(|one, other| one.rss_bytes >= other.rss_bytes));
        assert_eq!(heaviest(&host, &all, 3, |_| 0_u64), vec![]);
    }

    #[test]
    fn a_process_in_a_pod_is_kept_by_kubernetes_and_one_of_a_service_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let host = HostRoot::at(dir.path());
        let id = "a".repeat(64);
        for (pid, path, expected) in [
            (1, "/kubepods.slice/kubepods-pod1.slice/cri-containerd-x.scope".to_owned(), Some("Kubernetes")),
            (2, format!("/system.slice/docker-{id}.scope"), Some("the runtime of its container")),
            (3, "/system.slice/web.service".to_owned(), None),
        ] {
            std::fs::create_dir_all(dir.path().join(format!("proc/{pid}"))).unwrap();
            std::fs::write(dir.path().join(format!("proc/{pid}/cgroup")), format!("0::{path}\n")).unwrap();
            assert_eq!(container_keeper(&host, pid), expected, "{path}");
        }
    }

    #[test]
    fn this_test_is_among_the_live_processes() {
        let all = live_processes(&HostRoot::at("/")).unwrap();
        assert!(all.iter().any(|process| process.pid == std::process::id()));
    }
}
