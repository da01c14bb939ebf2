//! Whether the series that a rule judges are there.
//!
//! An empty result says either that all is well or that nothing is known; only the expression tells which. So this asks
//! for each alert whether every selector that its sample needs has a live series with the alert's labels. Labels that an
//! operator replaced or left out are not asked for, so in doubt a series counts as there, and an alert as seen.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use promql::LOOKBACK;
use promql::ast::{Aggregate, AggregateOp, At, Binary, BinaryOp, Expr, ExprKind, Matching, Selector, Shift};
use series::{MatchOp, Scratch, SeriesId, Store, is_stale};
use telemetry::{Labels, METRIC_NAME, Timestamp};

use crate::brief::identity;
use crate::rule::Rule;

/// Functions that say nothing of a window with one sample.
const NEED_TWO: [&str; 9] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "predict_linear",
    "double_exponential_smoothing",
    "holt_winters",
];

/// Functions that are asked when series are missing.
const ASK_FOR_ABSENCE: [&str; 2] = ["absent", "absent_over_time"];

/// How long it takes until a selector that matched nothing is looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The labels that a series must have, if it has a label of the name.
type Wanted<'a> = Vec<(&'a str, &'a str)>;

/// The series of a store at a time.
pub(crate) struct Inputs<'a> {
    store: &'a Store,
    at: i64,
    /// By selector: its live series.
    live: RefCell<HashMap<*const Selector, Vec<SeriesId>>>,
}

/// How far back is looked for samples, and how many there must be.
#[derive(Clone, Copy)]
struct Reach {
    at: i64,
    back: i64,
    least: usize,
    /// Whether the newest must say that the series goes on.
    newest: bool,
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(store: &'a Store, at: Timestamp) -> Self {
        Self { store, at: at.as_millis(), live: RefCell::default() }
    }

    /// A selector without whose series `expr` can give no sample with the labels `sample`.
    pub(crate) fn missing<'e>(&self, expr: &'e Expr, sample: &Labels) -> Option<&'e Selector> {
        let wanted = sample.iter().filter(|(name, _)| *name != METRIC_NAME).collect();
        self.find(expr, &wanted, Reach { at: self.at, back: 0, least: 1, newest: false })
    }

    fn find<'e>(&self, expr: &'e Expr, wanted: &Wanted<'_>, reach: Reach) -> Option<&'e Selector> {
        match &expr.kind {
            ExprKind::Selector(selector) => {
                let back = reach.back.saturating_add(millis(LOOKBACK));
                self.look(selector, wanted, Reach { back, least: 1, newest: reach.back == 0, ..reach })
            }
            ExprKind::Range(selector, range) => {
                let back = reach.back.saturating_add(range.millis());
                self.look(selector, wanted, Reach { back, ..reach })
            }
            ExprKind::Subquery(subquery) => {
                let at = moment(&subquery.shift, reach.at);
                let back = reach.back.saturating_add(subquery.range.millis());
                self.find(&subquery.expr, wanted, Reach { at, back, least: 1, newest: false })
            }
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => self.find(inner, wanted, reach),
            ExprKind::Binary(binary) => self.binary(binary, wanted, reach),
            ExprKind::Aggregate(aggregate) => self.find(&aggregate.expr, &inside(aggregate, wanted), reach),
            ExprKind::Call(function, arguments) => {
                if ASK_FOR_ABSENCE.contains(&function.name) {
                    return None;
                }
                let least = if NEED_TWO.contains(&function.name) { 2 } else { 1 };
                let replaced = match (function.name, arguments.get(1).map(|argument| &argument.kind)) {
                    ("label_replace" | "label_join" | "histogram_quantiles", Some(ExprKind::Text(label))) => {
                        label.as_str()
                    }
                    _ => "",
                };
                let wanted = wanted.iter().copied().filter(|(name, _)| *name != replaced).collect();
                arguments.iter().find_map(|argument| self.find(argument, &wanted, Reach { least, ..reach }))
            }
            _ => None,
        }
    }

    fn binary<'e>(&self, binary: &'e Binary, wanted: &Wanted<'_>, reach: Reach) -> Option<&'e Selector> {
        let [left, right] = sides(binary, wanted);
        let filled = |side: fn(&Matching) -> Option<f64>| binary.matching.as_ref().and_then(side).is_some();
        let missing_left =
            if filled(|matching| matching.fill_left) { None } else { self.find(&binary.left, &left, reach) };
        match binary.op {
            BinaryOp::Unless => missing_left,
            // Either side may have given the sample, with all of its labels.
            BinaryOp::Or => {
                missing_left.and_then(|missing| self.find(&binary.right, wanted, reach).map(|_| missing))
            }
            _ if filled(|matching| matching.fill_right) => missing_left,
            _ => missing_left.or_else(|| self.find(&binary.right, &right, reach)),
        }
    }

    /// The selector, if it has no live series with the labels.
    fn look<'e>(&self, selector: &'e Selector, wanted: &Wanted<'_>, reach: Reach) -> Option<&'e Selector> {
        let mut live = self.live.borrow_mut();
        let series = live.entry(std::ptr::from_ref(selector)).or_insert_with(|| {
            let to = moment(&selector.shift, reach.at);
            let ids = self.store.select(&selector.matchers).into_iter();
            ids.filter(|id| self.is_live(*id, to, reach)).collect()
        });
        let fits = |id: &SeriesId| {
            let labels = self.store.labels(*id);
            wanted
                .iter()
                .all(|(name, value)| matches!(labels.get(name), found if found.is_empty() || found == *value))
        };
        if series.iter().any(fits) { None } else { Some(selector) }
    }

    fn is_live(&self, id: SeriesId, to: i64, reach: Reach) -> bool {
        if reach.newest {
            return self.store.latest(id, to, reach.back).is_some();
        }
        let mut scratch = Scratch::default();
        let samples = self.store.samples(id, to.saturating_sub(reach.back), to, &mut scratch);
        samples.values.iter().filter(|value| !is_stale(**value)).take(reach.least).count() == reach.least
    }
}

/// What the series under an aggregation have of the labels of its result.
fn inside<'a>(aggregate: &'a Aggregate, wanted: &Wanted<'a>) -> Wanted<'a> {
    let made = match (aggregate.op, aggregate.parameter.as_ref().map(|parameter| &parameter.kind)) {
        (AggregateOp::CountValues, Some(ExprKind::Text(label))) => label.as_str(),
        _ => "",
    };
    wanted.iter().copied().filter(|(name, _)| *name != made).collect()
}

/// What the series of both sides of an operator have of the labels of its result.
fn sides<'a>(binary: &'a Binary, wanted: &Wanted<'a>) -> [Wanted<'a>; 2] {
    let Some(Matching { on, labels, group, .. }) = &binary.matching else {
        return [wanted.clone(), wanted.clone()];
    };
    let matched = |name: &str| labels.iter().any(|label| label == name) == *on;
    let shared: Wanted<'a> = wanted.iter().copied().filter(|(name, _)| matched(name)).collect();
    let Some(group) = group else {
        return if binary.op.is_set() { [wanted.clone(), shared] } else { [shared.clone(), shared] };
    };
    let included = |name: &str| group.include.iter().any(|label| label == name);
    let many = wanted.iter().copied().filter(|(name, _)| !included(name)).collect();
    let one = wanted.iter().copied().filter(|(name, _)| matched(name) || included(name)).collect();
    if group.left { [many, one] } else { [one, many] }
}

fn moment(shift: &Shift, at: i64) -> i64 {
    let at = match shift.at {
        Some(At::Millis(fixed)) => fixed,
        Some(At::Start | At::End) | None => at,
    };
    at.saturating_sub(shift.offset.millis())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// The labels that `absent` gives for a selector: those that it asks for by `=`, each once.
pub(crate) fn absent_labels(selector: &Selector) -> Labels {
    let asked = |name: &str| selector.matchers.iter().filter(|matcher| matcher.name() == name).count();
    let equal = selector.matchers.iter().filter(|matcher| {
        matcher.op() == MatchOp::Equal && matcher.name() != METRIC_NAME && asked(matcher.name()) == 1
    });
    equal.map(|matcher| (matcher.name(), matcher.value())).collect()
}

/// The selectors of a rule that match no series at all.
#[derive(Debug, Default)]
pub(crate) struct Unmatched {
    looked_at: Option<Timestamp>,
    pub(crate) selectors: Vec<String>,
}

impl Unmatched {
    /// Looks again if the last look was long enough ago. At first there is no look: what is collected or sent may be on its
    /// way.
    pub(crate) fn look(&mut self, rule: &Rule, store: &Store, now: Timestamp) {
        let looked_at = *self.looked_at.get_or_insert(now);
        if looked_at <= now && now.since(looked_at) < LOOK_AGAIN {
            return;
        }
        self.looked_at = Some(now);
        self.selectors.clear();
        let mut needed = Vec::new();
        find_needed(rule.query().expr(), &mut needed);
        for (expr, selector) in needed {
            if store.select(&selector.matchers).is_empty() {
                self.selectors.push(identity(&expr.to_string()).into_owned());
            }
        }
    }
}

/// The selectors of an expression, without those that it does not mind to find empty.
fn find_needed<'e>(expr: &'e Expr, found: &mut Vec<(&'e Expr, &'e Selector)>) {
    match &expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range(selector, _) => found.push((expr, selector)),
        ExprKind::Subquery(subquery) => find_needed(&subquery.expr, found),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => find_needed(inner, found),
        ExprKind::Binary(binary) => {
            find_needed(&binary.left, found);
            if binary.op != BinaryOp::Unless {
                find_needed(&binary.right, found);
            }
        }
        ExprKind::Aggregate(aggregate) => find_needed(&aggregate.expr, found),
        ExprKind::Call(function, arguments) if !ASK_FOR_ABSENCE.contains(&function.name) => {
            for argument in arguments {
                find_needed(argument, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
