//! What the agent takes from the host, held against its budget.

use std::time::{Duration, Instant};

use collectors::{Budget, HostRoot, Stretch, Usage, own_memory};

use super::board::CollectBoard;
use crate::clock;

/// The shortest time between two measurements, so that one tick that cost much is not taken for all.
const MEASURED_OVER: Duration = Duration::from_secs(10);

/// Belongs to the thread that collects, whose CPU time it takes for that of collecting.
#[derive(Debug)]
pub(super) struct Meter {
    budget: Budget,
    stretch: Stretch,
    last: Option<Spent>,
}

/// CPU time since the start, and when.
#[derive(Clone, Copy, Debug)]
struct Spent {
    at: Instant,
    program: Duration,
    collecting: Duration,
}

impl Spent {
    fn now() -> Self {
        Self {
            at: clock::monotonic(),
            program: clock::cpu_time(),
            collecting: clock::cpu_time_of_this_thread(),
        }
    }

    /// What was taken since `before`, a while ago.
    fn since(&self, before: &Self, memory: u64) -> Usage {
        let took = self.at.duration_since(before.at).as_secs_f64();
        let per = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / took;
        let cpu = per(self.program, before.program);
        Usage { cpu, collecting: per(self.collecting, before.collecting), memory }
    }
}

impl Meter {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, stretch: Stretch::default(), last: None }
    }

    /// How many times as long as configured intervals are now.
    pub(super) fn factor(&self) -> u32 {
        self.stretch.factor()
    }

    /// Measures, if it is time; puts up what was found and says what changes.
    pub(super) fn measure(&mut self, host: &HostRoot, board: &CollectBoard) {
        let now = Spent::now();
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        if now.at.duration_since(last.at) < MEASURED_OVER {
            return;
        }
        self.last = Some(now);
        let usage = now.since(&last, own_memory(host).unwrap_or_default());
        let before = self.factor();
        self.stretch = self.stretch.step(usage, self.budget);
        board.show_usage(usage, self.factor());
        say_change(before, self.factor(), usage);
    }
}

fn say_change(before: u32, now: u32, usage: Usage) {
    let cpu = format_args!("{:.2}%", usage.cpu * 100.0);
    let memory = usage.memory;
    if now > before {
        tracing::warn!(
            %cpu,
            memory,
            "the agent comes near its budget (collect.budget); intervals are {now} times as long as configured"
        );
    } else if now < before && now > 1 {
        tracing::info!(%cpu, memory, "there is room in the budget; intervals are {now} times as long as configured");
    } else if now < before {
        tracing::info!(%cpu, memory, "there is room in the budget; intervals are as configured");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_told_per_second() {
        let before = Spent::now();
        let [program, collecting] =
            [before.program, before.collecting].map(|it| it + Duration::from_millis(500));
        let now = Spent { at: before.at + Duration::from_secs(10), program, collecting };
        assert_eq!(now.since(&before, 7), Usage { cpu: 0.05, collecting: 0.05, memory: 7 });
    }

    #[test]
    fn a_measurement_takes_its_time() {
        let mut meter = Meter::new(Budget { cpu: 0.0, memory: 1 });
        let board = CollectBoard::default();
        for _ in 0..3 {
            meter.measure(&HostRoot::at("/"), &board);
        }
        assert_eq!(meter.factor(), 1);
        let last = meter.last.as_mut().unwrap();
        last.at = last.at.checked_sub(MEASURED_OVER).unwrap();
        meter.measure(&HostRoot::at("/"), &board);
        assert_eq!((meter.factor(), board.now().stretch), (2, 2));
    }
}
