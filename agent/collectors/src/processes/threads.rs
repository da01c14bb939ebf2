//! What threads of one process add up to, counted so that the sum does not fall when a thread ends.
//!
//! The kernel tells of living threads only. What each had when it was last seen stays in the sum; what it did after that
//! is lost with it.

use super::files::ProcFiles;
use super::text::{Status, parse_schedstat, parse_status};

/// Threads of one process that are looked at; the oldest ones. Reading one costs about 8 us.
pub(super) const MOST_THREADS: usize = 100;

/// The sums of one process.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// Sorted by number.
    known: Vec<Thread>,
    pub(super) sum: Counts,
    /// Whether this kernel tells how long threads waited.
    pub(super) waiting_is_told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
    /// Ready to run and waiting, in nanoseconds; only where it is asked for.
    pub(super) waited_ns: u64,
}

#[derive(Debug)]
struct Thread {
    number: u32,
    counts: Counts,
    is_seen: bool,
}

impl Threads {
    /// Reads the threads of a process that has `count` of them. `numbers` is room to work in.
    pub(super) fn read(
        &mut self,
        pid: u32,
        count: u64,
        wants_waiting: bool,
        files: &mut ProcFiles,
        numbers: &mut Vec<u32>,
    ) {
        numbers.clear();
        if count == 1 {
            numbers.push(pid);
        } else if files.threads(pid, MOST_THREADS, numbers).is_err() {
            return;
        }
        for thread in &mut self.known {
            thread.is_seen = false;
        }
        for number in numbers.iter().copied() {
            // The only thread has the files of its process, one directory less deep.
            let thread = if count == 1 { None } else { Some(number) };
            let Some(status) = files.read_of(pid, thread, "status").ok().and_then(parse_status) else {
                continue;
            };
            let waited_ns = if wants_waiting {
                files.read_of(pid, thread, "schedstat").ok().and_then(parse_schedstat)
            } else {
                None
            };
            self.waiting_is_told |= waited_ns.is_some();
            self.take(number, Counts::of(&status, waited_ns.unwrap_or(0)));
        }
        self.known.retain(|thread| thread.is_seen);
    }

    fn take(&mut self, number: u32, counts: Counts) {
        let before = match self.known.binary_search_by_key(&number, |thread| thread.number) {
            Ok(at) => {
                let Some(thread) = self.known.get_mut(at) else { return };
                thread.is_seen = true;
                std::mem::replace(&mut thread.counts, counts)
            }
            Err(at) => {
                self.known.insert(at, Thread { number, counts, is_seen: true });
                Counts::default()
            }
        };
        // One that has less than before is another thread with the same number.
        let is_same = counts.voluntary >= before.voluntary && counts.involuntary >= before.involuntary;
        let before = if is_same { before } else { Counts::default() };
        let sum = &mut self.sum;
        sum.voluntary = sum.voluntary.saturating_add(counts.voluntary - before.voluntary);
        sum.involuntary = sum.involuntary.saturating_add(counts.involuntary - before.involuntary);
        sum.waited_ns = sum.waited_ns.saturating_add(counts.waited_ns.saturating_sub(before.waited_ns));
    }
}

impl Counts {
    fn of(status: &Status, waited_ns: u64) -> Self {
        Self { voluntary: status.voluntary_switches, involuntary: status.involuntary_switches, waited_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_keeps_what_a_thread_had_that_ended_or_whose_number_was_used_again() {
        let mut threads = Threads::default();
        let counts = |voluntary| Counts { voluntary, involuntary: 1, waited_ns: 10 * voluntary };
        let mut see = |seen: &[(u32, u64)]| {
            for thread in &mut threads.known {
                thread.is_seen = false;
            }
            for (number, voluntary) in seen {
                threads.take(*number, counts(*voluntary));
            }
            threads.known.retain(|thread| thread.is_seen);
            threads.sum
        };
        assert_eq!(see(&[(7, 100), (9, 5)]), Counts { voluntary: 105, involuntary: 2, waited_ns: 1050 });
        assert_eq!(see(&[(7, 110)]).voluntary, 115, "9 has ended");
        assert_eq!(see(&[(7, 110), (9, 8)]).voluntary, 123, "another 9");
        assert_eq!(see(&[(7, 3), (9, 8)]).voluntary, 126, "another 7");
        assert_eq!(see(&[(7, 3), (9, 8)]).involuntary, 4);
    }
}
