//! Collects the figures of all cgroups of one kind.
//!
//! They are listed every half minute and whenever one of them turns out to be gone, and read in between by their paths.

use std::path::PathBuf;
use std::time::Duration;

use telemetry::{SampleBuffer, Timestamp};

use super::figures::partitions;
use super::member::{DeviceNames, Fate, Member, Reader};
use super::mounts::{self, Mounts};
use super::sources::{self, Source};
use super::tree::{self, Found, Kind, Listing, Owner};
use crate::collector::Collector;
use crate::cpu;
use crate::error::{CollectError, at_most};
use crate::host::{HostRoot, display};
use crate::names::CgroupMetrics;
use crate::processes::{since_boot, stat};

/// How often the cgroups are listed and their limits read: of a hundred that costs a millisecond, of which reading them
/// costs a fifth while they sleep.
const LISTED_EVERY: Duration = Duration::from_secs(30);

/// Units, or containers, that are told of, some forty series each; beyond it the collector fails after so many.
const MOST_MEMBERS: usize = 500;

/// Processes of a cgroup among which the oldest is looked for.
const MOST_PROCESSES: usize = 64;

/// Block devices whose names are remembered.
const MOST_DEVICE_NAMES: usize = 4096;

/// Where systemd leaves a link for each unit that it has started, made anew with each start.
const INVOCATIONS: &str = "run/systemd/units/invocation:";

/// The cgroups of one kind.
pub(crate) struct Cgroups {
    kind: Kind,
    metrics: &'static CgroupMetrics,
    mounts: Mounts,
    sources: Vec<Source>,
    reader: Reader,
    /// Sorted by path.
    members: Vec<Member>,
    devices: DeviceNames,
    listed_at: Option<Timestamp>,
    /// Where they are, and how many there were when they were listed, told of or not.
    tree: String,
    count: usize,
    /// How many directories were looked into, if there were more.
    cut_at: Option<usize>,
}

impl Cgroups {
    /// Finds the hierarchies.
    ///
    /// # Errors
    ///
    /// [`CollectError::Absent`] where none is mounted; else why the mounts cannot be read.
    pub(crate) fn open(
        host: &HostRoot,
        kind: Kind,
        metrics: &'static CgroupMetrics,
    ) -> Result<Self, CollectError> {
        let mounts = mounts::parse(&host.read_of_init("mountinfo")?.0);
        let sources = sources::of(&mounts, host);
        if sources.is_empty() {
            return Err(CollectError::Absent { what: "cgroups" });
        }
        Ok(Self {
            kind,
            metrics,
            mounts,
            sources,
            reader: Reader::new(host.descriptors_of_cgroups().clone()),
            members: Vec::new(),
            devices: DeviceNames::new(),
            listed_at: None,
            tree: String::new(),
            count: 0,
            cut_at: None,
        })
    }

    /// Lists the cgroups anew: those that are there still keep what is known of them.
    fn list(&mut self, host: &HostRoot, at: Timestamp) -> Result<(), CollectError> {
        self.listed_at = Some(at);
        let (tree, Listing { mut found, cut_at }) = self.find(host)?;
        (self.tree, self.cut_at) = (display(&tree), cut_at);
        self.count = found.len();
        found.truncate(MOST_MEMBERS);
        let mut before = std::mem::take(&mut self.members).into_iter().peekable();
        for found in found {
            while before.next_if(|member| member.found.path < found.path).is_some() {}
            let known =
                before.next_if(|member| member.found.path == found.path && member.found.inode == found.inode);
            self.members.push(if let Some(mut member) = known {
                member.listed_again(found.inherited_memory_limit);
                member
            } else {
                let start = start_of(host, &found, &tree).unwrap_or(at).min(at);
                Member::new(found, start, &self.sources)
            });
        }
        self.name_devices(host)
    }

    /// In the first hierarchy that has any.
    fn find(&self, host: &HostRoot) -> Result<(PathBuf, Listing), CollectError> {
        for mount_point in self.mounts.trees() {
            let tree = host.path(mount_point);
            match tree::list(&tree, self.kind) {
                Ok(listing) if !listing.found.is_empty() || listing.cut_at.is_some() => {
                    return Ok((tree, listing));
                }
                Ok(_) => {}
                // Mounted elsewhere, as in a container that sees the host's mounts and not what they lead to.
                Err(error) if error.is_out_of_reach() => {}
                Err(error) => return Err(error),
            }
        }
        Ok((PathBuf::new(), Listing::default()))
    }

    fn name_devices(&mut self, host: &HostRoot) -> Result<(), CollectError> {
        let Some(file) = host.read_optional("proc/partitions")? else { return Ok(()) };
        let known = &mut self.devices;
        for (device, name) in partitions(file.text()).take(MOST_DEVICE_NAMES) {
            if known.get(&device).is_none_or(|known| known != name) {
                known.insert(device, name.to_owned());
            }
        }
        Ok(())
    }

    /// Reads all, and says whether one of them is gone.
    fn read(&mut self, at: Timestamp, wanted: &[bool]) -> (bool, Result<(), CollectError>) {
        let Self { members, sources, reader, .. } = self;
        let mut result = Ok(());
        let living = members.len();
        members.retain_mut(|member| match member.read_first(at, sources, reader) {
            Ok(fate) => fate == Fate::Lives,
            Err(error) => {
                if result.is_ok() {
                    result = Err(error);
                }
                true
            }
        });
        for member in &mut *members {
            let rest = member.read_rest(at, sources, wanted, reader);
            result = std::mem::replace(&mut result, Ok(())).and(rest);
        }
        (members.len() < living, result)
    }
}

impl Collector for Cgroups {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let at = out.at();
        let is_due = self.listed_at.is_none_or(|listed| at.since(listed) >= LISTED_EVERY || at < listed);
        if is_due {
            self.list(host, at)?;
        }
        let wanted: Vec<bool> =
            self.sources.iter().map(|source| source.is_wanted(self.metrics, out)).collect();
        let (one_is_gone, mut result) = self.read(at, &wanted);
        if one_is_gone && !is_due {
            // What took its place is there already, most likely: systemd restarts at once.
            self.list(host, at)?;
            let (_, again) = self.read(at, &wanted);
            result = result.and(again);
        }
        if self.members.is_empty() && self.cut_at.is_none() {
            return Err(CollectError::Absent { what: "cgroups of this kind" });
        }
        for member in &self.members {
            member.report(self.metrics, &self.devices, out);
        }
        out.host();
        result?;
        if let Some(limit) = self.cut_at {
            return Err(CollectError::TooMany { path: self.tree.clone(), what: "directories", limit });
        }
        at_most(MOST_MEMBERS, self.count, &self.tree, self.kind.plural())
    }
}

/// When the counters of a cgroup began. The kernel does not say when it made a directory; systemd's link for the unit is
/// as old as the unit's start, and the oldest of its processes not much younger than the cgroup.
fn start_of(host: &HostRoot, found: &Found, tree: &std::path::Path) -> Option<Timestamp> {
    let name = match &found.owner {
        Owner::Unit { name, user: None } => Some(name.as_str()),
        Owner::Container { .. } => found.path.rsplit('/').next(),
        Owner::Unit { .. } => None,
    };
    // A captured link is as old as the capture.
    let link = name.filter(|_| !host.is_captured()).and_then(|name| {
        let status = rustix::fs::lstat(host.path(format!("{INVOCATIONS}{name}"))).ok()?;
        let seconds = Duration::from_secs(u64::try_from(status.st_mtime).ok()?);
        Some(Timestamp::EPOCH.plus(seconds + Duration::from_nanos(status.st_mtime_nsec)))
    });
    link.or_else(|| oldest_process(host, &tree.join(&found.path)))
}

fn oldest_process(host: &HostRoot, cgroup: &std::path::Path) -> Option<Timestamp> {
    let pids = std::fs::read_to_string(cgroup.join("cgroup.procs")).ok()?;
    let started = pids.lines().take(MOST_PROCESSES).filter_map(|pid| {
        let file = host.read(format!("proc/{}/stat", pid.parse::<u32>().ok()?)).ok()?;
        Some(stat::parse(file.text().as_bytes())?.start_ticks)
    });
    Some(cpu::boot_time(host).ok()?.plus(since_boot(started.min()?, host)))
}

#[cfg(test)]
mod tests;
