//! Chooses which processes are reported.

use std::cmp::Reverse;

/// What a process cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) pid: u32,
    /// CPU spent since the last cycle.
    pub(super) cpu_ticks: u64,
    pub(super) resident_pages: u64,
}

/// The `top` processes by CPU and the `top` by memory, each once, sorted by number; at equal cost the lower number.
pub(super) fn costliest(costs: &mut [Cost], top: usize) -> Vec<u32> {
    costs.sort_unstable_by_key(|cost| (Reverse(cost.cpu_ticks), cost.pid));
    let mut chosen: Vec<u32> = costs.iter().take(top).map(|cost| cost.pid).collect();
    costs.sort_unstable_by_key(|cost| (Reverse(cost.resident_pages), cost.pid));
    chosen.extend(costs.iter().take(top).map(|cost| cost.pid));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_and_the_largest_are_chosen_once_each() {
        let cost = |pid, cpu_ticks, resident_pages| Cost { pid, cpu_ticks, resident_pages };
        let mut costs = [cost(1, 0, 5), cost(2, 9, 1), cost(3, 9, 9), cost(4, 0, 9), cost(5, 1, 0)];
        assert_eq!(costliest(&mut costs, 1), [2, 3]);
        assert_eq!(costliest(&mut costs, 2), [2, 3, 4]);
        assert_eq!(costliest(&mut costs, 0), [0; 0]);
        assert_eq!(costliest(&mut costs, 99), [1, 2, 3, 4, 5]);
    }
}
