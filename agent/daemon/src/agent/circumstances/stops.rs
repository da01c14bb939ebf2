//! Finds out of a service that failed whether it was told to stop, and so is to rest.
//!
//! A program that is told to stop may end with an error, and systemd then calls its unit failed, as after a crash. What
//! systemd keeps tells the two apart in most cases for nothing: after a crash the main process has ended before the unit
//! left its active state. Otherwise the journal is asked, where systemd has noted each stop that it was told of (checked
//! with 252 and 257). The note may come a moment after the unit has failed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use collectors::{Moments, ServiceFacts};

/// For so long the journal may lack the newest.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

/// Units of which it is kept what the journal says, so that it is asked once for each failure. At the limit all are
/// forgotten, and asked about anew.
const MAX_UNITS: usize = 1_000;

/// How a service ends that is told to stop and does not end in order; other ways are systemd's own doing, as for a watchdog.
const AS_IF_TOLD: [&str; 4] = ["exit-code", "signal", "core-dump", "timeout"];

/// Asks, and remembers.
#[derive(Debug, Default)]
pub(crate) struct StopWatch(Mutex<HashMap<String, Told>>);

/// What the journal says of a unit, as of when it came into its state.
#[derive(Clone, Debug)]
struct Told {
    changed: u64,
    hold: Option<String>,
}

impl StopWatch {
    /// Why a unit that failed has to stay as it is, if it was told to stop, or may have been. `last_stop` says when the
    /// journal has it that it was last told so, in microseconds since boot.
    pub(super) fn told_to_stop(
        &self,
        unit: &str,
        facts: &ServiceFacts,
        since_boot: Duration,
        last_stop: impl FnOnce(&str) -> Result<Option<u64>, String>,
    ) -> Option<String> {
        let moments = facts.moments;
        if facts.active != "failed" || ended_by_itself(moments) {
            return None;
        }
        if let Some(known) = self.known(unit, moments.changed) {
            return known.hold;
        }
        let hold = match last_stop(unit) {
            Ok(Some(at)) if at >= moments.began => Some(format!(
                "{unit} was told to stop, and ended with a failure ({}); `systemctl start {unit}` ends this hold",
                facts.result
            )),
            Ok(_) => None,
            Err(why) => return Some(format!("it is not known whether {unit} was told to stop: {why}")),
        };
        let age = since_boot.saturating_sub(Duration::from_micros(moments.changed));
        if hold.is_none() && age < NOTED_WITHIN {
            let looks_told = stopped_first(moments) && AS_IF_TOLD.contains(&facts.result.as_str());
            return looks_told.then(|| format!("it is not known yet whether {unit} was told to stop"));
        }
        self.remember(unit, Told { changed: moments.changed, hold: hold.clone() });
        hold
    }

    fn known(&self, unit: &str, changed: u64) -> Option<Told> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(unit).filter(|told| told.changed == changed).cloned()
    }

    fn remember(&self, unit: &str, told: Told) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_UNITS && !known.contains_key(unit) {
            known.clear();
        }
        known.insert(unit.to_owned(), told);
    }
}

/// Whether its main process ended while it was active, and it left that state for it.
fn ended_by_itself(moments: Moments) -> bool {
    moments.became_active < moments.main_ended && moments.main_ended <= moments.left_active
}

/// Whether it left its active state before its main process ended.
fn stopped_first(moments: Moments) -> bool {
    moments.began <= moments.left_active && moments.left_active < moments.main_ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(
        result: &str,
        [began, became_active, left_active, main_ended, changed]: [u64; 5],
    ) -> ServiceFacts {
        let moments = Moments { began, became_active, left_active, main_ended, changed };
        let [active, result] = ["failed", result].map(str::to_owned);
        ServiceFacts { active, result, moments, ..ServiceFacts::default() }
    }

    /// As systemd 252 and 257 told it on a machine, in milliseconds: when what happened to the unit, and the last note of a stop.
    #[test]
    fn a_unit_that_was_told_to_stop_rests_however_it_ended_and_one_that_crashed_does_not() {
        for (what, result, moments, noted, rests) in [
            (
                "stopped, and exits with 143",
                "exit-code",
                [8541, 8541, 604_576, 605_259, 605_355],
                Some(605_527),
                true,
            ),
            ("crashed", "exit-code", [820, 820, 1_837_013, 1_836_811, 1_837_013], None, false),
            ("crashed in a loop", "exit-code", [924_788, 916_658, 924_523, 924_329, 941_399], None, false),
            ("stopped while it started", "exit-code", [892, 0, 0, 644_681, 644_797], Some(645_900), true),
            ("failed in its start", "exit-code", [892, 0, 0, 644_681, 644_797], None, false),
            (
                "said itself that it stops",
                "exit-code",
                [883, 985_256, 1_033_104, 1_352_880, 1_353_040],
                None,
                false,
            ),
            (
                "a one-shot whose stop failed",
                "exit-code",
                [940, 956_080, 9_700_513, 952_837, 9_712_383],
                Some(9_704_064),
                true,
            ),
            ("killed", "signal", [860, 860, 4_180_783, 4_180_623, 4_180_783], None, false),
            (
                "stopped, and had to be killed",
                "timeout",
                [545, 545, 9_704_655, 9_948_297, 9_948_427],
                Some(9_704_719),
                true,
            ),
            ("ran for too long", "timeout", [364, 364, 8_194_347, 8_197_331, 8_197_456], None, false),
            (
                "restarted, and did not start",
                "exit-code",
                [48_482, 986, 24_768, 0, 56_481],
                Some(25_240),
                false,
            ),
        ] {
            let facts = failed(result, moments);
            let later = Duration::from_mins(1);
            let watch = StopWatch::default();
            let why = watch.told_to_stop("web.service", &facts, later, |_| Ok(noted));
            assert_eq!(why.is_some(), rests, "{what}: {why:?}");
            let again = watch.told_to_stop("web.service", &facts, later, |_| panic!("asked twice: {what}"));
            let asked_again = ended_by_itself(facts.moments) || again == why;
            assert!(asked_again, "{what}");
        }
    }

    #[test]
    fn what_the_journal_does_not_say_yet_or_cannot_say_is_held_and_asked_again() {
        let watch = StopWatch::default();
        let facts = failed("exit-code", [1, 2, 1_000_000, 2_000_000, 2_000_000]);
        let ask = |since_boot, noted| {
            watch.told_to_stop("web.service", &facts, Duration::from_secs(since_boot), move |_| noted)
        };
        let unreadable = ask(60, Err("no such file".to_owned())).unwrap();
        assert_eq!(unreadable, "it is not known whether web.service was told to stop: no such file");
        let early = ask(3, Ok(None)).unwrap();
        assert_eq!(early, "it is not known yet whether web.service was told to stop");
        let noted = ask(3, Ok(Some(1_000_100))).unwrap();
        assert!(
            noted.starts_with("web.service was told to stop, and ended with a failure (exit-code)"),
            "{noted}"
        );
        // It failed anew, by itself as it turns out.
        let facts = failed("watchdog", [3_000_000, 3_000_000, 4_000_000, 5_000_000, 5_000_000]);
        let since_boot = Duration::from_secs(6);
        assert_eq!(watch.told_to_stop("web.service", &facts, since_boot, |_| Ok(Some(1_000_100))), None);
        let running = ServiceFacts { active: "active".to_owned(), ..facts };
        assert_eq!(watch.told_to_stop("web.service", &running, since_boot, |_| panic!("asked")), None);
    }
}
