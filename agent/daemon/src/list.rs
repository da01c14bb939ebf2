//! `hostmend list`: reference lists, printed from the tables that the program runs on.

use std::fmt::Write as _;

use collectors::{COLLECTORS, SCHEDULE_METRICS};
use promql::functions::{Arity, FUNCTIONS, Function};
use remediation::HOST_FUNCTIONS;
use series::{prometheus_label, prometheus_name};
use telemetry::{Instrument, MetricSpec};

use crate::agent::{ROUTES, own_metrics};
use crate::cli::Listing;
use crate::exit::Exit;
use crate::print;
use crate::taps;

pub(crate) fn run(what: Listing) -> anyhow::Result<Exit> {
    print::out(&match what {
        Listing::Metrics => metrics(),
        Listing::Collectors => collectors(),
        Listing::Functions => functions(),
        Listing::PromqlFunctions => promql_functions(),
        Listing::Api => api(),
    })?;
    Ok(Exit::Done)
}

/// Every metric that this agent can have, once, by name.
pub(crate) fn all_metrics() -> Vec<&'static MetricSpec> {
    let mut all: Vec<&MetricSpec> = COLLECTORS.iter().flat_map(|row| row.metrics.iter().copied()).collect();
    all.extend(SCHEDULE_METRICS);
    all.extend(probes::METRICS);
    all.extend(own_metrics::METRICS);
    all.extend(taps::METRICS);
    all.sort_by_key(|metric| metric.name);
    all.dedup_by_key(|metric| metric.name);
    all
}

fn metrics() -> String {
    all_metrics().into_iter().fold(String::new(), |mut text, metric| {
        let kind = match metric.instrument {
            Instrument::Counter => "counter",
            Instrument::UpDownCounter => "updowncounter",
            Instrument::Gauge => "gauge",
        };
        let name = prometheus_name(metric);
        let labels: Vec<_> = metric.attributes.iter().map(|key| prometheus_label(key)).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(", ")) };
        let _ = writeln!(text, "{} ({kind}, {})", metric.name, metric.unit);
        let _ = writeln!(text, "    in rules: {name}{labels}");
        let _ = writeln!(text, "    {} From {}.", metric.description, metric.source);
        text
    })
}

fn collectors() -> String {
    let width = COLLECTORS.iter().map(|row| row.name.len()).max().unwrap_or(0);
    COLLECTORS.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{:width$}  {}", row.name, row.summary);
        text
    })
}

fn functions() -> String {
    HOST_FUNCTIONS.iter().fold(String::new(), |mut text, function| {
        let needs =
            function.needs.map(|needs| format!(" Needs the grant {}.", needs.name())).unwrap_or_default();
        let _ = writeln!(text, "{}\n    {}{needs}", function.signature(), function.summary);
        text
    })
}

fn promql_functions() -> String {
    FUNCTIONS.iter().fold(String::new(), |mut text, function| {
        let _ = writeln!(text, "{}\n    {}", promql_signature(function), function.summary);
        text
    })
}

fn api() -> String {
    ROUTES.iter().fold(String::new(), |mut text, route| {
        let _ = writeln!(text, "{} {}", route.method, route.path);
        let groups = route.needs.groups();
        let who = match groups.split_last() {
            None => "anyone".to_owned(),
            Some((last, [])) => format!("group {last}"),
            Some((last, others)) => format!("group {} or {last}", others.join(", ")),
        };
        let also = if route.for_watchers { "; also at api.listen" } else { "" };
        let _ = writeln!(text, "    To {}. For {who}{also}.", route.summary);
        text
    })
}

fn promql_signature(function: &Function) -> String {
    let mut arguments: Vec<String> = function.arguments.iter().map(ToString::to_string).collect();
    if let Some(last) = arguments.last_mut() {
        match function.arity {
            Arity::Exact => {}
            Arity::Optional => *last = format!("[{last}]"),
            Arity::Repeated => *last = format!("{last} ..."),
        }
    }
    format!("{}({}) -> {}", function.name, arguments.join(", "), function.returns)
}
