//! Places of sources that nobody follows any more.
//!
//! A source that is taken out of the configuration may come back, and then goes on where it was; so its places are kept for a
//! while. Since when it is not followed is remembered under `gone/KIND/NAME`, as its places are under `KIND/NAME`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use telemetry::Timestamp;

use super::Positions;

/// How long places are kept for a source that may come back.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);

/// Of how many such sources places are kept: more than anyone takes out and puts back. Beyond, the one that was taken out
/// first is forgotten.
const MOST_GONE: usize = 64;

const GONE: &str = "gone/";

impl Positions {
    /// Forgets sources that have not been followed for long. `followed` are those that are, each as `KIND/NAME`. Says how many
    /// were forgotten; it is saved with the next [`Positions::save`].
    pub fn forget_gone(&mut self, followed: &BTreeSet<String>, now: Timestamp) -> usize {
        let known: BTreeSet<String> = self.values.keys().filter_map(|key| source_of(key)).collect();
        let mut gone: BTreeMap<String, Timestamp> = BTreeMap::new();
        for source in known {
            let marker = format!("{GONE}{source}");
            if followed.contains(&source) {
                self.remove(&marker);
                continue;
            }
            let since = self.get(&marker).filter(|since| *since <= now).unwrap_or(now);
            self.set(&marker, &since);
            gone.insert(source, since);
        }
        let mut oldest: Vec<(Timestamp, String)> =
            gone.into_iter().map(|(source, at)| (at, source)).collect();
        oldest.sort();
        let beyond = oldest.len().saturating_sub(MOST_GONE);
        let is_old =
            |(at, (since, _)): &(usize, &(Timestamp, String))| *at < beyond || now.since(*since) >= KEPT_FOR;
        let forgotten: Vec<String> =
            oldest.iter().enumerate().filter(is_old).map(|(_, (_, source))| source.clone()).collect();
        for source in &forgotten {
            let keys: Vec<String> = self.values.keys().filter(|key| is_of(key, source)).cloned().collect();
            for key in keys {
                self.remove(&key);
            }
        }
        forgotten.len()
    }
}

/// The source to which a key belongs: its first two parts.
fn source_of(key: &str) -> Option<String> {
    let key = key.strip_prefix(GONE).unwrap_or(key);
    let (kind, rest) = key.split_once('/')?;
    let name = rest.split_once('/').map_or(rest, |(name, _)| name);
    Some(format!("{kind}/{name}"))
}

fn is_of(key: &str, source: &str) -> bool {
    source_of(key).as_deref() == Some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(keys: &[&str]) -> (tempfile::TempDir, Positions) {
        let directory = tempfile::tempdir().unwrap();
        let mut positions = Positions::open(&directory.path().join("positions")).unwrap();
        for key in keys {
            positions.set(key, &1);
        }
        (directory, positions)
    }

    fn followed(sources: &[&str]) -> BTreeSet<String> {
        sources.iter().map(|&source| source.to_owned()).collect()
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + day * 86_400)
    }

    const KEYS: [&str; 6] =
        ["files/app", "files/app/1-2-3", "files/apps", "files/apps/1-2-4", "journal/app/", "kernel/kernel"];

    #[test]
    fn a_source_that_comes_back_within_a_month_goes_on_at_its_places() {
        let (_directory, mut positions) = positions(&KEYS);
        let without = followed(&["files/apps", "journal/app", "kernel/kernel"]);
        assert_eq!(positions.forget_gone(&without, day(0)), 0);
        assert_eq!(positions.forget_gone(&without, day(29)), 0);
        let with = followed(&["files/app", "files/apps", "journal/app", "kernel/kernel"]);
        assert_eq!(positions.forget_gone(&with, day(31)), 0);
        assert_eq!(positions.forget_gone(&without, day(32)), 0);
        assert_eq!(positions.get("files/app/1-2-3"), Some(1));
    }

    #[test]
    fn a_source_that_is_gone_for_a_month_is_forgotten_and_no_other() {
        let (directory, mut positions) = positions(&KEYS);
        let without = followed(&["files/apps", "journal/app", "kernel/kernel"]);
        assert_eq!(positions.forget_gone(&without, day(0)), 0);
        positions.save().unwrap();
        let mut positions = Positions::open(&directory.path().join("positions")).unwrap();
        assert_eq!(positions.forget_gone(&without, day(30)), 1);
        let left: Vec<&str> = positions.keys("").collect();
        assert_eq!(left, &KEYS[2..]);
    }

    #[test]
    fn of_more_sources_than_are_kept_the_first_that_went_is_forgotten() {
        let (_directory, mut positions) = positions(&["files/first/1"]);
        assert_eq!(positions.forget_gone(&followed(&[]), day(0)), 0);
        for number in 0..MOST_GONE {
            positions.set(&format!("files/{number}/1"), &1);
        }
        assert_eq!(positions.forget_gone(&followed(&[]), day(1)), 1);
        assert_eq!(positions.get::<u32>("files/first/1"), None);
        assert_eq!(positions.get("files/0/1"), Some(1));
    }

    #[test]
    fn a_clock_that_was_set_back_forgets_nothing() {
        let (_directory, mut positions) = positions(&KEYS);
        assert_eq!(positions.forget_gone(&followed(&[]), day(100)), 0);
        assert_eq!(positions.forget_gone(&followed(&[]), day(1)), 0);
        assert_eq!(positions.forget_gone(&followed(&[]), day(30)), 0);
    }
}
