//! Where the host is short of something: the JSON of `GET /v1/top`, which the agent writes and `hostmend top` draws.
//!
//! Fields may be added; a reader ignores what it does not know. Rates are those between the last two samples of a series;
//! what the host or the configuration does not have is `null` or an empty list.

use serde::{Deserialize, Serialize};

use crate::status::FiringAlert;

/// Everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Top {
    pub(crate) host: String,
    pub(crate) at: String,
    pub(crate) uptime_seconds: Option<f64>,
    /// Over 1, 5 and 15 minutes.
    pub(crate) load: [Option<f64>; 3],
    pub(crate) cpus: Option<f64>,
    /// How many times as long as configured the agent waits between collections, to stay within its budget.
    pub(crate) stretch: Option<f64>,
    /// Why the agent does not do its work.
    pub(crate) unwell: Vec<String>,
    pub(crate) pressure: Vec<Pressure>,
    pub(crate) cpu: Cpu,
    pub(crate) memory: Memory,
    /// The busiest first.
    pub(crate) disks: Vec<Disk>,
    /// Those that lose most first.
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) tcp_retransmits_per_second: Option<f64>,
    /// The fullest first.
    pub(crate) filesystems: Vec<Filesystem>,
    /// Units of systemd with their processes, and `other`.
    pub(crate) groups: Vec<Task>,
    pub(crate) processes: Vec<Task>,
    pub(crate) firing: Vec<FiringAlert>,
    pub(crate) destinations: Vec<Owed>,
}

/// The share of time for which tasks waited.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Pressure {
    /// `cpu`, `memory`, `io` or `irq`.
    pub(crate) of: String,
    /// At least one task.
    pub(crate) some: Option<f64>,
    /// All tasks.
    pub(crate) full: Option<f64>,
}

/// Shares of the time of all CPUs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Cpu {
    /// Everything but idle and waiting for I/O.
    pub(crate) busy: Option<f64>,
    pub(crate) iowait: Option<f64>,
    pub(crate) steal: Option<f64>,
    /// Tasks that run or could run.
    pub(crate) run_queue: Option<f64>,
    /// Tasks that wait for I/O and cannot be interrupted.
    pub(crate) blocked: Option<f64>,
}

/// Memory and swap.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Memory {
    pub(crate) limit_bytes: Option<f64>,
    pub(crate) used_share: Option<f64>,
    pub(crate) swap_used_share: Option<f64>,
    /// Pages per second.
    pub(crate) swap_in: Option<f64>,
    /// Pages per second.
    pub(crate) swap_out: Option<f64>,
    pub(crate) oom_kills: Option<f64>,
}

/// One block device.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Disk {
    pub(crate) device: String,
    /// The share of time for which it worked.
    pub(crate) busy: f64,
    /// How many requests waited or were under way, on average.
    pub(crate) queue: f64,
    pub(crate) read_bytes_per_second: f64,
    pub(crate) written_bytes_per_second: f64,
}

/// One network interface.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) received_bytes_per_second: f64,
    pub(crate) sent_bytes_per_second: f64,
    pub(crate) drops_per_second: f64,
    pub(crate) errors_per_second: f64,
}

/// One file system.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Filesystem {
    pub(crate) mountpoint: String,
    pub(crate) used_share: f64,
}

/// Who uses something: a process, or a group of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
    /// CPUs.
    pub(crate) cpu: f64,
    pub(crate) memory_bytes: f64,
    pub(crate) io_bytes_per_second: f64,
}

/// What waits for a destination.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Owed {
    pub(crate) name: String,
    pub(crate) queued_bytes: u64,
    pub(crate) failing_since: Option<String>,
}
