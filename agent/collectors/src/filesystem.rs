//! Space, inodes and errors of mounted file systems, from `/proc/1/mountinfo`, `statvfs` and `/sys/fs/ext4`.
//!
//! A file system that does not answer costs its own answer: it is told as stuck, and the others are told all the same
//! (see `ask_mount`). One that turned read-only is told as another series, because its mode is an attribute.

mod mounts;

use std::collections::{BTreeMap, BTreeSet};

use telemetry::{SampleBuffer, Value};

use crate::ask_mount::{Answer, Question, Space};
use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, at_most};
use crate::host::{HostFile, HostRoot};
use crate::names;

use mounts::unescape;
pub(crate) use mounts::{Mount, parse, parse_all};

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "filesystem",
    summary: "Space, inodes and errors of file systems, and which of them do not answer.",
    metrics: &[
        &names::FILESYSTEM_LIMIT,
        &names::FILESYSTEM_USAGE,
        &names::FILESYSTEM_UTILIZATION,
        &names::FILESYSTEM_INODES_USAGE,
        &names::FILESYSTEM_STUCK,
        &names::FILESYSTEM_ERROR_COUNT,
    ],
    interval: None,
    open: |_, _| Ok(Box::new(Filesystem)),
};

/// Mounts that are reported, 10 series each; beyond it the collector fails after reporting so many.
const MOST_MOUNTS: usize = 500;

struct Filesystem;

impl Collector for Filesystem {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let (file, view) = host.read_of_init("mountinfo")?;
        let mut mounts = parse(&file, view)?;
        let mut first_error = at_most(MOST_MOUNTS, mounts.len(), &file.path(), "file systems").err();
        mounts::keep(&mut mounts, MOST_MOUNTS);
        let questions: Vec<Question<'_>> = mounts.iter().map(Mount::question).collect();
        let mut filesystems = Vec::new();
        let mut stuck = Vec::new();
        for (mount, answer) in mounts.iter().zip(host.spaces(&questions)?) {
            match answer {
                Answer::Space(space) if space.blocks > 0 => filesystems.push((mount, space)),
                Answer::Space(_) => {}
                Answer::Stuck => stuck.push(mount),
                Answer::Refused(errno) => first_error = first_error.or_else(|| refused(host, mount, errno)),
                Answer::NotAsked => first_error = first_error.or(Some(CollectError::NotAsked)),
            }
        }
        report(&filesystems, out);
        for (mount, _) in &filesystems {
            out.int(&names::FILESYSTEM_STUCK, &[Value::Str(&mount.point)], 0);
        }
        for mount in stuck {
            out.int(&names::FILESYSTEM_STUCK, &[Value::Str(&mount.point)], 1);
        }
        errors(host, &mounts, out)?;
        first_error.map_or(Ok(()), Err)
    }
}

/// `None` when the mount is gone or hidden from this user.
fn refused(host: &HostRoot, mount: &Mount, source: rustix::io::Errno) -> Option<CollectError> {
    let error = CollectError::Read { path: crate::host::display(&host.path(&mount.point)), source };
    (!error.is_out_of_reach()).then_some(error)
}

/// The errors that ext4 counts for each device. Other file systems keep no such count.
fn errors(host: &HostRoot, mounts: &[Mount], out: &mut SampleBuffer) -> Result<(), CollectError> {
    let mut counted = BTreeSet::new();
    let mut mounts = mounts
        .iter()
        .filter(|mount| mount.kind.starts_with("ext") && counted.insert(mount.number.as_str()))
        .peekable();
    if mounts.peek().is_none() {
        return Ok(());
    }
    let Some(devices) = host.read_optional("proc/diskstats")? else { return Ok(()) };
    for mount in mounts {
        let Some(name) = device_name(&devices, &mount.number) else { continue };
        if let Some(file) = host.read_optional(format!("sys/fs/ext4/{name}/errors_count"))? {
            out.int(
                &names::FILESYSTEM_ERROR_COUNT,
                &[Value::Str(&mount.device)],
                file.first_number("a number")?,
            );
        }
    }
    Ok(())
}

/// What the kernel calls the device of this number, `254:0`: the third word of its line in `/proc/diskstats`.
pub(crate) fn device_name<'a>(file: &'a HostFile<'_>, number: &str) -> Option<&'a str> {
    let (major, minor) = number.split_once(':')?;
    file.text().lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.next()? == major && fields.next()? == minor).then(|| fields.next())?
    })
}

impl HostRoot {
    /// Asks mounts how full they are: one answer per question, in their order.
    ///
    /// # Errors
    ///
    /// What was captured of the host cannot be read.
    pub(crate) fn spaces(&self, questions: &[Question<'_>]) -> Result<Vec<Answer>, CollectError> {
        if !self.is_captured() {
            return Ok(self.mounts().ask(questions, |point| self.path(point)));
        }
        let captured = parse_statvfs(&self.read("statvfs")?)?;
        let gone = Answer::Refused(rustix::io::Errno::NOENT);
        let answer = |space: &Space| Answer::Space(*space);
        Ok(questions.iter().map(|question| captured.get(question.point).map_or(gone, answer)).collect())
    }
}

fn report(filesystems: &[(&Mount, Space)], out: &mut SampleBuffer) {
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

#[cfg(test)]
mod tests;
