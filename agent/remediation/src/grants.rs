//! What a runbook lets its script do, and to what.
//!
//! A grant is the runbook's word; the executor's policy has its own, and both must allow an action. Nothing here looks at
//! the host: a target is compared as it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use executor::{UnitName, is_plain_path};

use crate::header::{Needs, covers};

/// What a runbook can grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Restart processes; its targets are the names under which the policy defines them.
    ProcessRestart,
    /// Signal processes; its targets are the names by which `proc::find` finds them, or services that they belong to.
    ProcessSignal,
    /// Let systemd restart, reload or start services, and forget that they failed; its targets are their exact names.
    UnitRestart,
    /// Let systemd stop services.
    UnitStop,
    /// Freeze and thaw services.
    UnitFreeze,
    /// Set limits of services.
    UnitLimit,
    /// Remove old files; its targets are directories.
    FileRemove,
    /// Empty files that their writer keeps open; its targets are files or directories.
    FileTruncate,
    /// Let a link point to another release; its targets are links.
    FileLink,
    /// Let the journal begin new files and delete archived ones; its only target is `*`.
    JournalVacuum,
    /// Limit, freeze and reclaim from control groups; its targets are their paths below the hierarchy's root.
    CgroupLimit,
    /// Set parameters of the kernel; its targets are their names.
    SysctlSet,
    /// Choose variants of feature flags; its targets are the flags.
    FlagSet,
    /// Run commands; its targets are the names under which the policy defines them.
    ExecRun,
    /// Ask over HTTP; its targets are the beginnings of addresses, up to a slash.
    HttpGet,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ProcessRestart,
        Self::ProcessSignal,
        Self::UnitRestart,
        Self::UnitStop,
        Self::UnitFreeze,
        Self::UnitLimit,
        Self::FileRemove,
        Self::FileTruncate,
        Self::FileLink,
        Self::JournalVacuum,
        Self::CgroupLimit,
        Self::SysctlSet,
        Self::FlagSet,
        Self::ExecRun,
        Self::HttpGet,
    ];

    /// As runbooks spell it: `process.restart`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessRestart => "process.restart",
            Self::ProcessSignal => "process.signal",
            Self::UnitRestart => "unit.restart",
            Self::UnitStop => "unit.stop",
            Self::UnitFreeze => "unit.freeze",
            Self::UnitLimit => "unit.limit",
            Self::FileRemove => "file.remove",
            Self::FileTruncate => "file.truncate",
            Self::FileLink => "file.link",
            Self::JournalVacuum => "journal.vacuum",
            Self::CgroupLimit => "cgroup.limit",
            Self::SysctlSet => "sysctl.set",
            Self::FlagSet => "flag.set",
            Self::ExecRun => "exec.run",
            Self::HttpGet => "http.get",
        }
    }

    /// The capability of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// What one of its targets is called, if it is changed by what is granted.
    const fn touches(self) -> Option<&'static str> {
        Some(match self {
            Self::ProcessRestart | Self::ProcessSignal => "process",
            Self::UnitRestart | Self::UnitStop | Self::UnitFreeze | Self::UnitLimit => "unit",
            Self::FileRemove | Self::FileTruncate | Self::FileLink => "path",
            Self::JournalVacuum => "journal",
            Self::CgroupLimit => "cgroup",
            Self::SysctlSet => "sysctl",
            Self::FlagSet => "flag",
            Self::ExecRun => "command",
            Self::HttpGet => return None,
        })
    }

    /// What its targets are.
    pub const fn targets(self) -> TargetKind {
        match self {
            Self::UnitRestart | Self::UnitStop | Self::UnitFreeze | Self::UnitLimit => TargetKind::Unit,
            Self::FileRemove | Self::FileTruncate | Self::FileLink | Self::CgroupLimit => TargetKind::Path,
            Self::HttpGet => TargetKind::Address,
            Self::JournalVacuum => TargetKind::All,
            Self::ProcessRestart | Self::ProcessSignal | Self::SysctlSet | Self::FlagSet | Self::ExecRun => {
                TargetKind::Name
            }
        }
    }
}

/// How a capability's targets are written and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A text that must be the same.
    Name,
    /// The exact name of a service.
    Unit,
    /// An absolute path; one above the target reaches it too.
    Path,
    /// The beginning of an address, up to a slash.
    Address,
    /// Nothing is told apart: `*`.
    All,
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
        match capability.targets() {
            TargetKind::Path if !is_plain_path(Path::new(target)) => {
                return Err(format!(
                    "{target:?} is not an absolute path without `.`, `..` and control characters"
                ));
            }
            TargetKind::Unit => drop(target.parse::<UnitName>().map_err(|error| error.to_string())?),
            TargetKind::All if target != "*" => {
                return Err(format!("{} tells no targets apart; write [\"*\"]", capability.name()));
            }
            TargetKind::Address if !is_address(target) => {
                return Err(format!(
                    "{target:?} is not the beginning of an address; write it as in http://127.0.0.1:8080/"
                ));
            }
            _ => {}
        }
        if target.is_empty() {
            return Err("a target cannot be empty".to_owned());
        }
        self.0.entry(capability).or_default().insert(target.to_owned());
        Ok(())
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that may be changed, with its kind: `unit nginx.service`, `path /var/log`; each once.
    pub fn touched(&self) -> Vec<String> {
        let all = self.0.iter().filter_map(|(capability, targets)| Some((capability.touches()?, targets)));
        let printed =
            all.flat_map(|(kind, targets)| targets.iter().map(move |target| format!("{kind} {target}")));
        printed.collect::<BTreeSet<_>>().into_iter().collect()
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
        match capability.targets() {
            TargetKind::Path => {
                let path = Path::new(target);
                is_plain_path(path) && targets.iter().any(|granted| path.starts_with(granted))
            }
            kind @ TargetKind::Address => targets.iter().any(|granted| covers(kind, granted, target)),
            TargetKind::All => !targets.is_empty(),
            TargetKind::Name | TargetKind::Unit => targets.contains(target),
        }
    }
}

impl Grants {
    /// What is both granted and needed: of two that overlap, the narrower.
    pub(crate) fn narrowed(&self, needs: &Needs) -> Self {
        let mut both = Self::default();
        for (capability, granted) in &self.0 {
            let kind = capability.targets();
            for granted in granted {
                for needed in needs.targets(*capability) {
                    let narrower = if covers(kind, needed, granted) {
                        granted
                    } else if covers(kind, granted, needed) {
                        needed
                    } else {
                        continue;
                    };
                    both.0.entry(*capability).or_default().insert(narrower.to_owned());
                }
            }
        }
        both
    }

    /// Every capability with each of its targets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Capability, &str)> {
        self.0
            .iter()
            .flat_map(|(capability, targets)| targets.iter().map(|target| (*capability, target.as_str())))
    }
}

/// Whether a text says whom to ask, up to a slash, so that no longer name of a host begins with it.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        rest.find('/').is_some_and(|slash| slash > 0)
            && text.ends_with('/')
            && !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '@' || c == '#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_on_a_directory_reaches_below_it_and_nowhere_else() {
        let mut grants = Grants::default();
        grants.add(Capability::FileRemove, "/var/spool/web").unwrap();
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
            assert_eq!(grants.reach(Capability::FileRemove, target), reached, "{target}");
        }
        assert!(grants.reach(Capability::ProcessRestart, "web"));
        assert!(!grants.reach(Capability::ProcessRestart, "web/x"));
        assert!(!grants.reach(Capability::ProcessSignal, "web"));
    }

    #[test]
    fn a_grant_on_an_address_reaches_no_other_host() {
        let mut grants = Grants::default();
        for wrong in ["http://127.0.0.1", "http:///x", "ftp://a/", "http://a@b/", "127.0.0.1/"] {
            assert!(grants.add(Capability::HttpGet, wrong).is_err(), "{wrong}");
        }
        grants.add(Capability::HttpGet, "http://127.0.0.1:8080/").unwrap();
        assert!(grants.reach(Capability::HttpGet, "http://127.0.0.1:8080/healthz"));
        assert!(!grants.reach(Capability::HttpGet, "http://127.0.0.1:8080.example/"));
        assert!(grants.add(Capability::JournalVacuum, "/var/log/journal").is_err());
    }
}
