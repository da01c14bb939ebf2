//! The types of arguments and answers, for the reader of a listing and for the check of a script.

use std::fmt;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
}

/// A parameter of this name and type.
pub(super) const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind }
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A duration: `"5s"`.
    Duration,
    /// An amount of bytes: `65536` or `"64KiB"`.
    Bytes,
    /// The exact name of a service: `"nginx.service"`.
    Unit,
    /// An absolute path.
    Path,
    /// A process that `proc::find` has returned.
    Process,
    /// The name of a signal: `"KILL"`.
    Signal,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A map with some of these entries.
    Options(&'static [Parameter]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
            Self::Unit => "unit",
            Self::Path => "path",
            Self::Process => "process",
            Self::Signal => "signal",
            Self::Texts => "array of strings",
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                return f.write_str(&words.join(" | "));
            }
            Self::Options(options) => {
                let options: Vec<String> =
                    options.iter().map(|option| format!("{}: {}", option.name, option.kind)).collect();
                return write!(f, "#{{{}}}", options.join(", "));
            }
        })
    }
}

/// What a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `()`.
    Nothing,
    /// A truth value.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    Text,
    /// This, or `()`.
    Maybe(&'static Shape),
    /// A list of these.
    List(&'static Shape),
    /// A map with all of these entries.
    Map(&'static [(&'static str, Shape)]),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("()"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Text => f.write_str("string"),
            Self::Maybe(shape) => write!(f, "{shape} or ()"),
            Self::List(shape) => write!(f, "array of {shape}"),
            Self::Map(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, shape)| format!("{name}: {shape}")).collect();
                write!(f, "#{{{}}}", fields.join(", "))
            }
        }
    }
}
