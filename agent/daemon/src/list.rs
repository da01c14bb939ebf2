//! `hostmend list`: reference lists, printed from the tables that the program runs on.

mod functions;
mod metrics;

use std::fmt::Write as _;

use collectors::COLLECTORS;
use promql::functions::{Arity, FUNCTIONS, Function};
use telemetry::MetricSpec;

use crate::agent::ROUTES;
use crate::cli::Listing;
use crate::exit::Exit;
use crate::print;

pub(crate) fn run(what: &Listing) -> anyhow::Result<Exit> {
    print::out(&match what {
        Listing::Metrics(args) => metrics::text(args)?,
        Listing::Collectors => collectors(),
        Listing::Functions(args) => functions::text(args)?,
        Listing::PromqlFunctions => promql_functions(),
        Listing::Api => api(),
    })?;
    Ok(Exit::Done)
}

/// Every metric that this agent can have, once, by name.
pub(crate) fn all_metrics() -> Vec<&'static MetricSpec> {
    metrics::all()
}

fn collectors() -> String {
    let width = COLLECTORS.iter().map(|row| row.name.len()).max().unwrap_or(0);
    COLLECTORS.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{:width$}  {}", row.name, row.summary);
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
            Arity::Repeated | Arity::UpTo(_) => *last = format!("{last} ..."),
        }
    }
    format!("{}({}) -> {}", function.name, arguments.join(", "), function.returns)
}
