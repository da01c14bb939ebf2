use super::*;
use crate::{Defaults, RuleFile, Transition};
use documents::Document;
use proptest::prelude::*;
use series::{STALE, Store};
use std::path::Path;
use std::sync::Arc;
use telemetry::Origin;

const ROUND: Duration = Duration::from_secs(10);
const START: i64 = 100_000;

const RULES: &str = "
  - {alert: Busy, expr: load > 1, for: 30s, keep_firing_for: 20s, annotations: {summary: '{{ $value }}'}}
  - {alert: Low, expr: load < 1, clear_when: load > 1, labels: {severity: page}}
  - {alert: Kept, expr: rare > 1, for: 20s, on_missing: keep}
  - {alert: Gone, expr: rare > 1, for: 20s, on_missing: fire}
  - {alert: Both, expr: count(ALERTS) > 1}";

/// A host of which only the memory of the program is lost in a restart.
struct Host {
    rules: String,
    store: Store,
    group: GroupState,
    now: Timestamp,
}

impl Host {
    fn new(rules: &str) -> Self {
        let now = Timestamp::from_secs(START);
        Self { rules: rules.to_owned(), store: Store::default(), group: group(rules, now), now }
    }

    fn has(&mut self, name: &str, web: &str, value: f64) {
        let labels: Labels = [("__name__", name), ("web", web)].into_iter().collect();
        // A series that was never there cannot end.
        let _ = self.store.append_sample(&labels, &Origin::Host, self.now, value);
    }

    fn round(&mut self) -> Vec<String> {
        let round = self.group.evaluate(&mut self.store, self.now, &mut || Duration::ZERO);
        assert!(round.errors.is_empty(), "{:?}", round.errors);
        self.now = self.now.plus(ROUND);
        round.transitions.iter().map(words).collect()
    }

    /// Ends, and begins again after a while.
    fn restart(&mut self, after: Duration) -> usize {
        let text = SavedGroups::of([&self.group]).to_text().unwrap();
        let saved = SavedGroups::read(text.as_bytes()).unwrap();
        self.now = self.now.plus(after);
        self.group = group(&self.rules, self.now);
        saved.of_group(self.group.group()).map_or(0, |saved| self.group.restore(saved, self.now))
    }

    fn reported(&self) -> Vec<String> {
        self.group.reported().map(|alert| format!("{alert:?}")).collect()
    }
}

fn group(rules: &str, now: Timestamp) -> GroupState {
    let text = format!("groups:\n- name: g\n  rules:{rules}");
    let file = RuleFile::read(&Document::from_text(Path::new("r.yaml"), &text)).unwrap();
    let defaults = Defaults { interval: ROUND, externals: Arc::default() };
    GroupState::new(file.groups.into_iter().next().unwrap(), &defaults, now)
}

fn words(transition: &Transition) -> String {
    let kind = match transition {
        Transition::Pending(_) => "pending",
        Transition::Firing(_) => "firing",
        Transition::Resolved(_) => "resolved",
        Transition::Dropped(_) => "dropped",
    };
    format!("{} {kind}", transition.alert().name())
}

#[test]
fn a_firing_alert_goes_on_firing_over_a_restart_whatever_its_for() {
    for hold_for in ["0s", "10s", "20m"] {
        let mut host = Host::new(&format!(" [{{alert: Busy, expr: load > 1, for: {hold_for}}}]"));
        let mut fired = false;
        while !fired {
            host.has("load", "a", 2.0);
            fired = host.round() == ["Busy firing"];
        }
        let before = host.reported();
        assert_eq!(host.restart(Duration::from_mins(30)), 1);
        assert_eq!(host.reported(), before);
        host.has("load", "a", 2.0);
        assert_eq!(host.round(), [""; 0], "nothing is told twice");
        host.has("load", "a", 1.0);
        assert_eq!(host.round(), ["Busy resolved"]);
    }
}

#[test]
fn down_time_does_not_count_for_for_and_after_an_hour_a_pending_alert_begins_anew() {
    for (down, rounds_left) in [(0, 3), (60, 3), (3_500, 3), (4_000, 7)] {
        let mut host = Host::new(" [{alert: Busy, expr: load > 1, for: 60s}]");
        for _ in 0..4 {
            host.has("load", "a", 2.0);
            host.round();
        }
        host.restart(Duration::from_secs(down));
        let mut rounds = 0;
        let mut last = Vec::new();
        while last != ["Busy firing"] {
            host.has("load", "a", 2.0);
            last = host.round();
            rounds += 1;
        }
        assert_eq!(rounds, rounds_left, "down for {down} s");
    }
}

#[test]
fn an_alert_does_not_end_because_its_series_are_not_there_yet() {
    let mut host = Host::new(" [{alert: Errors, expr: 'rate(errors[1m]) > 0'}]");
    for count in 0..3 {
        host.has("errors", "a", f64::from(count));
        host.round();
    }
    host.restart(Duration::from_mins(10));
    for _ in 0..3 {
        assert_eq!(host.round(), [""; 0], "nobody has sent it yet");
    }
    host.has("errors", "a", 100.0);
    assert_eq!(host.round(), [""; 0], "one sample makes no rate");
    host.has("errors", "a", 100.0);
    assert_eq!(host.round(), ["Errors resolved"]);
    // It does not wait forever.
    let mut host = Host::new(" [{alert: Busy, expr: load > 1}]");
    host.has("load", "a", 2.0);
    host.round();
    host.restart(Duration::from_mins(10));
    let quiet = (0..40).take_while(|_| host.round().is_empty()).count();
    assert_eq!(quiet, 30);
}

#[test]
fn a_series_that_went_on_by_itself_resolves_at_once_after_a_restart() {
    let mut host = Host::new(" [{alert: Busy, expr: load > 1}]");
    host.has("load", "a", 2.0);
    host.round();
    host.restart(Duration::from_mins(10));
    host.has("load", "a", 1.0);
    assert_eq!(host.round(), ["Busy resolved"]);
}

#[test]
fn resolved_alerts_are_told_of_for_their_time_over_a_restart() {
    let mut host = Host::new(" [{alert: Busy, expr: load > 1}]");
    host.has("load", "a", 2.0);
    host.round();
    host.has("load", "a", 1.0);
    host.round();
    host.restart(Duration::from_mins(14));
    assert_eq!(host.reported().len(), 1);
    host.restart(Duration::from_mins(2));
    assert_eq!(host.reported().len(), 0);
}

#[test]
fn a_rule_that_changed_its_labels_begins_anew_and_one_that_changed_its_for_goes_on() {
    for (rules, restored) in [
        (" [{alert: Busy, expr: load > 2, for: 1m}]", 1),
        (" [{alert: Other, expr: load > 1}]", 0),
        (" [{alert: Busy, expr: load > 1, labels: {severity: page}}]", 0),
        (" [{record: Busy, expr: load > 1}]", 0),
        (" [{alert: New, expr: load}, {alert: Busy, expr: load > 1}]", 1),
    ] {
        let mut host = Host::new(" [{alert: Busy, expr: load > 1}]");
        host.has("load", "a", 2.0);
        host.round();
        host.rules = rules.to_owned();
        assert_eq!(host.restart(ROUND), restored, "{rules}");
    }
}

#[test]
fn the_series_of_an_alert_end_with_it_after_a_restart_too() {
    let mut host = Host::new(" [{alert: Busy, expr: load > 1, for: 10s}, {record: on, expr: count(ALERTS)}]");
    host.has("load", "a", 2.0);
    host.round();
    host.restart(ROUND);
    host.has("load", "a", 2.0);
    host.round();
    host.has("load", "a", 2.0);
    host.round();
    let view = host.group.view();
    assert_eq!(view.rules[1].evaluations.last().map(|last| last.samples_read), Some(1), "only as firing");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let good = SavedGroups::of([&Host::new(RULES).group]).to_text().unwrap();
    for (text, expected) in [
        (String::new(), "the saved alerts cannot be read"),
        (good.replace(":1,", ":2,"), "the saved alerts have the layout 2; this program reads 1"),
        (good.replace("\"groups\"", "\"gruops\""), "the saved alerts cannot be read"),
        (good[..good.len() - 1].to_owned(), "the saved alerts cannot be read"),
        (" ".repeat(MAX_SAVED_BYTES + 1), "the saved alerts take 67108865 bytes, more than 67108864"),
    ] {
        assert_eq!(SavedGroups::read(text.as_bytes()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut host = Host::new(" [{alert: Busy, expr: load > 1}]");
    host.has("load", "a", 2.0);
    host.round();
    let mut saved = SavedGroups::of([&host.group]);
    let alert = &mut saved.groups[0].rules[0].active[0].alert;
    alert.annotations.insert("long".to_owned(), "x".repeat(MAX_SAVED_BYTES));
    let error = saved.to_text().unwrap_err();
    assert!(matches!(error, SavedError::TooLong { bytes } if bytes > MAX_SAVED_BYTES), "{error}");
}

#[test]
fn values_that_are_no_numbers_are_saved_too() {
    let mut host = Host::new(" [{alert: Odd, expr: load != 1}]");
    for (web, value) in [("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY)] {
        host.has("load", web, value);
    }
    host.round();
    let before = host.reported();
    assert_eq!((host.restart(ROUND), before.len()), (3, 3));
    assert_eq!(host.reported(), before);
}

proptest! {
    /// Two hosts see the same; one of them restarts the program between rounds.
    #[test]
    fn a_restart_changes_no_future(
        rounds in prop::collection::vec((prop::array::uniform2(0_u8..3), 0_u8..4, any::<bool>()), 1..25),
    ) {
        let (mut steady, mut restarted) = (Host::new(RULES), Host::new(RULES));
        for (load, rare, restart) in rounds {
            for host in [&mut steady, &mut restarted] {
                host.has("load", "a", f64::from(load[0]));
                host.has("load", "b", f64::from(load[1]));
                host.has("rare", "a", if rare == 3 { STALE } else { f64::from(rare) });
            }
            if restart {
                restarted.restart(Duration::ZERO);
            }
            prop_assert_eq!(steady.round(), restarted.round());
            prop_assert_eq!(steady.reported(), restarted.reported());
            prop_assert_eq!(format!("{:?}", steady.group.active_alerts().collect::<Vec<_>>()),
                format!("{:?}", restarted.group.active_alerts().collect::<Vec<_>>()));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        later in 0_i64..1 << 40,
    ) {
        let mut host = Host::new(RULES);
        host.has("load", "a", 2.0);
        host.has("load", "b", 0.0);
        host.round();
        let mut text = SavedGroups::of([&host.group]).to_text().unwrap().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(saved) = SavedGroups::read(&text) {
            if let Some(saved) = saved.of_group(host.group.group()) {
                host.group.restore(saved, Timestamp::from_nanos(later));
            }
            host.group.evaluate(&mut host.store, Timestamp::from_nanos(later), &mut || Duration::ZERO);
        }
    }
}
