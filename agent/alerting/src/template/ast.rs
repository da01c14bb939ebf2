//! What a template says, and how Go quotes parts of it in messages.
//!
//! Every part knows its place as Go's parser counts it, which is not always its beginning: `$labels.x` is at `.x`.

use std::fmt;

use super::functions::Function;
use super::value::Number;

/// Items one after the other.
pub(super) type List = Vec<Item>;

#[derive(Clone, Debug)]
pub(super) enum Item {
    Text(String),
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template(Invocation),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) body: List,
    pub(super) otherwise: List,
}

/// `{{ template "name" . }}`
#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) pipeline: Option<Pipeline>,
}

/// Commands of which each gets the result of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) at: usize,
    pub(super) declared: Vec<String>,
    /// Whether `declared` are there already, and are only set.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A value or a function, and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) kind: OperandKind,
}

#[derive(Clone, Debug)]
pub(super) enum OperandKind {
    Bool(bool),
    Dot,
    Nil,
    Number {
        source: String,
        number: Number,
    },
    Text {
        source: String,
        text: String,
    },
    Function(&'static Function),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Pipeline(Pipeline),
    /// `(…).a.b`
    Chain(Box<Operand>, Vec<String>),
}

/// Something that a failure can be at.
pub(super) trait Place: fmt::Display {
    /// Its byte in the source.
    fn at(&self) -> usize;
}

impl Place for Operand {
    fn at(&self) -> usize {
        self.at
    }
}

impl Place for Command {
    fn at(&self) -> usize {
        self.at
    }
}

impl Place for Pipeline {
    fn at(&self) -> usize {
        self.at
    }
}

impl Place for Invocation {
    fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", super::print::quote(&self.name))?;
        if let Some(pipeline) = &self.pipeline {
            write!(f, " {pipeline}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.declared.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.declared.join(", "))?;
        }
        for (number, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if number > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.inside(f)?;
        self.arguments.iter().try_for_each(|argument| {
            f.write_str(" ")?;
            argument.inside(f)
        })
    }
}

impl Operand {
    /// As it stands among others: a pipeline is in parentheses.
    fn inside(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            OperandKind::Pipeline(pipeline) => write!(f, "({pipeline})"),
            _ => write!(f, "{self}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[String]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.kind {
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Number { source, .. } | OperandKind::Text { source, .. } => f.write_str(source),
            OperandKind::Function(function) => f.write_str(function.name),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            OperandKind::Pipeline(pipeline) => write!(f, "{pipeline}"),
            OperandKind::Chain(operand, names) => {
                operand.inside(f)?;
                fields(f, names)
            }
        }
    }
}
