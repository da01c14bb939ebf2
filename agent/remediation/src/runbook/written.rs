//! Where the parts of a runbook stand in its file, for what is found out about it later: against its script, or against what
//! other files say.

use std::collections::BTreeMap;
use std::ops::Range;

use documents::{Document, Problem};

use crate::grants::Capability;

/// A runbook as it stands in its file.
#[derive(Debug)]
pub struct Written {
    pub(super) document: Document,
    /// All of it.
    pub(super) entry: Range<usize>,
    pub(super) name: Range<usize>,
    pub(super) script: Range<usize>,
    /// Of each parameter its name and its value.
    pub(super) params: BTreeMap<String, [Range<usize>; 2]>,
    pub(super) grants: BTreeMap<Capability, WrittenGrant>,
}

/// Where a capability stands, and its targets.
#[derive(Debug)]
pub(super) struct WrittenGrant {
    pub(super) name: Range<usize>,
    pub(super) targets: BTreeMap<String, Range<usize>>,
}

/// A part of a runbook. Where it is not written, the runbook's name stands for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// Its name.
    Name,
    /// The name of its script.
    Script,
    /// The name of a parameter.
    ParamName(&'a str),
    /// The value of a parameter.
    Param(&'a str),
    /// A capability that is granted.
    Grant(Capability),
    /// A target on which one is granted.
    Target(Capability, &'a str),
}

impl Written {
    /// The file.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The bytes that it takes in the file, up to the next one.
    pub fn entry(&self) -> Range<usize> {
        self.entry.clone()
    }

    /// The bytes that its name takes in the file.
    pub fn name(&self) -> Range<usize> {
        self.name.clone()
    }

    /// An error at a part of it.
    pub(crate) fn problem(&self, part: Part<'_>, message: impl Into<String>) -> Problem {
        let place = match part {
            Part::Name => None,
            Part::Script => Some(&self.script),
            Part::ParamName(name) => self.params.get(name).map(|[name, _]| name),
            Part::Param(name) => self.params.get(name).map(|[_, value]| value),
            Part::Grant(capability) => self.grants.get(&capability).map(|grant| &grant.name),
            Part::Target(capability, target) => {
                self.grants.get(&capability).and_then(|grant| grant.targets.get(target))
            }
        };
        Problem::at(&self.document, place.unwrap_or(&self.name).clone(), message)
    }
}
