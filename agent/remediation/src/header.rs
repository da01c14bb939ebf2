//! The header of a script: what its author knows and the owner of a service must not have to guess.
//!
//! It is YAML in the lines that begin with `//!`: parameters with their types and bounds, what the script needs, how risky it
//! is, how one knows that it helped. It holds no guard: whether a script may run stands in the runbook.

mod fill;
mod params;
mod read;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use documents::{Document, Problem};
use serde_json::Value;

pub use params::{Param, ParamKind, ParamProblem};

use crate::grants::{Capability, TargetKind};
use crate::runbook::Verify;

/// Values by the names of parameters.
pub type Params = BTreeMap<String, Value>;

/// How much can go wrong with a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// The service is down anyhow, or nothing is lost.
    Low,
    /// A moment of service can be lost, or what can be made anew.
    Medium,
    /// More can.
    High,
}

/// What a script is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// It gives a service back to people who are without it: no error budget holds it up.
    Restore,
    /// Anything else.
    #[default]
    Other,
}

/// What a script says of itself.
#[derive(Clone, Debug)]
pub struct Header {
    /// What it does, in one sentence.
    pub summary: String,
    /// Its parameters, by name.
    pub params: BTreeMap<String, Param>,
    /// What it calls that must be granted, with templates of the targets.
    needs: Vec<(Capability, String)>,
    /// How much can go wrong.
    pub risk: Risk,
    /// What it is for.
    pub class: Class,
    /// How long it takes at most; the runbook may say less.
    pub timeout: Option<Duration>,
    /// A template of how one knows that it helped, where the runbook says nothing else.
    verify: Option<Verify>,
    /// A template of what to tell whoever is called, where the runbook says nothing else.
    escalate: Option<String>,
}

impl Header {
    /// Reads the header of a script.
    ///
    /// # Errors
    ///
    /// It has none, or every problem with it, each at its place in the script.
    pub fn read(script: &Document) -> Result<Self, Vec<Problem>> {
        read::read(script)
    }

    /// The parameters as the script gets them: those that the runbook hands over, read by their types, and the defaults of
    /// the others. Bytes become numbers; durations stay texts.
    ///
    /// # Errors
    ///
    /// Every value that is missing, unknown, of another type or out of bounds.
    pub fn bind(&self, handed: &Params) -> Result<Params, Vec<ParamProblem>> {
        params::bind(&self.params, handed)
    }

    /// What the script needs with these parameters, which [`Header::bind`] has read. Of an empty parameter nothing is
    /// needed: that is how a script has parts that a runbook can leave out.
    pub fn needs(&self, params: &Params) -> Needs {
        let filled = self.needs.iter().map(|(capability, target)| {
            (*capability, fill::fill(target, params).unwrap_or_else(|_| target.clone()))
        });
        Needs(filled.filter(|(_, target)| !target.is_empty()).collect())
    }

    /// The targets of a capability that it needs, with their placeholders.
    pub(crate) fn needs_as_written(&self, capability: Capability) -> impl Iterator<Item = &str> {
        self.needs.iter().filter(move |(needed, _)| *needed == capability).map(|(_, target)| target.as_str())
    }

    /// The capabilities that it needs.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        self.needs.iter().map(|(capability, _)| *capability)
    }

    /// How one knows that the script helped, with these parameters; None if the header does not say.
    ///
    /// # Errors
    ///
    /// A parameter's value cannot stand in an expression.
    pub fn verify(&self, params: &Params) -> Option<Result<Verify, String>> {
        let verify = self.verify.as_ref()?;
        let filled = fill::fill_expression(&verify.expr, params);
        Some(filled.map(|expr| Verify { expr, ..verify.clone() }))
    }

    /// What to tell whoever is called, with these parameters.
    pub fn escalation(&self, params: &Params) -> Option<String> {
        let text = self.escalate.as_ref()?;
        Some(fill::fill(text, params).unwrap_or_else(|_| text.clone()))
    }
}

/// What one run of a script may need: the other half of a runbook's grants.
#[derive(Clone, Debug, Default)]
pub struct Needs(Vec<(Capability, String)>);

impl Needs {
    /// Whether this is something that the script has said it needs: the same name, a path below, an address that begins
    /// so; `*` is whatever the runbook grants.
    pub fn reach(&self, capability: Capability, target: &str) -> bool {
        self.targets(capability).any(|needed| covers(capability.targets(), needed, target))
    }

    /// The targets of a capability.
    pub fn targets(&self, capability: Capability) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(needed, _)| *needed == capability).map(|(_, target)| target.as_str())
    }

    /// Everything that is needed.
    pub fn iter(&self) -> impl Iterator<Item = (Capability, &str)> {
        self.0.iter().map(|(capability, target)| (*capability, target.as_str()))
    }
}

/// Whether a target is the one that was named, or lies within it.
pub(crate) fn covers(kind: TargetKind, named: &str, target: &str) -> bool {
    match kind {
        _ if named == "*" || named == target => true,
        TargetKind::Path => Path::new(target).starts_with(named),
        TargetKind::Address => named.ends_with('/') && target.starts_with(named),
        TargetKind::Name | TargetKind::Unit | TargetKind::All => false,
    }
}

/// Whether a template has a placeholder that is not filled in.
pub(crate) fn is_open(text: &str) -> bool {
    text.contains("${")
}

#[cfg(test)]
pub(crate) mod tests;
