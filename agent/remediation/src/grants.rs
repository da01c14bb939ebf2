//! What a runbook lets its script do, and to what.
//!
//! A grant is the runbook's word; the executor's policy has its own, and both must allow an action. Nothing here looks at
//! the host: a target is compared as it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use executor::{UnitName, is_plain_path};

/// What a runbook can grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Restart processes; its targets are the names under which the policy defines them.
    ProcessRestart,
    /// Let systemd restart services; its targets are their exact names.
    UnitRestart,
    /// Signal processes; its targets are the names by which `process::find` finds them.
    ProcessSignal,
    /// Delete old files; its targets are directories.
    FileDelete,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ProcessRestart, Self::UnitRestart, Self::ProcessSignal, Self::FileDelete];

    /// As runbooks spell it: `process.restart`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessRestart => "process.restart",
            Self::UnitRestart => "unit.restart",
            Self::ProcessSignal => "process.signal",
            Self::FileDelete => "file.delete",
        }
    }

    /// The capability of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

/// What a runbook grants its script: capabilities, each with the targets it reaches.
#[derive(Clone, Debug, Default)]
pub struct Grants(BTreeMap<Capability, BTreeSet<String>>);

impl Grants {
    /// Grants a capability on one more target.
    ///
    /// # Errors
    ///
    /// The target is none, with what would be one.
    pub fn add(&mut self, capability: Capability, target: &str) -> Result<(), String> {
        if capability == Capability::FileDelete && !is_plain_path(Path::new(target)) {
            return Err(format!(
                "{target:?} is not an absolute path without `.`, `..` and control characters"
            ));
        }
        if capability == Capability::UnitRestart {
            target.parse::<UnitName>().map_err(|error| error.to_string())?;
        }
        if target.is_empty() {
            return Err("a target cannot be empty".to_owned());
        }
        self.0.entry(capability).or_default().insert(target.to_owned());
        Ok(())
    }

    /// The targets of a capability.
    pub fn targets(&self, capability: Capability) -> impl Iterator<Item = &str> {
        self.0.get(&capability).into_iter().flatten().map(String::as_str)
    }

    /// Whether the capability is granted on any target.
    pub fn has(&self, capability: Capability) -> bool {
        self.0.contains_key(&capability)
    }

    /// Whether the capability reaches this target: the same name, or a directory that is granted or lies below one.
    pub fn reach(&self, capability: Capability, target: &str) -> bool {
        let Some(targets) = self.0.get(&capability) else { return false };
        match capability {
            Capability::FileDelete => {
                let path = Path::new(target);
                is_plain_path(path) && targets.iter().any(|granted| path.starts_with(granted))
            }
            _ => targets.contains(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_on_a_directory_reaches_below_it_and_nowhere_else() {
        let mut grants = Grants::default();
        grants.add(Capability::FileDelete, "/var/spool/web").unwrap();
        grants.add(Capability::ProcessRestart, "web").unwrap();
        grants.add(Capability::UnitRestart, "web.service").unwrap();
        assert!(grants.add(Capability::UnitRestart, "web").is_err());
        assert!(grants.reach(Capability::UnitRestart, "web.service"));
        assert!(!grants.reach(Capability::UnitRestart, "web2.service"));
        for (target, reached) in [
            ("/var/spool/web", true),
            ("/var/spool/web/a", true),
            ("/var/spool/website", false),
            ("/var/spool/web/../db", false),
            ("/var/spool", false),
        ] {
            assert_eq!(grants.reach(Capability::FileDelete, target), reached, "{target}");
        }
        assert!(grants.reach(Capability::ProcessRestart, "web"));
        assert!(!grants.reach(Capability::ProcessRestart, "web/x"));
        assert!(!grants.reach(Capability::ProcessSignal, "web"));
    }
}
