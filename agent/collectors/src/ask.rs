//! Facts that are asked for once, outside a cycle: by a script that wants to know before it acts.

use std::path::Path;

use crate::collector::WatchTarget;
use crate::directories;
use crate::error::CollectError;
use crate::host::HostRoot;
use crate::pid_file;
use crate::processes::files::ProcFiles;

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

/// The live processes of a target, at most a thousand. Zombies do not count, nor does a process that got the number in
/// a pid file after the file was written.
///
/// # Errors
///
/// The process table or the pid file cannot be read, the latter holds no number, or nothing was found where the
/// processes of others are hidden from this user. A missing or empty pid file is no error: it names no process.
pub fn find_processes(host: &HostRoot, target: &WatchTarget) -> Result<Vec<FoundProcess>, CollectError> {
    let mut files = ProcFiles::open(host)?;
    let found = match target {
        WatchTarget::PidFile(path) => {
            let Some(file) = pid_file::read(host, path)? else { return Ok(Vec::new()) };
            match process(&mut files, file.pid)? {
                Some(found) if file.means(found.start_ticks, &mut files, host)? => vec![found],
                _ => Vec::new(),
            }
        }
        WatchTarget::Command(command) => find_command(&mut files, command)?,
    };
    if found.is_empty() {
        files.check_none_is_hidden()?;
    }
    Ok(found)
}

fn find_command(files: &mut ProcFiles, command: &str) -> Result<Vec<FoundProcess>, CollectError> {
    let mut pids = Vec::new();
    files.list(|pid, _| pids.push(pid))?;
    let mut found = Vec::new();
    for pid in pids {
        if found.len() == MOST_FOUND {
            break;
        }
        let process = match process(files, pid) {
            Ok(Some(process)) => process,
            Ok(None) | Err(CollectError::Hidden { .. }) => continue,
            Err(error) => return Err(error),
        };
        let runs_it = files.executable_name(pid) == Some(command.as_bytes());
        if runs_it || process.command == command {
            found.push(process);
        }
    }
    Ok(found)
}

/// The process of this number, if it lives.
fn process(files: &mut ProcFiles, pid: u32) -> Result<Option<FoundProcess>, CollectError> {
    let stat = files.live(pid)?;
    Ok(stat.map(|stat| FoundProcess {
        pid,
        start_ticks: stat.start_ticks,
        state: char::from(stat.state),
        command: String::from_utf8_lossy(stat.comm).into_owned(),
    }))
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
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        pid_file.as_file().set_modified(long_ago).unwrap();
        let by_old_file = find_processes(&host, &WatchTarget::PidFile(pid_file.path().to_owned()));
        assert_eq!(by_old_file, Ok(Vec::new()), "the number was another's then");
        assert!(by_command.iter().any(|found| found.pid == std::process::id()), "{by_command:?}");
        assert!(by_file[0].start_ticks > 0);
    }

    #[test]
    fn a_pid_file_that_is_missing_or_empty_or_of_an_ended_process_finds_nothing() {
        let host = HostRoot::at("/");
        let pid_file = tempfile::NamedTempFile::new().unwrap();
        let find = |path: &Path| find_processes(&host, &WatchTarget::PidFile(path.to_owned()));
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
        let failures =
            || [&by_command, &by_file].map(|target| find_processes(&host, target).unwrap_err().to_string());
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
        let failure = find_processes(&host, &by_file).unwrap_err().to_string();
        assert!(failure.ends_with("it.pid: expected the number of a process, found \"nginx\""), "{failure}");
    }

    #[test]
    fn the_usage_of_a_directory_is_what_its_files_take() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("one"), vec![b'x'; 8192]).unwrap();
        assert_eq!(directory_usage(&HostRoot::at("/"), directory.path()), Ok(8192));
        assert!(directory_usage(&HostRoot::at("/"), Path::new("/nowhere")).is_err());
    }
}
