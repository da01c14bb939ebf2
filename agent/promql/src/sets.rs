//! Label sets by number.
//!
//! A query gives every label set that it meets a number, so that a sample is a number and a value, grouping and
//! matching are table look-ups, and a steady round clones no labels. Numbers are good until the sets are cleared, which
//! the query does when the series change or the sets become too many.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use telemetry::{Labels, METRIC_NAME};

/// Labels that describe a metric rather than a series; they go where the name goes.
pub(crate) const ABOUT_THE_METRIC: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// The number of a label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SetId(u32);

impl SetId {
    pub(crate) fn number(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sets {
    labels: Vec<Labels>,
    ids: HashMap<Labels, SetId, RandomState>,
    nameless: Table<SetId>,
}

impl Sets {
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.ids.clear();
        self.nameless.clear();
    }

    pub(crate) fn intern(&mut self, labels: Labels) -> SetId {
        if let Some(id) = self.ids.get(&labels) {
            return *id;
        }
        let id = SetId(self.labels.len() as u32);
        self.labels.push(labels.clone());
        self.ids.insert(labels, id);
        id
    }

    pub(crate) fn labels(&self, id: SetId) -> &Labels {
        self.labels.get(id.number()).expect("a number is given to a set that is kept")
    }

    /// The same set without the name and what else describes the metric.
    pub(crate) fn nameless(&mut self, id: SetId) -> SetId {
        if let Some(known) = self.nameless.get(id) {
            return known;
        }
        let labels = self.labels(id).filtered(|name| !ABOUT_THE_METRIC.contains(&name));
        let nameless = self.intern(labels);
        self.nameless.set(id, nameless);
        nameless
    }
}

/// Something for each label set, filled in as sets are met.
#[derive(Debug)]
pub(crate) struct Table<T> {
    cells: Vec<Option<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { cells: Vec::new() }
    }
}

impl<T: Copy> Table<T> {
    pub(crate) fn get(&self, id: SetId) -> Option<T> {
        self.cells.get(id.number()).copied().flatten()
    }

    pub(crate) fn set(&mut self, id: SetId, value: T) {
        if self.cells.len() <= id.number() {
            self.cells.resize(id.number() + 1, None);
        }
        if let Some(cell) = self.cells.get_mut(id.number()) {
            *cell = Some(value);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.cells.clear();
    }
}
