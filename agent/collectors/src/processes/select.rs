//! Chooses which processes are reported.

use std::cmp::Reverse;

/// By what processes are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// CPU time since the last cycle.
    Cpu,
    /// Resident memory.
    Memory,
    /// Bytes read and written since the last cycle.
    DiskIo,
    /// Open descriptors.
    Descriptors,
}

/// What a process cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Where the process stands.
    pub(super) at: usize,
    pub(super) cpu_ticks: u64,
    pub(super) resident_pages: u64,
    pub(super) io_bytes: u64,
    pub(super) descriptors: u64,
}

impl Cost {
    fn of(&self, by: By) -> u64 {
        match by {
            By::Cpu => self.cpu_ticks,
            By::Memory => self.resident_pages,
            By::DiskIo => self.io_bytes,
            By::Descriptors => self.descriptors,
        }
    }
}

/// Tells the `top` processes by each measure, in no particular order; at equal cost those that stand first. What costs
/// nothing is not chosen.
pub(super) fn costliest(costs: &mut [Cost], top: usize, mut chosen: impl FnMut(usize, By)) {
    for by in [By::Cpu, By::Memory, By::DiskIo, By::Descriptors] {
        if top < costs.len() {
            costs.select_nth_unstable_by_key(top, |cost| (Reverse(cost.of(by)), cost.at));
        }
        for cost in costs.iter().take(top).filter(|cost| cost.of(by) > 0) {
            chosen(cost.at, by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costliest_by_each_measure_are_chosen() {
        let cost = |at, cpu_ticks, resident_pages, io_bytes, descriptors| Cost {
            at,
            cpu_ticks,
            resident_pages,
            io_bytes,
            descriptors,
        };
        let mut costs = [
            cost(1, 0, 5, 0, 1),
            cost(2, 9, 1, 0, 7),
            cost(3, 9, 9, 0, 2),
            cost(4, 0, 9, 3, 7),
            cost(5, 1, 0, 0, 1),
        ];
        let mut chosen = |top| {
            let mut chosen = Vec::new();
            costliest(&mut costs, top, |at, by| chosen.push((by as u8, at)));
            chosen.sort_unstable();
            chosen.into_iter().map(|(_, at)| at).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1), [2, 3, 4, 2]);
        assert_eq!(chosen(2), [2, 3, 3, 4, 4, 2, 4]);
        assert_eq!(chosen(0), [0; 0]);
        assert_eq!(chosen(99).len(), 3 + 4 + 1 + 5);
    }
}
