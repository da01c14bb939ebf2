//! Knows entries again that were copied into another journal.
//!
//! At boot journald writes to `/run/log/journal`, and once `/var` is there it copies all of that to `/var/log/journal`, under
//! new numbers. Whoever follows both would read each entry of the boot twice.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

use super::layout::Id128;
use super::place::JournalPlace;

/// So many of the last entries are known again: more than a boot writes before it copies them, in about 1 MiB. What was
/// read before them is read twice.
const MAX_KNOWN: usize = 1 << 15;

/// The entries that were read last, by what a copy has in common with them.
#[derive(Debug, Default)]
pub(super) struct Copies {
    known: HashMap<u64, Id128, foldhash::fast::RandomState>,
    order: VecDeque<u64>,
    hashes: foldhash::fast::FixedState,
}

impl Copies {
    /// Whether the entry at `place` was read from another sequence; else it is remembered.
    pub(super) fn is_one(&mut self, place: &JournalPlace) -> bool {
        let hash = self.hashes.hash_one((place.boot_id, place.monotonic, place.realtime, place.xor_hash));
        match self.known.get(&hash) {
            Some(sequence) => return *sequence != place.seqnum_id,
            None if self.order.len() < MAX_KNOWN => {}
            None => {
                let oldest = self.order.pop_front();
                oldest.map(|oldest| self.known.remove(&oldest));
            }
        }
        self.known.insert(hash, place.seqnum_id);
        self.order.push_back(hash);
        false
    }
}
