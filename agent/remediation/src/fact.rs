//! What can be asked of the host without changing it.
//!
//! A fact is asked for by a script, for the evidence of a run or by a guard; the daemon answers it, from `/proc`, systemd
//! and the journal. Answers are JSON as the script sees it; which fields they have stands in the row of
//! [`crate::HOST_FUNCTIONS`] that asks for them.

use std::path::PathBuf;
use std::time::Duration;

use executor::{ProcessId, UnitName};
use serde::{Deserialize, Serialize};

/// Which processes. All that is given must hold; nothing given is every process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessFilter {
    /// The name of the command or of the executable, or the name under which the policy defines a process.
    pub name: Option<String>,
    /// The process number.
    pub pid: Option<u32>,
    /// The process number of the parent.
    pub ppid: Option<u32>,
    /// The service whose control group it is in.
    pub unit: Option<String>,
    /// The state's letter in `/proc/PID/stat`.
    pub state: Option<char>,
}

/// By what the largest processes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopBy {
    /// CPU time since the last collection.
    Cpu,
    /// Resident memory.
    Memory,
    /// Bytes read from and written to disks since the last collection.
    Io,
}

/// In which order files are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOrder {
    /// By the time of the last write, the oldest first.
    #[default]
    Oldest,
    /// By the time of the last write, the newest first.
    Newest,
    /// By disk space, the largest first.
    Largest,
}

/// One question about the host.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// How systemd holds a service to be.
    UnitStatus {
        /// Which one.
        unit: UnitName,
    },
    /// The limits of a service, and what it uses of them.
    UnitLimits {
        /// Which one.
        unit: UnitName,
    },
    /// The largest processes.
    TopProcesses {
        /// By what.
        by: TopBy,
        /// How many.
        count: usize,
    },
    /// The largest processes by CPU time and by memory, from one look, which may be as old as that of the guards: `cpu` and
    /// `memory`, each as [`Fact::TopProcesses`] has it.
    HeaviestProcesses {
        /// How many by each.
        count: usize,
    },
    /// Where the threads of a process are in the kernel: `/proc/PID/stack`.
    ProcessStack {
        /// Which one.
        process: ProcessId,
    },
    /// What the memory of a process is made of: `/proc/PID/smaps_rollup` and the largest mappings.
    ProcessMaps {
        /// Which one.
        process: ProcessId,
    },
    /// How full the file system is that a path lies on.
    DiskUsage {
        /// The path.
        path: PathBuf,
    },
    /// The bytes of disk space that the files below a directory take.
    DirectoryUsage {
        /// The directory.
        path: PathBuf,
    },
    /// Regular files below a directory.
    Files {
        /// The directory.
        under: PathBuf,
        /// Only names that match this pattern, in which `*` stands for any text and `?` for one character.
        matching: Option<String>,
        /// Only files last written longer ago than this.
        older_than: Duration,
        /// In which order.
        order: FileOrder,
        /// How many at most.
        at_most: usize,
    },
    /// The directories beside the one that a link points to, the newest first, and which of them that is.
    Releases {
        /// The link.
        link: PathBuf,
    },
    /// The last lines that a service has logged.
    JournalTail {
        /// Which one.
        unit: UnitName,
        /// How many.
        lines: usize,
    },
    /// The limits of a control group, and what it uses of them.
    CgroupLimits {
        /// Its path below the root of the hierarchy.
        cgroup: String,
    },
    /// How many connections the kernel tracks, and how many it can.
    Conntrack,
    /// How many sockets there are by state, and who listens where.
    Sockets,
    /// The answer to an HTTP GET.
    HttpGet {
        /// Where.
        url: String,
        /// How long it may take.
        within: Duration,
    },
    /// A parameter of the kernel.
    Sysctl {
        /// As in `net.netfilter.nf_conntrack_max`.
        name: String,
    },
    /// The variant of a feature flag that everybody gets.
    Flag {
        /// The flag.
        flag: String,
    },
    /// Where the host is short of something: `/proc/pressure`.
    Pressure,
}
