use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::processes::process::{Age, Process};
use crate::processes::roster::Roster;
use crate::processes::stat::Stat;
use crate::processes::text::DiskIo;

/// What a process does in one cycle.
#[derive(Clone, Debug)]
struct Step {
    pid: u32,
    /// A number that is used again has another start.
    is_recycled: bool,
    unit: Option<&'static str>,
    ticks: u64,
    read: u64,
    /// A kernel that lets a counter fall.
    falls: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let unit = prop::sample::select(vec![None, Some("a.service"), Some("b.service"), Some("c.scope")]);
    (0..12_u32, prop::bool::weighted(0.2), unit, 0..1000_u64, 0..9000_u64, prop::bool::weighted(0.1))
        .prop_map(|(pid, is_recycled, unit, ticks, read, falls)| Step {
            pid,
            is_recycled,
            unit,
            ticks,
            read,
            falls,
        })
}

/// The host as the kernel knows it.
#[derive(Default)]
struct Truth {
    /// Start, ticks and bytes read, by number.
    lives: BTreeMap<u32, (u64, u64, u64)>,
}

fn total(groups: &Groups) -> (u64, u64) {
    groups
        .used()
        .fold((0, 0), |(ticks, read), (_, _, used)| (ticks + used.user_ticks, read + used.read_bytes))
}

proptest! {
    #[test]
    fn counters_never_fall_and_all_that_processes_did_is_in_one_group(
        cycles in prop::collection::vec((prop::collection::vec(step(), 0..10), 1..400_i64), 1..30),
    ) {
        let (mut roster, mut groups, mut truth) = (Roster::default(), Groups::default(), Truth::default());
        let mut last: BTreeMap<(String, Timestamp), Used> = BTreeMap::new();
        let (mut time, mut last_ticks, mut expected) = (1_000_000_i64, None, (0_u64, 0_u64));
        let mut forgotten = (0, 0);
        for (steps, seconds) in cycles {
            time += seconds;
            let uptime = time as u64 * 100;
            let mut present: BTreeMap<u32, Step> = BTreeMap::new();
            for step in steps {
                present.insert(step.pid, step);
            }
            // Whoever does nothing in a cycle has ended.
            truth.lives.retain(|pid, _| present.get(pid).is_some_and(|step| !step.is_recycled));
            let mut done: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
            for step in present.values() {
                let is_new = !truth.lives.contains_key(&step.pid);
                let (_, ticks, read) = truth.lives.entry(step.pid).or_insert((uptime - 1, 0, 0));
                *ticks += step.ticks;
                *read += step.read;
                // What was there before anybody looked is nobody's.
                if !(is_new && last_ticks.is_none()) {
                    done.insert(step.pid, (step.ticks, step.read));
                }
            }
            groups.begin(Timestamp::from_secs(time));
            roster.renew(present.keys().copied(), |process: &mut Process| {
                let (start, ticks, read) = truth.lives[&process.pid];
                let step = &present[&process.pid];
                let shown = |value: u64, by: u64| if step.falls && by == 0 { value.saturating_sub(1) } else { value };
                let stat = Stat {
                    comm: b"x",
                    state: b'S',
                    user_ticks: shown(ticks, step.ticks),
                    start_ticks: start,
                    ..Stat::default()
                };
                process.take(&stat, last_ticks);
                let io = DiskIo { read_bytes: shown(read, step.read), ..DiskIo::default() };
                process.take_io(io);
                assert!(last_ticks.is_some() || process.age == Age::Found);
                let group = process.group_or(|| groups.find(step.unit));
                groups.count(group, &process.has());
                groups.add(group, &process.used);
                true
            });
            for (ticks, read) in done.values() {
                expected = (expected.0 + ticks, expected.1 + read);
            }
            prop_assert_eq!(roster.known.len(), present.len());
            let before_finish = total(&groups);
            prop_assert_eq!(groups.finish(), 0);
            let after_finish = total(&groups);
            prop_assert_eq!((before_finish.0 + forgotten.0, before_finish.1 + forgotten.1), expected);
            forgotten = (
                forgotten.0 + before_finish.0 - after_finish.0,
                forgotten.1 + before_finish.1 - after_finish.1,
            );
            let mut now = BTreeMap::new();
            for (name, since, used) in groups.used() {
                let key = (name.to_owned(), since);
                if let Some(before) = last.get(&key) {
                    prop_assert!(used.user_ticks >= before.user_ticks && used.read_bytes >= before.read_bytes);
                }
                prop_assert!(since <= Timestamp::from_secs(time));
                now.insert(key, used);
            }
            (last, last_ticks) = (now, Some(uptime));
        }
    }
}

#[test]
fn a_group_without_members_stays_for_ten_minutes_and_begins_anew_after_that() {
    let mut groups = Groups::default();
    let told =
        |groups: &Groups| groups.used().map(|(name, since, _)| (name.to_owned(), since)).collect::<Vec<_>>();
    let at = Timestamp::from_secs;
    let other = ("other".to_owned(), at(1000));
    groups.begin(at(1000));
    let _ = groups.find(Some("cron.service"));
    groups.finish();
    assert_eq!(told(&groups), [other.clone(), ("cron.service".to_owned(), at(1000))]);
    groups.begin(at(1600));
    groups.finish();
    assert_eq!(told(&groups).len(), 2);
    groups.begin(at(1601));
    groups.finish();
    assert_eq!(told(&groups), std::slice::from_ref(&other));
    groups.begin(at(1700));
    let _ = groups.find(Some("cron.service"));
    assert_eq!(told(&groups), [other, ("cron.service".to_owned(), at(1601))], "it was not there before");
}

#[test]
fn units_beyond_the_limit_count_as_other_and_are_told() {
    let mut groups = Groups::default();
    groups.begin(Timestamp::EPOCH);
    for number in 0..=MOST_GROUPS {
        let id = groups.find(Some(&format!("{number}.service")));
        groups.add(id, &Used { user_ticks: 1, ..Used::default() });
    }
    let used: Vec<_> = groups.used().map(|(name, _, used)| (name, used.user_ticks)).collect();
    assert_eq!((used.len(), used[0]), (MOST_GROUPS, ("other", 2)));
    assert_eq!(groups.finish(), 2);
}
