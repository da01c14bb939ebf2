//! Commands: values, functions and methods with their arguments, of which each must be of the right type.

use super::{Result, Run};
use crate::template::ast::{Command, Operand, OperandKind, Place};
use crate::template::field;
use crate::template::functions::{Function, Type};
use crate::template::value::Value;

impl<'t> Run<'t, '_, '_> {
    /// A command, with the result of the one before it.
    pub(super) fn command(
        &mut self,
        dot: &Value,
        command: &'t Command,
        last: Option<Value>,
    ) -> Result<Value> {
        self.step(1)?;
        let first = &command.first;
        match &first.kind {
            OperandKind::Function(function) => {
                return self.call(dot, (first, command), function, &command.arguments, last);
            }
            OperandKind::Field(names) => {
                self.place = Some(first);
                return self.fields(dot, dot.clone(), names, &command.arguments, last);
            }
            OperandKind::Variable(name, names) if !names.is_empty() => {
                self.place = Some(first);
                let value = self.variable(name)?;
                return self.fields(dot, value, names, &command.arguments, last);
            }
            OperandKind::Chain(inner, names) => {
                self.place = Some(first);
                let value = self.operand(dot, Type::Any, inner)?;
                return self.fields(dot, value, names, &command.arguments, last);
            }
            // Go blames what came before a pipeline in parentheses.
            OperandKind::Pipeline(_) => {}
            _ => self.place = Some(first),
        }
        if last.is_some() || !command.arguments.is_empty() {
            return Err(self.fail(format!("can't give argument to non-function {first}")));
        }
        match &first.kind {
            OperandKind::Nil => Err(self.fail("nil is not a command")),
            OperandKind::Pipeline(pipeline) => self.pipeline(dot, pipeline),
            _ => self.operand(dot, Type::Any, first),
        }
    }

    /// An argument, which must be of a type.
    fn operand(&mut self, dot: &Value, wanted: Type, operand: &'t Operand) -> Result<Value> {
        self.step(1)?;
        self.place = Some(operand);
        let value = match &operand.kind {
            OperandKind::Nil if wanted.takes_nil() => return Ok(Value::Nil),
            OperandKind::Nil => return Err(self.fail(format!("cannot assign nil to {}", wanted.name()))),
            OperandKind::Dot => dot.clone(),
            OperandKind::Pipeline(pipeline) => self.pipeline(dot, pipeline)?,
            OperandKind::Function(function) => self.call(dot, (operand, operand), function, &[], None)?,
            OperandKind::Field(names) => self.fields(dot, dot.clone(), names, &[], None)?,
            OperandKind::Variable(name, names) => {
                let value = self.variable(name)?;
                self.fields(dot, value, names, &[], None)?
            }
            OperandKind::Chain(inner, names) => {
                let value = self.operand(dot, Type::Any, inner)?;
                self.fields(dot, value, names, &[], None)?
            }
            OperandKind::Bool(_) | OperandKind::Number { .. } | OperandKind::Text { .. } => {
                return self.constant(wanted, operand);
            }
        };
        self.checked(value, wanted)
    }

    fn constant(&self, wanted: Type, operand: &Operand) -> Result<Value> {
        let value = match &operand.kind {
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Number { number, .. } => number.value(),
            OperandKind::Text { text, .. } => Value::text(text),
            _ => Value::Nil,
        };
        match (wanted, &value) {
            (Type::Any, _) | (Type::Text, Value::Text(_)) => Ok(value),
            (Type::Duration, Value::Int(nanos)) => Ok(Value::Duration(*nanos)),
            (Type::Text, _) => Err(self.fail(format!("expected string; found {operand}"))),
            (Type::Duration, _) => Err(self.fail(format!("expected integer; found {operand}"))),
            _ => Err(self.fail(format!("can't handle {operand} for arg of type {}", wanted.name()))),
        }
    }

    /// The value, if it is of the type.
    fn checked(&self, value: Value, wanted: Type) -> Result<Value> {
        match (wanted, &value) {
            (Type::Any, _)
            | (Type::Text, Value::Text(_))
            | (Type::Samples, Value::Samples(_) | Value::Nil)
            | (Type::Sample, Value::Sample(_) | Value::Nil)
            | (Type::Duration, Value::Duration(_)) => Ok(value),
            (_, Value::Nil) => Err(self.fail(format!("invalid value; expected {}", wanted.name()))),
            _ => {
                let (wanted, found) = (wanted.name(), value.type_name());
                Err(self.fail(format!("wrong type for value; expected {wanted}; got {found}")))
            }
        }
    }

    /// Calls a function. `blamed` are its name, for what is wrong before it runs, and what fails if it fails.
    fn call(
        &mut self,
        dot: &Value,
        blamed: (&'t Operand, &'t dyn Place),
        function: &Function,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        self.place = Some(blamed.0);
        let name = function.name;
        let given = arguments.len() + usize::from(last.is_some());
        let fixed = function.parameters.len();
        if function.variadic.is_some() && given < fixed {
            let given = arguments.len();
            return Err(
                self.fail(format!("wrong number of args for {name}: want at least {fixed} got {given}"))
            );
        }
        if function.variadic.is_none() && given != fixed {
            return Err(self.fail(format!("wrong number of args for {name}: want {fixed} got {given}")));
        }
        let mut values = Vec::with_capacity(given);
        for (number, argument) in arguments.iter().enumerate() {
            let value = self.operand(dot, parameter(function, number), argument)?;
            // `and` and `or` end with the first that decides.
            if matches!(name, "and" | "or") && value.is_true() == (name == "or") {
                return Ok(value);
            }
            values.push(value);
        }
        if let Some(last) = last {
            let wanted = parameter(function, values.len());
            values.push(self.checked(last, wanted)?);
        }
        self.step(function.cost)?;
        (function.body)(self.scene, &values).map_err(|error| {
            self.place = Some(blamed.1);
            self.fail(format!("error calling {name}: {error}"))
        })
    }

    /// The fields of a value, one of the other. What follows the last one is for it.
    fn fields(
        &mut self,
        dot: &Value,
        mut value: Value,
        names: &'t [String],
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        let mut given = Some((arguments, last));
        for (number, name) in names.iter().enumerate() {
            let is_last = number + 1 == names.len();
            let (arguments, last) = if is_last { given.take() } else { None }.unwrap_or((&[], None));
            value = if let Some(method) = field::method(&value, name) {
                self.method(dot, &value, (name, method), arguments, last)?
            } else {
                let has_arguments = !arguments.is_empty() || last.is_some();
                field::get(&value, name, has_arguments).map_err(|error| self.fail(error))?
            };
        }
        Ok(value)
    }

    fn method(
        &mut self,
        dot: &Value,
        receiver: &Value,
        (name, method): (&str, field::Method),
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        let given = arguments.len() + usize::from(last.is_some());
        if given != method.parameters.len() {
            let wanted = method.parameters.len();
            return Err(self.fail(format!("wrong number of args for {name}: want {wanted} got {given}")));
        }
        let mut values = Vec::with_capacity(given);
        for (argument, wanted) in arguments.iter().zip(method.parameters) {
            values.push(self.operand(dot, *wanted, argument)?);
        }
        if let (Some(last), Some(wanted)) = (last, method.parameters.last()) {
            values.push(self.checked(last, *wanted)?);
        }
        Ok((method.body)(receiver, &values))
    }
}

fn parameter(function: &Function, number: usize) -> Type {
    function.parameters.get(number).copied().or(function.variadic).unwrap_or(Type::Any)
}
