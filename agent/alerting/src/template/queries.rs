//! Which expressions a template asks for, as far as they are written in it word for word.

use std::iter::once;

use super::ast::{Item, Operand, OperandKind, Pipeline};
use super::parse::Parsed;

pub(super) fn literal(parsed: &Parsed) -> Vec<&str> {
    let mut found = Vec::new();
    for list in once(&parsed.root).chain(parsed.defined.values()) {
        of_list(list, &mut found);
    }
    found
}

fn of_list<'t>(list: &'t [Item], found: &mut Vec<&'t str>) {
    for item in list {
        match item {
            Item::Action(pipeline) => of_pipeline(pipeline, found),
            Item::If(branch) | Item::With(branch) | Item::Range(branch) => {
                of_pipeline(&branch.pipeline, found);
                of_list(&branch.body, found);
                of_list(&branch.otherwise, found);
            }
            Item::Template(invocation) => {
                if let Some(pipeline) = &invocation.pipeline {
                    of_pipeline(pipeline, found);
                }
            }
            Item::Text(_) | Item::Break | Item::Continue => {}
        }
    }
}

fn of_pipeline<'t>(pipeline: &'t Pipeline, found: &mut Vec<&'t str>) {
    // What a pipeline hands to the next command, if it is a value alone.
    let mut handed = None;
    for command in &pipeline.commands {
        let asks = matches!(command.first.kind, OperandKind::Function(function) if function.name == "query");
        if asks
            && let Some(OperandKind::Text { text, .. }) =
                command.arguments.first().or(handed).map(|operand| &operand.kind)
        {
            found.push(text);
        }
        for operand in once(&command.first).chain(&command.arguments) {
            of_operand(operand, found);
        }
        handed = command.arguments.is_empty().then_some(&command.first);
    }
}

fn of_operand<'t>(operand: &'t Operand, found: &mut Vec<&'t str>) {
    match &operand.kind {
        OperandKind::Pipeline(pipeline) => of_pipeline(pipeline, found),
        OperandKind::Chain(operand, _) => of_operand(operand, found),
        _ => {}
    }
}
