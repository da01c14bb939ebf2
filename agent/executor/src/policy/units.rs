//! `units` of the policy: services, what systemd may be asked to do with them, and within which limits.

use std::time::Duration;

use documents::{Review, Spanned, nearest};
use serde::Deserialize;
use telemetry::format_duration;

use super::limits::{LimitBounds, LimitsEntry};
use crate::{Budget, UnitName, UnitVerb, protected};

/// systemd gives a service 90 s to stop and 90 s to start, unless its unit says otherwise.
pub(super) const DEFAULT_RESTART_TIMEOUT: Duration = Duration::from_mins(3);

/// What a rule allows that does not say so: what leaves a service running that ran.
const DEFAULT_VERBS: [UnitVerb; 4] =
    [UnitVerb::Restart, UnitVerb::Reload, UnitVerb::Start, UnitVerb::ResetFailed];

/// A service of systemd, and what may be done with it.
#[derive(Clone, Debug)]
pub struct UnitRule {
    /// Its exact name.
    pub name: UnitName,
    /// What systemd may be asked to do with it.
    pub may: Vec<UnitVerb>,
    /// Within which bounds its limits may be set.
    pub limits: LimitBounds,
    /// How long systemd is given for a job, such as to stop and start it, before the outcome is not waited for any longer.
    pub restart_timeout: Duration,
    /// How often, all of it together.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitEntry {
    pub(super) name: Spanned<String>,
    may: Option<Vec<Spanned<String>>>,
    limits: Option<LimitsEntry>,
    restart_timeout: Option<Spanned<String>>,
    at_most: Spanned<String>,
}

impl UnitEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<UnitRule> {
        let name: Option<UnitName> = review.read(&self.name, str::parse);
        if let Some(reason) = name.as_ref().and_then(protected::unit) {
            review.error(&self.name, reason);
        }
        let may = match &self.may {
            Some(verbs) => verbs.iter().filter_map(|written| verb(written, review)).collect(),
            None => DEFAULT_VERBS.to_vec(),
        };
        let limits = self.limits.as_ref().map(|entry| entry.read(review)).unwrap_or_default();
        let longest = super::MAX_STOP_TIMEOUT;
        let restart_timeout = review.duration_or(self.restart_timeout.as_ref(), DEFAULT_RESTART_TIMEOUT);
        if let Some(written) = self.restart_timeout.as_ref().filter(|_| restart_timeout > longest) {
            review.error(written, format!("at most {} can be waited", format_duration(longest)));
        }
        let at_most = review.read(&self.at_most, str::parse);
        Some(UnitRule { name: name?, may, limits, restart_timeout, at_most: at_most? })
    }
}

fn verb(written: &Spanned<String>, review: &mut Review) -> Option<UnitVerb> {
    let known = UnitVerb::ALL.into_iter().find(|verb| verb.as_str() == written.value);
    if known.is_none() {
        let names = UnitVerb::ALL.map(UnitVerb::as_str);
        let meant = nearest(&written.value, names);
        let text = format!(
            "{:?} is nothing that can be done with a unit; known are {}",
            written.value,
            names.join(", ")
        );
        review.error(written, text).hint = meant.map(|meant| format!("did you mean `{meant}`?"));
    }
    known
}
