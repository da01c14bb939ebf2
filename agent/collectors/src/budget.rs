//! How much longer intervals become so that the agent stays within what it may take from the host.
//!
//! A pure step from one measurement to the next: intervals double before the budget is exceeded, and halve when there has
//! been room for a while. What would surprise: CPU time that collecting does not take, such as that of receiving, does not make
//! intervals longer, because that would give none of it back.

use crate::error::CollectError;
use crate::host::HostRoot;

/// Intervals become so many times as long at most.
const MOST_STRETCHED: u32 = 16;

/// From this part of the budget on intervals become longer.
const FULL: f64 = 0.8;

/// Below this part of it, as it is expected with shorter intervals, they become shorter.
const ROOM: f64 = 0.7;

/// The same for memory, of which longer intervals give back little and late.
const FULL_MEMORY: f64 = 0.9;

/// The same.
const ROOM_MEMORY: f64 = 0.8;

/// Collecting has to take so much of the agent's CPU time that longer intervals help.
const MATTERS: f64 = 0.25;

/// Below this it does not matter any more.
const MATTERS_NOT: f64 = 0.2;

/// Measurements in a row that must find room.
const CALM: u32 = 6;

/// What the agent may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// CPUs: 0.05 is a twentieth of one CPU.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
}

/// 5 % of a CPU, five times what a host with a thousand processes costs if it is read each second. 96 MiB, three times what it needs with
/// everything on, and a quarter less than systemd lets the packaged agent have.
impl Default for Budget {
    fn default() -> Self {
        Self { cpu: 0.05, memory: 96 << 20 }
    }
}

/// What it has taken since the last measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPUs, on average.
    pub cpu: f64,
    /// Those of them that collecting took.
    pub collecting: f64,
    /// Resident memory, in bytes.
    pub memory: u64,
}

/// How many times as long as configured intervals are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    factor: u32,
    calm: u32,
}

impl Default for Stretch {
    fn default() -> Self {
        Self { factor: 1, calm: 0 }
    }
}

impl Stretch {
    /// A power of two, 1 to 16.
    pub fn factor(self) -> u32 {
        self.factor
    }

    /// What follows from a measurement.
    #[must_use]
    pub fn step(self, usage: Usage, budget: Budget) -> Self {
        let memory = usage.memory as f64 / budget.memory.max(1) as f64;
        let is_full = usage.cpu >= budget.cpu * FULL && usage.collecting >= usage.cpu * MATTERS;
        if is_full || memory >= FULL_MEMORY {
            return Self { factor: (self.factor * 2).min(MOST_STRETCHED), calm: 0 };
        }
        // With intervals half as long collecting takes twice as much.
        let (cpu, collecting) = (usage.cpu + usage.collecting, usage.collecting * 2.0);
        let has_room = cpu < budget.cpu * ROOM || collecting < cpu * MATTERS_NOT;
        if self.factor == 1 || !has_room || memory >= ROOM_MEMORY {
            return Self { calm: 0, ..self };
        }
        if self.calm + 1 < CALM {
            return Self { calm: self.calm + 1, ..self };
        }
        Self { factor: self.factor / 2, calm: 0 }
    }
}

/// The resident memory of this program, in bytes.
///
/// # Errors
///
/// `/proc/self/statm` cannot be read.
pub fn own_memory(host: &HostRoot) -> Result<u64, CollectError> {
    let file = host.read("proc/self/statm")?;
    let pages: u64 =
        file.number(&mut file.text().split_ascii_whitespace().skip(1), "resident pages", file.text())?;
    Ok(pages.saturating_mul(host.page_size_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUDGET: Budget = Budget { cpu: 0.02, memory: 100 << 20 };

    /// What is used when collecting unstretched takes `work` CPUs, and the rest `other`.
    fn usage(stretch: Stretch, work: f64, other: f64, memory: u64) -> Usage {
        let collecting = work / f64::from(stretch.factor());
        Usage { cpu: collecting + other, collecting, memory }
    }

    fn after(steps: u32, work: f64, other: f64, memory: u64) -> Stretch {
        (0..steps)
            .fold(Stretch::default(), |stretch, _| stretch.step(usage(stretch, work, other, memory), BUDGET))
    }

    #[test]
    fn intervals_grow_before_the_budget_is_exceeded_and_no_further_than_needed() {
        for (work, factor) in [(0.001, 1), (0.014, 1), (0.017, 2), (0.05, 4), (0.1, 8), (10.0, 16)] {
            assert_eq!(after(100, work, 0.001, 0).factor(), factor, "{work}");
        }
    }

    #[test]
    fn what_others_than_collecting_take_does_not_stretch_it() {
        assert_eq!(after(100, 0.005, 0.5, 0).factor(), 1);
        let stretched = after(100, 0.1, 0.001, 0);
        let steps = |stretch: Stretch| stretch.step(usage(stretch, 0.005, 0.5, 0), BUDGET);
        assert_eq!((0..100).fold(stretched, |stretch, _| steps(stretch)).factor(), 1);
    }

    #[test]
    fn memory_stretches_as_well() {
        assert_eq!(after(100, 0.001, 0.0, 80 << 20).factor(), 1);
        assert_eq!(after(2, 0.001, 0.0, 90 << 20).factor(), 4);
    }

    #[test]
    fn room_is_believed_after_a_while() {
        let full = after(1, 0.1, 0.0, 0);
        let steps = |count| (0..count).fold(full, |stretch, _| stretch.step(Usage::default(), BUDGET));
        assert_eq!((steps(5).factor(), steps(6).factor()), (2, 1));
    }

    #[test]
    fn the_memory_of_this_program_is_plausible() {
        let memory = own_memory(&HostRoot::at("/")).unwrap();
        assert!((1 << 20..4 << 30).contains(&memory), "{memory}");
    }

    proptest! {
        #[test]
        fn far_below_the_budget_nothing_is_stretched(
            uses in prop::collection::vec((0.0..0.0139_f64, 0.0..1.0_f64, 0_u64..80 << 20), 1..100),
        ) {
            let step = |stretch: Stretch, (cpu, part, memory): (f64, f64, u64)| {
                stretch.step(Usage { cpu, collecting: cpu * part, memory }, BUDGET)
            };
            prop_assert_eq!(uses.into_iter().fold(Stretch::default(), step).factor(), 1);
        }

        #[test]
        fn the_factor_is_a_power_of_two_within_its_bounds_and_moves_by_one_step(
            uses in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64, 0_u64..200 << 20), 1..200),
        ) {
            let mut stretch = Stretch::default();
            for (cpu, part, memory) in uses {
                let next = stretch.step(Usage { cpu, collecting: cpu * part, memory }, BUDGET);
                let (from, to) = (stretch.factor(), next.factor());
                prop_assert!((1..=MOST_STRETCHED).contains(&to) && to.is_power_of_two());
                prop_assert!(to == from || to == from * 2 || to * 2 == from);
                stretch = next;
            }
        }

        /// Whatever collecting costs, the intervals settle, and then what is used is within the budget if it can be.
        #[test]
        fn steady_work_settles_within_the_budget(work in 0.0..0.5_f64, other in 0.0..0.01_f64) {
            let settled = after(200, work, other, 0);
            let mut stretch = settled;
            for _ in 0..50 {
                stretch = stretch.step(usage(stretch, work, other, 0), BUDGET);
                prop_assert_eq!(stretch.factor(), settled.factor());
            }
            let used = usage(settled, work, other, 0);
            let helps = used.collecting >= used.cpu * MATTERS;
            prop_assert!(used.cpu <= BUDGET.cpu || !helps || settled.factor() == MOST_STRETCHED);
        }

        #[test]
        fn when_the_work_is_over_intervals_are_as_configured_again(work in 0.0..0.5_f64, memory in 0_u64..200 << 20) {
            let stretched = after(50, work, 0.0, memory);
            let over = (0..CALM * 4).fold(stretched, |stretch, _| stretch.step(Usage::default(), BUDGET));
            prop_assert_eq!(over, Stretch::default());
        }
    }
}
