//! The three ways in which the demo breaks its victim, and how each looks when it is healed.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;

/// Files that fill the spool, and the size of each.
const SPOOL_FILES: usize = 24;
const SPOOL_FILE_BYTES: usize = 1_000_000;

/// The files claim to be this old, since the runbook lets only old ones be deleted.
const SPOOL_FILE_AGE: Duration = Duration::from_hours(1);

/// One way to break the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Killed,
    Hung,
    SpoolFull,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::Killed, Self::Hung, Self::SpoolFull];

    /// What is done, as the audience reads it.
    pub(super) const fn story(self) -> &'static str {
        match self {
            Self::Killed => "the victim is killed (SIGKILL)",
            Self::Hung => "the victim hangs (SIGSTOP): its process is there, its health check times out",
            Self::SpoolFull => "the victim's spool fills up: 24 MB, where 8 MB are allowed",
        }
    }

    /// The alert that must fire.
    pub(super) const fn alert(self) -> &'static str {
        match self {
            Self::Killed => "VictimDown",
            Self::Hung => "VictimHung",
            Self::SpoolFull => "SpoolOverLimit",
        }
    }

    /// Breaks the victim that lives in `directory`.
    pub(super) fn inject(self, directory: &Path) -> anyhow::Result<()> {
        match self {
            Self::Killed => signal(directory, Signal::KILL),
            Self::Hung => signal(directory, Signal::STOP),
            Self::SpoolFull => fill(&directory.join("spool")),
        }
    }
}

fn signal(directory: &Path, signal: Signal) -> anyhow::Result<()> {
    let path = directory.join("victim.pid");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{} holds no process id: {text:?}", path.display()))?;
    kill_process(pid, signal).context("signalling the victim")
}

fn fill(spool: &Path) -> anyhow::Result<()> {
    let now = UNIX_EPOCH + Duration::from_nanos(clock::now().as_nanos().unsigned_abs());
    for number in 0..SPOOL_FILES {
        let path = spool.join(format!("message-{number:02}"));
        // The last are the newest, so that it can be seen that the oldest go first.
        let written = now - SPOOL_FILE_AGE + Duration::from_secs(number as u64);
        write_old(&path, written).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn write_old(path: &Path, written: SystemTime) -> std::io::Result<()> {
    std::fs::write(path, vec![b'x'; SPOOL_FILE_BYTES])?;
    File::options().write(true).open(path)?.set_times(FileTimes::new().set_modified(written))
}
