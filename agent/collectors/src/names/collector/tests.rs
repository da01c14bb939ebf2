use std::collections::{BTreeMap, BTreeSet};

use telemetry::{Instrument, MetricSpec};

use super::*;
use crate::COLLECTORS;

/// A metric of the receiver.
struct Known {
    unit: &'static str,
    kind: &'static str,
    number: &'static str,
    /// With the values that it may have; any, if there are none.
    attributes: BTreeMap<&'static str, Vec<&'static str>>,
}

fn receiver() -> BTreeMap<&'static str, Known> {
    let lines = include_str!("receiver-0.158.0.txt").lines().filter(|line| !line.starts_with('#'));
    let known = lines.map(|line| {
        let mut words = line.split(' ');
        let [name, unit, kind, number] = [(); 4].map(|()| words.next().unwrap());
        let attributes = words.map(|word| match word.split_once('=') {
            Some((key, values)) => (key, values.split('|').collect()),
            None => (word, Vec::new()),
        });
        (name, Known { unit, kind, number, attributes: attributes.collect() })
    });
    known.collect()
}

fn metrics() -> impl Iterator<Item = &'static MetricSpec> {
    COLLECTORS.iter().flat_map(|row| row.metrics.iter().copied())
}

#[test]
fn each_spelling_is_one_that_the_receiver_has() {
    let receiver = receiver();
    for spelling in COLLECTOR_SPELLINGS {
        let known = receiver.get(spelling.name).unwrap_or_else(|| panic!("it has no {}", spelling.name));
        assert_eq!(spelling.unit, known.unit, "{}", spelling.name);
        for (_, attribute) in spelling.attributes {
            let (key, words): (_, Vec<&str>) = match attribute {
                As(key, words) => (*key, words.iter().map(|(_, theirs)| *theirs).collect()),
                Numbered(key, _) => (*key, Vec::new()),
                Only(Some(key), word) => (*key, vec![*word]),
                Only(None, _) => continue,
            };
            // One row of attributes serves several metrics.
            let Some(values) = known.attributes.get(key) else { continue };
            for word in words {
                let is_known = values.is_empty() || values.contains(&word);
                assert!(is_known, "{}: {key}={word}; it has {values:?}", spelling.name);
            }
        }
    }
}

#[test]
fn what_the_receiver_has_too_is_sent_as_it_sends_it() {
    let receiver = receiver();
    let mut same = BTreeSet::new();
    for metric in metrics() {
        let spelling = COLLECTOR_SPELLINGS.iter().find(|spelling| spelling.of == metric.name);
        let (name, unit) = spelling.map_or((metric.name, metric.unit), |row| (row.name, row.unit));
        let Some(known) = receiver.get(name) else { continue };
        let kind = match metric.instrument {
            Instrument::Counter => "counter",
            Instrument::UpDownCounter => "updowncounter",
            Instrument::Gauge => "gauge",
        };
        let number = match spelling.map_or(metric.value, |spelling| spelling.value_type(metric)) {
            ValueType::Int => "int",
            ValueType::Double => "double",
        };
        assert_eq!((unit, kind, number), (known.unit, known.kind, known.number), "{name}");
        let keys = metric.attributes.iter().filter_map(|key| {
            match spelling.and_then(|spelling| spelling.of_attribute(key)) {
                Some(As(key, _) | Numbered(key, _) | Only(Some(key), _)) => Some(key),
                Some(Only(None, _)) => None,
                None => Some(*key),
            }
        });
        let keys: BTreeSet<&str> = keys.collect();
        // Where it is not asked for CPU by CPU, ours has no such attribute.
        let theirs: BTreeSet<&str> = known.attributes.keys().copied().collect();
        assert!(keys.is_subset(&theirs), "{name}: {keys:?} against {theirs:?}");
        assert!(theirs.difference(&keys).all(|key| *key == "cpu"), "{name}: {keys:?} against {theirs:?}");
        same.insert(name);
    }
    assert!(same.len() > 30, "{same:?}");
}

#[test]
fn each_spelling_is_of_a_metric_that_there_is_and_no_other_is_of_it() {
    let mut seen = BTreeSet::new();
    for spelling in COLLECTOR_SPELLINGS {
        assert!(seen.insert(spelling.of), "{}", spelling.of);
        assert!(metrics().any(|metric| metric.name == spelling.of), "there is no {}", spelling.of);
    }
}
