//! `filesystem`, with `node_exporter`'s own choice of mounts.
//!
//! A file system that does not answer is told with `node_filesystem_device_error` 1, as `node_exporter` does.

use std::collections::{HashMap, HashSet};

use telemetry::{MetricSpec, Value};

use super::Out;
use super::rows::{from, gauge};
use crate::ask_mount::{Answer, Question};
use crate::error::{CollectError, at_most};
use crate::filesystem::{Mount, parse_all};
use crate::host::{HostFile, HostRoot};

const LABELS: &[&str] = &["device", "mountpoint", "fstype", "device_error"];

/// In the order in which [`numbers`] gives their values.
pub(super) static FILESYSTEM: [MetricSpec; 8] = from(
    "/proc/1/mountinfo, statvfs(3)",
    [
        gauge("node_filesystem_size_bytes", LABELS, "Size of a file system, in bytes."),
        gauge("node_filesystem_free_bytes", LABELS, "Bytes that are free, for root."),
        gauge("node_filesystem_avail_bytes", LABELS, "Bytes that are free, for everybody."),
        gauge("node_filesystem_files", LABELS, "Inodes of a file system."),
        gauge("node_filesystem_files_free", LABELS, "Inodes that are free."),
        gauge("node_filesystem_readonly", LABELS, "Whether a mount is read-only."),
        gauge("node_filesystem_device_error", LABELS, "Whether a file system failed to tell its space."),
        gauge("node_filesystem_mount_info", &["device", "major", "minor", "mountpoint"], "1 for each mount."),
    ],
);

/// Mounts that are told of, 8 series each; beyond it the source fails after telling of so many.
const MOST_MOUNTS: usize = 1_000;

/// `node_exporter`'s defaults: `--collector.filesystem.fs-types-exclude`...
const LEFT_OUT_TYPES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// ... and `--collector.filesystem.mount-points-exclude`: these and what lies below them...
const LEFT_OUT_PLACES: [&str; 3] = ["/dev", "/proc", "/sys"];
/// ... and what lies below these.
const LEFT_OUT_BELOW: [&str; 3] = ["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"];

#[derive(Debug, PartialEq)]
pub(super) struct Listed<'a> {
    id: u64,
    number: (&'a str, &'a str),
    point: String,
    device: &'a str,
    kind: &'a str,
    read_only: bool,
}

pub(super) fn filesystem(host: &HostRoot, out: &mut Out<'_>) -> Result<(), CollectError> {
    let (file, view) = host.read_of_init("mountinfo")?;
    let mut mounts = parse(&file)?;
    let found = mounts.len();
    let mut seen = HashSet::new();
    mounts.retain(|mount| seen.insert((mount.device, mount.point.clone(), mount.kind)));
    mounts.truncate(MOST_MOUNTS);
    for mount in &mounts {
        let (major, minor) = mount.number;
        let [device, major, minor, point] = [mount.device, major, minor, &mount.point].map(Value::Str);
        out.put("node_filesystem_mount_info", &[device, major, minor, point], 1.0);
    }
    if FILESYSTEM.iter().take(7).any(|row| out.takes(row.name)) {
        let known = parse_all(&file, view)?;
        let known: HashMap<u64, Question<'_>> =
            known.iter().map(Mount::question).map(|question| (question.mount, question)).collect();
        mounts.retain(|mount| known.contains_key(&mount.id));
        let questions: Vec<Question<'_>> =
            mounts.iter().filter_map(|mount| known.get(&mount.id).copied()).collect();
        for (mount, answer) in mounts.iter().zip(host.spaces(&questions)?) {
            tell(out, mount, &answer);
        }
    }
    at_most(MOST_MOUNTS, found, &file.path(), "file systems")
}

fn tell(out: &mut Out<'_>, mount: &Listed<'_>, answer: &Answer) {
    let numbers = numbers(answer);
    let error = numbers.as_ref().err().map_or("", String::as_str);
    let labels = [mount.device, &mount.point, mount.kind, error].map(Value::Str);
    for (row, number) in FILESYSTEM.iter().zip(numbers.iter().flatten()) {
        out.put(row.name, &labels, *number);
    }
    out.put("node_filesystem_readonly", &labels, f64::from(u8::from(mount.read_only)));
    out.put("node_filesystem_device_error", &labels, f64::from(u8::from(numbers.is_err())));
}

/// `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw`, those that are left out aside.
pub(super) fn parse<'a>(file: &'a HostFile<'_>) -> Result<Vec<Listed<'a>>, CollectError> {
    let expected = "a mount point and options, then - type source options";
    let mut mounts = Vec::new();
    for line in file.lines() {
        let mount = parse_line(line).ok_or_else(|| file.malformed(expected, line))?;
        if !is_left_out(&mount) {
            mounts.push(mount);
        }
    }
    Ok(mounts)
}

fn parse_line(line: &str) -> Option<Listed<'_>> {
    let (mounted, filesystem) = line.split_once(" - ")?;
    let mut mounted = mounted.split(' ');
    let (id, _parent) = (mounted.next()?.parse().ok()?, mounted.next()?);
    let number = mounted.next()?.split_once(':')?;
    let (_root, point, options) = (mounted.next()?, mounted.next()?, mounted.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, device) = (filesystem.next()?, filesystem.next()?);
    let point = point.replace("\\040", " ").replace("\\011", "\t");
    let read_only = options.split(',').any(|option| option == "ro");
    Some(Listed { id, number, point, device, kind, read_only })
}

fn is_left_out(mount: &Listed<'_>) -> bool {
    let at_or_below = |place: &&str| {
        mount.point.strip_prefix(*place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let below = |place: &&str| mount.point.strip_prefix(*place).is_some_and(|rest| !rest.is_empty());
    LEFT_OUT_TYPES.contains(&mount.kind)
        || LEFT_OUT_PLACES.iter().any(at_or_below)
        || LEFT_OUT_BELOW.iter().any(below)
}

/// Size, free and available bytes, inodes and free ones; or the text of `device_error`.
fn numbers(answer: &Answer) -> Result<[f64; 5], String> {
    match answer {
        Answer::Space(space) => {
            let bytes = |blocks: u64| blocks as f64 * space.block_bytes as f64;
            let [files, free_files] = [space.files, space.free_files].map(|inodes| inodes as f64);
            Ok([bytes(space.blocks), bytes(space.free), bytes(space.available), files, free_files])
        }
        Answer::Refused(errno) => Err(errno.to_string()),
        Answer::Stuck | Answer::NotAsked => Err("mountpoint timeout".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_chosen_as_node_exporter_chooses_them() {
        for (point, kind, told) in [
            ("/", "ext4", true),
            ("/run", "tmpfs", true),
            ("/dev/shm", "tmpfs", false),
            ("/device", "ext4", true),
            ("/run/credentials", "ramfs", true),
            ("/run/credentials/x.service", "ramfs", false),
            ("/var/lib/docker/volumes/x", "ext4", false),
            ("/srv", "nfs4", true),
            ("/x", "overlay", false),
        ] {
            let line = format!("27 1 254:0 / {point} rw,relatime shared:1 - {kind} /dev/vda rw\n");
            let file = HostFile::new("/proc/1/mountinfo", line);
            assert_eq!(parse(&file).unwrap().len(), usize::from(told), "{point} {kind}");
        }
    }
}
