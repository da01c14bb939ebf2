//! Memory of requests that are done with, for those to come.
//!
//! A request of a MiB that is made in new memory costs a page fault for every 4 KiB of it, which is as much as writing it.

use std::collections::VecDeque;

use bytes::Bytes;

/// How many requests are remembered: what a queue keeps in memory for readers that follow closely, and one on its way. What
/// is not done with by then is forgotten, and its memory freed with it.
const MOST: usize = 4;

/// Memory is used for a request that takes this part of it at least: after a burst a trickle does not keep it.
const LEAST_PART: usize = 4;

/// The requests that were handed out last.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    given: VecDeque<Bytes>,
}

impl Payloads {
    /// An empty buffer for so many bytes: that of a request that nobody holds any more, where there is one.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        self.given.retain(|given| !given.is_unique() || given.len() / LEAST_PART <= bytes);
        let free = self.given.iter().position(Bytes::is_unique).and_then(|at| self.given.remove(at));
        let mut buffer = free.map_or_else(Vec::new, |mut given| {
            // What is left in it would be moved to its beginning.
            given.truncate(0);
            Vec::from(given)
        });
        buffer.reserve(bytes);
        buffer
    }

    /// The request that was written to a buffer.
    pub(super) fn give(&mut self, buffer: Vec<u8>) -> Bytes {
        let payload = Bytes::from(buffer);
        if self.given.len() == MOST {
            self.given.pop_front();
        }
        self.given.push_back(payload.clone());
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(payloads: &mut Payloads, bytes: usize, content: u8) -> Bytes {
        let mut buffer = payloads.take(bytes);
        assert!(buffer.is_empty() && buffer.capacity() >= bytes);
        buffer.resize(bytes, content);
        payloads.give(buffer)
    }

    #[test]
    fn memory_of_a_request_that_is_done_with_is_used_again() {
        let mut payloads = Payloads::default();
        let first = request(&mut payloads, 1000, 1);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(request(&mut payloads, 900, 2).as_ptr(), place);
    }

    #[test]
    fn a_request_that_somebody_holds_stays_as_it_is() {
        let mut payloads = Payloads::default();
        let held: Vec<Bytes> = (0..10).map(|at| request(&mut payloads, 100, at)).collect();
        for (at, held) in (0..).zip(&held) {
            assert!(held.len() == 100 && held.iter().all(|byte| *byte == at));
        }
        assert_eq!(payloads.given.len(), MOST);
    }

    #[test]
    fn memory_of_a_burst_is_not_kept_by_a_trickle() {
        let mut payloads = Payloads::default();
        let burst: Vec<Bytes> = (0..3).map(|at| request(&mut payloads, 1 << 20, at)).collect();
        drop(burst);
        drop(request(&mut payloads, 1000, 3));
        assert!(payloads.given.iter().all(|given| given.len() == 1000));
    }
}
