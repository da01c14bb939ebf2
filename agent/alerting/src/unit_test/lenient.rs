//! Rule files with fields that nobody knows, for those who keep notes of other tools in them.

use std::ops::Range;

use documents::{Document, Problem};

use crate::RuleFile;

/// Fields that are overlooked in one file; beyond it the file is no rule file.
const MAX_OVERLOOKED: usize = 1_000;

/// The document with every unknown field blanked out, so that all places stay, and a warning for each.
pub fn without_unknown_fields(document: &Document) -> (Document, Vec<Problem>) {
    let mut document = document.clone();
    let mut warnings = Vec::new();
    while warnings.len() < MAX_OVERLOOKED {
        let Err(problems) = RuleFile::read(&document) else { break };
        let unknown = problems.into_iter().find(|problem| problem.message.starts_with("unknown field"));
        let Some((problem, place)) = unknown.and_then(|problem| Some((problem.clone(), problem.place()?)))
        else {
            break;
        };
        let field = field(document.text(), document.offset(place));
        let Some(text) = blanked(document.text(), field) else { break };
        document = Document::from_text(document.path(), &text);
        warnings.push(problem.as_warning());
    }
    (document, warnings)
}

fn blanked(text: &str, range: Range<usize>) -> Option<String> {
    let (before, field, after) = (text.get(..range.start)?, text.get(range.clone())?, text.get(range.end..)?);
    let blanks: String = field.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    (field != blanks).then(|| format!("{before}{blanks}{after}"))
}

/// The bytes of the key at `start` and of its value.
fn field(text: &str, start: usize) -> Range<usize> {
    let line = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let before = text.get(line..start).unwrap_or_default();
    if before.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
        start..block_end(text, start, before.len())
    } else {
        start..start + flow_length(text.get(start..).unwrap_or_default())
    }
}

/// Where a field ends that begins in `column`: before the next line that is not deeper, or a list in the same column.
fn block_end(text: &str, start: usize, column: usize) -> usize {
    let mut at = start;
    for (number, line) in text.get(start..).unwrap_or_default().split_inclusive('\n').enumerate() {
        let indent = line.len() - line.trim_start_matches(' ').len();
        let own_list = indent == column && line.trim_start().starts_with('-');
        if number > 0 && !line.trim().is_empty() && indent <= column && !own_list {
            break;
        }
        at += line.len();
    }
    at
}

/// How far a field goes inside braces.
fn flow_length(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, ',') if depth == 0 => return at + 1,
            (None, '}' | ']') if depth == 0 => return at,
            (None, '}' | ']') => depth -= 1,
            _ => {}
        }
    }
    text.len()
}
