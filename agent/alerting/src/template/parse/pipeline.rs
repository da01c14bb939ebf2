//! Pipelines, commands and operands: what stands in an action.

use documents::nearest;

use super::{KEYWORDS, Parser, Result};
use crate::brief::brief;
use crate::template::TemplateError;
use crate::template::ast::{Command, Operand, OperandKind, Pipeline};
use crate::template::functions;
use crate::template::lex::{Kind, Token, error};
use crate::template::unquote::character;
use crate::template::value::Number;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipeline> {
        let start = self.peek_non_space().span.clone();
        let mut pipeline = Pipeline { at: start.start, declared: vec![], assigns: false, commands: vec![] };
        self.declarations(context, &mut pipeline)?;
        loop {
            let token = self.peek_non_space();
            if token.kind == end {
                break;
            }
            let command = self.command()?;
            if !pipeline.commands.is_empty() && command.first.is_constant() {
                let place = command.first.at..command.first.at + 1;
                return Err(error(place, "a value cannot follow a pipe"));
            }
            pipeline.commands.push(command);
        }
        let close = self.take().span.clone();
        if pipeline.commands.is_empty() {
            let place = start.start.min(close.start)..close.end;
            return Err(error(place, "a value or a function is missing here"));
        }
        Ok(pipeline)
    }

    /// `$x :=`, `$x =` and, in `range`, `$i, $x :=`.
    fn declarations(&mut self, context: &str, pipeline: &mut Pipeline) -> Result<()> {
        while self.peek_non_space().kind == Kind::Variable {
            let before = self.next;
            let variable = self.take();
            let sign = self.peek_non_space();
            let comma = sign.kind == Kind::Char && self.text(sign) == ",";
            if !comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
                self.next = before;
                return Ok(());
            }
            self.take();
            let name = self.text(variable).to_owned();
            self.variables.push(name.clone());
            pipeline.declared.push(name);
            if !comma {
                pipeline.assigns = sign.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipeline.declared.len() > 1 {
                return Err(error(sign.span.clone(), format!("`{context}` declares no more than that")));
            }
            if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::Close) {
                return self.unexpected(self.peek(), "a variable follows the comma");
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command> {
        let mut operands = Vec::new();
        let start = self.peek_non_space().span.clone();
        loop {
            self.skip_space();
            operands.extend(self.operand()?);
            let token = self.take();
            match token.kind {
                Kind::Space => {}
                Kind::Pipe => {
                    if operands.is_empty() {
                        return Err(error(token.span.clone(), "a value or a function is missing here"));
                    }
                    // As in Go nothing need follow.
                    break;
                }
                Kind::Close | Kind::RightParen => {
                    self.next -= 1;
                    break;
                }
                _ => return self.unexpected(token, "values are separated by spaces"),
            }
        }
        let mut operands = operands.into_iter();
        let Some(first) = operands.next() else {
            return Err(error(start, "a value or a function is missing here"));
        };
        Ok(Command { at: first.at, first, arguments: operands.collect() })
    }

    /// A term, and the fields that are asked of it.
    fn operand(&mut self) -> Result<Option<Operand>> {
        let token = self.peek();
        let Some(term) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(term));
        }
        let chain = self.peek().span.start;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            let field = self.take();
            names.push(self.text(field).trim_start_matches('.').to_owned());
        }
        let (at, kind) = match term.kind {
            OperandKind::Field(mut first) => {
                first.extend(names);
                (chain, OperandKind::Field(first))
            }
            OperandKind::Variable(name, _) => (chain, OperandKind::Variable(name, names)),
            _ if term.is_constant() => {
                return Err(error(chain..chain + 1, format!("{} has no fields", self.shown(token))));
            }
            _ => (chain, OperandKind::Chain(Box::new(term), names)),
        };
        Ok(Some(Operand { at, kind }))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.peek();
        let source = self.text(token);
        let kind = match token.kind {
            Kind::Word => self.word(token, source)?,
            Kind::Dot => OperandKind::Dot,
            Kind::Variable => {
                self.check_variable(token, source)?;
                OperandKind::Variable(source.to_owned(), Vec::new())
            }
            Kind::Field => OperandKind::Field(vec![source.trim_start_matches('.').to_owned()]),
            Kind::Number | Kind::Character => {
                let number =
                    if token.kind == Kind::Number { Number::parse(source) } else { character(source) };
                let number = number.ok_or_else(|| error(token.span.clone(), "this is not one character"))?;
                OperandKind::Number { source: source.to_owned(), number }
            }
            Kind::Quoted => OperandKind::Text { source: source.to_owned(), text: self.quoted(token)? },
            Kind::LeftParen => {
                self.take();
                self.deeper(&token.span)?;
                let pipeline = self.pipeline("parentheses", Kind::RightParen)?;
                self.nesting -= 1;
                let at = pipeline.at;
                return Ok(Some(Operand { at, kind: OperandKind::Pipeline(pipeline) }));
            }
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Operand { at: token.span.start, kind }))
    }

    fn word(&self, token: &Token, word: &str) -> Result<OperandKind> {
        match word {
            "true" | "false" => return Ok(OperandKind::Bool(word == "true")),
            "nil" => return Ok(OperandKind::Nil),
            _ if KEYWORDS.contains(&word) => return self.unexpected(token, "it begins an action of its own"),
            _ => {}
        }
        if let Some(function) = functions::find(word) {
            return Ok(OperandKind::Function(function));
        }
        let hint = nearest(word, functions::names()).map(|meant| format!("did you mean `{meant}`?"));
        let message = format!("there is no function `{}`", brief(word));
        Err(TemplateError { span: token.span.clone(), message, hint })
    }

    fn check_variable(&self, token: &Token, name: &str) -> Result<()> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        let known = self.variables.iter().map(String::as_str).filter(|known| known.len() > 1);
        let hint = nearest(name, known).map(|meant| format!("did you mean `{meant}`?"));
        let message = format!("there is no variable `{}`", brief(name));
        Err(TemplateError { span: token.span.clone(), message, hint })
    }
}

impl Operand {
    /// Whether it is neither a function nor something that a function's result can come from.
    fn is_constant(&self) -> bool {
        use OperandKind::{Bool, Dot, Nil, Number, Text};
        matches!(self.kind, Bool(_) | Dot | Nil | Number { .. } | Text { .. })
    }
}
