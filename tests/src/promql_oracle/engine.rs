//! Prometheus' engine as a child process, spoken to in lines of JSON.

#![expect(clippy::disallowed_methods, reason = "tests start the engine")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use promql::{Note, Severity, Value};
use serde_json::{Value as Json, json};
use telemetry::Labels;

use super::points;
use super::stored::Stored;

pub(super) struct Engine {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// A question; without series it is asked of those of the last that had some.
pub(super) struct Question {
    pub(super) series: Vec<Stored>,
    pub(super) expr: String,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Zero asks for one moment.
    pub(super) step: i64,
}

/// What either side answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) series: Vec<(Labels, Vec<(i64, f64)>)>,
    pub(super) notes: Vec<String>,
    pub(super) error: Option<String>,
}

impl Question {
    pub(super) fn moment(&self) -> String {
        match self.step {
            0 => format!("at {} ms", self.start),
            step => format!("from {} to {} step {step} ms", self.start, self.end),
        }
    }
}

impl Answer {
    pub(super) fn refused(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    pub(super) fn new(text: &str, value: Value, notes: &[Note]) -> Self {
        let kind = match &value {
            Value::Scalar(_) => "scalar",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
            Value::String(_) => "string",
        };
        let said = if let Value::String(said) = &value { said.clone() } else { String::new() };
        let notes = notes
            .iter()
            .map(|note| {
                let word = if note.severity == Severity::Warning { "warning" } else { "info" };
                let before = &text[..note.span.start];
                let line = before.matches('\n').count() + 1;
                let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                format!("PromQL {word}: {} ({line}:{column})", note.message)
            })
            .collect();
        Self { kind: kind.to_owned(), text: said, series: points(value), notes, error: None }
    }

    pub(super) fn kind(&self) -> &'static str {
        match (&self.error, self.series.is_empty()) {
            (Some(_), _) => "error",
            (None, true) => "empty",
            (None, false) => "value",
        }
    }
}

impl Engine {
    /// None where it was not built.
    pub(super) fn start() -> Option<Self> {
        let test = std::env::current_exe().expect("a test has a path");
        let target: PathBuf = test.ancestors().nth(3).expect("it lies in target/<profile>/deps").to_owned();
        let program = target.join("promql-oracle/promql-oracle");
        if !program.exists() {
            return None;
        }
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        let questions = child.stdin.take().expect("it was piped");
        let answers = BufReader::new(child.stdout.take().expect("it was piped"));
        Some(Self { child, questions, answers })
    }

    pub(super) fn ask(&mut self, question: &Question) -> Answer {
        let series: Vec<Json> = question
            .series
            .iter()
            .map(|(labels, points)| {
                let points = points.iter().map(|(at, value)| json!({"at": at, "bits": value.to_bits()}));
                json!({"labels": labels, "points": points.collect::<Vec<_>>()})
            })
            .collect();
        let mut line = json!({
            "expr": question.expr, "start": question.start, "end": question.end, "step": question.step,
        });
        if !series.is_empty() {
            line["series"] = series.into();
        }
        writeln!(self.questions, "{line}").expect("the oracle reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the oracle answers");
        read(&serde_json::from_str(&answer).expect("the oracle speaks JSON"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(answer: &Json) -> Answer {
    if let Some(error) = answer["error"].as_str() {
        return Answer::refused(error.to_owned());
    }
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    let kind = answer["type"].as_str().unwrap_or_default().to_owned();
    let timed = kind == "matrix";
    let points = |series: &Json| {
        let point = |point: &Json| {
            let at = if timed { point["at"].as_i64().expect("a time") } else { 0 };
            (at, f64::from_bits(point["bits"].as_u64().expect("bits")))
        };
        list(&series["points"]).iter().map(point).collect()
    };
    let labels = |series: &Json| {
        let pairs = series["labels"].as_object().expect("labels").iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect::<Labels>()
    };
    let texts = list(&answer["warnings"]).into_iter().chain(list(&answer["infos"]));
    Answer {
        kind,
        text: answer["text"].as_str().unwrap_or_default().to_owned(),
        series: list(&answer["series"]).iter().map(|series| (labels(series), points(series))).collect(),
        notes: texts.filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect(),
        error: None,
    }
}
