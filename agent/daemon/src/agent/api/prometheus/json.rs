//! Writes answers as Prometheus spells them, up to a limit of bytes.
//!
//! Numbers are texts, since JSON knows neither `NaN` nor infinity; times are seconds with up to three decimals.

use std::fmt::Write as _;

use promql::{Note, Severity};
use serde::Serialize;
use telemetry::Labels;

use super::failure::{Failure, Kind, place};

/// The longest answer: a hundred series of a thousand points have a quarter of it.
const MAX_ANSWER: usize = 8 << 20;

/// A finished answer.
#[derive(Debug)]
pub(super) struct Body(pub(super) String);

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Json {
    text: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Json {
    /// The answer of which `write` writes the data.
    ///
    /// # Errors
    ///
    /// What `write` finds, or that the answer would be too long.
    pub(super) fn success(write: impl FnOnce(&mut Self) -> Result<(), Failure>) -> Result<Body, Failure> {
        let text = r#"{"status":"success","data":"#.to_owned();
        let mut json = Self { text, warnings: Vec::new(), infos: Vec::new() };
        write(&mut json)?;
        for (key, texts) in
            [("warnings", std::mem::take(&mut json.warnings)), ("infos", std::mem::take(&mut json.infos))]
        {
            if !texts.is_empty() {
                let _ = write!(json.text, ",\"{key}\":");
                json.list(texts.iter(), |json, text| json.text(text))?;
            }
        }
        json.raw("}").fits()?;
        Ok(Body(json.text))
    }

    /// Writes `text` as it is.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Whether it is short enough so far.
    pub(super) fn fits(&self) -> Result<(), Failure> {
        if self.text.len() <= MAX_ANSWER {
            return Ok(());
        }
        let text = format!(
            "the answer is longer than {} MiB; ask for fewer series or a larger step",
            MAX_ANSWER >> 20
        );
        Err(Failure::new(Kind::TooLarge, text))
    }

    /// Something that knows how it is written.
    pub(super) fn value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.text +=
            &serde_json::to_string(value).expect("what is answered has text keys and no foreign types");
        self.fits()
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.value(&text)
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.text.push('[');
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            write(self, item)?;
        }
        self.text.push(']');
        self.fits()
    }

    pub(super) fn labels(&mut self, labels: &Labels) -> Result<(), Failure> {
        let mut separator = '{';
        for (name, value) in labels.iter() {
            self.text.push(separator);
            self.text(name)?;
            self.text.push(':');
            self.text(value)?;
            separator = ',';
        }
        self.raw(if separator == '{' { "{}" } else { "}" }).fits()
    }

    /// A sample of a series.
    pub(super) fn sample(&mut self, at: i64, value: f64) -> Result<(), Failure> {
        self.time(at);
        let _ = write!(self.text, "{}\"]", number(value));
        self.fits()
    }

    /// A number without a series, which Prometheus never writes with an exponent.
    pub(super) fn scalar(&mut self, at: i64, value: f64) -> Result<(), Failure> {
        self.time(at);
        let _ = write!(self.text, "{}\"]", if value.is_finite() { value.to_string() } else { number(value) });
        self.fits()
    }

    /// A text, which is the value of an expression.
    pub(super) fn string_at(&mut self, at: i64, value: &str) -> Result<(), Failure> {
        self.time(at);
        self.text.pop();
        self.text(value)?;
        self.text.push(']');
        self.fits()
    }

    /// The time of a sample and all up to its value.
    fn time(&mut self, millis: i64) {
        let sign = if millis < 0 { "-" } else { "" };
        let (seconds, rest) = (millis.unsigned_abs() / 1_000, millis.unsigned_abs() % 1_000);
        let _ = write!(self.text, "[{sign}{seconds}");
        if rest > 0 {
            let _ = write!(self.text, ".{rest:03}");
        }
        self.text.push_str(",\"");
    }

    /// What Prometheus would say beside the result of the expression `text`.
    pub(super) fn notes(&mut self, text: &str, notes: &[Note]) {
        for note in notes {
            let (line, column) = place(text, note.span.start);
            let (word, to) = match note.severity {
                Severity::Warning => ("warning", &mut self.warnings),
                Severity::Info => ("info", &mut self.infos),
            };
            to.push(format!("PromQL {word}: {} ({line}:{column})", note.message));
        }
    }

    pub(super) fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

/// As Go spells it in JSON: the fewest digits that read back, with an exponent where there would be many zeros.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) { exponent(value) } else { value.to_string() }
}

/// As Go spells it with an exponent, which has at least two digits: `1e+00`.
pub(super) fn exponent(value: f64) -> String {
    if !value.is_finite() {
        return number(value);
    }
    let text = format!("{value:e}");
    let Some((digits, power)) = text.split_once('e') else { return text };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json) -> Result<(), Failure>) -> String {
        Json::success(write).unwrap().0
    }

    #[test]
    fn numbers_are_spelled_as_go_spells_them() {
        for (value, expected, with_exponent) in [
            (1.0, "1", "1e+00"),
            (0.0, "0", "0e+00"),
            (-0.0, "-0", "-0e+00"),
            (0.1, "0.1", "1e-01"),
            (1.0 / 3.0, "0.3333333333333333", "3.333333333333333e-01"),
            (1e-6, "0.000001", "1e-06"),
            (1e-7, "1e-07", "1e-07"),
            (123_456_789.0, "123456789", "1.23456789e+08"),
            (1e20, "100000000000000000000", "1e+20"),
            (1e21, "1e+21", "1e+21"),
            (-2.5e300, "-2.5e+300", "-2.5e+300"),
            (5e-324, "5e-324", "5e-324"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!((number(value).as_str(), exponent(value).as_str()), (expected, with_exponent));
        }
    }

    #[test]
    fn samples_are_spelled_as_prometheus_spells_them() {
        for (at, value, expected) in [
            (1_795_296_430_547, 1.0, r#"[1795296430.547,"1"]"#),
            (5_000, f64::NAN, r#"[5,"NaN"]"#),
            (-5_250, 0.5, r#"[-5.250,"0.5"]"#),
            (7, 1e-9, r#"[0.007,"1e-09"]"#),
        ] {
            let data = written(|json| json.sample(at, value));
            assert_eq!(data, format!(r#"{{"status":"success","data":{expected}}}"#));
        }
        assert!(written(|json| json.scalar(0, -1e-9)).contains(r#"[0,"-0.000000001"]"#));
        assert!(written(|json| json.string_at(0, "a\"b")).contains(r#"[0,"a\"b"]"#));
    }

    #[test]
    fn an_answer_that_would_be_too_long_is_none() {
        let labels: Labels = [("x", "y".repeat(1_000))].into_iter().collect();
        let failure = Json::success(|json| json.list(0..9_000, |json, _| json.labels(&labels))).unwrap_err();
        assert_eq!(failure.kind, Kind::TooLarge);
    }

    #[test]
    fn warnings_and_infos_stand_beside_the_data() {
        let note = |severity| Note { severity, span: 5..8, message: "odd".to_owned() };
        let notes = [note(Severity::Warning), note(Severity::Info)];
        let body = written(|json| {
            json.raw("1");
            json.notes("rate(x)", &notes);
            json.warn("cut");
            Ok(())
        });
        let expected = r#"{"status":"success","data":1,"warnings":["PromQL warning: odd (1:6)","cut"],"infos":["PromQL info: odd (1:6)"]}"#;
        assert_eq!(body, expected);
    }
}
