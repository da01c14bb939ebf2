//! Space and inodes of mounted file systems, from `/proc/1/mountinfo` and `statvfs`.
//!
//! Only file systems that keep data are asked. Those that a server, a hypervisor, a cluster or a program answers for are
//! not, nor what is mounted below them: `statvfs` waits without end when that one is gone, and it must not stop the
//! collection. Their space is not told for now; a type that is not listed here is taken for a local one.

mod mounts;

use std::collections::BTreeMap;

use telemetry::{SampleBuffer, Value};

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::names;

use mounts::{Mount, unescape};
pub(crate) use mounts::{may_hang, parse};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "filesystem",
    summary: "Space and inodes of local file systems.",
    metrics: &[
        &names::FILESYSTEM_LIMIT,
        &names::FILESYSTEM_USAGE,
        &names::FILESYSTEM_UTILIZATION,
        &names::FILESYSTEM_INODES_USAGE,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Filesystem)),
};

/// Mounts that are reported, 9 series each; beyond it the collector fails after reporting so many.
const MOST_MOUNTS: usize = 500;

struct Filesystem;

impl Collector for Filesystem {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (file, view) = host.read_of_init("mountinfo")?;
        let mounts = parse(&file, view)?;
        let mut first_error = at_most(MOST_MOUNTS, mounts.len(), &file.path(), "file systems").err();
        let captured = if host.is_captured() { Some(parse_statvfs(&host.read("statvfs")?)?) } else { None };
        let mut filesystems = Vec::new();
        for mount in mounts.into_iter().take(MOST_MOUNTS) {
            let space = match &captured {
                Some(spaces) => Ok(spaces.get(&mount.point).copied()),
                None => ask(host, &mount.point),
            };
            match space {
                Ok(space) => {
                    filesystems.extend(space.filter(|space| space.blocks > 0).map(|space| (mount, space)));
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        report(&filesystems, out);
        first_error.map_or(Ok(()), Err)
    }
}

fn report(filesystems: &[(Mount, Space)], out: &mut SampleBuffer) {
    for (mount, space) in filesystems {
        let [device, kind, mode, point] = mount.values();
        out.int(&names::FILESYSTEM_LIMIT, &[device, kind, mode, point], space.bytes(space.blocks));
    }
    for (mount, space) in filesystems {
        let [device, kind, mode, point] = mount.values();
        for (state, blocks) in space.states() {
            let values = [device, Value::Str(state), kind, mode, point];
            out.int(&names::FILESYSTEM_USAGE, &values, space.bytes(blocks));
        }
    }
    for (mount, space) in filesystems {
        let [device, kind, mode, point] = mount.values();
        for (state, blocks) in space.states() {
            let values = [device, Value::Str(state), kind, mode, point];
            out.double(&names::FILESYSTEM_UTILIZATION, &values, blocks as f64 / space.blocks as f64);
        }
    }
    // btrfs makes inodes as it needs them and says 0.
    for (mount, space) in filesystems.iter().filter(|(_, space)| space.files > 0) {
        let [device, kind, mode, point] = mount.values();
        for (state, inodes) in
            [("used", space.files.saturating_sub(space.free_files)), ("free", space.free_files)]
        {
            let values = [device, mode, point, kind, Value::Str(state)];
            out.int(&names::FILESYSTEM_INODES_USAGE, &values, inodes as i64);
        }
    }
}

/// What `statvfs(3)` says of a file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    block_bytes: u64,
    blocks: u64,
    free: u64,
    available: u64,
    files: u64,
    free_files: u64,
}

impl Space {
    fn bytes(&self, blocks: u64) -> i64 {
        blocks.saturating_mul(self.block_bytes) as i64
    }

    fn states(&self) -> [(&'static str, u64); 3] {
        [
            ("used", self.blocks.saturating_sub(self.free)),
            ("free", self.available),
            ("reserved", self.free.saturating_sub(self.available)),
        ]
    }
}

/// `None` when the mount is gone or hidden from this user.
fn ask(host: &HostRoot, mount_point: &str) -> Result<Option<Space>, CollectError> {
    let path = host.path(mount_point);
    match rustix::fs::statvfs(&path) {
        Ok(stat) => Ok(Some(Space {
            block_bytes: stat.f_frsize,
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            files: stat.f_files,
            free_files: stat.f_ffree,
        })),
        Err(source) => {
            let error = CollectError::Read { path: crate::host::display(&path), source };
            if error.is_out_of_reach() { Ok(None) } else { Err(error) }
        }
    }
}

/// Parses a captured `statvfs` file: per line block size, blocks, free and available blocks, inodes and free inodes,
/// then the mount point as mountinfo spells it.
pub(crate) fn parse_statvfs(file: &HostFile<'_>) -> Result<BTreeMap<String, Space>, CollectError> {
    let expected = "six numbers and a mount point";
    file.lines()
        .map(|line| {
            let mut fields = line.split(' ');
            let mut next = || file.number(&mut fields, expected, line);
            let space = Space {
                block_bytes: next()?,
                blocks: next()?,
                free: next()?,
                available: next()?,
                files: next()?,
                free_files: next()?,
            };
            let point = fields.next().ok_or_else(|| file.malformed(expected, line))?;
            Ok((unescape(point), space))
        })
        .collect()
}
