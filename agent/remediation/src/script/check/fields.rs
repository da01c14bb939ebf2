//! What the variables of a script hold, as far as that can be told, and fields that nothing of the kind has.
//!
//! Variables are told apart by their names alone, whichever function they stand in: a name counts as known only if
//! everything that is ever bound to it is of one kind. So much is missed, and nothing is wrongly called a mistake.

use std::cell::RefCell;
use std::collections::BTreeMap;

use documents::nearest;
use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, FnPtr, Position, Stmt};

use super::literals::Wrong;
use crate::functions::{HostFunction, Shape};
use crate::header::Header;

/// How many names may hang on each other.
const MAX_DEPTH: usize = 16;
/// Methods of lists whose closure gets an element, and of which the first gives such a list again.
const OF_ELEMENTS: [&str; 7] = ["filter", "map", "some", "all", "find", "find_map", "for_each"];

/// What a value is known to be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    Context,
    Alert,
    Params,
    Run,
    Host(Shape),
}

/// What is bound to a name.
enum Binding {
    To(Expr),
    ToElementOf(Expr),
    ToContext,
    ToAnything,
}

/// The variables of a script.
pub(super) struct Fields<'a> {
    header: Option<&'a Header>,
    bindings: BTreeMap<String, Vec<Binding>>,
    known: RefCell<BTreeMap<String, Option<Known>>>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(ast: &AST, header: Option<&'a Header>) -> Self {
        let mut collected = Collected::default();
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(statement)) => collected.statement(statement),
                Some(ASTNode::Expr(expression)) => collected.expression(expression),
                _ => {}
            }
            true
        });
        collected.parameters(ast);
        Self { header, bindings: collected.bindings, known: RefCell::default() }
    }

    /// The field at the end of this path through the tree that does not exist.
    pub(super) fn wrong(&self, path: &[ASTNode<'_>]) -> Option<Wrong> {
        let [before @ .., ASTNode::Expr(chain @ (Expr::Dot(..) | Expr::Index(..)))] = path else {
            return None;
        };
        // The end of a chain is looked at with its beginning.
        if let Some(ASTNode::Expr(Expr::Dot(outer, ..) | Expr::Index(outer, ..))) = before.last()
            && std::ptr::eq(&raw const outer.rhs, &raw const **chain)
        {
            return None;
        }
        let mut wrong = None;
        self.chain(chain, &mut wrong, 0);
        wrong
    }

    fn kind(&self, expression: &Expr, depth: usize) -> Option<Known> {
        match expression {
            Expr::FnCall(call, _) => host_function(call).map(|function| Known::Host(function.returns)),
            Expr::Variable(variable, ..) => self.variable(&variable.1, depth),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expression, &mut None, depth),
            _ => None,
        }
    }

    fn variable(&self, name: &str, depth: usize) -> Option<Known> {
        if let Some(known) = self.known.borrow().get(name) {
            return *known;
        }
        if depth > MAX_DEPTH {
            return None;
        }
        let mut kinds = self.bindings.get(name)?.iter().map(|binding| match binding {
            Binding::To(expression) => self.kind(expression, depth + 1),
            Binding::ToElementOf(list) => element(self.kind(list, depth + 1)?),
            Binding::ToContext => Some(Known::Context),
            Binding::ToAnything => None,
        });
        let first = kinds.next().flatten();
        let known = first.filter(|_| kinds.all(|kind| kind == first));
        self.known.borrow_mut().insert(name.to_owned(), known);
        known
    }

    /// What a chain of fields and indexes comes to.
    fn chain(&self, chain: &Expr, wrong: &mut Option<Wrong>, depth: usize) -> Option<Known> {
        match chain {
            Expr::Dot(dot, ..) => self.follow(self.kind(&dot.lhs, depth)?, &dot.rhs, wrong),
            Expr::Index(index, flags, _) => {
                self.index(element(self.kind(&index.lhs, depth)?)?, &index.rhs, *flags, wrong)
            }
            _ => None,
        }
    }

    fn follow(&self, from: Known, rest: &Expr, wrong: &mut Option<Wrong>) -> Option<Known> {
        match rest {
            Expr::Property(property, at) => self.field(from, &property.2, *at, wrong),
            Expr::MethodCall(call, _) if call.name == "filter" => Some(from),
            Expr::Dot(dot, ..) => {
                let next = self.follow(from, &dot.lhs, wrong)?;
                self.follow(next, &dot.rhs, wrong)
            }
            Expr::Index(index, flags, _) => {
                let list = self.follow(from, &index.lhs, wrong)?;
                self.index(element(list)?, &index.rhs, *flags, wrong)
            }
            _ => None,
        }
    }

    /// What follows an index, where the index is the beginning of the rest.
    fn index(
        &self,
        element_of: Known,
        rest: &Expr,
        flags: ASTFlags,
        wrong: &mut Option<Wrong>,
    ) -> Option<Known> {
        match rest {
            _ if flags.contains(ASTFlags::BREAK) => Some(element_of),
            Expr::Dot(dot, ..) => self.follow(element_of, &dot.rhs, wrong),
            Expr::Index(index, flags, _) => self.index(element(element_of)?, &index.rhs, *flags, wrong),
            _ => Some(element_of),
        }
    }

    fn field(&self, of: Known, name: &str, at: Position, wrong: &mut Option<Wrong>) -> Option<Known> {
        let fields: Vec<(&str, Option<Known>)> = match of {
            Known::Context => vec![
                ("alert", Some(Known::Alert)),
                ("params", Some(Known::Params)),
                ("run", Some(Known::Run)),
            ],
            Known::Alert => vec![("labels", None), ("value", None)],
            Known::Run => vec![("attempt", None)],
            Known::Params => self.header?.params.keys().map(|name| (name.as_str(), None)).collect(),
            Known::Host(Shape::Map(fields)) => {
                fields.iter().map(|(name, shape)| (*name, Some(Known::Host(*shape)))).collect()
            }
            Known::Host(_) => return None,
        };
        if let Some((_, known)) = fields.iter().find(|(field, _)| *field == name) {
            return *known;
        }
        let names: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        let message = match of {
            Known::Params => format!("the header has no parameter `{name}`"),
            _ => format!("there is no field `{name}` here"),
        };
        let hint = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => "add it to the header's `params`".to_owned(),
            None => format!("known are {}", names.join(", ")),
        };
        *wrong = Some(Wrong { at, message, hint: Some(hint) });
        None
    }
}

fn element(of: Known) -> Option<Known> {
    match of {
        Known::Host(Shape::List(shape)) => Some(Known::Host(*shape)),
        _ => None,
    }
}

fn host_function(call: &FnCallExpr) -> Option<&'static HostFunction> {
    let [namespace] = call.namespace.path.as_slice() else { return None };
    HostFunction::at(&format!("{}::{}", namespace.name, call.name))
}

/// Everything that is bound to names, in the order of the walk.
#[derive(Default)]
struct Collected {
    bindings: BTreeMap<String, Vec<Binding>>,
    /// How many variables each closure has captured: so many of its parameters, at the beginning, are those.
    captured: BTreeMap<String, usize>,
    /// How often each closure stands in the script.
    written: BTreeMap<String, usize>,
    /// The lists whose elements a closure gets.
    elements: BTreeMap<String, Vec<Expr>>,
    /// The arguments of calls of the script's own functions.
    calls: BTreeMap<(String, usize), Vec<Vec<Expr>>>,
    /// Functions that are called by who knows whom.
    pointed: Vec<String>,
}

impl Collected {
    fn bind(&mut self, name: &str, binding: Binding) {
        self.bindings.entry(name.to_owned()).or_default().push(binding);
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Var(variable, ..) => {
                self.bind(&variable.0.name, Binding::To(variable.1.clone()));
            }
            Stmt::For(turns, _) => {
                self.bind(&turns.0.name, Binding::ToElementOf(turns.2.expr.clone()));
                if let Some(counter) = &turns.1 {
                    self.bind(&counter.name, Binding::ToAnything);
                }
            }
            Stmt::TryCatch(flow, _) => self.anything(&flow.expr),
            Stmt::Assignment(assignment) => self.anything(&assignment.1.lhs),
            _ => {}
        }
    }

    /// The variable at the beginning of what is assigned to can be anything from now on.
    fn anything(&mut self, mut target: &Expr) {
        while let Expr::Dot(part, ..) | Expr::Index(part, ..) = target {
            target = &part.lhs;
        }
        if let Expr::Variable(variable, ..) = target {
            self.bind(&variable.1, Binding::ToAnything);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::DynamicConstant(..) => {
                if let Some(closure) = closure(expression) {
                    *self.written.entry(closure).or_default() += 1;
                }
            }
            Expr::FnCall(call, _) if call.name == "curry" => {
                if let Some(closure) = call.args.first().and_then(closure) {
                    self.captured.insert(closure, call.args.len() - 1);
                }
            }
            Expr::FnCall(call, _) if call.name == "Fn" => {
                if let Some(Expr::StringConstant(name, _)) = call.args.first() {
                    self.pointed.push(name.to_string());
                }
            }
            Expr::FnCall(call, _) if call.namespace.is_empty() => {
                let function = (call.name.to_string(), call.args.len());
                self.calls.entry(function).or_default().push(call.args.to_vec());
            }
            Expr::MethodCall(call, _) => self.pointed.push(call.name.to_string()),
            Expr::Dot(dot, ..) => {
                if let Expr::MethodCall(call, _) = &dot.rhs
                    && OF_ELEMENTS.contains(&call.name.as_str())
                    && let Some(closure) = call.args.first().and_then(closure)
                {
                    self.elements.entry(closure).or_default().push(dot.lhs.clone());
                }
            }
            _ => {}
        }
    }

    /// Parameters are bound to what the calls hand over.
    fn parameters(&mut self, ast: &AST) {
        for function in ast.iter_functions() {
            let name = function.name.to_owned();
            let is_entry =
                ["precheck", "remediate", "rollback"].contains(&function.name) && function.params.len() == 1;
            let captured = self.captured.get(&name).copied().unwrap_or(0);
            let calls = self.calls.remove(&(name.clone(), function.params.len())).unwrap_or_default();
            let elements = self.elements.remove(&name).unwrap_or_default();
            let elsewhere = self.written.get(&name).is_some_and(|count| *count != elements.len());
            let known = !self.pointed.contains(&name) && !elsewhere;
            for (at, parameter) in function.params.iter().enumerate().skip(captured) {
                if is_entry {
                    self.bind(parameter, Binding::ToContext);
                }
                for list in elements.iter().filter(|_| at == captured) {
                    self.bind(parameter, Binding::ToElementOf(list.clone()));
                }
                for call in &calls {
                    let given = call.get(at).cloned();
                    self.bind(parameter, given.map_or(Binding::ToAnything, Binding::To));
                }
                let bound = is_entry || !calls.is_empty() || (at == captured && !elements.is_empty());
                if !bound || !known {
                    self.bind(parameter, Binding::ToAnything);
                }
            }
        }
    }
}

/// The name that the language has given to a closure.
fn closure(expression: &Expr) -> Option<String> {
    match expression {
        Expr::DynamicConstant(value, _) => {
            value.read_lock::<FnPtr>().map(|pointer| pointer.fn_name().to_owned())
        }
        Expr::FnCall(call, _) if call.name == "curry" => call.args.first().and_then(closure),
        // One that has captured something is a block: share the variables, then hand them over.
        Expr::Stmt(block) => block.iter().find_map(|statement| match statement {
            Stmt::Expr(expression) => closure(expression),
            _ => None,
        }),
        _ => None,
    }
}
