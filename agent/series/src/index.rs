//! Which entries have which label: postings by name and value.
//!
//! An entry is one name of one series. Postings are sorted, so a selector starts from the shortest of them and checks
//! the rest on the labels themselves.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use telemetry::{Labels, METRIC_NAME};

use crate::matcher::{MatchOp, Matcher};

type Values = HashMap<Box<str>, Vec<u32>, RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Box<str>, Values, RandomState>,
    /// The generation in which a series of each metric last came or went; only of metrics that have series.
    changed: HashMap<Box<str>, u64, RandomState>,
}

impl Index {
    pub(crate) fn insert(&mut self, entry: u32, labels: &Labels, generation: u64) {
        self.changed.insert(labels.metric_name().into(), generation);
        for (name, value) in labels.iter() {
            if !self.names.contains_key(name) {
                self.names.insert(name.into(), Values::default());
            }
            let Some(values) = self.names.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(postings) => {
                    if let Err(at) = postings.binary_search(&entry) {
                        postings.insert(at, entry);
                    }
                }
                None => {
                    values.insert(value.into(), vec![entry]);
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, entry: u32, labels: &Labels, generation: u64) {
        self.changed.insert(labels.metric_name().into(), generation);
        for (name, value) in labels.iter() {
            let Some(values) = self.names.get_mut(name) else { continue };
            let Some(postings) = values.get_mut(value) else { continue };
            if let Ok(at) = postings.binary_search(&entry) {
                postings.remove(at);
            }
            if postings.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.names.remove(name);
            }
        }
        let name = labels.metric_name();
        if !self.names.get(METRIC_NAME).is_some_and(|values| values.contains_key(name)) {
            self.changed.remove(name);
        }
    }

    /// The generation in which what `matchers` mean last changed, if they name one metric; 0 if it has no series.
    pub(crate) fn changed(&self, matchers: &[Matcher]) -> Option<u64> {
        let named =
            |m: &&Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !m.value().is_empty();
        let name = matchers.iter().find(named)?.value();
        Some(self.changed.get(name).copied().unwrap_or_default())
    }

    /// Entries among which all that satisfy `matchers` are; `None` when every entry may.
    pub(crate) fn candidates(&self, matchers: &[Matcher]) -> Option<Vec<u32>> {
        matchers
            .iter()
            .filter(|matcher| !matcher.matches(""))
            .filter_map(|matcher| {
                let values = self.names.get(matcher.name());
                match matcher.op() {
                    MatchOp::Equal => Some(
                        values.and_then(|values| values.get(matcher.value())).cloned().unwrap_or_default(),
                    ),
                    MatchOp::Regex => {
                        let mut union: Vec<u32> = values
                            .into_iter()
                            .flatten()
                            .filter(|(value, _)| matcher.matches(value))
                            .flat_map(|(_, postings)| postings.iter().copied())
                            .collect();
                        union.sort_unstable();
                        Some(union)
                    }
                    MatchOp::NotEqual | MatchOp::NotRegex => None,
                }
            })
            .min_by_key(Vec::len)
    }
}
