//! Quantiles and fractions of classic histograms, whose buckets are series with the label `le`.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;
use telemetry::METRIC_NAME;

use super::scalar::ScalarNode;
use super::vector::warn_of_quantile;
use super::{Context, Sample, VectorNode};
use crate::sets::SetId;
use crate::{EvalError, Severity};

const BUCKET: &str = "le";

/// Relative differences between neighbouring buckets that are taken for rounding errors.
const SMALL_DIFFERENCE: f64 = 1e-12;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    upper: f64,
    count: f64,
}

#[derive(Debug)]
pub(crate) struct HistogramNode {
    /// One for a quantile, two for a fraction.
    scalars: Vec<ScalarNode>,
    scalar_spans: Vec<Range<usize>>,
    inner: VectorNode,
    inner_span: Range<usize>,
}

impl HistogramNode {
    pub(super) fn new(
        scalars: Vec<ScalarNode>,
        scalar_spans: Vec<Range<usize>>,
        inner: VectorNode,
        inner_span: Range<usize>,
    ) -> Self {
        Self { scalars, scalar_spans, inner, inner_span }
    }

    pub(super) fn eval(&mut self, context: &mut Context<'_>) -> Result<Vec<Sample>, EvalError> {
        let mut scalars = Vec::with_capacity(2);
        for scalar in &mut self.scalars {
            scalars.push(scalar.eval(context)?);
        }
        if let ([q], Some(span)) = (scalars.as_slice(), self.scalar_spans.first()) {
            warn_of_quantile(*q, span, context);
        }
        let samples = self.inner.eval(context)?;
        let mut result = Vec::new();
        for (set, nameless, name, buckets) in self.histograms(&samples, context) {
            let value = match scalars.as_slice() {
                [q] => self.quantile(*q, buckets, &name, context),
                [lower, upper] => fraction(*lower, *upper, buckets),
                _ => f64::NAN,
            };
            result.push(Sample { set, nameless, value });
        }
        Ok(result)
    }

    /// Buckets by the labels that they share, in the order of their first bucket.
    fn histograms(
        &self,
        samples: &[Sample],
        context: &mut Context<'_>,
    ) -> Vec<(SetId, bool, String, Vec<Bucket>)> {
        let mut at: HashMap<SetId, usize, RandomState> = HashMap::default();
        let mut found: Vec<(SetId, bool, String, Vec<Bucket>)> = Vec::new();
        for sample in samples {
            let labels = context.sets.labels(sample.set);
            let name = labels.metric_name().to_owned();
            let bound = labels.get(BUCKET).to_owned();
            let Some(upper) = parse_bound(&bound) else {
                let message = format!(
                    "bucket label \"le\" is missing or has a malformed value of {bound:?} for metric name {name:?}"
                );
                context.note(Severity::Warning, &self.inner_span, message);
                continue;
            };
            let shared = labels.filtered(|label| label != BUCKET && label != METRIC_NAME);
            let set = context.sets.intern(shared);
            let number = *at.entry(set).or_insert_with(|| {
                found.push((set, true, name, Vec::new()));
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
                "input to histogram_quantile needed to be fixed for monotonicity for metric name {name:?}"
            );
            context.note(Severity::Info, &self.inner_span, message);
        }
        value
    }
}

fn parse_bound(text: &str) -> Option<f64> {
    match text {
        "+Inf" | "Inf" | "+inf" | "inf" => Some(f64::INFINITY),
        "-Inf" | "-inf" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok(),
    }
}

/// Sorted, those of one bound added up, and made monotonic; and whether more than rounding had to be mended.
fn in_order(mut buckets: Vec<Bucket>) -> (Vec<Bucket>, bool) {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    buckets.dedup_by(|next, kept| {
        let same = next.upper.to_bits() == kept.upper.to_bits();
        if same {
            kept.count += next.count;
        }
        same
    });
    let mut forced = false;
    let mut greatest = f64::NEG_INFINITY;
    for (number, bucket) in buckets.iter_mut().enumerate() {
        if number == 0 || bucket.count > greatest {
            greatest = bucket.count;
        } else if bucket.count < greatest {
            forced |= !nearly_equal(bucket.count, greatest);
            bucket.count = greatest;
        }
    }
    (buckets, forced)
}

fn nearly_equal(a: f64, b: f64) -> bool {
    let sum = a.abs() + b.abs();
    (a - b).abs() / sum.min(f64::MAX) < SMALL_DIFFERENCE
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
    let (buckets, forced) = in_order(buckets);
    let (Some(last), true) = (buckets.last(), buckets.len() >= 2) else { return (f64::NAN, false) };
    if last.count == 0.0 || last.count.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = q * last.count;
    let finite = buckets.get(..buckets.len() - 1).unwrap_or_default();
    let at = finite.partition_point(|bucket| bucket.count < rank);
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
    let (buckets, _) = in_order(buckets);
    let Some(last) = buckets.last().filter(|bucket| bucket.upper == f64::INFINITY) else { return f64::NAN };
    if last.count == 0.0 || last.count.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, &buckets) - rank_of(lower, &buckets)) / last.count
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
