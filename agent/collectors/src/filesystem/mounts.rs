//! Which file systems are mounted where, and which of them may be asked.
//!
//! Decides by type and by place, and asks nothing.

use std::collections::{BTreeMap, BTreeSet};

use telemetry::Value;

use crate::ask_mount::Question;
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
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fuse.snapfuse",
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
    /// The kernel's number of this mount, which no other one has while this one is there.
    id: u64,
    /// The number of the device: `254:0`.
    pub(super) number: String,
    pub(super) point: String,
    pub(super) kind: String,
    pub(super) device: String,
    read_only: bool,
    /// Whether the way there leads through a server, the hypervisor, a cluster or a program.
    is_remote: bool,
}

impl Mount {
    /// Device, type, mode, mount point.
    pub(super) fn values(&self) -> [Value<'_>; 4] {
        let mode = if self.read_only { "ro" } else { "rw" };
        [Value::Str(&self.device), Value::Str(&self.kind), Value::Str(mode), Value::Str(&self.point)]
    }

    pub(crate) fn point(&self) -> &str {
        &self.point
    }

    pub(crate) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(crate) fn question(&self) -> Question<'_> {
        Question { mount: self.id, point: &self.point, is_remote: self.is_remote }
    }
}

/// Of all mounts, those that keep data and are of interest.
pub(crate) fn parse(file: &HostFile<'_>, view: View) -> Result<Vec<Mount>, CollectError> {
    let mut mounts = parse_all(file, view)?;
    mounts.retain(|mount| !PSEUDO.contains(&mount.kind.as_str()) && !is_below(&mount.point, UNINTERESTING));
    Ok(mounts)
}

/// Drops all but so many. Any user may mount programs of his own, in any number: those go before what the host mounts.
pub(super) fn keep(mounts: &mut Vec<Mount>, most: usize) {
    if mounts.len() > most {
        mounts.sort_by_key(|mount| mount.is_remote);
        mounts.truncate(most);
    }
}

/// Parses `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard` (`proc_pid_mountinfo(5)`), sorted by mount point. Where
/// one mount hides another, the later one stands. What is mounted below a remote file system is remote itself, because
/// the way there leads through it; unless that is `/`, without which nothing runs.
///
/// In its own view the agent sees its sandbox too: file systems made read-only, and parts of them mounted once more. Then
/// the mode is that of the file system itself, and the first mount of a device stands for it.
pub(crate) fn parse_all(file: &HostFile<'_>, view: View) -> Result<Vec<Mount>, CollectError> {
    let mut devices: BTreeSet<String> = BTreeSet::new();
    let mut mounts: BTreeMap<String, Mount> = BTreeMap::new();
    for line in file.lines() {
        let mount = parse_line(line, view)
            .ok_or_else(|| file.malformed("a mount point and options, then - type source options", line))?;
        if view == View::Own && !devices.insert(mount.number.clone()) {
            continue;
        }
        mounts.insert(mount.point.clone(), mount);
    }
    let remote = |mount: &&Mount| mount.is_remote && mount.point != "/";
    let remote_points: Vec<String> =
        mounts.values().filter(remote).map(|mount| mount.point.clone()).collect();
    let mut mounts: Vec<Mount> = mounts.into_values().collect();
    for mount in &mut mounts {
        mount.is_remote |= is_below(&mount.point, &remote_points);
    }
    Ok(mounts)
}

/// Whether a file system of this type may wait for somebody who is gone.
fn may_hang(kind: &str) -> bool {
    REMOTE.contains(&kind) || kind.starts_with("fuse.")
}

/// Whether `point` is one of `places` or lies below it.
fn is_below(point: &str, places: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    places.into_iter().any(|place| {
        let place = place.as_ref();
        point.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn parse_line(line: &str, view: View) -> Option<Mount> {
    let (mounted, filesystem) = line.split_once(" - ")?;
    let mut mounted = mounted.split(' ');
    let (id, _parent, number, _root, point, options) = (
        mounted.next()?.parse().ok()?,
        mounted.next()?,
        mounted.next()?,
        mounted.next()?,
        mounted.next()?,
        mounted.next()?,
    );
    let mut filesystem = filesystem.split(' ');
    let (kind, device, super_options) = (filesystem.next()?, filesystem.next()?, filesystem.next()?);
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        id,
        number: number.to_owned(),
        point: unescape(point),
        kind: kind.to_owned(),
        device: unescape(device),
        read_only: read_only(super_options) || (view == View::Host && read_only(options)),
        is_remote: may_hang(kind),
    })
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
    fn only_file_systems_that_keep_data_are_asked() {
        for (line, asked) in [
            ("27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard", true),
            ("28 1 0:9 / /tmp rw - tmpfs tmpfs rw", true),
            ("22 27 0:21 / /proc rw,relatime - proc proc rw", false),
            ("25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw", false),
            ("26 24 0:23 / /device rw - xfs /dev/sdb rw", true),
            ("32 27 8:17 / /media/stick rw - fuseblk /dev/sdb1 rw", true),
            ("33 27 0:41 / /home rw - nfs4 filer:/home rw", true),
            ("34 27 0:42 / /run/user/7/doc rw - fuse.portal portal rw", false),
        ] {
            assert_eq!(points(line).len(), usize::from(asked), "{line}");
        }
    }

    /// Where something is mounted, and whether it is taken for remote.
    fn remote(text: &str) -> Vec<(String, bool)> {
        let mounts = parse(&HostFile::new("/proc/1/mountinfo", text), View::Host).unwrap();
        mounts.into_iter().map(|mount| (mount.point, mount.is_remote)).collect()
    }

    #[test]
    fn a_file_system_whose_keeper_may_be_gone_is_remote() {
        for kind in
            ["nfs4", "fuse", "fuse.sshfs", "virtiofs", "vboxsf", "ocfs2", "beegfs", "9p", "afs", "gpfs"]
        {
            let line = format!("30 27 0:40 / /srv rw - {kind} far:/srv rw");
            assert_eq!(remote(&line), [("/srv".to_owned(), true)], "{kind}");
        }
    }

    #[test]
    fn beyond_the_limit_programs_of_users_go_before_what_the_host_mounts() {
        let mount = |point: &str, is_remote| Mount {
            id: 1,
            number: String::new(),
            point: point.to_owned(),
            kind: String::new(),
            device: String::new(),
            read_only: false,
            is_remote,
        };
        let all =
            || vec![mount("/", false), mount("/home/a", true), mount("/srv", true), mount("/var", false)];
        for (most, kept) in [(3, &["/", "/var", "/home/a"][..]), (4, &["/", "/home/a", "/srv", "/var"])] {
            let mut mounts = all();
            keep(&mut mounts, most);
            assert_eq!(mounts.iter().map(|mount| mount.point.as_str()).collect::<Vec<_>>(), kept);
        }
    }

    #[test]
    fn what_is_mounted_below_a_remote_file_system_is_remote() {
        let far = "30 27 0:40 / /home rw - nfs4 filer:/home rw\n";
        let below = "31 30 8:1 / /home/me/disk rw - ext4 /dev/sda1 rw\n";
        let beside = "32 27 8:2 / /homestead rw - ext4 /dev/sda2 rw\n";
        let local = "33 27 8:3 / /home rw - xfs /dev/sda3 rw\n";
        let point = |point: &str, is_remote| (point.to_owned(), is_remote);
        assert_eq!(
            remote(&format!("{far}{below}{beside}")),
            [point("/home", true), point("/home/me/disk", true), point("/homestead", false)]
        );
        assert_eq!(
            remote(&format!("27 1 0:40 / / rw - nfs4 filer:/ rw\n{below}")),
            [point("/", true), point("/home/me/disk", false)],
            "a diskless host"
        );
        assert_eq!(
            remote(&format!("{far}{local}{below}")),
            [point("/home", false), point("/home/me/disk", false)],
            "the remote one is covered"
        );
    }

    #[test]
    fn a_mount_that_is_hidden_by_another_is_not_reported() {
        let ext4 = "27 1 254:0 / /data ro - ext4 /dev/vda rw\n";
        assert_eq!(points(ext4), [("/data".to_owned(), true)]);
        assert_eq!(
            points(&format!("{ext4}29 1 8:0 / /data rw - xfs /dev/sda rw")),
            [("/data".to_owned(), false)]
        );
        assert_eq!(points(&format!("{ext4}29 1 0:9 / /data rw - autofs none rw")), []);
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
