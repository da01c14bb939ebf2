use super::*;
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_mins(1);
const AGAIN_FOR: Duration = Duration::from_mins(15);
const ALERTMANAGER: Pace = Pace { repeat: MINUTE, resolved_for: Some(AGAIN_FOR) };
const WEBHOOK: Pace = Pace { repeat: Duration::from_hours(4), resolved_for: None };

fn second(n: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + n)
}

fn firing(name: &str, since: i64) -> Notice {
    Notice {
        labels: [("alertname", name)].into_iter().collect(),
        annotations: BTreeMap::new(),
        fired_at: second(since),
        resolved_at: None,
        valid_until: second(since),
        expression: "up == 0".to_owned(),
        held_until: None,
    }
}

fn resolved(name: &str, since: i64, at: i64) -> Notice {
    Notice { resolved_at: Some(second(at)), ..firing(name, since) }
}

fn names(notices: &[Arc<Notice>]) -> Vec<(&str, bool)> {
    notices.iter().map(|notice| (notice.name(), notice.fires())).collect()
}

struct Told {
    ledger: Ledger,
    pace: Pace,
}

impl Told {
    fn new(pace: Pace) -> Self {
        Self { ledger: Ledger::default(), pace }
    }

    fn report(&mut self, reported: &[Notice], at: i64) {
        self.ledger.report(reported.iter().cloned(), AGAIN_FOR, second(at));
    }

    fn owed(&self, at: i64) -> Vec<Arc<Notice>> {
        self.ledger.owed("r", &self.pace, |_| false, second(at))
    }

    /// Tells what is owed, with this answer, and says what it was.
    fn tell(&mut self, answer: Answer, at: i64) -> Vec<Arc<Notice>> {
        let owed = self.owed(at);
        self.ledger.attempt("r", &owed, second(at));
        self.ledger.answered("r", &owed, answer, second(at));
        owed
    }

    fn restart(&mut self) {
        self.ledger = Ledger::restore(&self.ledger.save()).unwrap();
    }
}

#[test]
fn what_fires_is_told_at_once_and_then_each_minute_also_after_a_restart() {
    let mut told = Told::new(ALERTMANAGER);
    told.report(&[firing("A", 0)], 0);
    assert_eq!(names(&told.tell(Answer::Accepted, 0)), [("A", true)]);
    for at in [1, 30, 59] {
        told.restart();
        told.report(&[firing("A", 0)], at);
        assert_eq!(names(&told.owed(at)), [], "at {at}");
    }
    assert_eq!(told.ledger.next_due("r", &told.pace, |_| false), Some(second(60)));
    assert_eq!(names(&told.tell(Answer::Accepted, 60)), [("A", true)]);
    assert_eq!(names(&told.owed(60)), []);
}

#[test]
fn an_end_is_told_at_once_and_for_fifteen_minutes_to_an_alertmanager_and_once_to_a_webhook() {
    for (pace, times) in [(ALERTMANAGER, 15), (WEBHOOK, 1)] {
        let mut told = Told::new(pace);
        told.report(&[firing("A", 0)], 0);
        told.tell(Answer::Accepted, 0);
        let mut ends = 0;
        for at in (10..3_000).step_by(10) {
            let reported = if at < 900 { vec![resolved("A", 0, 10)] } else { vec![] };
            told.report(&reported, at);
            ends += told.tell(Answer::Accepted, at).len();
        }
        assert_eq!(ends, times);
        assert!(told.ledger.entries.is_empty());
    }
}

#[test]
fn nothing_is_owed_before_it_is_known_what_fires() {
    let mut told = Told::new(ALERTMANAGER);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.restart();
    assert_eq!(names(&told.owed(600)), []);
    told.report(&[firing("A", 0)], 600);
    assert_eq!(names(&told.owed(600)), [("A", true)]);
}

#[test]
fn what_is_reported_no_more_is_over() {
    let mut told = Told::new(WEBHOOK);
    told.report(&[firing("A", 0), firing("B", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.report(&[firing("B", 0)], 7_200);
    let owed = told.tell(Answer::Accepted, 7_200);
    assert_eq!((names(&owed), owed[0].resolved_at), (vec![("A", false)], Some(second(7_200))));
}

#[test]
fn what_an_earlier_agent_told_of_is_over_only_once_the_rules_had_time_to_report_it() {
    for (reported, at, expected) in [
        (vec![], 299, vec![]),
        (vec![], 300, vec![("A", false)]),
        (vec![firing("A", 90)], 1, vec![("A", true)]),
        (vec![resolved("A", 50, 60)], 1, vec![("A", false)]),
        // The end of the time before that one, which is all that was noted of it.
        (vec![resolved("A", 0, 10)], 299, vec![]),
        (vec![resolved("A", 0, 10)], 300, vec![("A", false)]),
    ] {
        let mut told = Told::new(ALERTMANAGER);
        told.report(&[firing("A", 50)], 50);
        told.tell(Answer::Accepted, 50);
        told.restart();
        told.report(&[], 1_000);
        told.report(&reported, 1_000 + at);
        assert_eq!(names(&told.owed(1_000 + at)), expected, "{reported:?} at {at}");
        told.report(&[], 1_301);
        told.report(&[firing("A", 1_302)], 1_302);
        told.report(&[], 1_303);
        assert_eq!(names(&told.owed(1_303)), [("A", false)], "what settled is over at once");
    }
}

#[test]
fn who_may_have_been_told_before_a_crash_is_told_of_the_end() {
    let mut told = Told::new(WEBHOOK);
    told.report(&[firing("A", 0)], 0);
    let owed = told.owed(0);
    assert!(told.ledger.attempt("r", &owed, second(0)), "it must be kept before");
    // It was sent, and the agent was killed before it knew the answer.
    told.restart();
    told.report(&[], 5);
    told.report(&[], 305);
    assert_eq!(names(&told.tell(Answer::Accepted, 305)), [("A", false)]);
}

#[test]
fn what_comes_back_is_told_at_once() {
    let mut told = Told::new(WEBHOOK);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.report(&[resolved("A", 0, 10)], 10);
    told.tell(Answer::Accepted, 10);
    told.report(&[resolved("A", 0, 10), firing("A", 20)], 20);
    assert_eq!(names(&told.tell(Answer::Accepted, 20)), [("A", true)]);
}

#[test]
fn what_fires_is_not_told_again_because_a_restart_forgot_since_when() {
    let mut told = Told::new(ALERTMANAGER);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.restart();
    told.report(&[firing("A", 30)], 30);
    assert_eq!(names(&told.owed(30)), []);
}

#[test]
fn what_is_silenced_is_not_told_and_its_end_only_to_those_who_know_of_it() {
    let mut told = Told::new(ALERTMANAGER);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.report(&[firing("A", 0), firing("B", 60)], 60);
    let silenced = |ledger: &Ledger, at| ledger.owed("r", &ALERTMANAGER, |_| true, second(at));
    assert_eq!(names(&silenced(&told.ledger, 60)), []);
    told.report(&[], 70);
    assert_eq!(names(&silenced(&told.ledger, 70)), [("A", false)]);
}

#[test]
fn what_is_refused_is_tried_again_later_and_holds_up_nothing() {
    let mut told = Told::new(WEBHOOK);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Refused, 0);
    told.report(&[firing("A", 0), firing("B", 1)], 1);
    assert_eq!(names(&told.tell(Answer::Accepted, 1)), [("B", true)]);
    assert_eq!(names(&told.owed(299)), []);
    assert_eq!(names(&told.owed(300)), [("A", true)]);
}

#[test]
fn a_clock_that_is_set_back_delays_by_no_more_than_the_resend_time() {
    let mut told = Told::new(ALERTMANAGER);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.report(&[firing("A", 0)], -3_600);
    assert_eq!(names(&told.owed(-3_541)), []);
    assert_eq!(names(&told.owed(-3_540)), [("A", true)]);
}

#[test]
fn a_storm_is_cut_and_counted_and_what_was_told_stays() {
    let storm =
        |from: usize, to: usize| (from..to).map(|n| firing(&format!("A{n:05}"), 0)).collect::<Vec<_>>();
    let mut told = Told::new(ALERTMANAGER);
    told.report(&storm(MAX_ALERTS, MAX_ALERTS + 3), 0);
    told.report(&storm(0, MAX_ALERTS + 3), 1);
    assert_eq!((told.owed(1).len(), told.ledger.left_out()), (MAX_ALERTS, 3));
    assert!(told.owed(1).iter().any(|notice| notice.name() == format!("A{:05}", MAX_ALERTS + 2)));
}

#[test]
fn what_is_over_makes_room_for_what_fires_and_an_end_that_is_owed_last() {
    let storm =
        |from: usize, to: usize| (from..to).map(|n| firing(&format!("A{n:05}"), 0)).collect::<Vec<_>>();
    let mut told = Told::new(WEBHOOK);
    told.report(&storm(0, MAX_ALERTS), 0);
    told.tell(Answer::Accepted, 0);
    // The first two are over unheard, the third one later, and of the end of the others the receiver has heard.
    told.report(&storm(2, MAX_ALERTS), 1);
    told.report(&storm(3, MAX_ALERTS), 2);
    let unheard = told.owed(2);
    assert_eq!(unheard.len(), 3);
    told.report(&[], 3);
    let mut heard = told.owed(3);
    heard.retain(|notice| !unheard.iter().any(|other| other.labels == notice.labels));
    told.ledger.answered("r", &heard, Answer::Accepted, second(3));
    let owed_ends = |told: &Told| told.owed(4).iter().filter(|notice| !notice.fires()).count();

    told.report(&storm(MAX_ALERTS, 2 * MAX_ALERTS - 3), 4);
    assert_eq!((told.ledger.left_out(), told.ledger.expired(), owed_ends(&told)), (0, 0, 3));
    told.report(&storm(MAX_ALERTS, 2 * MAX_ALERTS - 1), 4);
    assert_eq!((told.ledger.left_out(), told.ledger.expired(), owed_ends(&told)), (0, 2, 1));
    assert_eq!(names(&told.owed(4))[0], ("A00002", false), "the oldest are given up first");
    told.report(&storm(MAX_ALERTS, 2 * MAX_ALERTS + 1), 4);
    assert_eq!((told.ledger.left_out(), told.ledger.expired(), owed_ends(&told)), (1, 3, 0));
}

#[test]
fn an_end_that_nobody_could_be_told_of_for_a_day_is_given_up_and_counted() {
    let mut told = Told::new(WEBHOOK);
    told.report(&[firing("A", 0)], 0);
    told.tell(Answer::Accepted, 0);
    told.report(&[], 10);
    told.report(&[], 86_000);
    assert_eq!(names(&told.owed(86_000)), [("A", false)]);
    told.report(&[], 86_411);
    assert_eq!((told.owed(86_411).len(), told.ledger.expired()), (0, 1));
}

#[test]
fn another_file_is_no_ledger() {
    assert!(matches!(Ledger::restore(b"{}"), Err(SavedError::Malformed(_))));
    assert!(matches!(Ledger::restore(b"{\"version\":9}"), Err(SavedError::Version { version: 9 })));
}

#[derive(Clone, Debug)]
enum Happens {
    Fires(u8),
    Ends(u8),
    /// Its rule is removed.
    Vanishes(u8),
    Passes(u16),
    ClockSteps(i32),
    Goes(u8),
    Comes(u8),
    Restart,
    /// After the next request was taken, and before that is noted.
    Crash,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let alert = || 0_u8..3;
    let happens = prop_oneof![
        3 => alert().prop_map(Happens::Fires),
        2 => alert().prop_map(Happens::Ends),
        1 => alert().prop_map(Happens::Vanishes),
        5 => (1_u16..200).prop_map(Happens::Passes),
        1 => (-5_000..5_000_i32).prop_map(Happens::ClockSteps),
        1 => (0_u8..2).prop_map(Happens::Goes),
        2 => (0_u8..2).prop_map(Happens::Comes),
        2 => Just(Happens::Restart),
        2 => Just(Happens::Crash),
    ];
    proptest::collection::vec(happens, 1..60)
}

/// A receiver as it is: what it was told last of each alert, and when that was noted by the agent.
#[derive(Debug, Default)]
struct Receiver {
    up: bool,
    believes: BTreeMap<Labels, bool>,
    /// By true time and by the agent's clock.
    noted: BTreeMap<Labels, (Arc<Notice>, i64, Timestamp)>,
}

struct World {
    /// True seconds, and what the agent's clock adds to them.
    time: i64,
    step: i64,
    /// When it began to fire and when it was over, by the agent's clock.
    alerts: BTreeMap<u8, (Timestamp, Option<Timestamp>)>,
    ledger: Ledger,
    disk: Vec<u8>,
    receivers: [(Receiver, Pace); 2],
    crash: bool,
    moments: u64,
}

impl World {
    fn new() -> Self {
        let receiver = || Receiver { up: true, ..Receiver::default() };
        let receivers = [(receiver(), ALERTMANAGER), (receiver(), WEBHOOK)];
        let (alerts, ledger, disk) = (BTreeMap::new(), Ledger::default(), Ledger::default().save());
        Self { time: 0, step: 0, alerts, ledger, disk, receivers, crash: false, moments: 0 }
    }

    fn now(&self) -> Timestamp {
        second(100_000 + self.time + self.step)
    }

    fn happens(&mut self, happening: &Happens) {
        // No two things happen at one time, whatever the clock says.
        self.moments += 1;
        let now = self.now().plus(Duration::from_nanos(self.moments));
        match *happening {
            Happens::Fires(alert) => {
                let known = self.alerts.entry(alert).or_insert((now, None));
                if known.1.is_some() {
                    *known = (now, None);
                }
            }
            Happens::Ends(alert) => {
                if let Some((_, end @ None)) = self.alerts.get_mut(&alert) {
                    *end = Some(now);
                }
            }
            Happens::Vanishes(alert) => drop(self.alerts.remove(&alert)),
            Happens::Passes(seconds) => self.time += i64::from(seconds),
            Happens::ClockSteps(by) => self.step += i64::from(by),
            Happens::Goes(at) => self.receivers[usize::from(at)].0.up = false,
            Happens::Comes(at) => self.receivers[usize::from(at)].0.up = true,
            Happens::Restart => self.ledger = Ledger::restore(&self.disk).unwrap(),
            Happens::Crash => self.crash = true,
        }
    }

    fn reported(&self) -> Vec<Notice> {
        let now = self.now();
        let seen =
            self.alerts.iter().filter(|(_, (_, end))| end.is_none_or(|end| now.since(end) < AGAIN_FOR));
        seen.map(|(alert, (since, end))| Notice {
            fired_at: *since,
            resolved_at: *end,
            ..firing(&alert.to_string(), 0)
        })
        .collect()
    }

    /// A round of rules, and what is told after it.
    fn round(&mut self) -> Result<(), TestCaseError> {
        let (now, reported) = (self.now(), self.reported());
        self.ledger.report(reported, AGAIN_FOR, now);
        for at in 0..2 {
            let name = at.to_string();
            let (receiver, pace) = &mut self.receivers[at];
            // A clock that goes ahead has time pass; one that is set back has it begin anew.
            receiver.noted.values_mut().for_each(|(_, _, clock)| *clock = (*clock).min(now));
            let owed = self.ledger.owed(&name, pace, |_| false, now);
            if owed.is_empty() {
                continue;
            }
            if self.ledger.attempt(&name, &owed, now) {
                self.disk = self.ledger.save();
            }
            if !receiver.up {
                continue;
            }
            for notice in &owed {
                if let Some((told, time, clock)) = receiver.noted.get(&notice.labels) {
                    let early =
                        self.time - time < pace.repeat.as_secs() as i64 && now.since(*clock) < pace.repeat;
                    let knows = receiver.believes.get(&notice.labels) == Some(&notice.fires());
                    // Another alert with these labels is news, of which it may have heard without that being known.
                    let same = told.fired_at == notice.fired_at;
                    let again = knows && told.fires() == notice.fires() && same;
                    prop_assert!(!early || !again, "told again at {} of {notice:?}", self.time);
                }
                receiver.believes.insert(notice.labels.clone(), notice.fires());
            }
            if std::mem::take(&mut self.crash) {
                self.ledger = Ledger::restore(&self.disk).unwrap();
                return Ok(());
            }
            self.ledger.answered(&name, &owed, Answer::Accepted, now);
            self.disk = self.ledger.save();
            let noted = |notice: &Arc<Notice>| (notice.labels.clone(), (Arc::clone(notice), self.time, now));
            receiver.noted.extend(owed.iter().map(noted));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_and_nothing_is_told_again_before_its_time(steps in happenings()) {
        let mut world = World::new();
        world.round()?;
        for step in &steps {
            world.happens(step);
            world.round()?;
        }
        world.crash = false;
        world.receivers.iter_mut().for_each(|(receiver, _)| receiver.up = true);
        world.round()?;
        // What an earlier agent told of may take so long to be known to be over.
        world.time += SETTLE.as_secs() as i64;
        world.round()?;
        for (receiver, _) in &world.receivers {
            for (alert, (_, end)) in &world.alerts {
                let labels = firing(&alert.to_string(), 0).labels;
                prop_assert!(end.is_some() || receiver.believes.get(&labels) == Some(&true), "{}", alert);
            }
            for (labels, fires) in &receiver.believes {
                let alert: u8 = labels.get("alertname").parse().unwrap();
                let fires_now = world.alerts.get(&alert).is_some_and(|(_, end)| end.is_none());
                prop_assert_eq!(*fires, fires_now, "{}", labels);
            }
        }
    }
}
