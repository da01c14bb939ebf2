//! Expands what was parsed, as `exec.go` of Go's text/template does, within bounds.
//!
//! Variables are on a stack, as in Go. What would surprise you: a failure is blamed on the part that was last begun,
//! which is what Go says too, and its column counts what Prometheus puts in front of every template of an alert.

mod call;

use std::rc::Rc;

use super::Scene;
use super::ast::{Branch, Invocation, Item, List, Pipeline, Place};
use super::parse::Parsed;
use super::print::Out;
use super::value::{AlertData, Value};

/// How many steps an expansion may take: each part of a template counts once each time. A table of a thousand samples
/// is a tenth of it, and all of it takes some milliseconds.
const MAX_STEPS: usize = 100_000;

/// How deep blocks and templates may call one another. Go allows 100,000 templates; people write two or three.
const MAX_DEPTH: usize = 100;

/// What Prometheus puts in front of a template, so that people need not write `.Labels`.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
{{$externalURL := .ExternalURL}}{{$value := .Value}}";

type Result<T> = std::result::Result<T, String>;

/// How a list of items ended.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// The text that a template expands to.
pub(super) fn expand(source: &str, parsed: &Parsed, scene: &mut Scene<'_>) -> Result<String> {
    let labels = Value::Labels(scene.labels.clone());
    let alert =
        AlertData { labels: scene.labels.clone(), externals: scene.externals.clone(), value: scene.value };
    let dot = Value::Alert(Rc::new(alert));
    let variables = vec![
        ("$", dot.clone()),
        ("$labels", labels),
        ("$externalLabels", Value::Labels(scene.externals.labels.clone())),
        ("$externalURL", Value::text(&scene.externals.url)),
        ("$value", Value::Float(scene.value)),
    ];
    let name = format!("__alert_{}", scene.rule);
    let mut run = Run {
        source,
        parsed,
        scene,
        executing: name.clone(),
        name,
        place: None,
        variables,
        frame: 0,
        steps: 0,
        depth: 0,
        out: Out::default(),
    };
    run.list(&dot, &parsed.root)?;
    Ok(run.out.into_text())
}

struct Run<'t, 's, 'a> {
    source: &'t str,
    parsed: &'t Parsed,
    scene: &'s mut Scene<'a>,
    name: String,
    /// The name of the template that is being executed.
    executing: String,
    place: Option<&'t dyn Place>,
    variables: Vec<(&'t str, Value)>,
    /// Where the variables of this template begin.
    frame: usize,
    steps: usize,
    depth: usize,
    out: Out,
}

impl<'t> Run<'t, '_, '_> {
    fn fail(&self, message: impl AsRef<str>) -> String {
        let message = message.as_ref();
        let Some(place) = self.place else { return format!("template: {}: {message}", self.name) };
        let before = self.source.get(..place.at()).unwrap_or("");
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(PREFIX.len() + before.len(), |end| before.len() - end - 1);
        let executing = super::print::quote(&self.executing);
        format!("template: {}:{line}:{column}: executing {executing} at <{place}>: {message}", self.name)
    }

    fn step(&mut self, steps: usize) -> Result<()> {
        self.steps += steps;
        if self.steps <= MAX_STEPS {
            return Ok(());
        }
        Err(self.fail(format!("the template takes more than {MAX_STEPS} steps")))
    }

    fn list(&mut self, dot: &Value, list: &'t List) -> Result<Flow> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(format!("exceeded maximum template depth ({MAX_DEPTH})")));
        }
        self.depth += 1;
        for item in list {
            let flow = self.item(dot, item)?;
            if flow != Flow::On {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::On)
    }

    fn item(&mut self, dot: &Value, item: &'t Item) -> Result<Flow> {
        self.step(1)?;
        match item {
            Item::Text(text) => self.out.push(text)?,
            Item::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.declared.is_empty() {
                    self.out.value(&value)?;
                }
            }
            Item::If(branch) => return self.branch(dot, branch, false),
            Item::With(branch) => return self.branch(dot, branch, true),
            Item::Range(branch) => return self.range(dot, branch),
            Item::Template(invocation) => self.template(dot, invocation)?,
            Item::Break => return Ok(Flow::Break),
            Item::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branch(&mut self, dot: &Value, branch: &'t Branch, with: bool) -> Result<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = if value.is_true() {
            self.list(if with { &value } else { dot }, &branch.body)?
        } else {
            self.list(dot, &branch.otherwise)?
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Result<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let entries = entries(&value, branch.pipeline.declared.len()).map_err(|error| self.fail(error))?;
        let mut empty = true;
        for (index, element) in entries {
            empty = false;
            self.step(1)?;
            if self.iteration(branch, index, &element)? == Flow::Break {
                break;
            }
        }
        let flow = if empty { self.list(dot, &branch.otherwise)? } else { Flow::On };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn iteration(&mut self, branch: &'t Branch, index: Value, element: &Value) -> Result<Flow> {
        match branch.pipeline.declared.as_slice() {
            [] => {}
            [one] => self.set(one, element.clone())?,
            [first, second, ..] => {
                self.set(first, index)?;
                self.set(second, element.clone())?;
            }
        }
        let mark = self.variables.len();
        let flow = self.list(element, &branch.body)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn template(&mut self, dot: &Value, invocation: &'t Invocation) -> Result<()> {
        self.place = Some(invocation);
        let Some(list) = self.parsed.defined.get(&invocation.name) else {
            let name = super::print::quote(&invocation.name);
            return Err(self.fail(format!("template {name} not defined")));
        };
        let dot = match &invocation.pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Nil,
        };
        let (frame, executing) =
            (self.frame, std::mem::replace(&mut self.executing, invocation.name.clone()));
        let mark = self.variables.len();
        self.frame = mark;
        self.variables.push(("$", dot.clone()));
        self.list(&dot, list)?;
        self.variables.truncate(mark);
        (self.frame, self.executing) = (frame, executing);
        Ok(())
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'t Pipeline) -> Result<Value> {
        self.place = Some(pipeline);
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipeline.declared {
            if pipeline.assigns {
                self.set(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn set(&mut self, name: &'t str, value: Value) -> Result<()> {
        let frame = self.variables.get_mut(self.frame..).unwrap_or(&mut []);
        match frame.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, variable)) => {
                *variable = value;
                Ok(())
            }
            None => Err(self.fail(format!("undefined variable: {name}"))),
        }
    }

    fn variable(&self, name: &str) -> Result<Value> {
        let frame = self.variables.get(self.frame..).unwrap_or(&[]);
        let found = frame.iter().rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| self.fail(format!("undefined variable: {name}")))
    }
}

type Entries<'a> = Box<dyn Iterator<Item = (Value, Value)> + 'a>;

/// What `range` goes through, with the index or key of each.
fn entries(value: &Value, variables: usize) -> Result<Entries<'_>> {
    Ok(match value {
        Value::Samples(samples) => {
            let numbered = samples.iter().enumerate();
            Box::new(numbered.map(|(number, it)| (Value::Int(number as i64), Value::Sample(Rc::clone(it)))))
        }
        Value::Labels(labels) => {
            Box::new(labels.iter().map(|(key, value)| (Value::text(key), Value::text(value))))
        }
        Value::Arguments(arguments) => {
            Box::new(arguments.values.iter().map(|(key, value)| (Value::text(key), value.clone())))
        }
        Value::Int(count) if variables < 2 => {
            Box::new((0..*count).map(|number| (Value::Nil, Value::Int(number))))
        }
        Value::Nil => Box::new(std::iter::empty()),
        other => {
            let mut shown = Out::default();
            shown.value(other)?;
            let shown = shown.into_text();
            return Err(match other {
                Value::Int(_) => format!("can't use {shown} to iterate over more than one variable"),
                _ => format!("range can't iterate over {shown}"),
            });
        }
    })
}
