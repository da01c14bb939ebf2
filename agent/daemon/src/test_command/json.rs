//! What came of the tests, for programs: one object.

use documents::{Problem, Severity};
use promql::script::Difference;
use serde_json::{Value, json};

use super::suite::{Case, FileReport};

/// Everything, on one line.
pub(super) fn all(reports: &[FileReport]) -> String {
    let passed: usize = reports.iter().map(FileReport::passed).sum();
    let failed: usize = reports.iter().map(FileReport::failed).sum();
    let files: Vec<Value> = reports.iter().map(file).collect();
    let mut text = json!({ "passed": passed, "failed": failed, "files": files }).to_string();
    text.push('\n');
    text
}

fn file(report: &FileReport) -> Value {
    let problems = report.errors.iter().chain(&report.warnings);
    json!({
        "file": report.path,
        "passed": report.passed(),
        "failed": report.failed(),
        "seconds": report.took.as_secs_f64(),
        "problems": problems.map(problem).collect::<Vec<_>>(),
        "cases": report.cases.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case(case: &Case) -> Value {
    let failure = case.failure.as_ref().map(|failure| {
        let mut object = problem(&failure.problem);
        if let Some(object) = object.as_object_mut() {
            let differences: Vec<Value> = failure.differences.iter().map(difference).collect();
            object.insert("differences".to_owned(), differences.into());
            object.insert("follows".to_owned(), failure.follows.into());
        }
        object
    });
    json!({ "test": case.test, "title": case.title, "passed": case.failure.is_none(), "failure": failure })
}

fn problem(problem: &Problem) -> Value {
    let place = problem.place();
    json!({
        "severity": if problem.severity == Severity::Error { "error" } else { "warning" },
        "file": problem.path(),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "message": problem.message,
        "hint": problem.hint,
    })
}

fn difference(difference: &Difference) -> Value {
    match difference {
        Difference::Missing(title) => json!({ "kind": "missing", "title": title }),
        Difference::Unexpected(title) => json!({ "kind": "unexpected", "title": title }),
        Difference::Differs { title, fields } => {
            let fields = fields
                .iter()
                .map(|field| json!({ "name": field.name, "expected": field.expected, "found": field.found }));
            json!({ "kind": "differs", "title": title, "fields": fields.collect::<Vec<_>>() })
        }
    }
}
