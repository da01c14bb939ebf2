//! What came of the tests, for people.

use std::fmt::Write as _;

use alerting::unit_test::CheckFailure;
use documents::{Format, render};
use promql::script::Difference;

use super::suite::{Case, FileReport};

/// Failures of one file that are shown in full; JUnit and JSON have all.
const MAX_SHOWN: usize = 50;

/// Differences of one failure that are shown.
const MAX_DIFFERENCES: usize = 20;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// One file: a line for it, and whatever failed.
pub(super) fn file(report: &FileReport, colours: bool) -> String {
    let mut text = String::new();
    let _ =
        writeln!(text, "{}: {}", report.path.display(), counts(report.passed(), report.failed(), colours));
    text.push_str(&render(&report.warnings, Format::Text));
    text.push_str(&render(&report.errors, Format::Text));
    let mut shown = 0;
    let mut left_out = 0;
    let mut followed = 0;
    for case in &report.cases {
        match &case.failure {
            Some(failure) if failure.follows => followed += 1,
            Some(_) if shown == MAX_SHOWN => left_out += 1,
            Some(_) => {
                failed(&mut text, case, colours);
                shown += 1;
            }
            None => {}
        }
    }
    for (count, what) in [(followed, "could not be looked at because of that"), (left_out, "failed too")] {
        if count > 0 {
            let _ = writeln!(text, "{count} more {what}\n");
        }
    }
    text
}

/// The last line: everything together.
pub(super) fn closing(reports: &[FileReport], colours: bool) -> String {
    let passed = reports.iter().map(FileReport::passed).sum();
    let failed = reports.iter().map(FileReport::failed).sum();
    format!("{}\n", counts(passed, failed, colours))
}

fn counts(passed: usize, failed: usize, colours: bool) -> String {
    let colour = if failed > 0 { RED } else { GREEN };
    coloured(&format!("{passed} passed, {failed} failed"), colour, colours)
}

fn coloured(text: &str, colour: &str, colours: bool) -> String {
    if colours { format!("{colour}{text}{PLAIN}") } else { text.to_owned() }
}

fn failed(text: &mut String, case: &Case, colours: bool) {
    let Some(failure) = &case.failure else { return };
    let of = if case.test.is_empty() { String::new() } else { format!("{}: ", case.test) };
    let _ = writeln!(text, "{} {of}{}", coloured("FAILED", RED, colours), case.title);
    text.push_str(render(std::slice::from_ref(&failure.problem), Format::Text).trim_end());
    text.push('\n');
    differences(text, failure, colours);
    text.push('\n');
}

/// In what the result differs, one line each.
pub(super) fn differences(text: &mut String, failure: &CheckFailure, colours: bool) {
    for difference in failure.differences.iter().take(MAX_DIFFERENCES) {
        told(text, difference, colours);
    }
    if let Some(more) = failure.differences.len().checked_sub(MAX_DIFFERENCES).filter(|more| *more > 0) {
        let _ = writeln!(text, "  … {more} more differences");
    }
}

/// `-` is what was expected, `+` what was found.
fn told(text: &mut String, difference: &Difference, colours: bool) {
    let mut line = |sign: &str, what: &str| {
        let colour = if sign.ends_with('-') { RED } else { GREEN };
        let _ = writeln!(text, "{}", coloured(&format!("{sign} {what}"), colour, colours));
    };
    match difference {
        Difference::Missing(title) => line("  -", &format!("{title}   is expected and not there")),
        Difference::Unexpected(title) => line("  +", &format!("{title}   is there and not expected")),
        Difference::Differs { title, fields } => {
            let _ = writeln!(text, "    {title}   is there, but");
            for field in fields.iter().take(MAX_DIFFERENCES) {
                let mut line = |sign: &str, value: Option<&String>, absent: &str| {
                    let value = value.map_or(absent, String::as_str);
                    let colour = if sign == "-" { RED } else { GREEN };
                    let what = format!("      {sign} {}: {value}", field.name);
                    let _ = writeln!(text, "{}", coloured(&what, colour, colours));
                };
                line("-", field.expected.as_ref(), "(none expected)");
                line("+", field.found.as_ref(), "(none found)");
            }
        }
    }
}
