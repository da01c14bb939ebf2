//! Label sets, as PromQL knows them.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// The label that holds a series' name.
pub const METRIC_NAME: &str = "__name__";

/// A set of labels, sorted by name, without empty values. Cloning is one reference count.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// The value of `name`, or the empty text, which to PromQL is the same as absent.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .binary_search_by(|(key, _)| key.as_ref().cmp(name))
            .ok()
            .and_then(|at| self.0.get(at))
            .map_or("", |(_, value)| value)
    }

    /// The value of `__name__`.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// All pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// How many labels there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only the labels for which `keep` holds.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// The same labels, each kept in the memory that `share` gives for its name and value.
    #[must_use]
    pub fn sharing(&self, mut share: impl FnMut(&Arc<str>, &Arc<str>) -> (Arc<str>, Arc<str>)) -> Self {
        Self(self.0.iter().map(|(name, value)| share(name, value)).collect())
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.0.to_vec() }
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }
}

/// Collects labels; the last value of a name wins, an empty value removes it.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(Arc<str>, Arc<str>)>,
}

impl LabelsBuilder {
    /// Sets `name` to `value`; an empty value removes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.pairs.retain(|(key, _)| key.as_ref() != name);
        if !value.is_empty() {
            self.pairs.push((Arc::from(name), Arc::from(value)));
        }
        self
    }

    /// The finished set.
    pub fn build(mut self) -> Labels {
        self.pairs.sort();
        Labels(self.pairs.into())
    }
}

/// As Prometheus prints a series: `up{job="node"}`; names that need quotes get them.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain = is_plain_name(name);
        if plain {
            f.write_str(name)?;
        }
        let quoted_name = (!name.is_empty() && !plain).then(|| format!("{name:?}"));
        let pairs = self.iter().filter(|(key, _)| *key != METRIC_NAME).map(|(key, value)| {
            if is_plain_name(key) { format!("{key}={value:?}") } else { format!("{key:?}={value:?}") }
        });
        let inside: Vec<String> = quoted_name.into_iter().chain(pairs).collect();
        if inside.is_empty() && plain { Ok(()) } else { write!(f, "{{{}}}", inside.join(", ")) }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Written as a map.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Whether a name can stand unquoted in PromQL.
fn is_plain_name(name: &str) -> bool {
    name.chars()
        .enumerate()
        .all(|(at, c)| c == '_' || c == ':' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()))
        && !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_equal_whatever_the_order_they_came_in() {
        let one: Labels = [("job", "node"), ("__name__", "up")].into_iter().collect();
        let other: Labels = [("__name__", "up"), ("job", "node")].into_iter().collect();
        assert_eq!(one, other);
        assert_eq!(one.to_string(), r#"up{job="node"}"#);
    }

    #[test]
    fn an_empty_value_is_no_label() {
        let labels: Labels = [("job", "node"), ("job", "")].into_iter().collect();
        assert!(labels.is_empty());
        assert_eq!(labels.get("job"), "");
        assert_eq!(labels.to_string(), "{}");
    }

    #[test]
    fn names_with_dots_print_quoted() {
        let labels: Labels = [("__name__", "system.cpu.time"), ("cpu.mode", "idle")].into_iter().collect();
        assert_eq!(labels.to_string(), r#"{"system.cpu.time", "cpu.mode"="idle"}"#);
    }
}
