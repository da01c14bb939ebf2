//! What a rule file says, before it is judged.

use std::fmt;

use documents::Spanned;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A rule file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFileText {
    /// Groups of rules.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) groups: Vec<GroupText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupText {
    /// Unique in the file.
    pub(super) name: Spanned<String>,
    /// How often the group is evaluated; by default as the configuration says.
    pub(super) interval: Option<Spanned<String>>,
    /// How far before its time the group looks, so that late samples have arrived. Default 0.
    pub(super) query_offset: Option<Spanned<String>>,
    /// The most alerts or series that one rule may give. Default 0, which is none.
    pub(super) limit: Option<i64>,
    /// Labels of every rule; a rule's own labels win.
    #[serde(default)]
    pub(super) labels: Pairs,
    /// In the order in which they are evaluated.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) rules: Vec<Spanned<RuleText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    /// The name of the series to record.
    pub(super) record: Option<Spanned<String>>,
    /// The name of the alert to raise.
    pub(super) alert: Option<Spanned<String>>,
    /// The PromQL expression.
    pub(super) expr: Option<Spanned<String>>,
    /// How long the expression must give a sample before its alert fires. Default 0.
    #[serde(rename = "for")]
    pub(super) hold_for: Option<Spanned<String>>,
    /// How long the alert goes on firing after that. Default 0.
    pub(super) keep_firing_for: Option<Spanned<String>>,
    /// Beyond Prometheus: a firing alert goes on until this expression has a sample whose labels it has.
    pub(super) clear_when: Option<Spanned<String>>,
    /// Beyond Prometheus: what becomes of alerts when the series are missing: `keep`, `fire` or `clear`. Default `clear`.
    pub(super) on_missing: Option<Spanned<String>>,
    /// Labels of the alert, as templates, or of the recorded series.
    #[serde(default)]
    pub(super) labels: Pairs,
    /// Texts for people, as templates.
    #[serde(default)]
    pub(super) annotations: Pairs,
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A map of texts, in the order of the file, with the places of its keys.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<(Spanned<String>, Spanned<String>)>);

impl Pairs {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Spanned<String>, &Spanned<String>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub(super) fn first(&self) -> Option<(&Spanned<String>, &Spanned<String>)> {
        self.iter().next()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to texts")
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, text)) = map.next_entry::<_, Spanned<Option<String>>>()? {
                    let Spanned { value, referenced, defined } = text;
                    // As in Prometheus: nothing is the empty text.
                    pairs.push((name, Spanned { value: value.unwrap_or_default(), referenced, defined }));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}
