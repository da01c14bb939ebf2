//! Processes, held so that they cannot be mistaken for another.
//!
//! A process number can be given to a new process at any time. So a process is opened as a pidfd between two looks at
//! its start time: when both agree, the descriptor and what was read mean the same process, and stay that way.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::{ActionError, ProcessId, Signal};

/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// What `/proc/PID/stat` says, as far as it is needed here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) comm: String,
    pub(crate) state: char,
    pub(crate) parent: u32,
    pub(crate) flags: u32,
    pub(crate) start_ticks: u64,
}

impl Stat {
    /// Parses the line. `proc_pid_stat(5)`: the name may hold spaces and parentheses, so the last `)` ends it.
    fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(')')?;
        let (_, comm) = head.split_once('(')?;
        // `tail` begins with field 3, so field n of the manual is at n - 3.
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Self {
            comm: comm.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            flags: fields.get(6)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }

    fn read(pid: u32) -> Option<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }
}

/// A process that was alive when it was opened.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) stat: Stat,
    fd: OwnedFd,
}

impl Process {
    /// Opens the process that has this number now; none if there is none, or if it has ended and only its parent has
    /// yet to notice.
    pub(crate) fn open(pid: u32) -> Result<Option<Self>, ActionError> {
        let Some(before) = Stat::read(pid) else { return Ok(None) };
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let fd = match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(ActionError::failed(format!("opening process {pid}"), error)),
        };
        let after = Stat::read(pid).filter(|after| after.start_ticks == before.start_ticks);
        Ok(after.filter(|stat| !matches!(stat.state, 'Z' | 'X')).map(|stat| Self { pid, stat, fd }))
    }

    /// Opens exactly this process; none if its number belongs to another by now.
    pub(crate) fn open_exactly(id: ProcessId) -> Result<Option<Self>, ActionError> {
        Ok(Self::open(id.pid)?.filter(|process| process.stat.start_ticks == id.start_ticks))
    }

    pub(crate) fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_ticks: self.stat.start_ticks }
    }

    pub(crate) fn is_kernel_thread(&self) -> bool {
        self.stat.flags & KERNEL_THREAD != 0
    }

    /// The file it runs, as the kernel knows it; none if that may not be seen or the process has just ended.
    pub(crate) fn executable(&self) -> Option<PathBuf> {
        let path = std::fs::read_link(format!("/proc/{}/exe", self.pid)).ok()?;
        // A program that was replaced by an upgrade is still the same program.
        let text = path.to_str()?;
        Some(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
    }

    /// The file name of its executable.
    pub(crate) fn executable_name(&self) -> Option<String> {
        Some(self.executable()?.file_name()?.to_str()?.to_owned())
    }

    /// Its command line, which it can rewrite itself.
    pub(crate) fn command_line(&self) -> Vec<String> {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Sends a signal; a process that has ended by itself meanwhile is no error.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ActionError> {
        match pidfd_send_signal(&self.fd, signal.raw()) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(ActionError::failed(format!("sending {signal} to process {}", self.pid), error))
            }
        }
    }

    /// The user that it belongs to, its real one.
    pub(crate) fn user(&self) -> Result<u32, ActionError> {
        let path = format!("/proc/{}/status", self.pid);
        let failed = |error| ActionError::failed(format!("reading {path}"), error);
        let bytes = std::fs::read(&path).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().find_map(|line| line.strip_prefix("Uid:"));
        let user = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        user.ok_or_else(|| failed(std::io::Error::other("it names no user")))
    }

    /// Waits until it has ended, and says whether it has.
    pub(crate) fn ended_within(&self, limit: Duration) -> Result<bool, ActionError> {
        let limit = timespec(limit);
        loop {
            match rustix::event::poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&limit)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(ActionError::failed(format!("waiting for process {}", self.pid), error));
                }
            }
        }
    }
}

/// A length of time as the kernel takes it; one beyond its reach is the longest.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    let longest = Timespec { tv_sec: i64::MAX, tv_nsec: 0 };
    duration.try_into().unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "42 (a ) R (b) S 1 42 42 0 -1 4194560 127 0 0 0 0 0 0 0 20 0 1 0 8153 2437120 226 1844\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat.comm, "a ) R (b");
        assert_eq!((stat.state, stat.parent, stat.flags, stat.start_ticks), ('S', 1, 4_194_560, 8153));
    }

    #[test]
    fn a_line_cut_short_is_no_process() {
        for line in ["", "42", "42 (web", "42 (web) S", "42 (web) S 1 42 42 0 -1 4194560 127"] {
            assert_eq!(Stat::parse(line), None, "{line}");
        }
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let me = Process::open(std::process::id()).unwrap().unwrap();
        assert_eq!(me.executable(), std::env::current_exe().ok());
        assert!(!me.is_kernel_thread());
        assert_eq!(me.user(), Ok(rustix::process::getuid().as_raw()));
        assert!(!me.ended_within(Duration::ZERO).unwrap());
        assert!(Process::open_exactly(me.id()).unwrap().is_some());
    }

    #[test]
    fn a_recycled_process_number_is_another_process() {
        let me = Process::open(std::process::id()).unwrap().unwrap();
        let former = ProcessId { start_ticks: me.stat.start_ticks - 1, ..me.id() };
        assert!(Process::open_exactly(former).unwrap().is_none());
    }
}
