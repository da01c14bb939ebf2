//! Turns log records into OTLP requests.
//!
//! Written straight to the wire, without message structs in between, and masked before anything leaves. Records of one
//! resource stand together in one `ResourceLogs`, in the order in which they were read, wherever in the buffer they lie. Does not
//! queue or send. A request is cut at a record when it would grow past [`BATCH_LIMIT`]; a single record beyond that goes alone.

mod payloads;
mod record;
mod request;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::FixedState;
use telemetry::{AttributeValue, Attributes, Batch, LogBuffer, LogView};

use crate::encode::BATCH_LIMIT;
use crate::mask::Masking;
use crate::wire::attribute_field;
use payloads::Payloads;
use request::Cutter;

/// Encodes log records of one host. Keeps its buffers, and uses the memory of batches again that nobody holds
/// any more, so a steady flow allocates nothing of size.
#[derive(Debug)]
pub struct LogsEncoder {
    host: Attributes,
    limit: usize,
    /// The records of the buffer at hand, each a field of its `ScopeLogs`.
    records: Vec<u8>,
    /// The same, masked.
    masked: Vec<u8>,
    /// Where each of them ends, and whose it is.
    ends: Vec<End>,
    resources: Resources,
    shared: Shared,
    payloads: Payloads,
}

/// The end of an encoded record.
#[derive(Clone, Copy, Debug)]
struct End {
    at: usize,
    resource: u32,
}

/// The distinct resources of one buffer, numbered as they come.
#[derive(Debug, Default)]
struct Resources {
    /// By where the attributes lie, which stay there as long as the buffer is borrowed.
    by_address: HashMap<usize, u32, FixedState>,
    /// By the content of the encoded `Resource`.
    by_content: HashMap<Vec<u8>, u32, FixedState>,
}

/// The attributes that all records of a group bear, as fields of a `LogRecord`.
#[derive(Debug, Default)]
struct Shared {
    by_address: HashMap<usize, Range<usize>, FixedState>,
    encoded: Vec<u8>,
}

impl LogsEncoder {
    /// An encoder for the host with these resource attributes (`host.id`, `service.name`, ...), which every resource
    /// carries beside its own; what a group says under the same key stands in their place.
    pub fn new(host_attributes: &[(String, AttributeValue)]) -> Self {
        Self {
            host: host_attributes.to_vec(),
            limit: BATCH_LIMIT,
            records: Vec::new(),
            masked: Vec::new(),
            ends: Vec::new(),
            resources: Resources::default(),
            shared: Shared::default(),
            payloads: Payloads::default(),
        }
    }

    /// The requests that carry all records of `buffer`, masked: none when there is no record, mostly one.
    ///
    /// A record that would grow by more than 16 MiB by masking leaves without body and attributes.
    pub fn encode(&mut self, buffer: &LogBuffer, masking: &Masking) -> Vec<Batch> {
        self.forget();
        let mut beside: Option<LogView<'_>> = None;
        let (mut resource, mut shared) = (0, 0..0);
        for record in buffer.records() {
            if !beside.is_some_and(|before| before.is_beside(&record)) {
                let group = record.group();
                resource = self.resources.number(&self.host, &group.resource, masking);
                shared = self.shared.range(&group.shared);
                beside = Some(record);
            }
            let shared = self.shared.encoded.get(shared.clone()).unwrap_or_default();
            record::encode(&mut self.records, &record, shared);
            self.ends.push(End { at: self.records.len(), resource });
        }
        self.mask(masking);
        Cutter { limit: self.limit, records: &self.records, resources: self.resources.contents() }
            .cut(&self.ends, &mut self.payloads)
    }

    fn mask(&mut self, masking: &Masking) {
        let changed = masking.log_records(&self.records, self.ends.iter().map(|end| end.at));
        if changed.is_empty() {
            return;
        }
        self.masked.clear();
        let mut changed = changed.into_iter().peekable();
        let mut begin = 0;
        for (place, end) in self.ends.iter_mut().enumerate() {
            let field = self.records.get(begin..end.at).unwrap_or_default();
            begin = end.at;
            match changed.next_if(|(changed, _)| *changed == place) {
                None => self.masked.extend_from_slice(field),
                Some((_, Some(message))) => record::append(&mut self.masked, &message),
                Some((_, None)) => record::append(&mut self.masked, &record::without_content(field)),
            }
            end.at = self.masked.len();
        }
        std::mem::swap(&mut self.records, &mut self.masked);
    }

    fn forget(&mut self) {
        self.records.clear();
        self.ends.clear();
        self.resources.by_address.clear();
        self.resources.by_content.clear();
        self.shared.by_address.clear();
        self.shared.encoded.clear();
    }
}

impl Resources {
    fn number(&mut self, host: &[(String, AttributeValue)], own: &Arc<Attributes>, masking: &Masking) -> u32 {
        let address = Arc::as_ptr(own) as usize;
        if let Some(known) = self.by_address.get(&address) {
            return *known;
        }
        let own = || own.iter().filter(|(_, value)| !value.is_empty());
        let mut encoded = Vec::new();
        let host = host.iter().filter(|(key, _)| !own().any(|(other, _)| other == key));
        host.chain(own()).for_each(|(key, value)| attribute_field(&mut encoded, 1, key, value));
        let encoded = match masking.resource(&encoded) {
            Ok(None) => encoded,
            Ok(Some(masked)) => masked,
            Err(_) => Vec::new(),
        };
        let next = self.by_content.len() as u32;
        let number = *self.by_content.entry(encoded).or_insert(next);
        self.by_address.insert(address, number);
        number
    }

    /// The encoded `Resource`s, in the order of their numbers.
    fn contents(&self) -> Vec<&[u8]> {
        let mut numbered: Vec<_> = self.by_content.iter().collect();
        numbered.sort_unstable_by_key(|(_, number)| **number);
        numbered.into_iter().map(|(content, _)| content.as_slice()).collect()
    }
}

impl Shared {
    fn range(&mut self, attributes: &Arc<Attributes>) -> Range<usize> {
        let address = Arc::as_ptr(attributes) as usize;
        if let Some(known) = self.by_address.get(&address) {
            return known.clone();
        }
        let begin = self.encoded.len();
        for (key, value) in attributes.iter().filter(|(_, value)| !value.is_empty()) {
            attribute_field(&mut self.encoded, record::ATTRIBUTES, key, value);
        }
        let range = begin..self.encoded.len();
        self.by_address.insert(address, range.clone());
        range
    }
}

#[cfg(test)]
mod tests;
