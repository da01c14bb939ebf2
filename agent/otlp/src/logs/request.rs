//! Requests made of encoded records.

use std::ops::Range;

use telemetry::{Batch, Signal};

use super::End;
use super::payloads::Payloads;
use crate::encode::sized;
use crate::scope;
use crate::wire::{bytes_field, length_field, text_field};

/// What the keys and lengths around one resource and its records take at most, with scope and schema URL.
const AROUND: usize = 128;

/// Cuts records into requests.
#[derive(Debug)]
pub(super) struct Cutter<'a> {
    /// The most bytes that one request of more than one record takes.
    pub(super) limit: usize,
    /// Encoded, one after the other.
    pub(super) records: &'a [u8],
    /// The content of each `Resource`.
    pub(super) resources: Vec<&'a [u8]>,
}

/// Records that follow each other and have the same resource.
type Run = (u32, Range<usize>);

impl Cutter<'_> {
    /// The requests that carry all records, which end at `ends`.
    pub(super) fn cut(&self, ends: &[End], payloads: &mut Payloads) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut runs: Vec<Run> = Vec::new();
        // The request in which each resource was met last.
        let mut met = vec![usize::MAX; self.resources.len()];
        let (mut size, mut items, mut begin) = (0, 0, 0);
        for end in ends {
            let around = |met: &[usize], request: usize| match met.get(end.resource as usize) {
                Some(last) if *last == request => 0,
                _ => self.content(end.resource).len() + AROUND,
            };
            let length = end.at - begin;
            if items > 0 && size + length + around(&met, batches.len()) > self.limit {
                batches.push(self.request(&mut runs, (size, items), payloads));
                (size, items) = (0, 0);
            }
            size += length + around(&met, batches.len());
            items += 1;
            if let Some(met) = met.get_mut(end.resource as usize) {
                *met = batches.len();
            }
            match runs.last_mut() {
                Some((resource, range)) if *resource == end.resource => range.end = end.at,
                _ => runs.push((end.resource, begin..end.at)),
            }
            begin = end.at;
        }
        if items > 0 {
            batches.push(self.request(&mut runs, (size, items), payloads));
        }
        batches
    }

    fn content(&self, resource: u32) -> &[u8] {
        self.resources.get(resource as usize).copied().unwrap_or_default()
    }

    /// The request of these runs, which it takes.
    fn request(
        &self,
        runs: &mut Vec<Run>,
        (most_bytes, items): (usize, u64),
        payloads: &mut Payloads,
    ) -> Batch {
        // Stable: the records of one resource keep their order.
        runs.sort_by_key(|(resource, _)| *resource);
        let mut out = payloads.take(most_bytes);
        let mut scope = Vec::with_capacity(AROUND);
        text_field(&mut scope, 1, scope::LOGS);
        text_field(&mut scope, 2, scope::VERSION);
        for runs in runs.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((resource, _)) = runs.first() else { continue };
            let resource = self.content(*resource);
            let records: usize = runs.iter().map(|(_, range)| range.len()).sum();
            let scope_logs = sized(scope.len()) + records;
            let length = sized(resource.len()) + sized(scope_logs) + sized(scope::SCHEMA_URL.len());
            length_field(&mut out, 1, length);
            bytes_field(&mut out, 1, resource);
            length_field(&mut out, 2, scope_logs);
            bytes_field(&mut out, 1, &scope);
            for (_, range) in runs {
                out.extend_from_slice(self.records.get(range.clone()).unwrap_or_default());
            }
            text_field(&mut out, 3, scope::SCHEMA_URL);
        }
        runs.clear();
        Batch { signal: Signal::Logs, payload: payloads.give(out), items }
    }
}
