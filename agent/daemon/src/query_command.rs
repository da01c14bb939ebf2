//! `hostmend query`: asks the running agent as a Prometheus is asked.
//!
//! A value at one time is a table, values over time are a chart of each series. An expression that is none is shown with
//! its place, without asking anybody.

mod answer;
mod chart;
mod table;

use std::io::IsTerminal;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use documents::{Document, Format, Problem, render};
use rustix::termios::tcgetwinsize;
use telemetry::Timestamp;

use crate::cli::{Moment, QueryArgs};
use crate::exit::Exit;
use crate::local_client::{Asked, ask_with};
use crate::{clock, print};
use answer::{Answer, Data};

/// What is drawn for a pipe: as wide as a page, and everything.
const PAGE: Size = Size { columns: 100, lines: usize::MAX };

/// No room for a chart that says anything.
const FEWEST_COLUMNS: usize = 20;

/// How much there is room for.
#[derive(Clone, Copy, Debug)]
struct Size {
    columns: usize,
    lines: usize,
}

pub(crate) fn run(args: &QueryArgs) -> anyhow::Result<Exit> {
    if let Err(error) = promql::parse(&args.expression) {
        let mut problem = Problem::at(&document(args), error.span, error.message);
        problem.hint = error.hint;
        print::err(&render(&[problem], Format::Text))?;
        return Ok(Exit::WrongUsage);
    }
    let size = size();
    let body = asked(args, size)?;
    let answer: Answer =
        serde_json::from_str(&body).context("reading the agent's answer; is it of another version?")?;
    if let Some(error) = answer.error {
        print::err(&render(&[failure(args, error, answer.span)], Format::Text))?;
        return Ok(Exit::Failed);
    }
    for note in answer.warnings.iter().chain(&answer.infos) {
        print::err(&format!("{note}\n"))?;
    }
    if args.json {
        print::out(&format!("{body}\n"))?;
        return Ok(Exit::Done);
    }
    print::out(&match answer.data.context("reading the agent's answer: it holds no data")? {
        Data::Matrix(series) => chart::page(&series, size),
        data => table::page(&data, size.columns),
    })?;
    Ok(Exit::Done)
}

fn document(args: &QueryArgs) -> Document {
    Document::from_text(Path::new("expression"), &args.expression)
}

/// An error of the evaluation, at its place if the agent knows it.
fn failure(args: &QueryArgs, error: String, span: Option<[usize; 2]>) -> Problem {
    match span {
        Some([start, end]) => Problem::at(&document(args), Range { start, end }, error),
        None => Problem::about(Path::new("expression"), error),
    }
}

/// What the agent answers.
fn asked(args: &QueryArgs, size: Size) -> anyhow::Result<String> {
    let now = clock::now();
    let at = match args.at {
        None => now,
        Some(Moment::At(at)) => at,
        Some(Moment::Ago(ago)) => now.minus(ago),
    };
    let (path, parameters) = match args.range {
        None => ("/api/v1/query", vec![("time", seconds(at))]),
        Some(range) => {
            let step = args.step.unwrap_or_else(|| fitting_step(range, size.columns));
            let times = [("start", at.minus(range)), ("end", at)].map(|(name, at)| (name, seconds(at)));
            let step = ("step", (step.as_millis() as f64 / 1_000.0).to_string());
            ("/api/v1/query_range", times.into_iter().chain([step]).collect())
        }
    };
    let mut form = vec![("query", args.expression.as_str())];
    form.extend(parameters.iter().map(|(name, value)| (*name, value.as_str())));
    Ok(ask_with(&args.agent, &Asked { method: "POST", path: path.into() }, &form)?.body)
}

fn seconds(at: Timestamp) -> String {
    (at.as_millis() as f64 / 1_000.0).to_string()
}

/// One step for each column, in whole seconds, where that is possible.
fn fitting_step(range: Duration, columns: usize) -> Duration {
    let columns = chart::columns(columns).max(1) as u32;
    let step = range / columns;
    Duration::from_secs(step.as_secs() + u64::from(step.subsec_nanos() > 0)).max(Duration::from_secs(1))
}

fn size() -> Size {
    if !std::io::stdout().is_terminal() {
        return PAGE;
    }
    let size = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    let (columns, lines) = size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    Size { columns: columns.max(FEWEST_COLUMNS), lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_step_for_each_column_of_its_chart() {
        for (range, step) in [(3_600, 52), (60, 1), (1, 1), (70, 1), (71, 2)] {
            let step_of = fitting_step(Duration::from_secs(range), 100);
            assert_eq!(step_of, Duration::from_secs(step), "{range}");
        }
    }
}
