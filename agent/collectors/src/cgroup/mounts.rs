//! Where a host mounted its hierarchies of cgroups, from `mountinfo`.

use crate::host::HostFile;

/// The mount points of version 2, and of version 1 by controller.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Mounts {
    v2: Option<String>,
    v1: Vec<(String, String)>,
}

impl Mounts {
    /// Where version 2 is.
    pub(super) fn v2(&self) -> Option<&str> {
        self.v2.as_deref()
    }

    /// Where version 1 has this controller, or the hierarchy that systemd keeps by name.
    pub(super) fn v1(&self, controller: &str) -> Option<&str> {
        self.v1.iter().find(|(name, _)| name == controller).map(|(_, mount_point)| mount_point.as_str())
    }

    /// The hierarchies in which units and containers may have their cgroups, the likeliest first.
    pub(super) fn trees(&self) -> impl Iterator<Item = &str> {
        let controllers = ["name=systemd", "memory", "cpuacct", "pids"];
        self.v2().into_iter().chain(controllers.into_iter().filter_map(|name| self.v1(name)))
    }
}

/// Finds `31 26 0:26 / /sys/fs/cgroup rw shared:8 - cgroup2 cgroup2 rw` and, of version 1,
/// `35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory` among all mounts; of several the first.
pub(crate) fn parse(file: &HostFile<'_>) -> Mounts {
    let mut mounts = Mounts::default();
    for line in file.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let Some(mount_point) = mount.split(' ').nth(4) else { continue };
        let mut kind = kind.split(' ');
        match kind.next() {
            Some("cgroup2") => {
                mounts.v2.get_or_insert_with(|| mount_point.to_owned());
            }
            Some("cgroup") => {
                for controller in kind.nth(1).unwrap_or_default().split(',') {
                    if mounts.v1(controller).is_none() {
                        mounts.v1.push((controller.to_owned(), mount_point.to_owned()));
                    }
                }
            }
            _ => {}
        }
    }
    mounts
}
