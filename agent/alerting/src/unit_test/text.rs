//! What a file of rule tests says, before it is judged.

use std::collections::BTreeMap;

use documents::Spanned;
use serde::{Deserialize, Deserializer};

/// A file of rule tests, as promtool reads it, with keys of our own: `group_intervals` and `exp_pending`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileText {
    /// Rule files, as patterns relative to this file.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) rule_files: Vec<Spanned<String>>,
    /// How often all groups are evaluated. Default 1m.
    pub(super) evaluation_interval: Option<Spanned<String>>,
    /// Groups that are evaluated first, in this order.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) group_eval_order: Vec<Spanned<String>>,
    /// Whether numbers that differ in the last bit are the same.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) fuzzy_compare: bool,
    /// Whether each group is evaluated at its own `interval`. promtool has no such key, and evaluates all groups alike.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) group_intervals: bool,
    /// The tests, each with rules and series of its own.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) tests: Vec<Spanned<TestText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestText {
    /// By which `--run` finds it.
    pub(super) name: Option<Spanned<String>>,
    /// The time between two values of a series. Default: the evaluation interval.
    pub(super) interval: Option<Spanned<String>>,
    /// When the test begins, in seconds since the epoch or as RFC 3339. Default 0.
    pub(super) start_timestamp: Option<Spanned<String>>,
    /// What templates know as `$externalLabels`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) external_labels: BTreeMap<String, String>,
    /// What templates know as `$externalURL`.
    pub(super) external_url: Option<String>,
    /// What is in the store.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) input_series: Vec<SeriesText>,
    /// Which alerts fire when.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) alert_rule_test: Vec<Spanned<AlertTestText>>,
    /// What expressions give when.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) promql_expr_test: Vec<Spanned<ExprTestText>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesText {
    /// `name{label="value"}`
    pub(super) series: Spanned<String>,
    /// `1 2+3x4 _ stale`
    pub(super) values: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertTestText {
    /// After how long. Default 0.
    pub(super) eval_time: Option<Spanned<String>>,
    /// The alert's name.
    pub(super) alertname: Option<Spanned<String>>,
    /// All alerts of this name that fire then. Default: none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) exp_alerts: Vec<AlertText>,
    /// All alerts of this name that are pending then; without it that is not checked. promtool has no such key.
    #[serde(default)]
    pub(super) exp_pending: Option<Vec<AlertText>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertText {
    /// All labels but `alertname`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) exp_labels: BTreeMap<String, String>,
    /// All annotations.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) exp_annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExprTestText {
    /// The expression.
    pub(super) expr: Option<Spanned<String>>,
    /// After how long. Default 0.
    pub(super) eval_time: Option<Spanned<String>>,
    /// All samples that it gives. Default: none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) exp_samples: Vec<SampleText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleText {
    /// `name{label="value"}`. Default: no label.
    pub(super) labels: Option<Spanned<String>>,
    /// Default 0.
    pub(super) value: Option<Spanned<String>>,
    /// A native histogram, which is refused.
    pub(super) histogram: Option<Spanned<String>>,
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
