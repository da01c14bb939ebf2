//! Which entries have which label: postings by name and value.
//!
//! An entry is one name of one series. Postings are sorted, so a selector starts from the shortest of them and checks
//! the rest on the labels themselves.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use telemetry::Labels;

use crate::matcher::{MatchOp, Matcher};

type Values = HashMap<Box<str>, Vec<u32>, RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Box<str>, Values, RandomState>,
}

impl Index {
    pub(crate) fn insert(&mut self, entry: u32, labels: &Labels) {
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

    pub(crate) fn remove(&mut self, entry: u32, labels: &Labels) {
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
