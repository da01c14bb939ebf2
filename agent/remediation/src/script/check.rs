//! Everything that can be wrong with a script before it runs.
//!
//! The language itself learns of an unknown function only when it is called. Here the names are closed (no `eval`, no
//! `import`, no function by a computed name), so every call can be checked against what exists.

mod fields;
mod literals;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use documents::{Document, Place, Problem, Severity, nearest};
use rhai::{ASTNode, Engine, Expr, FnCallExpr, OptimizationLevel, Position, Stmt};

use fields::Fields;
use literals::{Wrong, wrong_arguments};

use crate::functions::{HOST_FUNCTIONS, HostFunction};
use crate::grants::{Capability, TargetKind};
use crate::header::{Header, covers, is_open};
use crate::sandbox::{Host, MAX_SCRIPT_BYTES, TAKEN, interpreter};

/// Calls that the language handles itself, so that no package lists them.
const KEYWORDS: [&str; 7] = ["Fn", "call", "curry", "type_of", "is_def_var", "is_def_fn", "is_shared"];

/// Calls of the language that have no place in a script, and what has.
const REPLACED: [(&str, &str); 3] = [
    ("sleep", "use clock::sleep(\"5s\"), which a stop can interrupt"),
    ("print", "use incident::note(..): a script has no output"),
    ("debug", "use incident::note(..): a script has no output"),
];

/// Everything that is wrong with a script, whatever runbook uses it.
pub fn check_script(document: &Document) -> Vec<Problem> {
    if document.text().len() > MAX_SCRIPT_BYTES {
        return vec![Problem::about(
            document.path(),
            format!("a script has at most {MAX_SCRIPT_BYTES} bytes"),
        )];
    }
    let (header, mut problems) = match Header::read(document) {
        Ok(header) => (Some(header), Vec::new()),
        Err(problems) => (None, problems),
    };
    // Without the optimizer, which would drop dead branches unseen.
    let engine = interpreter(HOST_FUNCTIONS, &Host::nobody(), OptimizationLevel::None);
    let ast = match engine.compile(document.text()) {
        Ok(ast) => ast,
        Err(error) => {
            problems.push(parse_problem(document, &error));
            return problems;
        }
    };
    let mut check = Check::new(document, header.as_ref(), &engine, &ast);
    check.definitions(&ast);
    let fields = Fields::of(&ast, header.as_ref());
    ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(expression)) = path.last() {
            check.expression(expression, path);
        }
        if let Some(wrong) = fields.wrong(path) {
            check.wrong(wrong);
        }
        true
    });
    check.unused_needs();
    problems.extend(check.problems);
    problems
}

fn parse_problem(document: &Document, error: &rhai::ParseError) -> Problem {
    let range = word_at(document, error.position());
    let written = document.text().get(range.clone()).unwrap_or_default();
    let problem = Problem::at(document, range.clone(), error.err_type().to_string());
    match written {
        "import" | "export" | "eval" => problem.with_hint(format!("`{written}` is not available in scripts")),
        "'" => problem.with_hint("strings stand between \"quotes\" or `backticks`"),
        "_" | "|" => problem.with_hint("a parameter needs a name, even if it is not used: |unused|"),
        _ => problem,
    }
}

/// The identifier, with its namespace, at a position; one character where there is none.
fn word_at(document: &Document, position: Position) -> Range<usize> {
    let Some(line) = position.line() else { return 0..0 };
    let start = document.offset(Place { line, column: position.position().unwrap_or(1) });
    let rest = document.text().get(start..).unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    start..start + rest.find(|c| !word(c)).unwrap_or(rest.len()).max(1)
}

struct Check<'a> {
    document: &'a Document,
    header: Option<&'a Header>,
    /// The language's functions and the script's own, with their numbers of parameters.
    known: BTreeMap<String, BTreeSet<usize>>,
    /// The script's own.
    own: BTreeSet<(String, usize)>,
    /// The names of its steps.
    steps: BTreeSet<String>,
    /// The capabilities that its calls take.
    used: BTreeSet<Capability>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(document: &'a Document, header: Option<&'a Header>, engine: &Engine, ast: &rhai::AST) -> Self {
        let mut known: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let builtin = engine.collect_fn_metadata(
            None,
            |function| {
                let plain = function.namespace.is_empty();
                plain.then(|| (function.metadata.name.to_string(), function.metadata.num_params))
            },
            true,
        );
        let own: BTreeSet<(String, usize)> =
            ast.iter_functions().map(|function| (function.name.to_string(), function.params.len())).collect();
        for (name, parameters) in builtin.into_iter().chain(own.iter().cloned()) {
            known.entry(name).or_default().insert(parameters);
        }
        Self {
            document,
            header,
            known,
            own,
            steps: BTreeSet::new(),
            used: BTreeSet::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, position: Position, message: String) -> &mut Problem {
        let range = word_at(self.document, position);
        self.problems.push(Problem::at(self.document, range, message));
        self.problems.last_mut().expect("a problem was just pushed")
    }

    fn wrong(&mut self, wrong: Wrong) {
        self.problem(wrong.at, wrong.message).hint = wrong.hint;
    }

    /// What the script must define, and what it must not.
    fn definitions(&mut self, ast: &rhai::AST) {
        if !self.own.contains(&("remediate".to_owned(), 1)) {
            let message =
                "a script defines `fn remediate(ctx)`, which returns fixed(..), failed(..) or skip(..)";
            self.problems.push(Problem::at(self.document, 0..0, message));
        }
        for function in ast.iter_functions() {
            if TAKEN.contains(&function.name) {
                let at = self.document.text().find(&format!("fn {}", function.name)).unwrap_or(0);
                let message = format!("`{}` is taken: it is one of the agent's own functions", function.name);
                self.problems.push(Problem::at(self.document, at..at + 3 + function.name.len(), message));
            }
        }
    }

    fn expression(&mut self, expression: &Expr, path: &[ASTNode<'_>]) {
        match expression {
            Expr::FnCall(call, position) if !call.is_operator_call() => {
                if call.namespace.is_empty() {
                    if call.name == "step" {
                        self.step(call.args.first(), path);
                    }
                    self.plain_call(call, 0, *position);
                } else {
                    self.host_call(call, *position);
                }
            }
            Expr::MethodCall(call, position) if !call.is_operator_call() => {
                self.plain_call(call, 1, *position);
            }
            _ => {}
        }
    }

    /// A call of the language's or the script's own function; as a method it has one argument before the dot.
    fn plain_call(&mut self, call: &FnCallExpr, before_dot: usize, position: Position) {
        let name = call.name.as_str();
        if name == "Fn" {
            self.function_pointer(call.args.first(), position);
        } else if let Some((_, instead)) = REPLACED.iter().find(|(replaced, _)| *replaced == name) {
            self.problem(position, format!("`{name}` is not available")).hint = Some((*instead).to_owned());
        } else if !KEYWORDS.contains(&name) {
            self.known_call(name, call.args.len(), before_dot, position);
        }
    }

    /// The name of a step is what a run is resumed by, and what people read of it.
    fn step(&mut self, id: Option<&Expr>, path: &[ASTNode<'_>]) {
        let hint = "write it as in \"stop\", or `stop ${name}` in a loop";
        match id {
            Some(Expr::StringConstant(id, at)) => {
                let turns = |node: &ASTNode<'_>| {
                    matches!(node, ASTNode::Stmt(Stmt::For(..) | Stmt::While(..) | Stmt::Do(..)))
                };
                if !self.steps.insert(id.to_string()) {
                    let message =
                        format!("step {:?} stands twice; every step needs a name of its own", id.as_str());
                    self.problem(*at, message);
                } else if path.iter().any(turns) {
                    let message = format!("step {:?} fails in the second turn of the loop", id.as_str());
                    self.problem(*at, message).hint = Some(hint.to_owned());
                    self.problems.last_mut().expect("it was just pushed").severity = Severity::Warning;
                }
            }
            Some(Expr::InterpolatedString(parts, _)) if matches!(parts.first(), Some(Expr::StringConstant(words, _)) if !words.trim().is_empty()) =>
                {}
            Some(other) => {
                let message = "the name of a step must begin with words that stand in the script".to_owned();
                self.problem(other.position(), message).hint = Some(hint.to_owned());
            }
            None => {}
        }
    }

    /// `Fn("name")`: the name must be written out, and be that of a function of the script.
    fn function_pointer(&mut self, name: Option<&Expr>, position: Position) {
        if let Some(Expr::StringConstant(meant, at)) = name {
            if !self.own.iter().any(|(own, _)| own == meant.as_str()) {
                self.problem(*at, format!("the script defines no function `{meant}`"));
            }
        } else {
            let message = "a function's name must stand in the script, so that it can be checked".to_owned();
            self.problem(position, message).hint = Some("use a closure: |x| f(x)".to_owned());
        }
    }

    fn known_call(&mut self, name: &str, given: usize, before_dot: usize, position: Position) {
        match self.known.get(name) {
            Some(arities) if arities.contains(&(given + before_dot)) => {}
            Some(arities) => {
                let wanted: Vec<String> =
                    arities.iter().map(|arity| arity.saturating_sub(before_dot).to_string()).collect();
                let wanted = wanted.join(" or ");
                self.problem(position, format!("`{name}` wants {wanted} arguments and got {given}"));
            }
            None => {
                let host = HOST_FUNCTIONS.iter().find(|function| function.name == name);
                // Operators, constants like E and property getters are functions too, but nobody means them by a slip.
                let is_word = |known: &&String| {
                    known.len() > 2 && known.chars().all(|c| c.is_alphanumeric() || c == '_')
                };
                let words = self.known.keys().filter(is_word);
                let meant = host
                    .map(HostFunction::path)
                    .or_else(|| nearest(name, words.map(String::as_str)).map(str::to_owned));
                self.problem(position, format!("there is no function `{name}`")).hint =
                    meant.map(|meant| format!("did you mean `{meant}`?"));
            }
        }
    }

    fn host_call(&mut self, call: &FnCallExpr, position: Position) {
        let namespace: Vec<&str> = call.namespace.path.iter().map(|part| part.name.as_str()).collect();
        let path = format!("{}::{}", namespace.join("::"), call.name);
        let begin = call.namespace.position();
        let at = if begin.is_none() { position } else { begin };
        let Some(function) = HostFunction::at(&path) else {
            let paths: Vec<String> = HOST_FUNCTIONS.iter().map(HostFunction::path).collect();
            let meant =
                nearest(&path, paths.iter().map(String::as_str)).map(|m| format!("did you mean `{m}`?"));
            self.problem(at, format!("there is no function `{path}`")).hint = meant;
            return;
        };
        if function.arities().contains(&call.args.len()) {
            for wrong in wrong_arguments(function, &call.args) {
                self.wrong(wrong);
            }
        } else {
            let wanted: Vec<String> = function.arities().map(|arity| arity.to_string()).collect();
            let (wanted, given) = (wanted.join(" or "), call.args.len());
            self.problem(at, format!("`{path}` wants {wanted} arguments and got {given}")).hint =
                Some(function.signature());
        }
        if let Some(capability) = function.needs {
            self.used.insert(capability);
            self.needed(&path, capability, call.args.first(), at);
        }
    }

    /// What a call takes must stand in the header.
    fn needed(&mut self, path: &str, capability: Capability, target: Option<&Expr>, at: Position) {
        let Some(header) = self.header else { return };
        let needs: Vec<&str> = header.needs_as_written(capability).collect();
        if needs.is_empty() {
            let name = capability.name();
            let message = format!("`{path}` needs `{name}`, which the header does not say");
            self.problem(at, message).hint = Some(format!("add `//! needs: {{ {name}: [..] }}`"));
        } else if let Some(Expr::StringConstant(target, place)) = target
            && capability.targets() != TargetKind::All
            && path != "proc::signal"
            && !needs.iter().any(|needed| is_open(needed) || covers(capability.targets(), needed, target))
        {
            let message =
                format!("the header does not say that `{}` is needed on {target:?}", capability.name());
            self.problem(*place, message);
        }
    }

    fn unused_needs(&mut self) {
        let Some(header) = self.header else { return };
        let unused: BTreeSet<Capability> =
            header.capabilities().filter(|needed| !self.used.contains(needed)).collect();
        for capability in unused {
            let name = capability.name();
            let at = self.document.text().find(name).unwrap_or(0);
            let message = format!("the header needs `{name}`, but no call of the script takes it");
            self.problems.push(Problem::at(self.document, at..at + name.len(), message).as_warning());
        }
    }
}
