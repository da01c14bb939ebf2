//! The groups of records: one for each unit.

use std::collections::HashMap;
use std::sync::Arc;

use telemetry::LogGroup;

use super::mapping::{self, Facts};

/// Units, and names of programs outside of units, that are remembered. Anybody can make up names; at the limit all are
/// forgotten, which costs a group of its own for each that comes again.
const MAX_GROUPS: usize = 1024;

/// Groups by what the resource says.
#[derive(Debug)]
pub(super) struct Groups {
    source: Arc<str>,
    shared: Arc<telemetry::Attributes>,
    known: HashMap<Box<[u8]>, LogGroup, foldhash::fast::RandomState>,
    key: Vec<u8>,
}

impl Groups {
    pub(super) fn new(source: Arc<str>) -> Self {
        Self { source, shared: Arc::default(), known: HashMap::default(), key: Vec::new() }
    }

    /// The group of an entry: its unit, a user's unit with its user, or else the program by its own name.
    pub(super) fn of(&mut self, facts: &Facts<'_>) -> &LogGroup {
        let (unit, owner) =
            if facts.user_unit.is_empty() { (facts.unit, &[][..]) } else { (facts.user_unit, facts.owner) };
        let identifier = if unit.is_empty() { facts.identifier } else { &[] };
        self.key.clear();
        for part in [unit, b"\0", owner, b"\0", identifier] {
            self.key.extend_from_slice(part);
        }
        if self.known.len() >= MAX_GROUPS && !self.known.contains_key(&*self.key) {
            self.known.clear();
        }
        // Twice, as a reference that is found cannot be returned while it may be inserted.
        if !self.known.contains_key(&*self.key) {
            let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
            let resource = mapping::resource(text(unit), text(owner), text(identifier));
            let group = LogGroup {
                source: Arc::clone(&self.source),
                resource: Arc::new(resource),
                shared: Arc::clone(&self.shared),
            };
            self.known.insert(self.key.as_slice().into(), group);
        }
        self.known.get(&*self.key).expect("it was inserted where it was not")
    }
}
