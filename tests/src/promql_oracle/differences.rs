//! When two answers are the same, and what is known to differ.

use std::collections::{BTreeMap, BTreeSet};

use promql::script::near;
use telemetry::Labels;

use super::engine::{Answer, Question};

/// Queries whose order of samples counts.
const ORDERED: [&str; 2] = ["sort(", "sort_desc("];

/// Queries of which Prometheus' answer is a fault of its own: `timestamp` forgets an offset behind `@`.
fn is_their_fault(question: &Question) -> bool {
    let mut calls = question.expr.match_indices("timestamp(").map(|(at, _)| &question.expr[at..]);
    calls.any(|call| {
        let argument = call.split(')').take(3).collect::<Vec<_>>().join(")");
        argument.contains('@') && argument.contains("offset")
    })
}

pub(super) fn compare(question: &Question, ours: &Answer, theirs: &Answer) -> Result<(), String> {
    if is_their_fault(question) {
        return Ok(());
    }
    match (&ours.error, &theirs.error) {
        (None, None) => {}
        (Some(_), Some(_)) => return Ok(()),
        (Some(error), None) => return Err(format!("only we fail: {error}")),
        (None, Some(error)) => return Err(format!("only they fail: {error}; we have {:?}", ours.series)),
    }
    if ours.kind != theirs.kind || ours.text != theirs.text {
        return Err(format!("{} {:?} instead of {} {:?}", ours.kind, ours.text, theirs.kind, theirs.text));
    }
    same_series(ours, theirs).or_else(|difference| {
        // Over a range Prometheus tells series apart with the names that are to be dropped still on, so what `or` takes from
        // the right loses its name where the left had dropped the same one at another step.
        let joins = question.step > 0 && question.expr.contains(" or ");
        if joins && same_series(&nameless(ours), &nameless(theirs)).is_ok() {
            Ok(())
        } else {
            Err(difference)
        }
    })?;
    if question.step == 0 && ORDERED.iter().any(|function| question.expr.starts_with(function)) {
        same_order(ours, theirs)?;
    }
    same_notes(ours, theirs)
}

fn same_series(ours: &Answer, theirs: &Answer) -> Result<(), String> {
    let by_labels = |answer: &Answer| answer.series.iter().cloned().collect::<BTreeMap<_, _>>();
    let (one, other) = (by_labels(ours), by_labels(theirs));
    for (labels, points) in &one {
        let Some(wanted) = other.get(labels) else {
            return Err(format!("only we have {labels} {points:?}"));
        };
        let same = points.len() == wanted.len()
            && points.iter().zip(wanted).all(|(a, b)| a.0 == b.0 && near(a.1, b.1));
        if !same {
            let differing = points.iter().zip(wanted).find(|(a, b)| a.0 != b.0 || !near(a.1, b.1));
            return Err(format!(
                "{labels}: {} points instead of {}, first difference {differing:?}",
                points.len(),
                wanted.len()
            ));
        }
    }
    match other.iter().find(|(labels, _)| !one.contains_key(labels)) {
        Some((labels, points)) => Err(format!("only they have {labels} {points:?}")),
        None => Ok(()),
    }
}

/// The answer without the names of series, of which those that are the same then are one.
fn nameless(answer: &Answer) -> Answer {
    let mut series: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (labels, points) in &answer.series {
        let rest: Labels = labels.iter().filter(|(name, _)| *name != "__name__").collect();
        series.entry(rest).or_default().extend(points.iter().copied());
    }
    for points in series.values_mut() {
        points.sort_by_key(|point| point.0);
    }
    Answer { series: series.into_iter().collect(), ..answer.clone() }
}

fn same_order(ours: &Answer, theirs: &Answer) -> Result<(), String> {
    // Equal values may come in any order.
    let values = |answer: &Answer| answer.series.iter().map(|(_, points)| points[0].1).collect::<Vec<_>>();
    let (one, other) = (values(ours), values(theirs));
    if one.iter().zip(&other).all(|(a, b)| near(*a, *b)) {
        Ok(())
    } else {
        Err(format!("in the order {one:?} instead of {other:?}"))
    }
}

/// Prometheus tells what it says of several places only of one of them.
fn same_notes(ours: &Answer, theirs: &Answer) -> Result<(), String> {
    let texts = |answer: &Answer| -> BTreeSet<String> {
        answer.notes.iter().map(|note| without_details(note).0).collect()
    };
    if texts(ours) != texts(theirs) {
        return Err(format!("notes are {:?} instead of {:?}", ours.notes, theirs.notes));
    }
    let places = |answer: &Answer| -> BTreeSet<(String, String)> {
        answer.notes.iter().map(|note| without_details(note)).collect()
    };
    let known = places(ours);
    // Prometheus forgets where a subquery stands.
    let is_known = |(text, place): &(String, String)| {
        known.iter().any(|(other, at)| other == text && (at == place || place == "1:1)"))
    };
    match places(theirs).into_iter().find(|note| !is_known(note)) {
        Some(note) => Err(format!("notes lack {note:?}: {:?}", ours.notes)),
        None => Ok(()),
    }
}

/// A note's text and place; of forced monotonicity Prometheus tells the buckets too.
fn without_details(note: &str) -> (String, String) {
    let (text, place) = note.rsplit_once(" (").unwrap_or((note, ""));
    let text = text.split_once(", from buckets").map_or(text, |(text, _)| text);
    (text.split(' ').map(rounded).collect::<Vec<_>>().join(" "), place.to_owned())
}

/// A number in a note without its last digits: Go computes `atan2` and its like by itself, not as the C library does.
fn rounded(word: &str) -> String {
    let (number, comma) = word.strip_suffix(',').map_or((word, ""), |number| (number, ","));
    match number.parse::<f64>() {
        Ok(value) if number.len() > 12 => format!("{value:.12e}{comma}"),
        _ => word.to_owned(),
    }
}
