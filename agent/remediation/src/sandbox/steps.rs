//! What a script calls by its bare name: steps that a crash does not repeat, undoing them, trying again.
//!
//! A step is the unit of what is written down: once the agent has its result, no later start of the script does it anew.
//! Closures share their variables with the script; one that is kept for later gets copies, or all closures of a loop would
//! see the loop's last value.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{
    AST, ASTNode, Dynamic, Engine, EvalAltResult, Expr, FnCallExpr, FnPtr, NativeCallContext, Position, Stmt,
};
use serde_json::Value;

use super::{to_dynamic, to_json};
use crate::runner::{Answer, Request, StepState};

/// The longest name of a step.
pub(crate) const MAX_ID_BYTES: usize = 100;
/// The most steps of one script, each of which is written down.
pub(crate) const MAX_STEPS: usize = 100;
/// How often `retry` may try.
const MAX_TRIES: i64 = 20;

type Raised = Box<EvalAltResult>;

/// Asks the agent, from inside the sandbox, and waits for its answer.
pub(crate) type Ask = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// The agent as a script sees it, and what the script has done so far.
#[derive(Clone)]
pub(crate) struct Host {
    ask: Ask,
    steps: Arc<Mutex<Steps>>,
}

#[derive(Default)]
struct Steps {
    done: BTreeSet<String>,
    /// The step that is being done.
    inside: Option<String>,
    undo: Vec<Undo>,
    /// The argument of the script's own `rollback`, if it has one that was not called yet.
    rollback: Option<Dynamic>,
    script: Option<AST>,
}

struct Undo {
    id: String,
    closure: FnPtr,
    result: Dynamic,
}

/// Calls a closure with these arguments.
type CallClosure<'a> = dyn FnMut(&FnPtr, Vec<Dynamic>) -> Result<(), Raised> + 'a;

impl Host {
    pub(crate) fn new(ask: Ask) -> Self {
        Self { ask, steps: Arc::default() }
    }

    /// A host for checks, which answers nothing.
    pub(crate) fn nobody() -> Self {
        Self::new(Arc::new(|_| Answer::Error("nothing is called while a script is checked".to_owned())))
    }

    /// Undoing the steps ends with a call of the script's own `rollback`, with this argument.
    pub(crate) fn rolls_back_with(&self, context: Dynamic) {
        lock(&self.steps).rollback = Some(context);
    }

    /// The script that is run, which tells the closures that do nothing.
    pub(crate) fn runs(&self, script: &AST) {
        lock(&self.steps).script = Some(script.clone());
    }

    /// The value that the agent answers. [`Answer::Rollback`] is an error that no script can catch.
    pub(super) fn ask(&self, request: Request, at: Position) -> Result<Value, Raised> {
        match (self.ask)(request) {
            Answer::Value(value) => Ok(value),
            other => Err(raised(other, at).into()),
        }
    }

    /// Undoes all steps that can be, the last first, and then what the script itself rolls back. What fails does not keep
    /// the rest from being undone.
    ///
    /// # Errors
    ///
    /// Something could not be undone; the text says what was and what was not.
    pub(crate) fn undo(
        &self,
        call: &mut CallClosure<'_>,
        call_rollback: &mut dyn FnMut(&Dynamic) -> Result<(), Raised>,
    ) -> Result<String, String> {
        let (undo, rollback) = {
            let mut steps = lock(&self.steps);
            (std::mem::take(&mut steps.undo), steps.rollback.take())
        };
        let (mut undone, mut failed) = (Vec::new(), Vec::new());
        for step in undo.into_iter().rev() {
            match self.undo_one(Some(&step.id), || call_undo(&step, call)) {
                Ok(()) => undone.push(step.id),
                Err(error) => failed.push(format!("undoing {} failed: {}", step.id, one_line(&error))),
            }
        }
        match rollback.map(|context| self.undo_one(None, || call_rollback(&context))) {
            Some(Ok(())) => undone.push("rollback(ctx)".to_owned()),
            Some(Err(error)) => failed.push(format!("rollback(ctx) failed: {}", one_line(&error))),
            None => {}
        }
        let what = match (undone.as_slice(), failed.as_slice()) {
            ([], []) => "there was nothing to undo".to_owned(),
            ([], failed) => failed.join("; "),
            (undone, []) => format!("undone: {}", undone.join(", ")),
            (undone, failed) => format!("undone: {}; {}", undone.join(", "), failed.join("; ")),
        };
        if failed.is_empty() { Ok(what) } else { Err(what) }
    }

    /// The agent is told before and after: it takes back what the script does not.
    fn undo_one(&self, step: Option<&str>, undo: impl FnOnce() -> Result<(), Raised>) -> Result<(), Raised> {
        (self.ask)(Request::UndoBegin { step: step.map(str::to_owned) });
        let undone = undo();
        (self.ask)(Request::UndoEnd { step: step.map(str::to_owned), ok: undone.is_ok() });
        undone
    }

    fn begin(&self, id: &str, keeps: bool, at: Position) -> Result<StepState, Raised> {
        let refused = |why: String| Err(Box::new(EvalAltResult::ErrorRuntime(why.into(), at)));
        {
            let steps = lock(&self.steps);
            if let Some(outer) = &steps.inside {
                return refused(format!(
                    "step {id:?} stands inside of step {outer:?}; steps follow each other"
                ));
            }
            if steps.done.contains(id) {
                return refused(format!("step {id:?} is done already; every step needs a name of its own"));
            }
            if steps.done.len() >= MAX_STEPS {
                return refused(format!("a script may have {MAX_STEPS} steps"));
            }
            if id.is_empty() || id.len() > MAX_ID_BYTES || id.contains(char::is_control) {
                return refused(format!("the name of a step has 1 to {MAX_ID_BYTES} printable bytes"));
            }
        }
        match (self.ask)(Request::StepBegin { id: id.to_owned(), keeps }) {
            Answer::Step(state) => Ok(state),
            other => Err(raised(other, at).into()),
        }
    }

    fn step(
        &self,
        context: &NativeCallContext<'_>,
        id: &str,
        needed: Option<&FnPtr>,
        act: &FnPtr,
        undo: Option<FnPtr>,
    ) -> Result<Dynamic, Raised> {
        let at = context.call_position();
        let keeps = undo.as_ref().is_some_and(|closure| self.does_nothing(closure));
        let state = self.begin(id, keeps, at)?;
        let result = if let StepState::Done(result) = state {
            result
        } else {
            lock(&self.steps).inside = Some(id.to_owned());
            let result = perform(context, id, &state, needed, act);
            lock(&self.steps).inside = None;
            if let Err(error) = &result
                && error.unwrap_inner().is_catchable()
            {
                (self.ask)(Request::StepFailed { id: id.to_owned(), error: one_line(error) });
            }
            let result = to_json(&result?)
                .map_err(|error| EvalAltResult::ErrorRuntime(format!("step {id:?}: {error}").into(), at))?;
            self.ask(Request::StepEnd { id: id.to_owned(), result: result.clone() }, at)?;
            result
        };
        // The same value whether it was done now or before the agent was started anew.
        let result = to_dynamic(&result);
        let mut steps = lock(&self.steps);
        steps.done.insert(id.to_owned());
        if let Some(closure) = undo {
            steps.undo.push(Undo { id: id.to_owned(), closure: flattened(closure), result: result.clone() });
        }
        Ok(result)
    }

    fn does_nothing(&self, closure: &FnPtr) -> bool {
        lock(&self.steps).script.as_ref().is_some_and(|script| does_nothing(script, closure.fn_name()))
    }

    fn undo_now(&self, context: &NativeCallContext<'_>) -> Result<bool, Raised> {
        let undone = self.undo(
            &mut |closure, arguments| closure.call_raw(context, None, arguments).map(drop),
            &mut |argument| context.call_fn::<Dynamic>("rollback", (argument.clone(),)).map(drop),
        );
        let ok = undone.is_ok();
        let what = undone.unwrap_or_else(|error| error);
        self.ask(Request::RolledBack { ok, what }, context.call_position()).map(|_| ok)
    }

    /// Tries until an attempt neither breaks nor returns false.
    fn retry(
        &self,
        context: &NativeCallContext<'_>,
        times: i64,
        pause: &Value,
        act: &FnPtr,
    ) -> Result<Dynamic, Raised> {
        let at = context.call_position();
        if !(1..=MAX_TRIES).contains(&times) {
            let why = format!("retry tries 1 to {MAX_TRIES} times, not {times}");
            return Err(Box::new(EvalAltResult::ErrorRuntime(why.into(), at)));
        }
        let mut attempt = 1;
        loop {
            let result = act.call_within_context::<Dynamic>(context, ());
            let again = match &result {
                Ok(value) => value.as_bool() == Ok(false),
                Err(error) => error.unwrap_inner().is_catchable(),
            };
            if !again || attempt == times {
                return result;
            }
            attempt += 1;
            let function = "clock::sleep".to_owned();
            self.ask(Request::Call { function, arguments: vec![pause.clone()] }, at)?;
        }
    }
}

fn perform(
    context: &NativeCallContext<'_>,
    id: &str,
    state: &StepState,
    needed: Option<&FnPtr>,
    act: &FnPtr,
) -> Result<Dynamic, Raised> {
    if *state == StepState::Uncertain {
        let Some(needed) = needed else {
            let why = format!("it is not known whether {id:?} was done: the agent ended while it was");
            return Err(Box::new(EvalAltResult::ErrorRuntime(why.into(), context.call_position())));
        };
        if !needed.call_within_context::<bool>(context, ())? {
            return Ok(Dynamic::UNIT);
        }
    }
    act.call_within_context(context, ())
}

/// The script may leave out the parameter that takes the step's result.
fn call_undo(step: &Undo, call: &mut CallClosure<'_>) -> Result<(), Raised> {
    match call(&step.closure, vec![step.result.clone()]) {
        Err(error) if is_unknown(&error, step.closure.fn_name()) => call(&step.closure, Vec::new()),
        called => called,
    }
}

/// Whether a function of the script has nothing in it, or says so with `()` or `ok()`.
fn does_nothing(script: &AST, name: &str) -> bool {
    let mut alone = script.clone_functions_only();
    alone.retain_functions(|_, _, other, _| other == name);
    let is_ok = |call: &FnCallExpr| call.name == "ok" && call.args.is_empty() && !call.is_qualified();
    alone.has_functions()
        && alone.walk(&mut |path| match path.last() {
            Some(
                ASTNode::Stmt(Stmt::Noop(..) | Stmt::Expr(..) | Stmt::Block(..))
                | ASTNode::Expr(Expr::Unit(..)),
            ) => true,
            Some(ASTNode::Stmt(Stmt::FnCall(call, ..)) | ASTNode::Expr(Expr::FnCall(call, ..))) => {
                is_ok(call)
            }
            _ => false,
        })
}

fn is_unknown(error: &EvalAltResult, name: &str) -> bool {
    matches!(error, EvalAltResult::ErrorFunctionNotFound(signature, _) if signature.starts_with(name))
}

fn one_line(error: &EvalAltResult) -> String {
    error.to_string().replace('\n', ", ")
}

fn flattened(mut closure: FnPtr) -> FnPtr {
    for captured in closure.iter_curry_mut() {
        *captured = captured.flatten_clone();
    }
    closure
}

fn raised(answer: Answer, at: Position) -> EvalAltResult {
    match answer {
        Answer::Rollback => EvalAltResult::ErrorTerminated(Dynamic::UNIT, at),
        Answer::Error(error) => EvalAltResult::ErrorRuntime(error.into(), at),
        Answer::Value(_) | Answer::Step(_) | Answer::Finish => {
            EvalAltResult::ErrorRuntime("the agent gave an answer to another question".into(), at)
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes `step`, `undo`, `retry` and `ok` known.
pub(super) fn register(engine: &mut Engine, host: &Host) {
    type Context<'a> = NativeCallContext<'a>;
    engine.register_fn("ok", || ());
    let h = host.clone();
    engine.register_fn("undo", move |context: Context<'_>| h.undo_now(&context));
    let h = host.clone();
    engine.register_fn("retry", move |context: Context<'_>, times: i64, pause: &str, act: FnPtr| {
        h.retry(&context, times, &Value::from(pause), &act)
    });
    let h = host.clone();
    engine.register_fn("step", move |context: Context<'_>, id: &str, act: FnPtr| {
        h.step(&context, id, None, &act, None)
    });
    let h = host.clone();
    engine.register_fn("step", move |context: Context<'_>, id: &str, act: FnPtr, undo: FnPtr| {
        h.step(&context, id, None, &act, Some(undo))
    });
    let h = host.clone();
    engine.register_fn(
        "step",
        move |context: Context<'_>, id: &str, needed: FnPtr, act: FnPtr, undo: FnPtr| {
            h.step(&context, id, Some(&needed), &act, Some(undo))
        },
    );
}

#[cfg(test)]
mod tests;
