//! What all rules have in common: a list in the policy, a name of their own, and a budget.

use crate::policy::{
    CgroupRule, CommandRule, DirectoryRule, FlagRule, JournalRule, LinkRule, Policy, ProcessRule, SignalRule,
    Subject, SysctlRule, TruncatableRule, UnitRule,
};
use crate::{Budget, Signal};

/// A rule of the policy that is spent when it is used.
pub(crate) trait Budgeted {
    /// The policy's key for the list of them.
    const LIST: &'static str;

    /// What it is about, which stays the same when rules before it come or go.
    fn name(&self) -> String;

    /// How often it may be used.
    fn at_most(&self) -> Budget;

    /// Where it stands in the policy, as the one of this number.
    fn place(index: usize) -> String {
        format!("{}[{index}]", Self::LIST)
    }
}

impl Budgeted for ProcessRule {
    const LIST: &'static str = "processes";

    fn name(&self) -> String {
        format!("process {}", self.name)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for UnitRule {
    const LIST: &'static str = "units";

    fn name(&self) -> String {
        format!("unit {}", self.name)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for SignalRule {
    const LIST: &'static str = "signals";

    fn name(&self) -> String {
        let signals: Vec<String> = self.signals.iter().map(Signal::to_string).collect();
        let signals = signals.join(",");
        match &self.subject {
            Subject::Command(command) => format!("signals {signals} to command {command}"),
            Subject::Process(process) => format!("signals {signals} to process {process}"),
        }
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for DirectoryRule {
    const LIST: &'static str = "directories";

    fn name(&self) -> String {
        format!("directory {}", self.path.display())
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for TruncatableRule {
    const LIST: &'static str = "truncatable";

    fn name(&self) -> String {
        format!("truncatable {}", self.path.display())
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for LinkRule {
    const LIST: &'static str = "links";

    fn name(&self) -> String {
        format!("link {}", self.path.display())
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for JournalRule {
    const LIST: &'static str = "journal";

    fn name(&self) -> String {
        "journal".to_owned()
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }

    /// There is one journal.
    fn place(_: usize) -> String {
        Self::LIST.to_owned()
    }
}

impl Budgeted for FlagRule {
    const LIST: &'static str = "flags";

    fn name(&self) -> String {
        format!("flag {}", self.name)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for CommandRule {
    const LIST: &'static str = "commands";

    fn name(&self) -> String {
        format!("command {}", self.name)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for CgroupRule {
    const LIST: &'static str = "cgroups";

    fn name(&self) -> String {
        format!("cgroup {}", self.path)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Budgeted for SysctlRule {
    const LIST: &'static str = "sysctls";

    fn name(&self) -> String {
        format!("sysctl {}", self.name)
    }

    fn at_most(&self) -> Budget {
        self.at_most
    }
}

impl Policy {
    /// The names of all rules.
    pub(crate) fn rule_names(&self) -> impl Iterator<Item = String> {
        names(&self.processes)
            .chain(names(&self.units))
            .chain(names(&self.signals))
            .chain(names(&self.directories))
            .chain(names(&self.truncatable))
            .chain(names(&self.links))
            .chain(names(self.journal.as_slice()))
            .chain(names(&self.flags))
            .chain(names(&self.commands))
            .chain(names(&self.cgroups))
            .chain(names(&self.sysctls))
    }
}

fn names<R: Budgeted>(rules: &[R]) -> impl Iterator<Item = String> {
    rules.iter().map(Budgeted::name)
}
