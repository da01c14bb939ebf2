//! The section about repairs: what holds for all runbooks of this host.

use std::path::PathBuf;

use documents::{Review, Spanned};
use executor::Budget;
use remediation::HostGuards;
use serde::Deserialize;

use super::Base;
use crate::agent::MOST_AT_ONCE;

/// Each run has a thread and a process of its own, and takes what the repaired service would need.
const MAX_AT_ONCE: usize = MOST_AT_ONCE;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RemediationSection {
    /// How many runs may act at a time. Default 2, at most 8.
    at_once: Option<Spanned<usize>>,
    /// How many runs may begin to act in a window, all runbooks together. Default `20 per 1h`.
    starts: Option<Spanned<String>>,
    /// Where hosts agree on how many of them act at a time.
    fleet_lock: Option<FleetLockSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FleetLockSection {
    /// A directory that all hosts of the fleet share.
    file: Spanned<String>,
}

/// What holds for all runbooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostRemediation {
    pub(crate) guards: HostGuards,
    /// The directory of the fleet's lock.
    pub(crate) fleet_lock: Option<PathBuf>,
}

pub(super) fn remediation(section: &RemediationSection, base: &Base, review: &mut Review) -> HostRemediation {
    let default = HostGuards::default();
    let at_once = section.at_once.as_ref().map_or(default.at_once, |value| {
        if !(1..=MAX_AT_ONCE).contains(&value.value) {
            review.error(value, format!("from 1 to {MAX_AT_ONCE} runs can act at a time"));
        }
        value.value
    });
    let starts = section.starts.as_ref().and_then(|value| {
        let budget: Budget = review.read(value, str::parse)?;
        if budget.at_most > HostGuards::MAX_STARTS {
            review.error(value, format!("at most {} starts can be counted", HostGuards::MAX_STARTS));
        }
        Some(budget)
    });
    let guards = HostGuards { at_once, starts: starts.unwrap_or(default.starts) };
    let fleet_lock = section.fleet_lock.as_ref().map(|section| base.path(&section.file.value));
    HostRemediation { guards, fleet_lock }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::tests::{load_text, problems};

    #[test]
    fn a_host_repairs_as_much_as_its_file_says() {
        let read = |text: &str| load_text(text).config.unwrap().repairs.host;
        assert_eq!(read("remediation: {}\n"), HostRemediation::default());
        let host =
            read("remediation: { at_once: 4, starts: 50 per 10m, fleet_lock: { file: /srv/locks } }\n");
        let starts = Budget { at_most: 50, per: Duration::from_mins(10) };
        assert_eq!(host.guards, HostGuards { at_once: 4, starts });
        assert_eq!(host.fleet_lock, Some(PathBuf::from("/srv/locks")));
    }

    #[test]
    fn limits_of_repairs_that_cannot_be_kept_are_refused() {
        for (text, expected) in [
            ("remediation: { at_once: 0 }\n", "1:25: from 1 to 8 runs can act at a time"),
            ("remediation: { at_once: 9 }\n", "1:25: from 1 to 8 runs can act at a time"),
            ("remediation: { starts: 1001 per 1h }\n", "1:24: at most 1000 starts can be counted"),
        ] {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }
}
