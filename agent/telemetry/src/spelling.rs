//! How metrics are spelled for receivers that know them by other names.

use crate::{MetricSpec, Value, ValueType};

/// How one metric is spelled. What a metric means, its instrument and its times stay.
#[derive(Debug)]
pub struct Spelling {
    /// The metric, as it is named here.
    pub of: &'static str,
    /// Its other name.
    pub name: &'static str,
    /// Its unit under that name.
    pub unit: &'static str,
    /// Its number type under that name, if it is another.
    pub value: Option<ValueType>,
    /// Its attributes, by their key here. One that is not named stays as it is.
    pub attributes: &'static [(&'static str, AttributeSpelling)],
}

/// How an attribute is spelled.
#[derive(Clone, Copy, Debug)]
pub enum AttributeSpelling {
    /// By another key, and values by other words: pairs of ours and theirs. A value in no pair stays as it is.
    As(&'static str, &'static [(&'static str, &'static str)]),
    /// By another key, and a number as text after a word: `cpu0`.
    Numbered(&'static str, &'static str),
    /// By another key, if there is one. Points with another value than this are not sent.
    Only(Option<&'static str>, &'static str),
}

impl Spelling {
    /// How the attribute `key` is spelled, if not as it is.
    pub fn of_attribute(&self, key: &str) -> Option<AttributeSpelling> {
        self.attributes.iter().find(|(known, _)| *known == key).map(|(_, spelling)| *spelling)
    }

    /// Whether a point with these attributes is sent at all.
    pub fn sends<'a>(&self, mut attributes: impl Iterator<Item = (&'static str, Value<'a>)>) -> bool {
        attributes.all(|(key, value)| match self.of_attribute(key) {
            Some(AttributeSpelling::Only(_, only)) => value == Value::Str(only),
            _ => true,
        })
    }

    /// The number type of the metric, as it is sent.
    pub fn value_type(&self, metric: &MetricSpec) -> ValueType {
        self.value.unwrap_or(metric.value)
    }
}
