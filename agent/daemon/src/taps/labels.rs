//! The labels of series from outside.

use series::prometheus_label;
use telemetry::{Labels, LabelsBuilder, METRIC_NAME, Origin};

/// Says who sent what a series is made of. Series of two listeners never clash, and rules can tell them apart.
pub(crate) const ORIGIN: &str = "hostmend.origin";

/// Collects the labels of one series by OpenTelemetry's keys, and gives them in that spelling or in Prometheus'.
#[derive(Clone, Debug, Default)]
pub(super) struct Naming {
    otel: LabelsBuilder,
    prometheus: LabelsBuilder,
}

impl Naming {
    /// Who sent it, the sender cannot say, in whatever spelling.
    pub(super) fn set(&mut self, key: &str, value: &str) -> &mut Self {
        let label = prometheus_label(key);
        if label != prometheus_label(ORIGIN) {
            self.otel.set(key, value);
            self.prometheus.set(&label, value);
        }
        self
    }

    /// The labels under OpenTelemetry's name. It comes last, so that it stands.
    pub(super) fn otel(&self, name: &str, origin: &Origin) -> Labels {
        let mut labels = self.otel.clone();
        labels.set(ORIGIN, &origin.to_string()).set(METRIC_NAME, name);
        labels.build()
    }

    /// The labels under Prometheus' name, with one more unless its key is empty.
    pub(super) fn prometheus(&self, name: &str, origin: &Origin, (key, value): (&str, &str)) -> Labels {
        let mut labels = self.prometheus.clone();
        if !key.is_empty() {
            labels.set(key, value);
        }
        labels.set(&prometheus_label(ORIGIN), &origin.to_string()).set(METRIC_NAME, name);
        labels.build()
    }
}

/// The value of `le` or `quantile`, as Prometheus writes it.
pub(super) fn bound(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { value.to_string() }
}
