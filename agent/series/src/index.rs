//! Which entries have which label: postings by name and value.
//!
//! An entry is one name of one series. Postings are sorted, so a selector starts from the shortest of them and checks
//! the rest on the labels themselves. The texts of labels are kept here once, and label sets share them.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use telemetry::{Labels, METRIC_NAME};

use crate::matcher::{MatchOp, Matcher};

type Values = HashMap<Arc<str>, Vec<u32>, RandomState>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    names: HashMap<Arc<str>, Values, RandomState>,
    /// The generation in which a series of each metric last came or went; only of metrics that have series.
    changed: HashMap<Arc<str>, u64, RandomState>,
}

impl Index {
    /// Adds an entry and returns its labels as they share their texts with those of others.
    pub(crate) fn insert(&mut self, entry: u32, labels: &Labels, generation: u64) -> Labels {
        let shared = labels.sharing(|name, value| {
            let (name, values) = known(&mut self.names, name);
            let (value, postings) = known(values, value);
            if let Err(at) = postings.binary_search(&entry) {
                if postings.len() == postings.capacity() {
                    postings.reserve_exact(postings.len() / 4 + 1);
                }
                postings.insert(at, entry);
            }
            if &*name == METRIC_NAME {
                self.changed.insert(Arc::clone(&value), generation);
            }
            (name, value)
        });
        if shared.metric_name().is_empty() {
            self.changed.insert("".into(), generation);
        }
        shared
    }

    pub(crate) fn remove(&mut self, entry: u32, labels: &Labels, generation: u64) {
        if let Some(changed) = self.changed.get_mut(labels.metric_name()) {
            *changed = generation;
        }
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

/// What stands in `map` under `text`, and the text itself as it is kept there.
fn known<'a, T: Default>(
    map: &'a mut HashMap<Arc<str>, T, RandomState>,
    text: &Arc<str>,
) -> (Arc<str>, &'a mut T) {
    let kept = map.get_key_value(text).map_or(text, |(kept, _)| kept);
    let kept = Arc::clone(kept);
    let value = map.entry(Arc::clone(&kept)).or_default();
    (kept, value)
}
