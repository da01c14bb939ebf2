//! Words of an expression, each with its place.
//!
//! Keywords are names here: only the parser knows whether `sum` is an aggregation or a metric. A colon belongs to a
//! metric's name, except inside brackets and braces, where it separates.

use std::ops::Range;
use std::time::Duration;

use telemetry::parse_duration;

use crate::ParseError;
use crate::error::brief;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Number(f64),
    Duration(Duration),
    Text(String),
    /// Operators and punctuation, as they are spelled.
    Sign(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) span: Range<usize>,
}

/// Longer signs first, so that `<=` is not read as `<`.
const SIGNS: [&str; 25] = [
    "</", ">/", "==", "!=", "=~", "!~", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", "(", ")",
    "{", "}", "[", "]", ",", "@",
];

/// The words of `text`, the last of which is [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Spanned>, ParseError> {
    let mut lexer = Lexer { text, at: 0, inside: 0 };
    let mut tokens = Vec::new();
    loop {
        let spanned = lexer.next()?;
        let end = spanned.token == Token::End;
        tokens.push(spanned);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// How many brackets and braces are open.
    inside: u32,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> ParseError {
        let end = span.end.min(self.text.len());
        ParseError { span: span.start.min(end)..end, message: message.into(), hint: None }
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn next(&mut self) -> Result<Spanned, ParseError> {
        self.skip_blanks();
        let start = self.at;
        let rest = self.rest();
        let token = match rest.chars().next() {
            None => Token::End,
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some('.') if rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            Some('"' | '\'' | '`') => self.string()?,
            Some(':') if self.inside > 0 => {
                self.at += 1;
                Token::Sign(":")
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' || c == ':' => {
                let colons = self.inside == 0;
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && colons);
                let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
                self.at += end;
                Token::Name(rest.get(..end).unwrap_or_default().to_owned())
            }
            Some(c) => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => self.sign(sign),
                None => {
                    return Err(
                        self.error(start..start + c.len_utf8(), format!("unexpected character {c:?}"))
                    );
                }
            },
        };
        Ok(Spanned { token, span: start..self.at })
    }

    fn sign(&mut self, sign: &'static str) -> Token {
        self.at += sign.len();
        match sign {
            "{" | "[" => self.inside += 1,
            "}" | "]" => self.inside = self.inside.saturating_sub(1),
            _ => {}
        }
        Token::Sign(sign)
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        let start = self.at;
        let word_end = rest
            .char_indices()
            .find(|(at, c)| {
                let exponent_sign = matches!(c, '+' | '-')
                    && rest.get(..*at).is_some_and(|before| before.ends_with(['e', 'E']))
                    && !rest.starts_with("0x")
                    && !rest.starts_with("0X");
                !(c.is_ascii_alphanumeric() || *c == '.' || *c == '_' || exponent_sign)
            })
            .map_or(rest.len(), |(at, _)| at);
        let word = rest.get(..word_end).unwrap_or_default();
        self.at += word_end;
        if let Some(number) = parse_number(word) {
            return Ok(Token::Number(number));
        }
        let bad = |message: String, hint: Option<String>| ParseError {
            span: start..start + word_end,
            message,
            hint,
        };
        match parse_duration(word) {
            Ok(duration) => Ok(Token::Duration(duration)),
            Err(_) => Err(bad(
                format!("{:?} is neither a number nor a duration", brief(word)),
                Some("write a number as in 1.5e3 or 0x1f, a duration as in 90s, 5m or 1h30m".to_owned()),
            )),
        }
    }

    fn string(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let rest = self.rest();
        let quote = rest.chars().next().unwrap_or('"');
        if quote == '`' {
            let Some(end) = rest.get(1..).and_then(|inside| inside.find('`')) else {
                return Err(self.error(start..self.text.len(), "the raw string is not closed"));
            };
            self.at += end + 2;
            return Ok(Token::Text(rest.get(1..=end).unwrap_or_default().to_owned()));
        }
        let mut bytes = Vec::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + 1;
                    return String::from_utf8(bytes).map(Token::Text).map_err(|_| {
                        self.error(start..self.at, "strings that are not UTF-8 are not supported yet")
                    });
                }
                '\n' => break,
                '\\' => {
                    let escape = rest.get(at + 1..).unwrap_or_default();
                    let Some(length) = unescape(escape, quote, &mut bytes) else {
                        let end = at + 1 + escape.chars().next().map_or(0, char::len_utf8);
                        return Err(ParseError {
                            span: start + at..start + end,
                            message: format!(
                                "unknown escape sequence \\{}",
                                escape.chars().next().unwrap_or(' ')
                            ),
                            hint: Some(
                                "write a backslash as \\\\, or use a raw string in backquotes".to_owned(),
                            ),
                        });
                    };
                    for _ in 0..escape.get(..length).unwrap_or_default().chars().count() {
                        chars.next();
                    }
                }
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err(self.error(start..self.text.len(), "the string is not closed"))
    }
}

/// Decimal, hexadecimal after `0x`, octal after `0`, as Go reads literals.
fn parse_number(word: &str) -> Option<f64> {
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(|n| n as f64);
    }
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    if digits
        && word.len() > 1
        && word.starts_with('0')
        && let Ok(octal) = i64::from_str_radix(word, 8)
    {
        return Some(octal as f64);
    }
    let plain = word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if plain { word.parse().ok() } else { None }
}

/// Appends what the escape sequence after a backslash stands for, and says how long the sequence is.
fn unescape(escape: &str, quote: char, bytes: &mut Vec<u8>) -> Option<usize> {
    let first = escape.chars().next()?;
    let simple = match first {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        '\\' => Some(b'\\'),
        c if c == quote => Some(c as u8),
        _ => None,
    };
    if let Some(byte) = simple {
        bytes.push(byte);
        return Some(1);
    }
    let (skip, digits, radix) = match first {
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        '0'..='7' => (0, 3, 8),
        _ => return None,
    };
    let digits = escape.get(skip..skip + digits).filter(|d| !d.starts_with('+'))?;
    let code = u32::from_str_radix(digits, radix).ok()?;
    if matches!(first, 'u' | 'U') {
        bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        bytes.push(u8::try_from(code).ok()?);
    }
    Some(skip + digits.len())
}
