//! What people have silenced: for how long, by whom, why. Pure; times are given.
//!
//! A silence that is over is still listed for a while, so that one sees what was quiet. Unlike in Alertmanager, none is
//! changed: it is ended, and another one added.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use series::LabelMatcher;
use telemetry::{Labels, Timestamp, format_duration};

/// Silences at once, those that ended lately included.
const MAX_SILENCES: usize = 500;

/// What one silence may have: more than people write.
const MAX_MATCHERS: usize = 20;

/// Characters in the name of who silences, in why, and in a matcher.
const MAX_TEXT: usize = 1_000;

/// A longer silence is a rule to be removed.
const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

/// For how long one that is over is listed.
const LISTED_FOR: Duration = Duration::from_hours(24);

const VERSION: u32 = 1;

/// A silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// By which it is ended.
    pub id: String,
    /// All must hold of the labels of an alert, spelled as Alertmanager spells them.
    pub matchers: Vec<String>,
    /// Since when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who silenced.
    pub by: String,
    /// Why.
    pub comment: String,
    /// Whether no runbook answers the alerts either.
    pub repairs: bool,
}

impl Silence {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// What is to be silenced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSilence {
    /// As in [`Silence`].
    pub matchers: Vec<String>,
    /// For how long from now on.
    pub lasts: Duration,
    /// As in [`Silence`].
    pub by: String,
    /// As in [`Silence`].
    pub comment: String,
    /// As in [`Silence`].
    pub repairs: bool,
}

/// Why something is not silenced. The texts are for who asked.
#[derive(Debug, thiserror::Error)]
pub enum SilenceError {
    /// A matcher that is none.
    #[error(transparent)]
    Matcher(#[from] series::LabelMatcherError),
    /// It would silence everything.
    #[error("a silence needs a matcher that not every alert meets, as in alertname=\"DiskFull\"")]
    Everything,
    /// Too much of something.
    #[error("{what} of a silence: {limit} at most")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        limit: String,
    },
    /// No length.
    #[error("a silence lasts longer than nothing; write it as in 2h")]
    NoTime,
    /// None of this name that still holds.
    #[error("no silence {id:?} holds; `hostmend silence list` names those that do")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// The file of silences has another form.
    #[error("it is no list of silences")]
    Malformed(#[source] serde_json::Error),
    /// Another version of the agent wrote it.
    #[error("it is of version {version}; this agent reads version {VERSION}")]
    Version {
        /// Its version.
        version: u32,
    },
}

#[derive(Clone, Debug)]
struct Known {
    silence: Silence,
    matchers: Vec<LabelMatcher>,
}

impl Known {
    fn read(silence: &Json) -> Result<Self, SilenceError> {
        let silence = Silence::deserialize(silence).map_err(SilenceError::Malformed)?;
        let matchers = compiled(&silence.matchers)?;
        Ok(Self { silence, matchers })
    }

    /// Whether it holds, or is over for not too long to be listed.
    fn is_listed(&self, now: Timestamp) -> bool {
        now.since(self.silence.until) < LISTED_FOR
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Silences(Vec<Known>);

#[derive(Serialize, Deserialize)]
struct Saved<S> {
    version: u32,
    silences: Vec<S>,
}

impl Silences {
    /// Silences from `now` on.
    ///
    /// # Errors
    ///
    /// What is asked for is no silence, or there are too many.
    pub fn add(&mut self, new: NewSilence, now: Timestamp) -> Result<Silence, SilenceError> {
        self.forget(now);
        let matchers = compiled(&new.matchers)?;
        if matchers.is_empty() || matchers.iter().all(|matcher| matcher.matches(&Labels::empty())) {
            return Err(SilenceError::Everything);
        }
        if new.lasts.is_zero() {
            return Err(SilenceError::NoTime);
        }
        let texts = new.matchers.iter().chain([&new.by, &new.comment]);
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or_default();
        for (what, within, limit) in [
            ("matchers", matchers.len() <= MAX_MATCHERS, MAX_MATCHERS.to_string()),
            ("characters in a text", longest <= MAX_TEXT, MAX_TEXT.to_string()),
            ("the duration", new.lasts <= MAX_DURATION, format_duration(MAX_DURATION)),
            ("number", self.0.len() < MAX_SILENCES, MAX_SILENCES.to_string()),
        ] {
            if !within {
                return Err(SilenceError::Limit { what, limit });
            }
        }
        let silence = Silence {
            id: self.free_id(now),
            matchers: matchers.iter().map(LabelMatcher::to_string).collect(),
            from: now,
            until: now.plus(new.lasts),
            by: new.by,
            comment: new.comment,
            repairs: new.repairs,
        };
        self.0.push(Known { silence: silence.clone(), matchers });
        Ok(silence)
    }

    /// Ends one at `now`.
    ///
    /// # Errors
    ///
    /// None of this id holds.
    pub fn expire(&mut self, id: &str, now: Timestamp) -> Result<Silence, SilenceError> {
        let found = self.0.iter_mut().find(|known| known.silence.id == id && known.silence.until > now);
        let Some(known) = found else { return Err(SilenceError::Unknown { id: id.to_owned() }) };
        known.silence.until = now;
        Ok(known.silence.clone())
    }

    /// All that hold at `now` or ended lately, those first that hold longest.
    pub fn list(&self, now: Timestamp) -> Vec<Silence> {
        let listed = self.0.iter().filter(|known| known.is_listed(now));
        let mut list: Vec<Silence> = listed.map(|known| known.silence.clone()).collect();
        list.sort_by_key(|silence| std::cmp::Reverse(silence.until));
        list
    }

    /// The silence that holds for these labels at `now`; of several, one that silences repairs too.
    pub fn silencing(&self, labels: &Labels, now: Timestamp) -> Option<&Silence> {
        let holds = |known: &&Known| {
            known.silence.holds(now) && known.matchers.iter().all(|matcher| matcher.matches(labels))
        };
        self.0.iter().filter(holds).map(|known| &known.silence).max_by_key(|silence| silence.repairs)
    }

    /// When the next of them ends; or begins, where the clock was set back to before it did.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let changes = self.0.iter().flat_map(|known| [known.silence.from, known.silence.until]);
        changes.filter(|at| *at > now).min()
    }

    /// As [`Silences::restore`] reads it.
    pub fn save(&self) -> Vec<u8> {
        let saved = Saved { version: VERSION, silences: self.0.iter().map(|known| &known.silence).collect() };
        serde_json::to_vec_pretty(&saved).expect("its keys are texts")
    }

    /// Those that were saved. One that cannot be read is said and left out: the others hold without it.
    ///
    /// # Errors
    ///
    /// The text is none that [`Silences::save`] of this version wrote.
    pub fn restore(text: &[u8]) -> Result<Self, SilenceError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(text).map_err(SilenceError::Malformed)?;
        if version != VERSION {
            return Err(SilenceError::Version { version });
        }
        let saved: Saved<Json> = serde_json::from_slice(text).map_err(SilenceError::Malformed)?;
        let known = |silence: Json| {
            let read = Known::read(&silence);
            let complain = |error: &SilenceError| {
                let why = telemetry::with_causes(error);
                tracing::warn!(%silence, "a silence of before cannot be read and holds no more: {why}");
            };
            read.inspect_err(complain).ok()
        };
        Ok(Self(saved.silences.into_iter().filter_map(known).take(MAX_SILENCES).collect()))
    }

    fn forget(&mut self, now: Timestamp) {
        self.0.retain(|known| known.is_listed(now));
    }

    /// Short enough to be typed: the time, in tenths of a second, or the next that is free.
    fn free_id(&self, now: Timestamp) -> String {
        let mut number = now.as_millis().div_euclid(100) & 0xffff_ffff;
        loop {
            let id = format!("{number:08x}");
            if self.0.iter().all(|known| known.silence.id != id) {
                return id;
            }
            number += 1;
        }
    }
}

fn compiled(matchers: &[String]) -> Result<Vec<LabelMatcher>, SilenceError> {
    matchers.iter().map(|matcher| Ok(matcher.parse()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + n)
    }

    fn new(matchers: &[&str], seconds: u64) -> NewSilence {
        let matchers = matchers.iter().map(|matcher| (*matcher).to_owned()).collect();
        NewSilence {
            matchers,
            lasts: Duration::from_secs(seconds),
            by: "ann".into(),
            ..NewSilence::default()
        }
    }

    fn labels(name: &str) -> Labels {
        [("alertname", name), ("path", "/")].into_iter().collect()
    }

    #[test]
    fn a_silence_holds_for_what_all_its_matchers_meet_until_it_ends_or_is_ended_also_after_a_restart() {
        let mut silences = Silences::default();
        let first = silences.add(new(&["alertname=~\"Disk.*\"", "path=/"], 60), second(0)).unwrap();
        let other = silences.add(new(&["alertname=Web"], 600), second(0)).unwrap();
        assert_ne!(first.id, other.id);
        let mut silences = Silences::restore(&silences.save()).unwrap();
        let quiet = |silences: &Silences, name, at| {
            silences.silencing(&labels(name), second(at)).map(|silence| silence.id.clone())
        };
        assert_eq!(quiet(&silences, "DiskFull", 59), Some(first.id));
        assert_eq!(quiet(&silences, "DiskFull", 60), None);
        assert_eq!(quiet(&silences, "CpuFull", 0), None);
        assert_eq!(silences.next_change(second(0)), Some(second(60)));
        silences.expire(&other.id, second(10)).unwrap();
        assert_eq!(quiet(&silences, "Web", 10), None);
        assert!(silences.expire(&other.id, second(11)).unwrap_err().to_string().contains("silence list"));
        assert_eq!(silences.list(second(11)).len(), 2);
    }

    #[test]
    fn of_two_silences_the_one_counts_that_silences_repairs_too() {
        let mut silences = Silences::default();
        silences.add(new(&["path=/"], 60), second(0)).unwrap();
        silences.add(NewSilence { repairs: true, ..new(&["path=/"], 60) }, second(0)).unwrap();
        assert!(silences.silencing(&labels("A"), second(1)).unwrap().repairs);
    }

    #[test]
    fn what_is_no_silence_is_refused_with_what_would_be_right() {
        for (asked, expected) in [
            (new(&[], 60), "a silence needs a matcher that not every alert meets"),
            (new(&["path=~\".*\""], 60), "a silence needs a matcher that not every alert meets"),
            (new(&["path"], 60), "\"path\" is not a matcher"),
            (new(&["path=/"], 0), "write it as in 2h"),
            (new(&["path=/"; 21], 60), "matchers of a silence: 20 at most"),
            (new(&["path=/"], 400 * 86_400), "the duration of a silence"),
            (NewSilence { by: "x".repeat(1_001), ..new(&["path=/"], 60) }, "1000 at most"),
        ] {
            let refused = Silences::default().add(asked, second(0)).unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn silences_are_limited_and_those_long_over_make_room() {
        let mut silences = Silences::default();
        for _ in 0..MAX_SILENCES {
            silences.add(new(&["path=/"], 60), second(0)).unwrap();
        }
        let refused = silences.add(new(&["path=/"], 60), second(0)).unwrap_err().to_string();
        assert_eq!(refused, "number of a silence: 500 at most");
        silences.add(new(&["path=/"], 60), second(90_000)).unwrap();
        assert_eq!(silences.list(second(90_000)).len(), 1);
    }

    #[test]
    fn a_silence_that_is_over_is_listed_for_a_day() {
        let mut silences = Silences::default();
        silences.add(new(&["path=/"], 60), second(0)).unwrap();
        assert_eq!(silences.list(second(60 + 86_399)).len(), 1);
        assert_eq!(silences.list(second(60 + 86_400)).len(), 0);
    }

    #[test]
    fn of_saved_silences_those_hold_that_can_be_read_and_of_another_version_none() {
        let mut silences = Silences::default();
        for path in ["path=/", "path=/srv", "path=/tmp"] {
            silences.add(new(&[path], 60), second(0)).unwrap();
        }
        let mut saved: Json = serde_json::from_slice(&silences.save()).unwrap();
        saved["silences"][0]["matchers"] = serde_json::json!(["path=~\"(\""]);
        saved["silences"][1]["until"] = Json::Null;
        let restored = Silences::restore(saved.to_string().as_bytes()).unwrap();
        let matchers: Vec<_> = restored.list(second(0)).into_iter().flat_map(|it| it.matchers).collect();
        assert_eq!(matchers, ["path=\"/tmp\""]);
        saved["version"] = 2.into();
        let refused = Silences::restore(saved.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, SilenceError::Version { version: 2 }), "{refused}");
        assert!(matches!(Silences::restore(b"{}"), Err(SilenceError::Malformed(_))));
    }
}
