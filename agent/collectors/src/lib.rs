//! Facts about the host and its processes, read only, through [`HostRoot`].
//!
//! A collector reads one source and appends what it saw to a buffer. It knows nothing of time, of rates, of where the
//! samples go or of which collectors run beside it: [`Collection`] runs them all and makes a failure of one cost only
//! that one. What would surprise: no clock is read here, the kernel's own uptime stands in for it.

#![forbid(unsafe_code)]

mod ask;
mod ask_mount;
mod budget;
mod cgroup;
mod clock;
mod collector;
mod conntrack;
mod cpu;
mod descriptors;
mod directories;
mod disk;
mod entropy;
mod error;
mod events;
mod filesystem;
mod hardware;
mod host;
mod lane;
mod load;
mod locks;
mod memory;
pub mod names;
mod network;
mod nfs;
mod node_exporter;
mod open_files;
mod paging;
mod pid_file;
mod pressure;
mod processes;
mod processors;
mod protocols;
mod resource;
mod rising;
mod schedule;
mod sockets;
mod softnet;
mod sysfs;
mod textfile;
mod unit_states;
mod units;
mod uptime;
mod watch;

#[cfg(test)]
mod fixture_tests;
#[cfg(any(test, feature = "fuzz"))]
pub mod hostile_input;
#[cfg(test)]
mod hostile_input_tests;
#[cfg(test)]
mod plausibility_tests;

pub use ask::{
    CgroupLimits, FoundProcess, ListedFile, Listener, LockWatch, Moments, NO_LIMIT, Release, ServiceFacts,
    Sought, Space, TcpSockets, Waiting, cgroup_limits, conntrack, container_keeper, directory_usage, files,
    find_processes, heaviest, live_processes, open_file_limit, package_work, pressure, process_maps,
    process_stack, releases, service, sessions, space, sysctl, tcp_sockets,
};
pub use budget::{Budget, Stretch, Usage, own_memory};
pub use collector::{COLLECTORS, Collector, CollectorSpec, Open, Options, Watch, WatchTarget};
pub use error::{CollectError, Found, Lack};
pub use events::{
    EventSource, Events, LONGEST_WINDOW, PressureThresholds, PressureTrigger, WINDOW_STEP, Waker,
    WatchedExits, WatchedProcess,
};
pub use host::{HostFile, HostRoot};
pub use lane::{Intervals, LONGEST_SEEN, Lane, Lanes, MIN_TICK, UnevenIntervals};
pub use node_exporter::node_exporter_metrics;
pub use resource::{Detector, host_resource, instance_id_from, new_instance_id, own_container};
pub use schedule::{Collection, CollectorFailure, SCHEDULE_METRICS};
pub use textfile::{
    MOST_TEXTFILE_SERIES, TextError, TextfileError, Textfiles, parse as parse_exposition, read_textfiles,
};
pub use unit_states::UnitSignals;
