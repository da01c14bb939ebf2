use super::*;
use proptest::prelude::*;

/// What the page for users says of one alert, in the plainest way.
#[derive(Default)]
struct Model {
    /// Pending or firing, since when, how much of that does not count, and since when the condition is over.
    alert: Option<(AlertState, i64, i64, Option<i64>)>,
    judged_at: i64,
}

impl Model {
    fn round(
        &mut self,
        rule: &AlertingRule,
        present: bool,
        unseen: bool,
        cleared: bool,
        now: i64,
    ) -> &'static str {
        let hold_for = rule.hold_for.as_secs() as i64;
        let keep_for = rule.keep_firing_for.as_secs() as i64;
        let gap = now - std::mem::replace(&mut self.judged_at, now);
        let Some((state, since, lost, over)) = self.alert else {
            if !present {
                return "";
            }
            let state = if hold_for == 0 { AlertState::Firing } else { AlertState::Pending };
            self.alert = Some((state, now, 0, None));
            return if hold_for == 0 { "firing" } else { "pending" };
        };
        let firing = state == AlertState::Firing;
        let waits = !present && unseen && rule.on_missing == OnMissing::Keep;
        let goes_on = firing && !present && !unseen && rule.clear_when.is_some() && !cleared;
        let holds = present || (unseen && rule.on_missing == OnMissing::Fire) || goes_on;
        if waits {
            let lost = if firing { lost } else { lost + gap };
            self.alert = Some((state, since, lost, over));
            return "";
        }
        if holds {
            let fires = !firing && now - since - lost >= hold_for;
            self.alert = Some((if fires { AlertState::Firing } else { state }, since, lost, None));
            return if fires { "firing" } else { "" };
        }
        if firing && now - over.unwrap_or(now) < keep_for {
            self.alert = Some((state, since, lost, Some(over.unwrap_or(now))));
            return "";
        }
        self.alert = None;
        if firing { "resolved" } else { "dropped" }
    }
}

proptest! {
    /// Rounds at random gaps, in each of which any of three samples may be there, missing or cleared. No alert is lost
    /// and none is there twice: the transitions alone tell which alerts there are.
    #[test]
    fn every_history_goes_as_the_model_says(
        hold_for in prop::sample::select(vec![0_u64, 5, 20, 50]),
        keep_firing_for in prop::sample::select(vec![0_u64, 5, 30]),
        on_missing in prop::sample::select(vec![OnMissing::Keep, OnMissing::Fire, OnMissing::Clear]),
        clears in any::<bool>(),
        rounds in prop::collection::vec((1_i64..30, any::<[[bool; 3]; 3]>()), 1..60),
    ) {
        let mut rule = rule(hold_for, keep_firing_for);
        rule.on_missing = on_missing;
        rule.clear_when = clears.then(|| Box::new(Query::new("latency < 0.5").unwrap()));
        let names = ["a", "b", "c"];
        let mut models: [Model; 3] = Default::default();
        let mut state = RuleState::default();
        let mut there: BTreeMap<Labels, AlertState> = BTreeMap::new();
        let mut now = 1_000;
        for (gap, [present, unseen, cleared]) in rounds {
            now += gap;
            let text = |flags: [bool; 3]| {
                let names = std::iter::zip(names, flags).filter(|(_, flag)| *flag);
                names.map(|(name, _)| format!("{name}=1")).collect::<Vec<_>>().join(" ")
            };
            let expected: BTreeSet<String> = names
                .iter()
                .enumerate()
                .map(|(at, name)| (name, models[at].round(&rule, present[at], unseen[at], cleared[at], now)))
                .filter(|(_, word)| !word.is_empty())
                .map(|(name, word)| format!("{name} {word}"))
                .collect();
            let findings = found(&rule, &text(present), &text(unseen), &text(cleared));
            let transitions = step(&rule, &mut state, findings, Timestamp::from_secs(now)).unwrap();
            let told: Vec<String> = transitions.iter().map(|it| print(std::slice::from_ref(it))).collect();
            prop_assert_eq!(told.len(), expected.len());
            prop_assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected);
            for transition in transitions {
                let alert = transition.alert();
                let before = match transition {
                    Transition::Pending(_) | Transition::Firing(_) => {
                        there.insert(alert.labels.clone(), alert.state)
                    }
                    Transition::Resolved(_) | Transition::Dropped(_) => there.remove(&alert.labels),
                };
                let expected: &[Option<AlertState>] = match transition {
                    Transition::Pending(_) => &[None],
                    Transition::Firing(_) => &[None, Some(AlertState::Pending)],
                    Transition::Resolved(_) => &[Some(AlertState::Firing)],
                    Transition::Dropped(_) => &[Some(AlertState::Pending)],
                };
                prop_assert!(expected.contains(&before), "{:?} after {:?}", transition, before);
            }
            let active = state.active().map(|alert| (alert.labels.clone(), alert.state));
            prop_assert_eq!(active.collect::<BTreeMap<_, _>>(), there.clone());
        }
    }

    /// Rounds at random gaps, in each of which any of three samples may be there.
    #[test]
    fn no_history_fires_early_or_resolves_what_never_fired(
        hold_for in 0_u64..60,
        keep_firing_for in 0_u64..60,
        rounds in prop::collection::vec((1_i64..30, any::<[bool; 3]>()), 1..60),
    ) {
        let rule = rule(hold_for, keep_firing_for);
        let mut state = RuleState::default();
        let mut now = Timestamp::EPOCH;
        // Per sample: since when it has been there without a break, since when it has been gone, whether it fires.
        let mut held = [None::<Timestamp>; 3];
        let mut gone = [None::<Timestamp>; 3];
        let mut firing = [false; 3];
        for (gap, present) in rounds {
            now = now.plus(Duration::from_secs(gap as u64));
            let names = ["a", "b", "c"];
            let text: Vec<String> = std::iter::zip(names, present)
                .filter(|(_, present)| *present)
                .map(|(name, _)| format!("{name}=1"))
                .collect();
            for index in 0..3 {
                held[index] = present[index].then(|| held[index].unwrap_or(now));
                gone[index] = (!present[index]).then(|| gone[index].unwrap_or(now));
            }
            for transition in step(&rule, &mut state, samples(&rule, &text.join(" ")), now).unwrap() {
                let web = transition.alert().labels.get("web");
                let index = names.iter().position(|name| *name == web).unwrap();
                match transition {
                    Transition::Firing(alert) => {
                        prop_assert!(!firing[index]);
                        prop_assert_eq!(Some(alert.active_at), held[index]);
                        prop_assert!(now.since(alert.active_at) >= rule.hold_for);
                        firing[index] = true;
                    }
                    Transition::Resolved(_) => {
                        prop_assert!(firing[index]);
                        prop_assert!(now.since(gone[index].unwrap()) >= rule.keep_firing_for);
                        firing[index] = false;
                    }
                    Transition::Pending(alert) => {
                        prop_assert!(!firing[index]);
                        prop_assert_eq!((held[index], alert.active_at), (Some(now), now));
                    }
                    Transition::Dropped(_) => prop_assert!(!firing[index] && !present[index]),
                }
            }
            for index in 0..3 {
                let due = held[index].is_some_and(|since| now.since(since) >= rule.hold_for);
                let over = gone[index].is_none_or(|since| now.since(since) >= rule.keep_firing_for);
                prop_assert!(!due || firing[index], "what has held for `for` fires");
                prop_assert!(present[index] || !over || !firing[index], "what is over is resolved");
            }
            let now_firing = state.active().filter(|alert| alert.state == AlertState::Firing).count();
            prop_assert_eq!(now_firing, firing.iter().filter(|firing| **firing).count());
        }
    }
}
