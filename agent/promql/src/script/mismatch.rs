//! In what a result differs from the expected one, so that a person sees it at a glance.
//!
//! Entries that agree are left out. Of those that do not, the ones that are most alike are told as one entry that
//! differs, name by name; what remains is missing or not expected.

use std::collections::{BTreeMap, BTreeSet};

/// Entries that are compared with each other; beyond it they are only listed, since the time grows with the square.
const MAX_PAIRED: usize = 50;

/// One sample, series or alert, as names and texts. Names are shown in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Names to texts: `label job` to `node`.
    pub fields: BTreeMap<String, String>,
    /// How it is called as a whole.
    pub title: String,
}

/// A name whose texts differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name.
    pub name: String,
    /// What was expected, if the name was.
    pub expected: Option<String>,
    /// What was found, if the name was.
    pub found: Option<String>,
}

/// In what a result differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// An entry that was expected and is not there.
    Missing(String),
    /// An entry that is there and was not expected.
    Unexpected(String),
    /// An entry that is there and differs.
    Differs {
        /// The entry as it was expected.
        title: String,
        /// The names that differ.
        fields: Vec<Field>,
    },
}

/// All differences between entries that disagree.
pub fn differences(expected: &[Entry], found: &[Entry]) -> Vec<Difference> {
    let mut rest: Vec<Option<&Entry>> = found.iter().map(Some).collect();
    let mut left: Vec<&Entry> = Vec::new();
    for entry in expected {
        match rest.iter_mut().find(|slot| slot.is_some_and(|other| other.fields == entry.fields)) {
            Some(slot) => *slot = None,
            None => left.push(entry),
        }
    }
    let mut rest: Vec<&Entry> = rest.into_iter().flatten().collect();
    let pairs = left.len() <= MAX_PAIRED && rest.len() <= MAX_PAIRED;
    // Of two that are alone the one stands for the other, whatever they have in common.
    let alone = left.len() == 1 && rest.len() == 1;
    let mut told = Vec::new();
    for entry in left {
        let most_alike = rest
            .iter()
            .enumerate()
            .map(|(at, other)| (alike(entry, other), std::cmp::Reverse(at)))
            .filter(|(alike, _)| pairs && (alone || *alike > 0))
            .max();
        told.push(match most_alike {
            Some((_, at)) => differs(entry, rest.remove(at.0)),
            None => Difference::Missing(entry.title.clone()),
        });
    }
    told.extend(rest.into_iter().map(|entry| Difference::Unexpected(entry.title.clone())));
    told
}

fn alike(one: &Entry, other: &Entry) -> usize {
    one.fields.iter().filter(|(name, text)| other.fields.get(*name) == Some(text)).count()
}

fn differs(expected: &Entry, found: &Entry) -> Difference {
    let names: BTreeSet<&String> = expected.fields.keys().chain(found.fields.keys()).collect();
    let fields = names.into_iter().filter_map(|name| {
        let (expected, found) = (expected.fields.get(name), found.fields.get(name));
        (expected != found).then(|| Field {
            name: name.clone(),
            expected: expected.cloned(),
            found: found.cloned(),
        })
    });
    Difference::Differs { title: expected.title.clone(), fields: fields.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        let fields = text.split(' ').map(|pair| pair.split_once('=').unwrap());
        Entry {
            fields: fields.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
            title: text.to_owned(),
        }
    }

    #[test]
    fn what_agrees_is_left_out_and_what_is_alike_is_told_name_by_name() {
        let expected = [entry("a=1 v=1"), entry("a=2 v=1"), entry("b=9")];
        let found = [entry("c=7"), entry("a=2 v=5"), entry("a=1 v=1")];
        let field =
            Field { name: "v".to_owned(), expected: Some("1".to_owned()), found: Some("5".to_owned()) };
        assert_eq!(
            differences(&expected, &found),
            [
                Difference::Differs { title: "a=2 v=1".to_owned(), fields: vec![field] },
                Difference::Missing("b=9".to_owned()),
                Difference::Unexpected("c=7".to_owned()),
            ]
        );
    }

    #[test]
    fn of_two_that_are_the_same_one_counts_once() {
        let expected = [entry("a=1"), entry("a=1")];
        assert_eq!(differences(&expected, &[entry("a=1")]), [Difference::Missing("a=1".to_owned())]);
    }
}
