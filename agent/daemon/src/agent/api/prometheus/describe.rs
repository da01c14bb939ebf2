//! What metrics are, and whose API this is.

use std::collections::BTreeMap;

use series::prometheus_name;
use telemetry::{Instrument, MetricSpec, Scope};

use super::super::Facts;
use super::super::routes::Reply;
use super::Question;
use super::failure::{Failure, answer};
use super::json::{Body, Json};
use super::parameters::Parameters;
use crate::list;

/// The version of Prometheus whose API and language these are. Clients choose by it what they ask.
const SPEAKS: &str = "3.14.0";

pub(in super::super) fn build_information(facts: &Facts, _: &Question) -> Reply {
    answer(facts, || {
        let data = serde_json::json!({
            "version": SPEAKS,
            "revision": concat!("hostmend-", env!("CARGO_PKG_VERSION")),
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        });
        Json::success(|json| json.value(&data))
    })
}

/// None are kept.
pub(in super::super) fn query_exemplars(facts: &Facts, _: &Question) -> Reply {
    answer(facts, || Json::success(|json| json.raw("[]").fits()))
}

pub(in super::super) fn metadata(facts: &Facts, question: &Question) -> Reply {
    answer(facts, || told(&Parameters::read(question)?))
}

fn told(parameters: &Parameters) -> Result<Body, Failure> {
    let number = |name| parameters.limit(name).map_err(|_| Failure::bad(format!("{name} must be a number")));
    let most = number("limit")?.unwrap_or(usize::MAX);
    let most_of_each = number("limit_per_metric")?.unwrap_or(usize::MAX);
    let wanted = parameters.first("metric");
    let mut metrics: BTreeMap<String, Vec<&MetricSpec>> = BTreeMap::new();
    for spec in list::all_metrics() {
        for name in names(spec) {
            if wanted.is_empty() || wanted == name {
                metrics.entry(name).or_default().push(spec);
            }
        }
    }
    let about = |spec: &MetricSpec| serde_json::json!({ "type": kind(spec), "help": spec.description, "unit": unit(spec) });
    let metrics = metrics.into_iter().take(most).map(|(name, specs)| {
        (name, specs.into_iter().take(most_of_each).map(about).collect::<serde_json::Value>())
    });
    let data: serde_json::Map<_, _> = metrics.collect();
    Json::success(|json| json.value(&data))
}

/// All names by which a metric can be selected.
fn names(spec: &MetricSpec) -> Vec<String> {
    let own = spec.name.to_owned();
    if spec.scope == Scope::NodeExporter {
        return vec![own];
    }
    let translated = prometheus_name(spec);
    if translated == own { vec![own] } else { vec![own, translated] }
}

fn kind(spec: &MetricSpec) -> &'static str {
    match spec.instrument {
        Instrument::Counter => "counter",
        Instrument::UpDownCounter | Instrument::Gauge => "gauge",
    }
}

fn unit(spec: &MetricSpec) -> &'static str {
    match spec.unit {
        "By" => "bytes",
        "s" => "seconds",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(query: &str) -> serde_json::Value {
        let question = Question { query: query.to_owned(), ..Question::default() };
        let body = told(&Parameters::read(&question).unwrap()).unwrap();
        serde_json::from_str(&body.0).unwrap()
    }

    #[test]
    fn a_metric_is_described_under_every_name_that_selects_it() {
        let about = serde_json::json!([{ "type": "counter", "unit": "seconds" }]);
        for name in ["system.cpu.time", "system_cpu_time_seconds_total"] {
            let mut found = metadata(&format!("metric={name}"))["data"][name].clone();
            assert!(found[0].as_object_mut().unwrap().remove("help").is_some(), "{name}");
            assert_eq!(found, about);
        }
        assert!(metadata("")["data"]["node_load1"][0]["help"].is_string());
    }

    #[test]
    fn metadata_are_cut_where_the_question_says() {
        assert_eq!(metadata("limit=2")["data"].as_object().unwrap().len(), 2);
        assert_eq!(metadata("metric=nothing")["data"], serde_json::json!({}));
    }
}
