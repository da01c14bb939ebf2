//! `cgroups` and `sysctls` of the policy: what of the kernel's own settings may be changed, and how far.

use documents::{Review, Spanned};
use serde::Deserialize;

use super::limits::{LimitBounds, LimitsEntry, Range, RangeEntry};
use crate::{Budget, ByteCount, protected};

/// A control group, and what may be done with it.
#[derive(Clone, Debug)]
pub struct CgroupRule {
    /// Its path below the root of the hierarchy, as in `/system.slice/web.service`.
    pub path: String,
    /// Within which bounds its limits may be set.
    pub limits: LimitBounds,
    /// The most memory that one action may have the kernel take back; none if it is 0.
    pub reclaim_at_most: ByteCount,
    /// Whether its processes may be stopped and let go on.
    pub freeze: bool,
    /// How often, all of it together.
    pub at_most: Budget,
}

/// A parameter of the kernel that may be set.
#[derive(Clone, Debug)]
pub struct SysctlRule {
    /// As in `net.netfilter.nf_conntrack_max`.
    pub name: String,
    /// Within which bounds.
    pub value: Range<i64>,
    /// How often.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CgroupEntry {
    pub(super) path: Spanned<String>,
    limits: Option<LimitsEntry>,
    reclaim_at_most: Option<Spanned<String>>,
    #[serde(default)]
    freeze: bool,
    at_most: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SysctlEntry {
    pub(super) name: Spanned<String>,
    value: RangeEntry,
    at_most: Spanned<String>,
}

impl CgroupEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<CgroupRule> {
        if let Some(reason) = protected::cgroup(&self.path.value) {
            review.error(&self.path, reason);
        }
        if let Some(open_files) = self.limits.as_ref().and_then(|limits| limits.open_files.as_ref()) {
            let text = "a control group has no limit of open files; set it for a service under `units`";
            review.error(&open_files.at_least, text);
        }
        let limits = self.limits.as_ref().map(|entry| entry.read(review)).unwrap_or_default();
        let reclaim_at_most = match &self.reclaim_at_most {
            Some(written) => review.read(written, str::parse),
            None => Some(ByteCount(0)),
        };
        let at_most = review.read(&self.at_most, str::parse);
        Some(CgroupRule {
            path: self.path.value.clone(),
            limits,
            reclaim_at_most: reclaim_at_most?,
            freeze: self.freeze,
            at_most: at_most?,
        })
    }
}

impl SysctlEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<SysctlRule> {
        if let Some(reason) = protected::sysctl(&self.name.value) {
            review.error(&self.name, reason);
        }
        let number = |text: &str| text.parse::<i64>().map_err(|_| format!("{text:?} is not a whole number"));
        let value = self.value.read(number, review);
        let at_most = review.read(&self.at_most, str::parse);
        Some(SysctlRule { name: self.name.value.clone(), value: value?, at_most: at_most? })
    }
}
