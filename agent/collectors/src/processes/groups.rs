//! What the processes of each systemd unit cost together, and all others: `other`.
//!
//! A group's counters grow by what its members used while they were in it, so they keep what a member had contributed
//! when it ends, and begin at 0 when the group is first seen. A group without members stays for a while, for a timer's
//! unit to come back to.

use std::time::Duration;

use telemetry::{SampleBuffer, Timestamp, Value};

use super::StateCounts;
use crate::names;

/// Groups at most: more than a host has units with processes, unless it runs hundreds of containers. What does not fit
/// counts in `other`, and the collector fails.
pub(super) const MOST_GROUPS: usize = 500;

/// A group that has had no process for so long is forgotten.
const EMPTY_FOR: Duration = Duration::from_mins(10);

/// Processes that are in no unit.
const OTHER: &str = "other";

/// What processes used up: the sum of what members used while they were in a group, or what one process did in a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) user_ticks: u64,
    pub(super) system_ticks: u64,
    pub(super) wait_ticks: u64,
    pub(super) minor_faults: u64,
    pub(super) major_faults: u64,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

impl Used {
    pub(super) fn add(&mut self, more: &Self) {
        let pairs = [
            (&mut self.user_ticks, more.user_ticks),
            (&mut self.system_ticks, more.system_ticks),
            (&mut self.wait_ticks, more.wait_ticks),
            (&mut self.minor_faults, more.minor_faults),
            (&mut self.major_faults, more.major_faults),
            (&mut self.read_bytes, more.read_bytes),
            (&mut self.written_bytes, more.written_bytes),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What a process has and is at this moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Has {
    pub(super) state: u8,
    pub(super) resident_pages: u64,
    pub(super) threads: u64,
    pub(super) descriptors: u64,
}

/// Where a group stands; as long as it has members, always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(u32);

#[derive(Debug)]
struct Group {
    name: Box<str>,
    since: Timestamp,
    populated: Timestamp,
    used: Used,
    states: StateCounts,
    uninterruptible: i64,
    resident_pages: u64,
    threads: u64,
    descriptors: u64,
}

/// All groups. The first is `other`.
#[derive(Debug, Default)]
pub(super) struct Groups {
    slots: Vec<Option<Group>>,
    now: Timestamp,
    /// When the cycle before was; the time of the first for itself.
    before: Option<Timestamp>,
    /// How many groups had no room.
    refused: usize,
}

/// How the figures of a kernel are turned into those of metrics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) ticks_per_second: f64,
    pub(super) page_size_bytes: u64,
    /// Whether the kernel accounts for delays; without it all waiting times are 0 and say nothing.
    pub(super) waits_are_counted: bool,
    pub(super) has_descriptor_sizes: bool,
    /// Whether disk I/O of any process can be read.
    pub(super) io_is_read: bool,
}

impl Groups {
    /// Begins a cycle: nobody is there yet.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.before = Some(if self.before.is_none() { now } else { self.now });
        self.now = now;
        self.refused = 0;
        for group in self.slots.iter_mut().flatten() {
            (group.states, group.uninterruptible) = (StateCounts::default(), 0);
            (group.resident_pages, group.threads, group.descriptors) = (0, 0, 0);
        }
        if self.slots.is_empty() {
            self.insert(OTHER);
        }
    }

    /// The group of this unit, or of no unit. A group that is new was not there in the cycle before, so its counters
    /// began then.
    pub(super) fn find(&mut self, unit: Option<&str>) -> GroupId {
        let Some(unit) = unit else { return GroupId(0) };
        let mut known =
            self.slots.iter().position(|group| group.as_ref().is_some_and(|group| *group.name == *unit));
        if known.is_none() {
            known = self.insert(unit);
        }
        self.refused += usize::from(known.is_none());
        GroupId(known.unwrap_or(0) as u32)
    }

    fn insert(&mut self, name: &str) -> Option<usize> {
        let group = Group {
            name: name.into(),
            since: self.before.unwrap_or(self.now),
            populated: self.now,
            used: Used::default(),
            states: StateCounts::default(),
            uninterruptible: 0,
            resident_pages: 0,
            threads: 0,
            descriptors: 0,
        };
        if let Some(free) = self.slots.iter().position(Option::is_none) {
            self.slots.get_mut(free)?.replace(group);
            return Some(free);
        }
        if self.slots.len() >= MOST_GROUPS {
            return None;
        }
        self.slots.push(Some(group));
        Some(self.slots.len() - 1)
    }

    /// Counts a member that is there now.
    pub(super) fn count(&mut self, id: GroupId, has: &Has) {
        let now = self.now;
        let Some(group) = self.group(id) else { return };
        group.populated = now;
        group.states.add(has.state);
        group.uninterruptible += i64::from(has.state == b'D');
        group.resident_pages = group.resident_pages.saturating_add(has.resident_pages);
        group.threads = group.threads.saturating_add(has.threads);
        group.descriptors = group.descriptors.saturating_add(has.descriptors);
    }

    /// Adds what a member used since the cycle before.
    pub(super) fn add(&mut self, id: GroupId, used: &Used) {
        if let Some(group) = self.group(id) {
            group.used.add(used);
        }
    }

    fn group(&mut self, id: GroupId) -> Option<&mut Group> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// Forgets groups that have long been empty and says how many had no room.
    pub(super) fn finish(&mut self) -> usize {
        let now = self.now;
        for slot in self.slots.iter_mut().skip(1) {
            slot.take_if(|group| now.since(group.populated) > EMPTY_FOR);
        }
        self.refused
    }

    pub(super) fn report(&self, scale: &Scale, out: &mut SampleBuffer) {
        for group in self.slots.iter().flatten() {
            out.entity(&names::PROCESS_GROUP, group.since, &[Value::Str(&group.name)]);
            group.report(scale, out);
        }
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> impl Iterator<Item = (&str, Timestamp, Used)> {
        self.slots.iter().flatten().map(|group| (&*group.name, group.since, group.used))
    }
}

impl Group {
    fn report(&self, scale: &Scale, out: &mut SampleBuffer) {
        let seconds = |ticks: u64| ticks as f64 / scale.ticks_per_second;
        let used = &self.used;
        out.double(&names::GROUP_CPU_TIME, &[Value::Str("user")], seconds(used.user_ticks));
        out.double(&names::GROUP_CPU_TIME, &[Value::Str("system")], seconds(used.system_ticks));
        if scale.waits_are_counted {
            out.double(&names::GROUP_CPU_TIME, &[Value::Str("wait")], seconds(used.wait_ticks));
        }
        out.int(&names::GROUP_PAGING_FAULTS, &[Value::Str("major")], used.major_faults as i64);
        out.int(&names::GROUP_PAGING_FAULTS, &[Value::Str("minor")], used.minor_faults as i64);
        if scale.io_is_read {
            out.int(&names::GROUP_DISK_IO, &[Value::Str("read")], used.read_bytes as i64);
            out.int(&names::GROUP_DISK_IO, &[Value::Str("write")], used.written_bytes as i64);
        }
        for (state, count) in self.states.states() {
            out.int(&names::GROUP_COUNT, &[Value::Str(state)], count);
        }
        out.int(&names::GROUP_UNINTERRUPTIBLE, &[], self.uninterruptible);
        let bytes = self.resident_pages.saturating_mul(scale.page_size_bytes);
        out.int(&names::GROUP_MEMORY_USAGE, &[], bytes as i64);
        out.int(&names::GROUP_THREAD_COUNT, &[], self.threads as i64);
        if scale.has_descriptor_sizes {
            out.int(&names::GROUP_DESCRIPTOR_COUNT, &[], self.descriptors as i64);
        }
    }
}

#[cfg(test)]
mod tests;
