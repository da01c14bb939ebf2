//! Facts that are asked for once, outside a cycle: by a script that wants to know before it acts.

mod inside;
mod kernel;
mod listing;
mod lock_watch;
mod packages;
mod people;
mod processes;
mod services;
mod space;
mod tcp;

use std::path::Path;

use crate::directories;
use crate::error::CollectError;
use crate::host::HostRoot;

pub use inside::{process_maps, process_stack};
pub use kernel::{CgroupLimits, Waiting, cgroup_limits, conntrack, open_file_limit, pressure, sysctl};
pub use listing::{ListedFile, Release, files, releases};
pub use lock_watch::LockWatch;
pub use packages::package_work;
pub use people::sessions;
pub use processes::{FoundProcess, Sought, container_keeper, find_processes, heaviest, live_processes};
pub use services::{Moments, NO_LIMIT, ServiceFacts, service};
pub use space::{Space, space};
pub use tcp::{Listener, TcpSockets, tcp_sockets};

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
    fn the_usage_of_a_directory_is_what_its_files_take() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("one"), vec![b'x'; 8192]).unwrap();
        assert_eq!(directory_usage(&HostRoot::at("/"), directory.path()), Ok(8192));
        assert!(directory_usage(&HostRoot::at("/"), Path::new("/nowhere")).is_err());
    }
}
