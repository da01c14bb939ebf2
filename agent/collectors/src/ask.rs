//! Facts that are asked for once, outside a cycle: by a script that wants to know before it acts.

use std::path::Path;

use crate::collector::WatchTarget;
use crate::directories;
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::processes::files::{ProcFiles, is_gone_or_hidden};
use crate::processes::stat;

/// Processes given at most; more of one name are no service but a flood.
const MOST_FOUND: usize = 1_000;

/// A live process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundProcess {
    /// Its number.
    pub pid: u32,
    /// Ticks since boot at its start; number and start together are never used again.
    pub start_ticks: u64,
    /// The letter of its state in `/proc/PID/stat`.
    pub state: char,
    /// What it calls itself.
    pub command: String,
}

/// The live processes of a target, at most a thousand. Zombies do not count.
///
/// # Errors
///
/// The process table or the pid file cannot be read.
pub fn find_processes(host: &HostRoot, target: &WatchTarget) -> Result<Vec<FoundProcess>, CollectError> {
    let mut files = ProcFiles::open(host)?;
    let mut found = Vec::new();
    match target {
        WatchTarget::PidFile(path) => {
            let Some(file) = host.read_optional(path)? else { return Ok(found) };
            let pid = file.text().trim().parse().ok();
            found.extend(pid.and_then(|pid| process(&mut files, pid)));
        }
        WatchTarget::Command(command) => {
            let mut pids = Vec::new();
            files.list(|pid, _| pids.push(pid))?;
            for pid in pids {
                if found.len() == MOST_FOUND {
                    break;
                }
                let Some(process) = process(&mut files, pid) else { continue };
                let runs_it = files.executable_name(pid) == Some(command.as_bytes());
                if runs_it || process.command == *command {
                    found.push(process);
                }
            }
        }
    }
    Ok(found)
}

/// The process of this number, if it lives and can be seen.
fn process(files: &mut ProcFiles, pid: u32) -> Option<FoundProcess> {
    let line =
        files.read_once(pid, "stat").inspect_err(|error| debug_assert!(is_gone_or_hidden(*error))).ok()?;
    let stat = stat::parse(line).filter(stat::Stat::is_alive)?;
    Some(FoundProcess {
        pid,
        start_ticks: stat.start_ticks,
        state: char::from(stat.state),
        command: String::from_utf8_lossy(stat.comm).into_owned(),
    })
}

/// The bytes of disk space that the files below a directory take.
///
/// # Errors
///
/// It is no directory, cannot be read, or holds too much to be added up.
pub fn directory_usage(host: &HostRoot, path: &Path) -> Result<u64, CollectError> {
    directories::usage(&host.path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_finds_itself_by_command_and_by_pid_file() {
        let host = HostRoot::at("/");
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        let by_command = find_processes(&host, &WatchTarget::Command(comm.trim_end().to_owned())).unwrap();
        let pid_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(pid_file.path(), std::process::id().to_string()).unwrap();
        let by_file = find_processes(&host, &WatchTarget::PidFile(pid_file.path().to_owned())).unwrap();
        assert_eq!(by_file.len(), 1);
        assert!(by_command.iter().any(|found| found.pid == std::process::id()), "{by_command:?}");
        assert!(by_file[0].start_ticks > 0);
    }

    #[test]
    fn a_pid_file_that_is_missing_or_senseless_finds_nothing() {
        let host = HostRoot::at("/");
        let senseless = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(senseless.path(), "nginx").unwrap();
        for path in [senseless.path(), Path::new("/nowhere/web.pid")] {
            let target = WatchTarget::PidFile(path.to_owned());
            assert_eq!(find_processes(&host, &target), Ok(Vec::new()));
        }
    }

    #[test]
    fn the_usage_of_a_directory_is_what_its_files_take() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("one"), vec![b'x'; 8192]).unwrap();
        assert_eq!(directory_usage(&HostRoot::at("/"), directory.path()), Ok(8192));
        assert!(directory_usage(&HostRoot::at("/"), Path::new("/nowhere")).is_err());
    }
}
