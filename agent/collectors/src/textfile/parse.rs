//! The text format 0.0.4 of Prometheus, taken strictly.
//!
//! Whatever is not as the format has it is an error with its line: a file that is half understood would be half believed.
//! Stricter than Prometheus in that the lines of a family stand together, and, as `node_exporter` is, in that no sample
//! bears a time.

use std::collections::HashSet;

use telemetry::{Family, FamilyKind, FamilySample};

/// Labels of one sample at most.
const MOST_LABELS: usize = 64;

/// Bytes of one line at most: a sample with all its labels.
const LONGEST_LINE: usize = 16 * 1024;

/// What is wrong, and in which line, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TextError {
    /// The line.
    pub line: usize,
    /// What is wrong with it, and what would be right.
    pub what: &'static str,
}

/// The families of a text, in the order in which they stand there.
///
/// # Errors
///
/// The first line that is not as the format has it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Family>, TextError> {
    let mut families = Families::default();
    let mut rest = bytes;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let error = |what| TextError { line, what };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| error("the last line has no end; was the file still being written?"))?;
        let (one, tail) = rest.split_at(end);
        rest = tail.get(1..).unwrap_or_default();
        if one.len() > LONGEST_LINE {
            return Err(error("the line is longer than 16 KiB"));
        }
        let one = std::str::from_utf8(one).map_err(|_| error("the line is not UTF-8"))?;
        families.line(one).map_err(error)?;
    }
    Ok(families.all)
}

#[derive(Default)]
struct Families {
    all: Vec<Family>,
    /// What was said of the last one: a second time is one too many.
    said: Said,
    names: HashSet<String>,
    series: HashSet<(String, Vec<(String, String)>)>,
}

#[derive(Default)]
struct Said {
    help: bool,
    kind: bool,
}

impl Families {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let line = line.trim_matches([' ', '\t']);
        match line.strip_prefix('#') {
            Some(comment) => self.comment(comment),
            None if line.is_empty() => Ok(()),
            None => self.sample(line),
        }
    }

    /// `# HELP name text`, `# TYPE name kind`, or a remark.
    fn comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let (keyword, rest) = word(comment);
        if keyword != "HELP" && keyword != "TYPE" {
            return Ok(());
        }
        let (name, rest) = word(rest);
        if !is_name(name, true) {
            return Err("the name of a metric is letters, digits, _ and :, not a digit first");
        }
        self.family(name)?;
        let Self { all, said, .. } = self;
        let Some(family) = all.last_mut() else { return Ok(()) };
        if keyword == "HELP" {
            if std::mem::replace(&mut said.help, true) {
                return Err("HELP stands there twice for this metric");
            }
            family.help = unescape(rest.trim_start_matches([' ', '\t']), false)?;
        } else {
            if std::mem::replace(&mut said.kind, true) {
                return Err("TYPE stands there twice for this metric");
            }
            if !family.samples.is_empty() {
                return Err("TYPE stands after the first sample; put it before");
            }
            let (kind, rest) = word(rest);
            family.kind = match kind {
                "counter" => FamilyKind::Counter,
                "gauge" => FamilyKind::Gauge,
                "histogram" => FamilyKind::Histogram,
                "summary" => FamilyKind::Summary,
                "untyped" => FamilyKind::Untyped,
                _ => return Err("the type is counter, gauge, histogram, summary or untyped"),
            };
            if !word(rest).0.is_empty() {
                return Err("something stands after the type");
            }
        }
        Ok(())
    }

    /// Goes on with the family of this name, or begins it.
    fn family(&mut self, name: &str) -> Result<(), &'static str> {
        if self.all.last().is_some_and(|family| family.name == name) {
            return Ok(());
        }
        if !self.names.insert(name.to_owned()) {
            return Err("the lines of this metric do not stand together");
        }
        self.said = Said::default();
        self.all.push(Family { name: name.to_owned(), ..Family::default() });
        Ok(())
    }

    /// `name{label="value"} 1`
    fn sample(&mut self, line: &str) -> Result<(), &'static str> {
        let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        if !is_name(name, true) {
            return Err("the name of a metric is letters, digits, _ and :, not a digit first");
        }
        let rest = rest.trim_start_matches([' ', '\t']);
        let (mut labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        labels.sort_unstable();
        if labels.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
            return Err("a label stands there twice");
        }
        let (value, rest) = word(rest);
        let value = value.parse().map_err(|_| "the value is a number, NaN, +Inf or -Inf")?;
        if !word(rest).0.is_empty() {
            return Err("a sample bears no time here; leave it out");
        }
        if !self.all.last().is_some_and(|family| belongs(family, name)) {
            self.family(name)?;
        }
        let Some(family) = self.all.last_mut() else { return Ok(()) };
        let ending = name.strip_prefix(family.name.as_str()).unwrap_or_default();
        let needed = match (family.kind, ending) {
            (FamilyKind::Histogram, "_bucket") => Some("le"),
            (FamilyKind::Summary, "") => Some("quantile"),
            (FamilyKind::Histogram, "") => return Err("a histogram has _bucket, _sum and _count"),
            _ => None,
        };
        let bound = needed.map(|key| labels.iter().find(|(name, _)| name == key));
        if bound.is_some_and(|label| label.is_none_or(|(_, bound)| bound.parse::<f64>().is_err())) {
            return Err("a bucket has a number as its label le, a quantile one as its label quantile");
        }
        if !self.series.insert((name.to_owned(), labels.clone())) {
            return Err("this series stands there twice");
        }
        family.samples.push(FamilySample { name: name.to_owned(), labels, value });
        Ok(())
    }
}

/// Whether a sample of this name is one of the family's.
fn belongs(family: &Family, name: &str) -> bool {
    let ending = name.strip_prefix(family.name.as_str());
    ending.is_some_and(|ending| ending.is_empty() || family.kind.endings().contains(&ending))
}

/// The first word, and what follows.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches([' ', '\t']);
    text.split_at_checked(text.find([' ', '\t']).unwrap_or(text.len())).unwrap_or((text, ""))
}

fn is_name(name: &str, colons: bool) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(plain)
}

type Labels = Vec<(String, String)>;

/// What stands after `{`, up to `}`, and what follows.
fn labels(mut rest: &str) -> Result<(Labels, &str), &'static str> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (key, tail) = rest.split_once('=').ok_or("a label is written as name=\"value\"")?;
        let key = key.trim_end_matches([' ', '\t']);
        if !is_name(key, false) || key == "__name__" {
            return Err("the name of a label is letters, digits and _, not a digit first");
        }
        let quoted = tail.trim_start_matches([' ', '\t']).strip_prefix('"');
        let (value, tail) = quoted.and_then(quoted_end).ok_or("the value of a label stands in quotes")?;
        if labels.len() == MOST_LABELS {
            return Err("a sample has 64 labels at most");
        }
        labels.push((key.to_owned(), unescape(value, true)?));
        rest = tail.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(tail) => rest = tail,
            None if rest.starts_with('}') => {}
            None => return Err("labels are kept apart by commas and end with }"),
        }
    }
}

/// The text up to the quote that ends it, and what follows the quote.
fn quoted_end(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// `\\`, `\n` and, in values of labels, `\"`.
fn unescape(text: &str, quotes: bool) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        plain.push(match chars.next() {
            Some('\\') => '\\',
            Some('n') => '\n',
            Some('"') if quotes => '"',
            _ => return Err("a backslash stands before a backslash, an n or, in a label, a quote"),
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use FamilyKind::{Counter, Histogram, Summary, Untyped};
    use proptest::prelude::*;

    use super::*;

    /// The families as a text again.
    fn print(families: &[Family]) -> String {
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n");
        let mut text = String::new();
        for family in families {
            let _ = writeln!(text, "# HELP {} {}", family.name, escape(&family.help));
            let _ = writeln!(text, "# TYPE {} {}", family.name, family.kind.as_str());
            for sample in &family.samples {
                let labels: Vec<String> = sample
                    .labels
                    .iter()
                    .map(|(key, value)| format!("{key}=\"{}\"", escape(value).replace('"', "\\\"")))
                    .collect();
                let _ = writeln!(text, "{}{{{}}} {}", sample.name, labels.join(","), sample.value);
            }
        }
        text
    }

    #[test]
    fn what_the_format_has_is_read_and_prints_the_same() {
        let text = "# A remark.\n\n# HELP jobs Jobs, a \\\\ and\\na line.\n# TYPE jobs counter\n\
                    jobs{b=\"x\\\"y\",a=\"\\n\",} 3\n\tjobs 1e3 \nbare +Inf\n\
                    # TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 0\ns_count 0\n";
        let families = parse(text.as_bytes()).unwrap();
        let names: Vec<(&str, FamilyKind, usize)> =
            families.iter().map(|f| (f.name.as_str(), f.kind, f.samples.len())).collect();
        assert_eq!(
            names,
            [("jobs", Counter, 2), ("bare", Untyped, 1), ("h", Histogram, 4), ("s", Summary, 3)]
        );
        assert_eq!(families[0].help, "Jobs, a \\ and\na line.");
        assert_eq!(families[0].samples[0].labels, [("a".into(), "\n".into()), ("b".into(), "x\"y".into())]);
        assert_eq!(print(&parse(print(&families).as_bytes()).unwrap()), print(&families));
    }

    #[test]
    fn what_the_format_has_not_is_an_error_with_its_line() {
        for (text, line, what) in [
            ("a 1", 1, "no end"),
            ("a 1\nb x\n", 2, "a number"),
            ("a\n", 1, "a number"),
            ("a 1 1700000000000\n", 1, "no time"),
            ("1a 1\n", 1, "name of a metric"),
            ("a{1x=\"\"} 1\n", 1, "name of a label"),
            ("a{__name__=\"b\"} 1\n", 1, "name of a label"),
            ("a{x=1} 1\n", 1, "in quotes"),
            ("a{x=\"1} 1\n", 1, "in quotes"),
            ("a{x=\"1\" y=\"2\"} 1\n", 1, "by commas"),
            ("a{x=\"\\t\"} 1\n", 1, "a backslash"),
            ("a{x=\"1\",x=\"2\"} 1\n", 1, "a label stands there twice"),
            ("a{x=\"1\"} 1\na{x=\"1\"} 2\n", 2, "this series stands there twice"),
            ("a 1\nb 1\na{x=\"1\"} 1\n", 3, "do not stand together"),
            ("a 1\n# TYPE a gauge\n", 2, "after the first sample"),
            ("# TYPE a gauge\n# TYPE a gauge\n", 2, "TYPE stands there twice"),
            ("# TYPE a metre\n", 1, "the type is"),
            ("# TYPE a gauge now\n", 1, "after the type"),
            ("# TYPE h histogram\nh 1\n", 2, "a histogram has"),
            ("# TYPE h histogram\nh_bucket 1\n", 2, "label le"),
            ("# TYPE s summary\ns{quantile=\"half\"} 1\n", 2, "label quantile"),
            ("a 1\r\n", 1, "a number"),
        ] {
            let error = parse(text.as_bytes()).expect_err(text);
            assert!(error.line == line && error.what.contains(what), "{text:?}: {error}");
        }
        assert_eq!(parse(b"\xff 1\n").unwrap_err().what, "the line is not UTF-8");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn whatever_is_read_prints_and_reads_the_same(
            lines in prop::collection::vec(
                "(# (HELP|TYPE) [ab] (gauge|counter|histogram|x\\\\\\\\)|[ab](_bucket|_sum)?(\\{[xy]=\"[a\\\\\\\\\"n]{0,3}\",?\\})? [0-9+Inf.]{1,4})",
                0..6,
            )
        ) {
            if let Ok(families) = parse((lines.join("\n") + "\n").as_bytes()) {
                let printed = print(&families);
                let again = parse(printed.as_bytes());
                prop_assert!(again.is_ok(), "{:?}: {}", again, printed);
                prop_assert_eq!(print(&again.unwrap()), printed);
            }
        }
    }
}
