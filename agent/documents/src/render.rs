//! Prints problems for a person, a program or a code review.

use std::fmt::Write as _;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::{Problem, Severity};

/// For whom problems are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A person: each problem with the lines it is in.
    Text,
    /// A program: one JSON object per line.
    Json,
    /// A code review on GitHub: workflow commands.
    Github,
}

/// Prints all problems, each ended by a newline.
pub fn render(problems: &[Problem], format: Format) -> String {
    let mut text = String::new();
    for problem in problems {
        match format {
            Format::Text => text.push_str(&person(problem)),
            Format::Json => text.push_str(&program(problem)),
            Format::Github => text.push_str(&review(problem)),
        }
        text.push('\n');
    }
    text
}

fn person(problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let path = problem.path().display().to_string();
    let Some((document, range)) = problem.inside() else {
        let severity = severity(problem);
        let hint = problem.hint.as_ref().map(|hint| format!("\n  = help: {hint}")).unwrap_or_default();
        return format!("{severity}: {}\n --> {path}{hint}\n", problem.message);
    };
    let annotation = AnnotationKind::Primary.span(range);
    let snippet = Snippet::source(document.text()).path(&path).annotation(annotation);
    let mut group = level.primary_title(&problem.message).element(snippet);
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint));
    }
    let mut text = Renderer::plain().decor_style(DecorStyle::Ascii).render(&[group]);
    text.push('\n');
    text
}

fn program(problem: &Problem) -> String {
    let place = problem.place();
    serde_json::json!({
        "severity": severity(problem),
        "file": problem.path(),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "message": problem.message,
        "hint": problem.hint,
    })
    .to_string()
}

fn review(problem: &Problem) -> String {
    let mut text = format!("::{} file={}", severity(problem), problem.path().display());
    if let Some(place) = problem.place() {
        let _ = write!(text, ",line={},col={}", place.line, place.column);
    }
    let message = match &problem.hint {
        Some(hint) => format!("{}; {hint}", problem.message),
        None => problem.message.clone(),
    };
    // Workflow commands end at the line's end and use percent signs for escapes.
    let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let _ = write!(text, "::{message}");
    text
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;
    use std::path::Path;

    fn problem() -> Problem {
        let document = Document::from_text(Path::new("rules/disk.yaml"), "a: 1\n  for: 5 min\n");
        Problem::at(&document, 12..17, "\"5 min\" is not a duration").with_hint("write it as in 5m")
    }

    #[test]
    fn a_person_sees_the_line_with_the_problem_underlined() {
        let expected = "error: \"5 min\" is not a duration\n \
                        --> rules/disk.yaml:2:8\n  |\n\
                        2 |   for: 5 min\n  |        ^^^^^\n  |\n  \
                        = help: write it as in 5m\n\n";
        assert_eq!(render(&[problem()], Format::Text), expected);
    }

    #[test]
    fn a_program_reads_one_object_per_line() {
        let line = render(&[problem()], Format::Json);
        let object: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((object["line"].as_u64(), object["column"].as_u64()), (Some(2), Some(8)));
        assert_eq!(object["file"], "rules/disk.yaml");
    }

    #[test]
    fn a_review_gets_a_workflow_command_on_one_line() {
        let problem = Problem::about(Path::new("x.yaml"), "100 % wrong\ntwice").as_warning();
        assert_eq!(render(&[problem], Format::Github), "::warning file=x.yaml::100 %25 wrong%0Atwice\n");
    }
}
