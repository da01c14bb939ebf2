//! Which destinations stand in for which, and whether that makes sense.

use std::collections::BTreeSet;

use documents::{Review, Spanned, nearest};

use crate::config::file::{DestinationSection, SignalName, TemporalityName};

/// An error at each name that no destination has, and at each other one that leads back to where it stands.
pub(super) fn check(sections: &[DestinationSection], review: &mut Review) {
    let find = |name: &str| sections.iter().find(|section| section.name.value == name);
    for section in sections {
        for name in &section.failover {
            if find(&name.value).is_none() {
                let near = nearest(&name.value, sections.iter().map(|section| section.name.value.as_str()));
                review.error(name, format!("there is no destination {:?} to stand in", name.value)).hint =
                    near.map(|near| format!("did you mean `{near}`?"));
            } else if name.value != section.name.value && leads_to(name, &section.name.value, &find) {
                let message = format!(
                    "{:?} would stand in for itself, by way of {:?}; let one of them stand in for nobody",
                    section.name.value, name.value
                );
                review.error(name, message);
            }
        }
        counts_once(section, sections, review);
    }
}

/// An error where one that wants deltas stands in for several: each would tell it the same amounts.
fn counts_once(section: &DestinationSection, sections: &[DestinationSection], review: &mut Review) {
    let takes_metrics = |section: &DestinationSection| {
        let signals = section.signals.as_ref();
        signals.is_none_or(|signals| signals.iter().any(|name| matches!(name, SignalName::Metrics)))
    };
    if !takes_metrics(section) || !matches!(section.temporality, TemporalityName::Delta) {
        return;
    }
    let failing = sections.iter().filter(|failing| takes_metrics(failing));
    let named = failing.flat_map(|failing| &failing.failover);
    for again in named.filter(|name| name.value == section.name.value).skip(1) {
        let message = format!(
            "{:?} stands in for another one already, and would be told the same deltas by both",
            section.name.value
        );
        review.error(again, message).hint =
            Some("let it stand in for one of them, or leave its `temporality: delta` out".to_owned());
    }
}

/// Whether those who stand in for `name`, and for them in turn, include `goal`.
fn leads_to<'a>(
    name: &'a Spanned<String>,
    goal: &str,
    find: &impl Fn(&str) -> Option<&'a DestinationSection>,
) -> bool {
    let (mut open, mut seen) = (vec![name.value.as_str()], BTreeSet::new());
    while let Some(name) = open.pop() {
        if name == goal {
            return true;
        }
        if seen.insert(name) {
            let next = find(name).into_iter().flat_map(|section| &section.failover);
            open.extend(next.map(|name| name.value.as_str()));
        }
    }
    false
}
