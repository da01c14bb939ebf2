//! Quantiles and fractions of classic histograms, whose buckets are series with the label `le`.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::scalar::ScalarNode;
use super::vector::warn_of_quantile;
use super::{Context, Sample, VectorNode};
use crate::sets::SetId;
use crate::value::short;
use crate::{EvalError, Severity};

const BUCKET: &str = "le";

/// Relative differences between neighbouring buckets that are taken for rounding errors.
const SMALL_DIFFERENCE: f64 = 1e-12;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// What is asked of the histograms.
#[derive(Debug)]
pub(super) enum Wanted {
    Quantile,
    /// Several, told apart by this label.
    Quantiles(String),
    Fraction,
}

#[derive(Debug)]
pub(crate) struct HistogramNode {
    wanted: Wanted,
    /// One for each quantile, or the two bounds of a fraction; and where they stand.
    scalars: Vec<(ScalarNode, Range<usize>)>,
    inner: VectorNode,
    inner_span: Range<usize>,
}

impl HistogramNode {
    pub(super) fn new(
        wanted: Wanted,
        scalars: Vec<(ScalarNode, Range<usize>)>,
        inner: VectorNode,
        inner_span: Range<usize>,
    ) -> Self {
        Self { wanted, scalars, inner, inner_span }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let mut scalars = Vec::with_capacity(self.scalars.len());
        for (scalar, span) in &mut self.scalars {
            let value = scalar.eval(context)?;
            if !matches!(self.wanted, Wanted::Fraction) {
                warn_of_quantile(value, span, context);
            }
            scalars.push(value);
        }
        let samples = self.inner.eval(context)?;
        let histograms = self.histograms(&samples, context);
        let mut result = Vec::new();
        match (&self.wanted, scalars.as_slice()) {
            (Wanted::Fraction, [lower, upper]) => {
                for (set, _, buckets) in histograms {
                    result.push(Sample { set, nameless: true, value: fraction(*lower, *upper, buckets) });
                }
            }
            (Wanted::Fraction, _) => {}
            (Wanted::Quantile | Wanted::Quantiles(_), quantiles) => {
                for q in quantiles {
                    for (set, name, buckets) in &histograms {
                        let value = self.quantile(*q, buckets.clone(), name, context);
                        let set = self.labelled(*set, *q, context);
                        result.push(Sample { set, nameless: true, value });
                    }
                }
            }
        }
        Ok(result)
    }

    fn labelled(&self, set: SetId, q: f64, context: &mut Context<'_>) -> SetId {
        let Wanted::Quantiles(label) = &self.wanted else { return set };
        let mut labels = context.sets.labels(set).to_builder();
        labels.set(label, &open_metrics(q));
        context.sets.intern(labels.build())
    }

    /// Names and buckets by the labels that buckets share, in the order of their first bucket.
    fn histograms(&self, samples: &[Sample], context: &mut Context<'_>) -> Vec<(SetId, String, Vec<Bucket>)> {
        let mut at: HashMap<SetId, usize, RandomState> = HashMap::default();
        let mut found: Vec<(SetId, String, Vec<Bucket>)> = Vec::new();
        for sample in samples {
            let labels = context.sets.labels(sample.set);
            let name = labels.metric_name().to_owned();
            let bound = labels.get(BUCKET).to_owned();
            let Some(upper) = parse_bound(&bound) else {
                let message = format!(
                    "bucket label \"le\" is missing or has a malformed value of {bound:?}{}",
                    of_metric(&name)
                );
                context.note(Severity::Warning, &self.inner_span, message);
                continue;
            };
            let shared = labels.filtered(|label| label != BUCKET);
            let set = context.sets.intern(shared);
            let number = *at.entry(set).or_insert_with(|| {
                found.push((set, name, Vec::new()));
                found.len() - 1
            });
            if let Some((.., buckets)) = found.get_mut(number) {
                buckets.push(Bucket { upper, count: sample.value });
            }
        }
        found
    }

    fn quantile(&self, q: f64, buckets: Vec<Bucket>, name: &str, context: &mut Context<'_>) -> f64 {
        let (value, forced) = quantile(q, buckets);
        if forced {
            let message = format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/\
                 prometheus/latest/querying/functions/#histogram_quantile){}",
                of_metric(name)
            );
            context.note(Severity::Info, &self.inner_span, message);
        }
        value
    }
}

fn of_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {name:?}") }
}

/// A quantile as a label's value, as `OpenMetrics` writes it.
fn open_metrics(q: f64) -> String {
    let text = short(q);
    if q.is_finite() && !text.contains(['e', '.']) { text + ".0" } else { text }
}

fn parse_bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// Sorted, those of one bound added up.
fn in_order(mut buckets: Vec<Bucket>) -> Vec<Bucket> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    #[expect(clippy::float_cmp, reason = "the same bound, 0 and -0 alike")]
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    buckets
}

/// Makes counts grow; says whether more than rounding had to be mended.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let Some((first, others)) = buckets.split_first_mut() else { return false };
    let mut before = first.count;
    for bucket in others {
        if nearly_equal(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            forced = true;
        } else {
            before = bucket.count;
        }
    }
    forced
}

#[expect(clippy::float_cmp, reason = "exactly equal is near enough")]
fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < SMALL_DIFFERENCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < SMALL_DIFFERENCE
}

fn quantile(q: f64, buckets: Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    let has_infinity = |buckets: &[Bucket]| buckets.iter().any(|bucket| bucket.upper == f64::INFINITY);
    if !has_infinity(&buckets) {
        return (f64::NAN, false);
    }
    let mut buckets = in_order(buckets);
    let forced = make_monotonic(&mut buckets);
    let (Some(last), true) = (buckets.last(), buckets.len() >= 2) else { return (f64::NAN, forced) };
    if last.count == 0.0 {
        return (f64::NAN, forced);
    }
    let mut rank = q * last.count;
    let finite = buckets.get(..buckets.len() - 1).unwrap_or_default();
    let at = finite.partition_point(|bucket| bucket.count < rank || bucket.count.is_nan() || rank.is_nan());
    let Some(bucket) = finite.get(at) else {
        return (finite.last().map_or(f64::NAN, |bucket| bucket.upper), forced);
    };
    if at == 0 && bucket.upper <= 0.0 {
        return (bucket.upper, forced);
    }
    let (mut lower, mut count) = (0.0, bucket.count);
    if let Some(before) = at.checked_sub(1).and_then(|before| finite.get(before)) {
        lower = before.upper;
        count -= before.count;
        rank -= before.count;
    }
    (lower + (bucket.upper - lower) * (rank / count), forced)
}

/// The share of observations in `(lower, upper]`.
fn fraction(lower: f64, upper: f64, buckets: Vec<Bucket>) -> f64 {
    let buckets = in_order(buckets);
    let Some(last) = buckets.last().filter(|bucket| bucket.upper == f64::INFINITY) else { return f64::NAN };
    if last.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |bound| {
        let rank = rank_of(bound, &buckets);
        if rank > last.count { last.count } else { rank }
    };
    (rank(upper) - rank(lower)) / last.count
}

/// How many observations are at most `bound`, by linear interpolation within its bucket.
fn rank_of(bound: f64, buckets: &[Bucket]) -> f64 {
    let mut below = 0.0;
    let mut from = f64::NEG_INFINITY;
    for (number, bucket) in buckets.iter().enumerate() {
        if number == 0 && bucket.upper > 0.0 {
            from = 0.0;
        }
        if bound <= from {
            return below;
        }
        if bound < bucket.upper {
            // Infinite buckets have no inside: their observations count as lying on the finite bound.
            if from.is_infinite() {
                return bucket.count;
            }
            if bucket.upper.is_infinite() {
                return below;
            }
            return below + (bucket.count - below) * ((bound - from) / (bucket.upper - from));
        }
        below = bucket.count;
        from = bucket.upper;
    }
    below
}
