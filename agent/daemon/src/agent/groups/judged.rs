//! A group, and what of it was said in the log already.

use std::collections::BTreeSet;
use std::time::Duration;

use alerting::{Defaults, GroupState, Round, Rule, RuleGroup, Transition};
use telemetry::{Timestamp, with_causes};

/// So long after its first round a rule may wait for the series that it selects before it is said that there are none:
/// collections of several intervals, and others that have to find the agent first.
const SERIES_COME_WITHIN: Duration = Duration::from_mins(2);

/// How often is looked for rules that match nothing.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What is named of a kind at once in the log at most.
const MOST_NAMED: usize = 5;

/// A group and what is known to be wrong with it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) group: GroupState,
    /// When it was last evaluated, or when it began.
    pub(crate) evaluated_at: Timestamp,
    began: Timestamp,
    /// When rules that match nothing were last looked for.
    looked_at: Timestamp,
    said: Said,
}

#[derive(Debug, Default)]
struct Said {
    failing: BTreeSet<String>,
    flapping: BTreeSet<String>,
    matching_nothing: BTreeSet<String>,
}

impl Judged {
    /// Was not evaluated yet.
    pub(crate) fn new(group: GroupState, now: Timestamp) -> Self {
        Self { group, evaluated_at: now, began: now, looked_at: now, said: Said::default() }
    }

    /// Whether this is the group that `other` says, as it is now or as it was.
    pub(crate) fn is(&self, other: &RuleGroup) -> bool {
        let group = self.group.group();
        (group.file(), group.name()) == (other.file(), other.name())
    }

    /// Goes on as the group that its file says now; its rules wait for their series anew. Says what became of alerts.
    pub(crate) fn go_on_as(
        self,
        group: RuleGroup,
        defaults: &Defaults,
        now: Timestamp,
    ) -> (Self, Vec<Transition>) {
        let (group, ended) = self.group.go_on_as(group, defaults, now);
        (Self { group, began: now, ..self }, ended)
    }

    /// The rules that select series of which there are none, with those selectors, once they have waited for them.
    pub(crate) fn matching_nothing(&self) -> impl Iterator<Item = (&Rule, &[String])> {
        let have_waited = self.evaluated_at.since(self.began) >= SERIES_COME_WITHIN;
        have_waited.then(|| self.group.matching_nothing()).into_iter().flatten()
    }

    /// Says what a round has found out and was not known before: failures, rules that match nothing, alerts that flap.
    pub(crate) fn say(&mut self, round: &Round) {
        let fails = round.errors.iter().map(|error| with_causes(error)).collect();
        let failing = news(&mut self.said.failing, fails);
        let more = failing.len().saturating_sub(MOST_NAMED);
        for text in failing.into_iter().take(MOST_NAMED) {
            tracing::warn!("{text}");
        }
        if more > 0 {
            let group = self.group.group().name();
            tracing::warn!(
                group,
                "{more} more rules of the group fail; `hostmend alerts --rules` names them"
            );
        }
        let flapping = self.group.flapping(self.evaluated_at).map(ToString::to_string).collect();
        for alert in news(&mut self.said.flapping, flapping) {
            tracing::warn!(%alert, "the alert flaps: it fires and ends again and again");
        }
        if self.evaluated_at.since(self.looked_at) < LOOK_AGAIN {
            return;
        }
        self.looked_at = self.evaluated_at;
        let name =
            |(rule, selectors): (&Rule, &[String])| format!("{} ({})", rule.name(), selectors.join(", "));
        let nothing = self.matching_nothing().map(name).collect();
        let news = news(&mut self.said.matching_nothing, nothing);
        if !news.is_empty() {
            let more = news.len().saturating_sub(MOST_NAMED);
            let named: Vec<&str> = news.iter().take(MOST_NAMED).map(String::as_str).collect();
            let group = self.group.group().name();
            tracing::info!(group, more, "rules select series that do not exist: {}", named.join("; "));
        }
    }
}

/// What is in `now` and was not known; from then on it is, until it is over.
fn news(known: &mut BTreeSet<String>, now: BTreeSet<String>) -> Vec<String> {
    let news = now.difference(known).cloned().collect();
    *known = now;
    news
}
