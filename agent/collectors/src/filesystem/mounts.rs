//! Which file systems are mounted where, and which of them may be asked.
//!
//! `statvfs` waits without end where whoever answers for a file system is gone, so this decides by type and by place, and
//! asks nothing.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::Value;

use crate::error::CollectError;
use crate::host::{HostFile, View};

/// File systems that hold no data of their own, or only that of others.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// File systems that wait for somebody who may be gone: a server, the hypervisor, the other nodes of a cluster, or a
/// program of this host. `fuse.…` belongs to them too. `fuseblk` does not: it has a block device of this host, such as
/// a disk with NTFS, and its program waits for nothing else.
const REMOTE: &[&str] = &[
    "9p",
    "acfs",
    "afs",
    "auristorfs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "prl_fs",
    "pvfs2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "wekafs",
];

/// Places where the kernel, the service supervisor and container runtimes mount things of no interest.
const UNINTERESTING: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/run/credentials",
    "/run/user",
    "/var/lib/docker",
    "/var/lib/containers/storage",
];

#[derive(Debug, PartialEq)]
pub(crate) struct Mount {
    pub(super) point: String,
    kind: String,
    device: String,
    read_only: bool,
}

impl Mount {
    /// Device, type, mode, mount point.
    pub(super) fn values(&self) -> [Value<'_>; 4] {
        let mode = if self.read_only { "ro" } else { "rw" };
        [Value::Str(&self.device), Value::Str(&self.kind), Value::Str(mode), Value::Str(&self.point)]
    }
}

/// Parses `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard` (`proc_pid_mountinfo(5)`) and keeps what is worth
/// asking, sorted by mount point. Where one mount hides another, the later one stands. What is mounted below a remote
/// file system is left out, because the way there leads through it; unless that is `/`, without which nothing runs.
///
/// In its own view the agent sees its sandbox too: file systems made read-only, and parts of them mounted once more. Then
/// the mode is that of the file system itself, and the first mount of a device stands for it.
pub(crate) fn parse(file: &HostFile<'_>, view: View) -> Result<Vec<Mount>, CollectError> {
    let mut devices: BTreeSet<String> = BTreeSet::new();
    let mut mounts: BTreeMap<String, Mount> = BTreeMap::new();
    let mut remote_points: BTreeSet<String> = BTreeSet::new();
    for line in file.lines() {
        let (number, mount) = parse_line(line, view)
            .ok_or_else(|| file.malformed("a mount point and options, then - type source options", line))?;
        if view == View::Own && !devices.insert(number.to_owned()) {
            continue;
        }
        let kind = mount.kind.as_str();
        let is_remote = may_hang(kind);
        if is_remote && mount.point != "/" {
            remote_points.insert(mount.point.clone());
        } else {
            remote_points.remove(&mount.point);
        }
        if is_remote || PSEUDO.contains(&kind) || is_below(&mount.point, UNINTERESTING) {
            mounts.remove(&mount.point);
        } else {
            mounts.insert(mount.point.clone(), mount);
        }
    }
    mounts.retain(|point, _| !is_below(point, &remote_points));
    Ok(mounts.into_values().collect())
}

/// Whether a file system of this type may wait for somebody who is gone.
pub(crate) fn may_hang(kind: &str) -> bool {
    REMOTE.contains(&kind) || kind.starts_with("fuse.")
}

/// Whether `point` is one of `places` or lies below it.
fn is_below(point: &str, places: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    places.into_iter().any(|place| {
        let place = place.as_ref();
        point.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The number of the device, `254:0`, and the mount.
fn parse_line(line: &str, view: View) -> Option<(&str, Mount)> {
    let (mounted, filesystem) = line.split_once(" - ")?;
    let mut mounted = mounted.split(' ').skip(2);
    let (number, _root, point, options) =
        (mounted.next()?, mounted.next()?, mounted.next()?, mounted.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, device, super_options) = (filesystem.next()?, filesystem.next()?, filesystem.next()?);
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    let read_only = read_only(super_options) || (view == View::Host && read_only(options));
    let mount = Mount { point: unescape(point), kind: kind.to_owned(), device: unescape(device), read_only };
    Some((number, mount))
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
pub(super) fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(part.get(3..).unwrap_or_default());
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<(String, bool)> {
        points_in(View::Host, text)
    }

    fn points_in(view: View, text: &str) -> Vec<(String, bool)> {
        let mounts = parse(&HostFile::new("/proc/1/mountinfo", text), view).unwrap();
        mounts.into_iter().map(|mount| (mount.point, mount.read_only)).collect()
    }

    #[test]
    fn only_local_file_systems_that_keep_data_are_asked() {
        for (line, asked) in [
            ("27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard", true),
            ("28 1 0:9 / /tmp rw - tmpfs tmpfs rw", true),
            ("22 27 0:21 / /proc rw,relatime - proc proc rw", false),
            ("25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw", false),
            ("26 24 0:23 / /device rw - xfs /dev/sdb rw", true),
            ("32 27 8:17 / /media/stick rw - fuseblk /dev/sdb1 rw", true),
        ] {
            assert_eq!(points(line).len(), usize::from(asked), "{line}");
        }
    }

    #[test]
    fn a_file_system_whose_keeper_may_be_gone_is_never_asked() {
        for kind in
            ["nfs4", "fuse", "fuse.sshfs", "virtiofs", "vboxsf", "ocfs2", "beegfs", "9p", "afs", "gpfs"]
        {
            assert_eq!(points(&format!("30 27 0:40 / /srv rw - {kind} far:/srv rw")), [], "{kind}");
        }
    }

    #[test]
    fn what_is_mounted_below_a_remote_file_system_is_not_asked() {
        let remote = "30 27 0:40 / /home rw - nfs4 filer:/home rw\n";
        let below = "31 30 8:1 / /home/me/disk rw - ext4 /dev/sda1 rw\n";
        let beside = "32 27 8:2 / /homestead rw - ext4 /dev/sda2 rw\n";
        assert_eq!(points(&format!("{remote}{below}{beside}")), [("/homestead".to_owned(), false)]);
        assert_eq!(
            points(&format!("27 1 0:40 / / rw - nfs4 filer:/ rw\n{below}")).len(),
            1,
            "a diskless host"
        );
        let local = "33 27 8:3 / /home rw - xfs /dev/sda3 rw\n";
        assert_eq!(points(&format!("{remote}{local}{below}")).len(), 2, "the remote one is covered");
    }

    #[test]
    fn a_mount_that_is_hidden_by_another_is_not_reported() {
        let ext4 = "27 1 254:0 / /data ro - ext4 /dev/vda rw\n";
        assert_eq!(points(ext4), [("/data".to_owned(), true)]);
        assert_eq!(
            points(&format!("{ext4}29 1 8:0 / /data rw - xfs /dev/sda rw")),
            [("/data".to_owned(), false)]
        );
        assert_eq!(points(&format!("{ext4}29 1 8:0 / /data rw - nfs4 filer:/ rw")), []);
    }

    #[test]
    fn the_sandbox_of_the_agent_is_not_taken_for_the_host() {
        // As ProtectSystem=strict, StateDirectory= and ProtectHome=read-only leave it.
        let sandbox = "300 299 254:0 / / ro,relatime master:1 - ext4 /dev/vda rw,discard\n\
                       310 300 254:16 / /data ro,relatime master:9 - xfs /dev/vdb rw\n\
                       311 300 254:32 / /media ro,relatime master:9 - ext4 /dev/vdc ro\n\
                       320 300 254:0 /var/lib/hostmend /var/lib/hostmend rw,relatime master:1 - ext4 /dev/vda rw,discard\n\
                       321 300 254:0 /home /home ro,relatime master:1 - ext4 /dev/vda rw,discard\n";
        let expected = [("/", false), ("/data", false), ("/media", true)];
        assert_eq!(
            points_in(View::Own, sandbox),
            expected.map(|(point, read_only)| (point.to_owned(), read_only))
        );
    }

    #[test]
    fn escaped_mount_points_are_spelt_out() {
        assert_eq!(unescape(r"/mnt/my\040disk\134x\011"), "/mnt/my disk\\x\t");
        assert_eq!(unescape(r"/mnt/\9\04é"), r"/mnt/\9\04é");
    }

    #[test]
    fn a_line_without_a_separator_is_named() {
        let error = parse(&HostFile::new("/proc/1/mountinfo", "27 1 254:0 / / rw ext4"), View::Host)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/proc/1/mountinfo: expected a mount point and options, then -"),
            "{error}"
        );
    }
}
