//! A script: its text, its hash, and everything that can be wrong with it before it runs.
//!
//! The language itself learns of an unknown function only when it is called. Here the names are closed (no `eval`, no
//! `import`, no function by a computed name), so every call can be checked against what exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use documents::{Document, Place, Problem, Trust, nearest};
use rhai::{ASTNode, Engine, Expr, FnCallExpr, OptimizationLevel, Position};
use sha2::{Digest, Sha256};
use telemetry::with_causes;

use crate::functions::{HOST_FUNCTIONS, HostFunction};
use crate::grants::Grants;
use crate::runbook::Runbook;
use crate::sandbox::{Ask, ENDINGS, MAX_SCRIPT_BYTES, interpreter};

/// Calls that the language handles itself, so that no package lists them.
const KEYWORDS: [&str; 7] = ["Fn", "call", "curry", "type_of", "is_def_var", "is_def_fn", "is_shared"];

/// Calls of the language that have no place in a script, and what has.
const REPLACED: [(&str, &str); 3] = [
    ("sleep", "use clock::sleep(\"5s\"), which a stop can interrupt"),
    ("print", "use incident::note(..): a script has no output"),
    ("debug", "use incident::note(..): a script has no output"),
];

/// A script as it was read: what is hashed is what is run.
#[derive(Clone, Debug)]
pub struct Script {
    document: Document,
    sha256: String,
}

impl Script {
    /// The script of this document.
    pub fn new(document: Document) -> Self {
        let mut sha256 = String::new();
        for byte in Sha256::digest(document.text().as_bytes()) {
            let _ = write!(sha256, "{byte:02x}");
        }
        Self { document, sha256 }
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.document.text()
    }

    /// SHA-256 of its text, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Its header, the lines that begin with `//!`, joined.
    pub fn summary(&self) -> String {
        let header = self.text().lines().map_while(|line| line.strip_prefix("//!"));
        header.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

/// Opens and checks the scripts that the runbooks name.
///
/// # Errors
///
/// Every problem with any of them: unreadable, not to be trusted, or wrong under the grants of a runbook that uses it.
pub fn load_scripts(
    runbooks: &[Runbook],
    directory: &Path,
    trust: Trust,
) -> Result<BTreeMap<String, Script>, Vec<Problem>> {
    let mut scripts: BTreeMap<String, Script> = BTreeMap::new();
    let mut problems = Vec::new();
    let names: BTreeSet<&str> = runbooks.iter().map(|runbook| runbook.script.as_str()).collect();
    for name in names {
        let path = directory.join(name);
        let document = match Document::open(&path, trust) {
            Ok(document) => document,
            Err(error) => {
                problems.push(Problem::about(&path, with_causes(&error)));
                continue;
            }
        };
        let users = runbooks.iter().filter(|runbook| runbook.script == name);
        let mut told = BTreeSet::new();
        for problem in users.flat_map(|runbook| check_script(&document, Some(&runbook.grants))) {
            if told.insert(problem.to_string()) {
                problems.push(problem);
            }
        }
        scripts.insert(name.to_owned(), Script::new(document));
    }
    if problems.is_empty() { Ok(scripts) } else { Err(problems) }
}

/// Everything that is wrong with a script under these grants; without grants, as if all were granted.
pub fn check_script(document: &Document, grants: Option<&Grants>) -> Vec<Problem> {
    if document.text().len() > MAX_SCRIPT_BYTES {
        return vec![Problem::about(
            document.path(),
            format!("a script has at most {MAX_SCRIPT_BYTES} bytes"),
        )];
    }
    let nobody: Ask = Arc::new(|_, _| Err("nothing is called while a script is checked".to_owned()));
    // Without the optimizer, which would drop dead branches unseen.
    let engine = interpreter(HOST_FUNCTIONS, &nobody, OptimizationLevel::None);
    let ast = match engine.compile(document.text()) {
        Ok(ast) => ast,
        Err(error) => return vec![parse_problem(document, &error)],
    };
    let mut check = Check::new(document, grants, &engine, &ast);
    check.definitions(&ast);
    ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(expression)) = path.last() {
            check.expression(expression);
        }
        true
    });
    check.problems
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
    grants: Option<&'a Grants>,
    /// The language's functions and the script's own, with their numbers of parameters.
    known: BTreeMap<String, BTreeSet<usize>>,
    /// The script's own.
    own: BTreeSet<(String, usize)>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(document: &'a Document, grants: Option<&'a Grants>, engine: &Engine, ast: &rhai::AST) -> Self {
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
        Self { document, grants, known, own, problems: Vec::new() }
    }

    fn problem(&mut self, position: Position, message: String) -> &mut Problem {
        let range = word_at(self.document, position);
        self.problems.push(Problem::at(self.document, range, message));
        self.problems.last_mut().expect("a problem was just pushed")
    }

    /// What the script must define, and what it must not.
    fn definitions(&mut self, ast: &rhai::AST) {
        if !self.own.contains(&("remediate".to_owned(), 1)) {
            let message =
                "a script defines `fn remediate(ctx)`, which returns fixed(..), failed(..) or skip(..)";
            self.problems.push(Problem::at(self.document, 0..0, message));
        }
        for function in ast.iter_functions() {
            let taken = ENDINGS.iter().any(|(name, _)| *name == function.name) || function.name == "sleep";
            if taken {
                let at = self.document.text().find(&format!("fn {}", function.name)).unwrap_or(0);
                let message = format!("`{}` is taken: it is one of the agent's own functions", function.name);
                self.problems.push(Problem::at(self.document, at..at + 3 + function.name.len(), message));
            }
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::FnCall(call, position) if !call.is_operator_call() => {
                if call.namespace.is_empty() {
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
        if call.args.len() != function.parameters.len() {
            let (wanted, given) = (function.parameters.len(), call.args.len());
            self.problem(at, format!("`{path}` wants {wanted} arguments and got {given}")).hint =
                Some(function.signature());
        }
        let Some((capability, grants)) = function.needs.zip(self.grants) else { return };
        if !grants.has(capability) {
            let message = format!("`{path}` needs `{}`, which the runbook does not grant", capability.name());
            self.problem(at, message).hint = Some(format!("add grants: {{ {}: [..] }}", capability.name()));
        } else if let Some(Expr::StringConstant(target, place)) = call.args.first()
            && !grants.reach(capability, target)
        {
            let message = format!("the runbook does not grant `{}` on {target:?}", capability.name());
            self.problem(*place, message);
        }
    }
}

#[cfg(test)]
mod tests;
