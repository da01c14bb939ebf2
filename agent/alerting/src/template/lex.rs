//! Cuts a template into tokens, as `lex.go` of Go's text/template does.
//!
//! White space within an action is a token: `$x .y` are two values, `$x.y` is one. Trim markers and comments end here;
//! the parser never sees them.

use std::ops::Range;

use super::TemplateError;

/// What ends a word besides white space and the end of the action.
const TERMINATORS: [char; 6] = ['.', ',', '|', ':', ')', '('];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text outside actions, without what trim markers take.
    Text,
    Open,
    Close,
    Space,
    /// `=`
    Assign,
    /// `:=`
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    /// A character that has no meaning but `,`, which separates declared variables.
    Char,
    /// In quotes or backquotes, which the token has too.
    Quoted,
    /// In single quotes.
    Character,
    Number,
    /// `$name`
    Variable,
    /// `.name`
    Field,
    Dot,
    Word,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
}

pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> TemplateError {
    TemplateError { span, message: message.into(), hint: None }
}

/// All tokens of a template; the last one is [`Kind::End`].
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, TemplateError> {
    let mut lexer = Lexer { source, at: 0, tokens: Vec::new() };
    let mut trim = false;
    loop {
        let found = lexer.rest().find("{{").map(|open| lexer.at + open);
        let open = found.unwrap_or(source.len());
        lexer.text(lexer.at..open, trim, found.is_some());
        if found.is_none() {
            lexer.push(Kind::End, source.len()..source.len());
            return Ok(lexer.tokens);
        }
        trim = lexer.action(open)?;
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    tokens: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether a trim marker stands at the beginning of an action's inside.
fn trims_before(inside: &str) -> bool {
    inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

/// The length of the end of an action, its trim marker included, and whether there is one.
fn closes(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("}}") {
        return Some((2, false));
    }
    let marked = rest.strip_prefix(is_space).is_some_and(|rest| rest.starts_with("-}}"));
    marked.then_some((4, true))
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn push(&mut self, kind: Kind, span: Range<usize>) {
        self.at = span.end;
        self.tokens.push(Token { kind, span });
    }

    fn text(&mut self, span: Range<usize>, trim_start: bool, before_action: bool) {
        let mut text = self.source.get(span.clone()).unwrap_or("");
        let mut start = span.start;
        if trim_start {
            text = text.trim_start_matches(is_space);
            start = span.end - text.len();
        }
        if before_action && trims_before(self.source.get(span.end + 2..).unwrap_or("")) {
            text = text.trim_end_matches(is_space);
        }
        if !text.is_empty() {
            self.push(Kind::Text, start..start + text.len());
        }
    }

    /// Reads the action that opens at `open`; says whether the text after it is trimmed.
    fn action(&mut self, open: usize) -> Result<bool, TemplateError> {
        let inside = open + 2;
        let marker = if trims_before(self.source.get(inside..).unwrap_or("")) { 2 } else { 0 };
        self.at = inside + marker;
        if self.rest().starts_with("/*") {
            return self.comment(open);
        }
        self.push(Kind::Open, open..inside);
        self.at += marker;
        let mut open_parens = Vec::new();
        loop {
            let rest = self.rest();
            if let Some((length, trim)) = closes(rest) {
                if let Some(paren) = open_parens.pop() {
                    return Err(error(paren, "the parenthesis is not closed"));
                }
                self.push(Kind::Close, self.at + length - 2..self.at + length);
                return Ok(trim);
            }
            let Some(first) = rest.chars().next() else {
                return Err(error(open..inside, "the action is not ended; write }} after it"));
            };
            let (kind, length) = self.token(first, rest)?;
            let span = self.at..self.at + length;
            match kind {
                Kind::LeftParen => open_parens.push(span.clone()),
                Kind::RightParen if open_parens.pop().is_none() => {
                    return Err(error(span, "no parenthesis is open here"));
                }
                _ => {}
            }
            self.push(kind, span);
        }
    }

    fn comment(&mut self, open: usize) -> Result<bool, TemplateError> {
        let Some(length) = self.rest().get(2..).and_then(|rest| rest.find("*/")) else {
            return Err(error(open..self.at + 2, "the comment is not ended; write */}} after it"));
        };
        self.at += 2 + length + 2;
        let Some((length, trim)) = closes(self.rest()) else {
            return Err(error(self.at - 2..self.at, "}} must follow the end of a comment"));
        };
        self.at += length;
        Ok(trim)
    }

    fn token(&self, first: char, rest: &str) -> Result<(Kind, usize), TemplateError> {
        let bad = |length: usize, message: String| error(self.at..self.at + length, message);
        let second = rest.chars().nth(1);
        Ok(match first {
            c if is_space(c) => {
                let length = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
                // The last one may belong to a trim marker.
                let marked = rest.get(length - 1..).is_some_and(|end| closes(end).is_some());
                (Kind::Space, if marked && length > 1 { length - 1 } else { length })
            }
            '=' => (Kind::Assign, 1),
            ':' if second == Some('=') => (Kind::Declare, 2),
            ':' => return Err(bad(1, "write := to declare a variable".to_owned())),
            '|' => (Kind::Pipe, 1),
            '(' => (Kind::LeftParen, 1),
            ')' => (Kind::RightParen, 1),
            '"' | '\'' => {
                let kind = if first == '"' { Kind::Quoted } else { Kind::Character };
                (kind, quoted(rest, first).ok_or_else(|| bad(rest.len(), "the text is not ended".into()))?)
            }
            '`' => match rest.get(1..).and_then(|inside| inside.find('`')) {
                Some(length) => (Kind::Quoted, length + 2),
                None => return Err(bad(rest.len(), "the text is not ended".into())),
            },
            '$' => (Kind::Variable, self.word(rest, 1)?),
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                let length = self.word(rest, 1)?;
                (if length == 1 { Kind::Dot } else { Kind::Field }, length)
            }
            '.' | '+' | '-' | '0'..='9' => (Kind::Number, self.number(rest)?),
            c if is_word(c) => (Kind::Word, self.word(rest, 0)?),
            c if c.is_ascii_graphic() => (Kind::Char, 1),
            c => return Err(bad(c.len_utf8(), format!("{c:?} has no place in an action"))),
        })
    }

    /// The length of a word with `prefix` bytes before it. What follows must end a word.
    fn word(&self, rest: &str, prefix: usize) -> Result<usize, TemplateError> {
        let inside = rest.get(prefix..).unwrap_or("");
        let length = prefix + inside.find(|c| !is_word(c)).unwrap_or(inside.len());
        let after = rest.get(length..).unwrap_or("");
        let ends = after.chars().next().is_none_or(|c| is_space(c) || TERMINATORS.contains(&c));
        if ends || after.starts_with("}}") {
            return Ok(length);
        }
        let c = after.chars().next().unwrap_or(' ');
        let at = self.at + length;
        let mut error = error(at..at + c.len_utf8(), format!("{c:?} cannot stand in a name"));
        if prefix == 1 {
            error.hint =
                Some("write index $labels \"a.b\" for a name that is more than letters, digits and _".into());
        }
        Err(error)
    }

    fn number(&self, rest: &str) -> Result<usize, TemplateError> {
        let mut previous = ' ';
        let part = |c: char| {
            let exponent = matches!(previous, 'e' | 'E' | 'p' | 'P');
            let sign = matches!(c, '+' | '-') && (previous == ' ' || exponent);
            previous = c;
            sign || c == '.' || is_word(c)
        };
        let length = rest.chars().take_while({
            let mut part = part;
            move |c| part(*c)
        });
        let length: usize = length.map(char::len_utf8).sum();
        if super::value::Number::parse(rest.get(..length).unwrap_or("")).is_none() {
            let message = "this is no number that a template can hold";
            return Err(error(self.at..self.at + length.max(1), message));
        }
        Ok(length)
    }
}

/// The length of a text in quotes, with them. Escapes are looked into later.
fn quoted(source: &str, quote: char) -> Option<usize> {
    let mut characters = source.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\n' => return None,
            '\\' if characters.next()?.1 == '\n' => return None,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
