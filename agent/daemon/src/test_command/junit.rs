//! What came of the tests, as JUnit XML: a suite for each file, a case for each eval or expectation.

use std::fmt::Write as _;

use super::page;
use super::suite::{Case, FileReport};

/// The whole file.
pub(super) fn all(reports: &[FileReport]) -> String {
    let count = |of: fn(&FileReport) -> usize| reports.iter().map(of).sum::<usize>();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuites name=\"hostmend test\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        count(tests),
        count(failures),
        count(errors),
    );
    for report in reports {
        suite(&mut text, report);
    }
    text.push_str("</testsuites>\n");
    text
}

fn tests(report: &FileReport) -> usize {
    report.cases.len() + errors(report)
}

fn failures(report: &FileReport) -> usize {
    report.failed() - errors(report)
}

/// A file that cannot be run is one case with an error.
fn errors(report: &FileReport) -> usize {
    usize::from(!report.errors.is_empty())
}

fn suite(text: &mut String, report: &FileReport) {
    let name = escaped(&report.path.display().to_string());
    let _ = writeln!(
        text,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3}\">",
        tests(report),
        failures(report),
        errors(report),
        report.took.as_secs_f64(),
    );
    if !report.errors.is_empty() {
        let told: Vec<String> = report.errors.iter().map(|problem| escaped(&problem.to_string())).collect();
        let first = told.first().map(String::as_str).unwrap_or_default();
        let _ = writeln!(
            text,
            "    <testcase classname=\"{name}\" name=\"file\"><error message=\"{first}\">{}</error></testcase>",
            told.join("\n"),
        );
    }
    for case in &report.cases {
        self::case(text, &name, case);
    }
    text.push_str("  </testsuite>\n");
}

fn case(text: &mut String, suite: &str, case: &Case) {
    let class =
        if case.test.is_empty() { suite.to_owned() } else { format!("{suite}: {}", escaped(&case.test)) };
    let _ = write!(text, "    <testcase classname=\"{class}\" name=\"{}\"", escaped(&case.title));
    match &case.failure {
        None => text.push_str("/>\n"),
        Some(failure) => {
            let message = escaped(&failure.problem.to_string());
            let mut body = String::new();
            page::differences(&mut body, failure, false);
            let body = escaped(&body);
            let _ = writeln!(text, "><failure message=\"{message}\">{body}</failure></testcase>");
        }
    }
}

/// For attributes and text. What XML cannot hold at all becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_the_xml() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{0}ö"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}ö");
    }
}
