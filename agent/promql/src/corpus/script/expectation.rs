//! What an `eval` block expects.

use crate::{Note, Severity, Value};
use regex::Regex;
use telemetry::Labels;

use super::compare::near;
use super::{When, load, millis};

enum Pattern {
    Exact(String),
    Regex(Regex),
}

impl Pattern {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted,
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn new(kind: &str, text: &str) -> Self {
        match kind {
            "msg" => Self::Exact(text.trim().to_owned()),
            _ => Self::Regex(Regex::new(text.trim()).unwrap()),
        }
    }
}

#[derive(Default)]
struct Notes {
    wanted: bool,
    forbidden: bool,
    patterns: Vec<Pattern>,
}

#[derive(Default)]
pub(crate) struct Expectation {
    fails: bool,
    failure: Option<Pattern>,
    ordered: bool,
    warnings: Notes,
    infos: Notes,
    text: Option<String>,
    number: Option<f64>,
    /// From, to and step of a range vector.
    window: Option<[i64; 3]>,
    series: Vec<(Labels, Vec<Option<f64>>)>,
}

impl Expectation {
    pub(crate) fn new(command: &str, block: &[&str]) -> Self {
        let mut this =
            Self { fails: command == "eval_fail", ordered: command == "eval_ordered", ..Self::default() };
        this.warnings.wanted = command == "eval_warn";
        this.infos.wanted = command == "eval_info";
        for line in block {
            if let Some(rest) = line.strip_prefix("expect ") {
                this.expect(rest.trim());
            } else if let Some(rest) = line.strip_prefix("expected_fail_message ") {
                this.failure = Some(Pattern::new("msg", rest));
            } else if let Some(rest) = line.strip_prefix("expected_fail_regexp ") {
                this.failure = Some(Pattern::new("regex", rest));
            } else if let Some(number) = load::number(line) {
                this.number = Some(number);
            } else {
                this.series.push(load::series(line));
            }
        }
        this
    }

    fn expect(&mut self, rest: &str) {
        if let Some(text) = rest.strip_prefix("string ") {
            self.text = Some(text.trim_matches(['"', '`']).to_owned());
            return;
        }
        if let Some(window) = rest.strip_prefix("range vector ") {
            let words: Vec<&str> = window.split_whitespace().collect();
            self.window = Some([millis(words[1]), millis(words[3]), millis(words[5])]);
            return;
        }
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let pattern = rest.split_once(':').map(|(kind, text)| Pattern::new(kind, text));
        match word {
            "fail" => {
                self.fails = true;
                self.failure = pattern;
            }
            "ordered" => self.ordered = true,
            "no_warn" => self.warnings.forbidden = true,
            "no_info" => self.infos.forbidden = true,
            "warn" => {
                self.warnings.wanted = true;
                self.warnings.patterns.extend(pattern);
            }
            "info" => {
                self.infos.wanted = true;
                self.infos.patterns.extend(pattern);
            }
            other => panic!("unknown expectation {other}"),
        }
    }

    pub(crate) fn is_ordered(&self) -> bool {
        self.ordered
    }

    pub(crate) fn check_failure(&self, problem: &str) -> Result<(), String> {
        match &self.failure {
            _ if !self.fails => Err(format!("failed: {problem}")),
            Some(pattern) if !pattern.holds(problem) => Err(format!("failed otherwise: {problem}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_notes(&self, text: &str, notes: &[Note]) -> Result<(), String> {
        for (severity, wanted, word) in
            [(Severity::Warning, &self.warnings, "warning"), (Severity::Info, &self.infos, "info")]
        {
            let found: Vec<String> = notes
                .iter()
                .filter(|note| note.severity == severity)
                .map(|note| {
                    let before = &text[..note.span.start];
                    let line = before.matches('\n').count() + 1;
                    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                    format!("PromQL {word}: {} ({line}:{column})", note.message)
                })
                .collect();
            let right = if wanted.forbidden {
                found.is_empty()
            } else {
                (!wanted.wanted || !found.is_empty())
                    && (wanted.patterns.is_empty()
                        || (wanted.patterns.iter().all(|p| found.iter().any(|f| p.holds(f)))
                            && found.iter().all(|f| wanted.patterns.iter().any(|p| p.holds(f)))))
            };
            if !right {
                return Err(format!("notes are {found:?}"));
            }
        }
        Ok(())
    }

    pub(crate) fn check_value(&self, value: &Value, when: When) -> Result<(), String> {
        if self.fails {
            return Err(format!("did not fail: {value:?}"));
        }
        let right = match (value, when, self.window) {
            (Value::String(text), ..) => self.text.as_ref() == Some(text),
            (Value::Scalar(value), ..) => self.number.is_some_and(|number| near(*value, number)),
            (Value::Vector(samples), ..) => {
                let found: Vec<(Labels, f64)> =
                    samples.iter().map(|sample| (sample.labels.clone(), sample.value)).collect();
                self.is_vector(found)
            }
            (Value::Matrix(series), When::Range { from, to, step }, _)
            | (Value::Matrix(series), When::Instant(_), Some([from, to, step])) => {
                let moments: Vec<i64> = (0..=(to - from) / step).map(|n| from + n * step).collect();
                series.len() == self.series.len()
                    && series.is_sorted_by(|a, b| a.labels < b.labels)
                    && self.series.iter().all(|(labels, wanted)| {
                        series.iter().find(|s| s.labels == *labels).is_some_and(|found| {
                            wanted.len() <= moments.len()
                                && found.points.iter().all(|p| moments.contains(&p.at))
                                && moments.iter().enumerate().all(|(number, at)| {
                                    let point = found.points.iter().find(|p| p.at == *at).map(|p| p.value);
                                    match (wanted.get(number).copied().flatten(), point) {
                                        (Some(a), Some(b)) => near(a, b),
                                        (a, b) => a.is_none() && b.is_none(),
                                    }
                                })
                        })
                    })
            }
            (Value::Matrix(series), ..) => series.is_empty() && self.series.is_empty(),
        };
        if right { Ok(()) } else { Err(format!("the result is {value:?}")) }
    }

    fn is_vector(&self, mut found: Vec<(Labels, f64)>) -> bool {
        let mut wanted: Vec<(Labels, f64)> =
            self.series.iter().map(|(labels, values)| (labels.clone(), values[0].unwrap())).collect();
        if !self.ordered {
            found.sort_by(|a, b| a.0.cmp(&b.0));
            wanted.sort_by(|a, b| a.0.cmp(&b.0));
        }
        found.len() == wanted.len() && found.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && near(a.1, b.1))
    }
}
