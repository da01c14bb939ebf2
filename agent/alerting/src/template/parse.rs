//! Makes of tokens what a template says, as `parse.go` of Go's text/template does.
//!
//! What Go refuses when it parses is refused here, with its place: functions and variables that do not exist, blocks that
//! do not end. What Go finds out when it expands, such as a field that is not there, is found out then.

mod pipeline;

use std::collections::BTreeMap;
use std::ops::Range;

use super::TemplateError;
use super::ast::{Branch, Invocation, Item, List};
use super::lex::{self, Kind, Token, error};
use super::unquote::unquoted;
use crate::brief::brief;

/// The longest template, in bytes. A page of text is 2 KiB.
const MAX_LENGTH: usize = 16 * 1024;

/// How deep blocks, parentheses and `else if` may stand in one another. People write three or four.
const MAX_NESTING: usize = 50;

/// What Prometheus declares in front of every template of an alert.
const VARIABLES: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

type Result<T> = std::result::Result<T, TemplateError>;

/// A template and those that it defines.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) root: List,
    pub(super) defined: BTreeMap<String, List>,
}

pub(super) fn template(source: &str) -> Result<Parsed> {
    if source.len() > MAX_LENGTH {
        let place = source.floor_char_boundary(MAX_LENGTH)..source.len();
        return Err(error(place, format!("the template is longer than {MAX_LENGTH} bytes")));
    }
    let tokens = lex::tokens(source)?;
    let mut parser = Parser {
        source,
        tokens: &tokens,
        next: 0,
        variables: VARIABLES.map(str::to_owned).to_vec(),
        ranges: 0,
        nesting: 0,
        ended_at: 0..0,
        defined: BTreeMap::new(),
    };
    let root = parser.root()?;
    Ok(Parsed { root, defined: parser.defined })
}

struct Parser<'s> {
    source: &'s str,
    tokens: &'s [Token],
    next: usize,
    /// Those that can be named here.
    variables: Vec<String>,
    /// How many `range` are open.
    ranges: usize,
    nesting: usize,
    /// The last `end` or `else`.
    ended_at: Range<usize>,
    defined: BTreeMap<String, List>,
}

/// What ended a list of items.
#[derive(PartialEq)]
enum Ended {
    End,
    Else,
    Template,
}

impl<'s> Parser<'s> {
    fn peek(&self) -> &'s Token {
        // The last token is never taken.
        self.tokens.get(self.next).or(self.tokens.last()).expect("the lexer ends with a token")
    }

    fn take(&mut self) -> &'s Token {
        let token = self.peek();
        self.next += usize::from(token.kind != Kind::End);
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_non_space(&mut self) -> &'s Token {
        self.skip_space();
        self.peek()
    }

    fn take_non_space(&mut self) -> &'s Token {
        self.skip_space();
        self.take()
    }

    fn text(&self, token: &Token) -> &'s str {
        self.source.get(token.span.clone()).unwrap_or("")
    }

    fn is_word(&mut self, word: &str) -> bool {
        let token = self.peek_non_space();
        token.kind == Kind::Word && self.text(token) == word
    }

    fn unexpected<T>(&self, token: &Token, wanted: &str) -> Result<T> {
        Err(error(token.span.clone(), format!("{} cannot stand here; {wanted}", self.shown(token))))
    }

    fn shown(&self, token: &Token) -> String {
        match token.kind {
            Kind::End => "the end of the template".to_owned(),
            _ => format!("`{}`", brief(self.text(token).trim())),
        }
    }

    fn close(&mut self, after: &str) -> Result<()> {
        let token = self.take_non_space();
        if token.kind == Kind::Close {
            return Ok(());
        }
        self.unexpected(token, &format!("}}}} follows `{after}`"))
    }

    /// One level deeper; each caller goes up again when it is done.
    fn deeper(&mut self, place: &Range<usize>) -> Result<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(error(place.clone(), format!("this stands more than {MAX_NESTING} levels deep")));
        }
        Ok(())
    }

    fn root(&mut self) -> Result<List> {
        let (list, ended) = self.list()?;
        if ended == Ended::Template {
            return Ok(list);
        }
        let word = if ended == Ended::End { "end" } else { "else" };
        Err(error(self.ended_at.clone(), format!("`{word}` ends nothing here")))
    }

    /// Items up to `end`, `else` or the end of the template.
    fn list(&mut self) -> Result<(List, Ended)> {
        let mut list = List::new();
        loop {
            let token = self.take();
            match token.kind {
                Kind::End => return Ok((list, Ended::Template)),
                Kind::Text => list.push(Item::Text(self.text(token).to_owned())),
                _ => {
                    if self.is_word("end") {
                        self.ended_at = self.take().span.clone();
                        self.close("end")?;
                        return Ok((list, Ended::End));
                    }
                    if self.is_word("else") {
                        self.ended_at = self.take().span.clone();
                        return Ok((list, Ended::Else));
                    }
                    list.extend(self.action()?);
                }
            }
        }
    }

    fn action(&mut self) -> Result<Option<Item>> {
        let token = self.peek_non_space();
        let word = if token.kind == Kind::Word { self.text(token) } else { "" };
        if !KEYWORDS.contains(&word) {
            return self.pipeline("action", Kind::Close).map(|pipeline| Some(Item::Action(pipeline)));
        }
        self.take();
        let place = token.span.clone();
        self.deeper(&place)?;
        let item = match word {
            "if" => Some(Item::If(self.branch("if", &place)?)),
            "with" => Some(Item::With(self.branch("with", &place)?)),
            "range" => Some(Item::Range(self.branch("range", &place)?)),
            "template" => Some(Item::Template(self.invocation()?)),
            "block" => Some(Item::Template(self.block(&place)?)),
            "define" => {
                self.definition(&place)?;
                None
            }
            _ => Some(self.leave(word, place)?),
        };
        self.nesting -= 1;
        Ok(item)
    }

    fn leave(&mut self, word: &str, place: Range<usize>) -> Result<Item> {
        self.close(word)?;
        if self.ranges == 0 {
            return Err(error(place, format!("`{word}` is for the inside of `range`")));
        }
        Ok(if word == "break" { Item::Break } else { Item::Continue })
    }

    fn branch(&mut self, word: &'static str, place: &Range<usize>) -> Result<Branch> {
        let variables = self.variables.len();
        let pipeline = self.pipeline(word, Kind::Close)?;
        self.ranges += usize::from(word == "range");
        let (body, ended) = self.list()?;
        self.ranges -= usize::from(word == "range");
        let otherwise = match ended {
            Ended::Else => self.otherwise(word, place)?,
            Ended::End => List::new(),
            Ended::Template => return Err(not_ended(word, place)),
        };
        self.variables.truncate(variables);
        Ok(Branch { pipeline, body, otherwise })
    }

    /// What follows `else`, which may be `else if` and `else with`.
    fn otherwise(&mut self, word: &'static str, place: &Range<usize>) -> Result<List> {
        if word != "range" && self.is_word(word) {
            let place = self.take().span.clone();
            self.deeper(&place)?;
            let branch = self.branch(word, &place)?;
            self.nesting -= 1;
            return Ok(vec![if word == "if" { Item::If(branch) } else { Item::With(branch) }]);
        }
        self.close("else")?;
        let (list, ended) = self.list()?;
        if ended == Ended::End { Ok(list) } else { Err(not_ended(word, place)) }
    }

    fn name(&mut self, before: &str) -> Result<(usize, String)> {
        let token = self.take_non_space();
        if token.kind != Kind::Quoted {
            return self.unexpected(token, &format!("a name in quotes follows `{before}`"));
        }
        Ok((token.span.start, self.quoted(token)?))
    }

    fn quoted(&self, token: &Token) -> Result<String> {
        unquoted(self.text(token)).ok_or_else(|| error(token.span.clone(), "the text holds a bad escape"))
    }

    fn invocation(&mut self) -> Result<Invocation> {
        let (at, name) = self.name("template")?;
        let pipeline = match self.peek_non_space().kind {
            Kind::Close => {
                self.take();
                None
            }
            _ => Some(self.pipeline("template", Kind::Close)?),
        };
        Ok(Invocation { at, name, pipeline })
    }

    fn block(&mut self, place: &Range<usize>) -> Result<Invocation> {
        let (at, name) = self.name("block")?;
        let pipeline = Some(self.pipeline("block", Kind::Close)?);
        self.define(name.clone(), "block", place)?;
        Ok(Invocation { at, name, pipeline })
    }

    fn definition(&mut self, place: &Range<usize>) -> Result<()> {
        if self.nesting > 1 {
            return Err(error(place.clone(), "`define` cannot stand within another block"));
        }
        let (_, name) = self.name("define")?;
        self.close("define")?;
        self.define(name, "define", place)
    }

    /// Reads the body of a template of its own: it sees no variables and is in no `range` of its surroundings.
    fn define(&mut self, name: String, word: &str, place: &Range<usize>) -> Result<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (list, ended) = self.list()?;
        if ended != Ended::End {
            return Err(not_ended(word, place));
        }
        self.variables = variables;
        self.ranges = ranges;
        if !is_blank(&list) && self.defined.get(&name).is_some_and(|before| !is_blank(before)) {
            return Err(error(place.clone(), format!("the template {:?} is defined twice", brief(&name))));
        }
        if !is_blank(&list) || !self.defined.contains_key(&name) {
            self.defined.insert(name, list);
        }
        Ok(())
    }
}

fn not_ended(word: &str, place: &Range<usize>) -> TemplateError {
    error(place.clone(), format!("`{word}` is not ended; write {{{{ end }}}} after it"))
}

/// Whether there is nothing but space in it. Such a definition gives way to another.
fn is_blank(list: &List) -> bool {
    list.iter().all(|item| matches!(item, Item::Text(text) if text.trim().is_empty()))
}
