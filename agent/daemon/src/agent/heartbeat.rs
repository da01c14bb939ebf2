//! Which stages live, and until when that may be believed.
//!
//! A stage promises to speak again within a time that fits what it is about to do: a round of rules, an action, a wait.
//! Who breaks a promise is overdue. Nothing here acts on that; see [`super::supervision`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// How long a stage that has nothing to do sleeps at most before it says that it lives: often enough that one that hangs
/// is soon noticed, too seldom to cost anything.
pub(crate) const ATTENTION: Duration = Duration::from_secs(5);

/// How long a piece of work may take that has no deadline of its own: a collection, a group of rules, a question of a
/// script. Seconds on a host that thrashes; a minute means that it hangs.
pub(crate) const WORK_WITHIN: Duration = Duration::from_mins(1);

/// What a thread may be late by without being taken for dead. On a host whose disk and processors are all taken a line of the
/// log has taken 18 s; to end the agent there would help nobody.
const SLACK: Duration = Duration::from_secs(30);

/// The promises of all stages.
#[derive(Debug, Default)]
pub(crate) struct Heartbeats(Mutex<Promises>);

impl Heartbeats {
    /// The pulse of `stage`, which counts from its first beat on.
    pub(crate) fn pulse(self: &Arc<Self>, stage: &'static str) -> Pulse {
        Pulse { stage, heartbeats: Arc::clone(self) }
    }

    /// A stage that is no more is not waited for.
    pub(crate) fn forget(&self, stage: &'static str) {
        self.lock().until.remove(stage);
    }

    /// The stage that is overdue at `now`, the longest first.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&'static str> {
        self.lock().overdue(now)
    }

    /// The stages end one by one and are not asked any more; all of it has to be over within `within`.
    pub(crate) fn stopping(&self, within: Duration) {
        *self.lock() = Promises::stopping(clock::monotonic() + within);
    }

    fn lock(&self) -> MutexGuard<'_, Promises> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By which one stage says that it lives.
#[derive(Clone, Debug)]
pub(crate) struct Pulse {
    stage: &'static str,
    heartbeats: Arc<Heartbeats>,
}

impl Pulse {
    /// The stage lives, and says so again within `within`.
    pub(crate) fn beat(&self, within: Duration) {
        self.heartbeats.lock().promise(self.stage, clock::monotonic() + within + SLACK);
    }
}

/// Until when each stage is to be believed.
#[derive(Debug, Default)]
struct Promises {
    until: BTreeMap<&'static str, Instant>,
    /// Whether the agent stops: then only the stop itself is promised.
    stopping: bool,
}

impl Promises {
    fn stopping(until: Instant) -> Self {
        Self { until: BTreeMap::from([("stop", until)]), stopping: true }
    }

    fn promise(&mut self, stage: &'static str, until: Instant) {
        if !self.stopping {
            self.until.insert(stage, until);
        }
    }

    fn overdue(&self, now: Instant) -> Option<&'static str> {
        let broken = self.until.iter().filter(|(_, until)| **until < now);
        broken.min_by_key(|(_, until)| **until).map(|(stage, _)| *stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stage_is_overdue_only_after_the_time_that_it_promised() {
        let begun = clock::monotonic();
        let mut promises = Promises::default();
        promises.promise("collect", begun + SECOND * 10);
        promises.promise("remediate", begun + SECOND * 300);
        for (after, overdue) in [(0, None), (10, None), (11, Some("collect")), (301, Some("collect"))] {
            assert_eq!(promises.overdue(begun + SECOND * after), overdue, "after {after} s");
        }
        promises.promise("collect", begun + SECOND * 400);
        assert_eq!(promises.overdue(begun + SECOND * 301), Some("remediate"));
    }

    #[test]
    fn a_stage_that_never_spoke_is_not_overdue() {
        let heartbeats = Arc::new(Heartbeats::default());
        let _pulse = heartbeats.pulse("rules");
        assert_eq!(heartbeats.overdue(clock::monotonic() + SECOND * 1_000), None);
    }

    #[test]
    fn while_the_agent_stops_only_the_stop_itself_can_be_overdue() {
        let begun = clock::monotonic();
        let mut promises = Promises::stopping(begun + SECOND * 5);
        promises.promise("rules", begun + SECOND);
        assert_eq!(promises.overdue(begun + SECOND * 2), None);
        assert_eq!(promises.overdue(begun + SECOND * 6), Some("stop"));
    }

    #[test]
    fn a_beat_is_believed_for_what_it_announces_and_no_more_than_the_slack_beyond() {
        let heartbeats = Arc::new(Heartbeats::default());
        let before = clock::monotonic();
        heartbeats.pulse("send").beat(SECOND);
        let after = clock::monotonic();
        assert_eq!(heartbeats.overdue(before + SECOND + SLACK), None);
        assert_eq!(heartbeats.overdue(after + SECOND + SLACK + SECOND), Some("send"));
    }
}
