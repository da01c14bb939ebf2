//! Whether this process runs in a container, and in which.
//!
//! A cgroup namespace hides the path that names the container; then the files that runtimes mount into it name it, since
//! they come from a directory of that name.

use crate::cgroup;
use crate::host::HostRoot;

/// What a container runtime mounts into each container. A host has the same files, but mounts nothing there.
const MOUNTED: [&str; 4] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/termination-log"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    pub(super) is_container: bool,
    /// `container.id`.
    pub(super) id: Option<String>,
}

pub(super) fn surroundings(host: &HostRoot) -> Surroundings {
    let of_cgroup = host.read("proc/self/cgroup").ok().and_then(|file| of_cgroup(file.text()));
    let mounts = host.read("proc/self/mountinfo").ok();
    let of_mounts = mounts.map(|file| of_mounts(file.text())).unwrap_or_default();
    let marked = [".dockerenv", "run/.containerenv"].into_iter().any(|path| host.path(path).exists());
    let id = of_cgroup.or(of_mounts.id);
    Surroundings { is_container: id.is_some() || of_mounts.is_container || marked, id }
}

fn of_cgroup(text: &str) -> Option<String> {
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut paths = cgroup::path_of_process(text).into_iter().chain(paths);
    paths.find_map(cgroup::container_of).map(str::to_owned)
}

/// Field 4 of `mountinfo` is the directory that is mounted, field 5 where.
pub(crate) fn of_mounts(text: &str) -> Surroundings {
    let mut found = Surroundings::default();
    for line in text.lines() {
        let mut fields = line.split(' ').skip(3);
        let (Some(what), Some(place)) = (fields.next(), fields.next()) else { continue };
        if !MOUNTED.contains(&place) {
            continue;
        }
        let is_id = |name: &&str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = what.split('/').find(is_id);
        found.is_container |= id.is_some() || what.contains("/kubelet/pods/");
        found.id = found.id.or_else(|| id.map(str::to_owned));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4be5d0a1c2b3948576a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6";

    #[test]
    fn mounted_files_name_the_container_that_a_cgroup_namespace_hides() {
        let docker = format!(
            "647 630 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n"
        );
        let podman = format!(
            "751 747 0:24 /containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n"
        );
        let of_a_pod = "9 8 8:1 /var/lib/kubelet/pods/1c2d/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";
        let of_a_host = format!(
            "36 35 8:1 /{ID} /srv/data rw - ext4 /dev/sda1 rw\n25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        );
        for (text, is_container, id) in [
            (docker.as_str(), true, Some(ID)),
            (&podman, true, Some(ID)),
            (of_a_pod, true, None),
            (&of_a_host, false, None),
        ] {
            assert_eq!(of_mounts(text), Surroundings { is_container, id: id.map(str::to_owned) }, "{text}");
        }
    }

    #[test]
    fn a_cgroup_names_the_container_by_either_version() {
        for text in [
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"),
        ] {
            assert_eq!(of_cgroup(&text).as_deref(), Some(ID), "{text}");
        }
        for text in ["0::/\n", "0::/system.slice/hostmend.service\n", "", ":"] {
            assert_eq!(of_cgroup(text), None, "{text}");
        }
    }
}
