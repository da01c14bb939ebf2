//! What hostmend-executor.service must be granted for a policy.
//!
//! As shipped it has no capability and can do no more than ask systemd about units. Each group of other actions has a drop-in.

use crate::Policy;

/// Grants one group of actions to hostmend-executor.service.
#[derive(Debug)]
pub struct DropIn {
    /// Its name among the examples of the package.
    pub file: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// What stands in it, by which it is known under any name.
    pub grant: &'static str,
    is_needed: fn(&Policy) -> bool,
}

/// All of them.
const DROP_INS: [DropIn; 6] = [
    DropIn {
        file: "executor-processes.conf",
        what: "signals",
        grant: "CAP_KILL",
        is_needed: |policy| !policy.signals.is_empty(),
    },
    DropIn {
        file: "executor-files.conf",
        what: "files",
        grant: "CAP_DAC_OVERRIDE",
        is_needed: |policy| {
            let journal = policy.journal.is_some();
            let files = !policy.directories.is_empty() || !policy.truncatable.is_empty();
            journal || files || !policy.links.is_empty() || !policy.flags.is_empty()
        },
    },
    DropIn {
        file: "executor-commands.conf",
        what: "commands that run as another user",
        grant: "CAP_SETUID",
        is_needed: |policy| policy.commands.iter().any(|rule| rule.user.is_some()),
    },
    DropIn {
        file: "executor-cgroups.conf",
        what: "control groups",
        grant: "ProtectControlGroups=no",
        is_needed: |policy| !policy.cgroups.is_empty(),
    },
    DropIn {
        file: "executor-sysctls.conf",
        what: "parameters of the kernel",
        grant: "ProtectKernelTunables=no",
        is_needed: |policy| !policy.sysctls.is_empty(),
    },
    DropIn {
        file: "executor-limits.conf",
        what: "limits of open files",
        grant: "CAP_SYS_RESOURCE",
        is_needed: |policy| policy.units.iter().any(|rule| rule.limits.open_files.is_some()),
    },
];

impl Policy {
    /// The drop-ins that hostmend-executor.service needs to do all that this policy allows.
    pub fn drop_ins(&self) -> impl Iterator<Item = &'static DropIn> {
        DROP_INS.iter().filter(|drop_in| (drop_in.is_needed)(self))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use documents::Document;

    use super::*;

    #[test]
    fn a_policy_needs_the_drop_ins_of_what_it_allows_and_no_others() {
        let policy = |text| Policy::read(&Document::from_text(Path::new("policy.yaml"), text)).unwrap();
        for (text, expected) in [
            ("units: [{ name: web.service, at_most: 1 per 1h }]\n", &[][..]),
            (
                "signals: [{ command: x, signals: [KILL], at_most: 1 per 1h }]\n",
                &["executor-processes.conf"][..],
            ),
            (
                "units: [{ name: web.service, limits: { open_files: { at_least: 1, at_most: 9 } }, at_most: 1 per 1h }]\n\
                 cgroups: [{ path: /batch.slice, at_most: 1 per 1h }]\n",
                &["executor-cgroups.conf", "executor-limits.conf"][..],
            ),
        ] {
            let files: Vec<&str> = policy(text).drop_ins().map(|drop_in| drop_in.file).collect();
            assert_eq!(files, expected, "{text}");
        }
    }

    /// The unit's filter leaves out all privileged system calls, and with them those that some capabilities are for.
    #[test]
    fn a_drop_in_that_grants_a_capability_lets_its_system_calls_through() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/examples");
        for entry in examples.read_dir().unwrap().map(Result::unwrap) {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            let (granted, calls) = (value("CapabilityBoundingSet="), value("SystemCallFilter="));
            for (capability, needed) in
                [("CAP_CHOWN", "@chown"), ("CAP_SETUID", "@setuid"), ("CAP_SYS_RESOURCE", "prlimit64")]
            {
                let has = |words: &str, word: &str| words.split_ascii_whitespace().any(|it| it == word);
                let name = entry.path();
                assert!(!has(granted, capability) || has(calls, needed), "{}: {needed}", name.display());
            }
        }
    }

    #[test]
    fn every_drop_in_is_shipped_and_grants_what_it_is_known_by() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/examples");
        for DropIn { file, grant, .. } in &DROP_INS {
            let text = std::fs::read_to_string(examples.join(file)).unwrap();
            let grants = |line: &str| !line.starts_with('#') && line.contains(grant);
            assert!(text.lines().any(grants), "{file}");
        }
    }
}
