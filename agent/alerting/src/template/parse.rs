//! Reads a template.

use std::ops::Range;

use documents::nearest;

use super::format::{FUNCTIONS, Verb, verbs};
use super::{Operand, Part, TemplateError};
use crate::brief::brief;

type Result<T> = std::result::Result<T, TemplateError>;

/// The longest template that is read, in bytes; published ones stay under 2,000.
const MAX_LENGTH: usize = 16 * 1024;

/// The most commands in one action, 3 in published ones. Each nests one deeper, so the limit also keeps a hostile text from
/// exhausting the stack.
const MAX_COMMANDS: usize = 32;

const VARIABLES: [&str; 2] = ["$labels", "$value"];

pub(super) fn template(text: &str) -> Result<Vec<Part>> {
    if text.len() > MAX_LENGTH {
        let rest = text.floor_char_boundary(MAX_LENGTH)..text.len();
        return Err(error(rest, format!("the template is longer than {MAX_LENGTH} bytes")));
    }
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find("{{")).map(|found| at + found) {
        push_text(&mut parts, text, at..open);
        let (tokens, end) = tokens(text, open)?;
        parts.push(Part::Action(pipeline(&tokens, open..end)?));
        at = end;
    }
    push_text(&mut parts, text, at..text.len());
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str, range: Range<usize>) {
    if let Some(plain) = text.get(range).filter(|plain| !plain.is_empty()) {
        parts.push(Part::Text(plain.to_owned()));
    }
}

#[derive(Debug)]
struct Token {
    kind: Kind,
    span: Range<usize>,
}

#[derive(Debug)]
enum Kind {
    Word(String),
    Text(String),
    Pipe,
}

fn error(span: Range<usize>, message: impl Into<String>) -> TemplateError {
    TemplateError { span, message: message.into(), hint: None }
}

fn unsupported(span: Range<usize>, what: &str) -> TemplateError {
    let functions: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
    let hint = format!("templates have $labels, $labels.NAME, $value, printf, {}", functions.join(", "));
    TemplateError { span, message: format!("{what} is not supported yet"), hint: Some(hint) }
}

/// The tokens of the action that opens at `open`, and where it ends.
fn tokens(text: &str, open: usize) -> Result<(Vec<Token>, usize)> {
    let mut tokens = Vec::new();
    let mut at = open + 2;
    loop {
        let rest = text.get(at..).unwrap_or("");
        let Some(first) = rest.chars().next() else {
            return Err(error(open..open + 2, "the action is not ended; write }} after it"));
        };
        if rest.starts_with("}}") {
            return Ok((tokens, at + 2));
        }
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = match first {
            '|' => (Kind::Pipe, 1),
            '"' | '`' => quoted(rest, first)
                .ok_or_else(|| error(at..at + rest.len(), "the text is not ended, or holds a bad escape"))?,
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '|' | '"' | '`' | '}');
                let length = rest.find(ends).unwrap_or(rest.len()).max(first.len_utf8());
                (Kind::Word(rest.get(..length).unwrap_or("").to_owned()), length)
            }
        };
        tokens.push(Token { kind, span: at..at + length });
        at += length;
    }
}

/// A text in quotes or, without escapes, in backquotes, with its length in the source.
fn quoted(source: &str, quote: char) -> Option<(Kind, usize)> {
    let mut text = String::new();
    let mut characters = source.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            _ if c == quote => return Some((Kind::Text(text), at + 1)),
            '\\' if quote == '"' => text.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            '\n' if quote == '"' => return None,
            c => text.push(c),
        }
    }
    None
}

/// Commands joined by pipes: each gets the one before it as its last argument.
fn pipeline(tokens: &[Token], whole: Range<usize>) -> Result<Operand> {
    let mut piped: Option<Operand> = None;
    let commands = tokens.split(|token| matches!(token.kind, Kind::Pipe));
    for (number, command) in commands.enumerate() {
        if number == MAX_COMMANDS {
            let start = command.first().map_or(whole.start, |token| token.span.start);
            let message = format!("the action has more than {MAX_COMMANDS} commands");
            return Err(error(start..whole.end, message));
        }
        piped = Some(self::command(command, piped, whole.clone())?);
    }
    piped.ok_or_else(|| error(whole, "the action is empty"))
}

fn command(tokens: &[Token], piped: Option<Operand>, whole: Range<usize>) -> Result<Operand> {
    let Some((first, rest)) = tokens.split_first() else {
        return Err(error(whole, "a value or a function is missing here"));
    };
    let name = match &first.kind {
        Kind::Word(name) if !name.starts_with('$') => name.as_str(),
        _ => {
            return match (rest.first(), piped) {
                (None, None) => operand(first),
                (Some(more), _) => Err(error(more.span.clone(), "a value takes no arguments")),
                (None, Some(_)) => Err(error(first.span.clone(), "a value cannot follow a pipe")),
            };
        }
    };
    let function = FUNCTIONS.iter().find(|(known, _)| *known == name);
    if function.is_none() && name != "printf" {
        return Err(unsupported(first.span.clone(), &format!("`{}`", brief(name))));
    }
    let mut arguments = rest.iter().map(operand).collect::<Result<Vec<Operand>>>()?;
    arguments.extend(piped);
    let Some((name, function)) = function else {
        return printf(rest, arguments, first.span.clone());
    };
    match <[Operand; 1]>::try_from(arguments) {
        Ok([Operand::Labels]) => {
            Err(error(first.span.clone(), format!("`{name}` needs a number, not $labels")))
        }
        Ok([number]) => Ok(Operand::Number(*function, Box::new(number))),
        Err(arguments) => {
            let message = format!("`{name}` needs one number, found {} values", arguments.len());
            Err(error(first.span.clone(), message))
        }
    }
}

fn operand(token: &Token) -> Result<Operand> {
    let word = match &token.kind {
        Kind::Text(text) => return Ok(Operand::Text(text.clone())),
        Kind::Pipe => return Err(error(token.span.clone(), "a value is missing before the pipe")),
        Kind::Word(word) => word.as_str(),
    };
    match word {
        "$value" => return Ok(Operand::Value),
        "$labels" => return Ok(Operand::Labels),
        _ => {}
    }
    if let Some(name) = word.strip_prefix("$labels.") {
        let plain = name.chars().all(|c| c == '_' || c.is_alphanumeric())
            && name.chars().next().is_some_and(|c| !c.is_numeric());
        return if plain {
            Ok(Operand::Label(name.to_owned()))
        } else {
            let message = format!("{:?} is not a label name that a template can read", brief(name));
            let hint = "letters, digits and _ are; use the label's Prometheus name".to_owned();
            Err(TemplateError { span: token.span.clone(), message, hint: Some(hint) })
        };
    }
    if word.starts_with('$') {
        let variable = word.split('.').next().unwrap_or(word);
        let hint = nearest(variable, VARIABLES).map(|meant| format!("did you mean `{meant}`?"));
        if variable == "$externalURL" || variable == "$externalLabels" {
            return Err(unsupported(token.span.clone(), &format!("`{variable}`")));
        }
        let message = format!("there is no variable `{}`", brief(variable));
        return Err(TemplateError { span: token.span.clone(), message, hint });
    }
    Err(unsupported(token.span.clone(), &format!("`{}`", brief(word))))
}

fn printf(tokens: &[Token], mut arguments: Vec<Operand>, span: Range<usize>) -> Result<Operand> {
    let (Some(Token { kind: Kind::Text(format), span: format_span }), false) =
        (tokens.first(), arguments.is_empty())
    else {
        return Err(error(span, "`printf` needs a format first, as in printf \"%.2f\" $value"));
    };
    arguments.remove(0);
    let verbs = verbs(format).map_err(|verb| {
        let hint = "formats have %f, %.2f, %g, %.4g, %s, %v and %%".to_owned();
        let message = format!("`{}` is not supported yet", brief(&verb));
        TemplateError { span: format_span.clone(), message, hint: Some(hint) }
    })?;
    let wanted = verbs.iter().filter(|verb| !matches!(verb, Verb::Plain(_))).count();
    if wanted != arguments.len() {
        let message = format!("the format needs {wanted} values, found {}", arguments.len());
        return Err(error(format_span.clone(), message));
    }
    Ok(Operand::Printf(verbs, arguments))
}
