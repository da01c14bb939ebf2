//! The script language as it runs here: its limits, its packages, and the host's functions.
//!
//! These limits stop honest mistakes with a good message. They are not the wall: single native calls can pass them, so
//! a script runs in a process of its own, which ends when its memory or its time does. See [`crate::runner`].

mod shadow;
mod steps;
mod value;

use rhai::packages::{
    BasicArrayPackage, BasicMapPackage, BasicMathPackage, CorePackage, LogicPackage, MoreStringPackage,
    Package,
};
use rhai::{Dynamic, Engine, EvalAltResult, FuncRegistration, Module, NativeCallContext, OptimizationLevel};
use serde::{Deserialize, Serialize};

pub(crate) use steps::{Ask, Host, MAX_ID_BYTES, MAX_STEPS, lock};
pub(crate) use value::{to_dynamic, to_json};

use crate::functions::HostFunction;
use crate::runner::Request;

/// The largest script. Parsing takes about twenty times its size in memory.
pub(crate) const MAX_SCRIPT_BYTES: usize = 64 << 10;

/// Enough for any repair; a few hundred milliseconds of computing.
const MAX_OPERATIONS: u64 = 5_000_000;
const MAX_CALL_LEVELS: usize = 32;
const MAX_STRING_BYTES: usize = 64 << 10;
const MAX_ARRAY_LENGTH: usize = 10_000;
const MAX_MAP_LENGTH: usize = 1_000;
const MAX_VARIABLES: usize = 256;
const MAX_FUNCTIONS: usize = 64;

/// What a script says in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// The cause is repaired.
    Fixed(String),
    /// It is not.
    Failed(String),
    /// There was nothing to do.
    Skip(String),
}

type MakeEnding = fn(String) -> Ending;

/// The functions by which a script says it.
pub(crate) const ENDINGS: [(&str, MakeEnding); 3] =
    [("fixed", Ending::Fixed), ("failed", Ending::Failed), ("skip", Ending::Skip)];

/// The names that no function of a script may take.
pub(crate) const TAKEN: [&str; 9] =
    ["fixed", "failed", "skip", "ok", "step", "undo", "retry", "sleep", "replace"];

/// An interpreter with these host functions and no others.
pub(crate) fn interpreter(
    functions: impl IntoIterator<Item = &'static HostFunction>,
    host: &Host,
    optimize: OptimizationLevel,
) -> Engine {
    let mut engine = Engine::new_raw();
    for package in [
        CorePackage::new().as_shared_module(),
        LogicPackage::new().as_shared_module(),
        BasicMathPackage::new().as_shared_module(),
        BasicArrayPackage::new().as_shared_module(),
        BasicMapPackage::new().as_shared_module(),
        MoreStringPackage::new().as_shared_module(),
    ] {
        engine.register_global_module(package);
    }
    limit(&mut engine);
    engine.set_optimization_level(optimize);
    for (name, ending) in ENDINGS {
        engine.register_fn(name, move |why: &str| ending(why.to_owned()));
    }
    steps::register(&mut engine, host);
    shadow::register(&mut engine);
    let mut modules: Vec<(&str, Module)> = Vec::new();
    for function in functions {
        if !modules.iter().any(|(name, _)| *name == function.namespace) {
            modules.push((function.namespace, Module::new()));
        }
        let module = modules.iter_mut().find(|(name, _)| *name == function.namespace);
        register(&mut module.expect("it was just added if it was missing").1, function, host);
    }
    for (name, module) in modules {
        engine.register_static_module(name, module.into());
    }
    engine
}

fn limit(engine: &mut Engine) {
    engine
        .set_max_operations(MAX_OPERATIONS)
        .set_max_call_levels(MAX_CALL_LEVELS)
        .set_max_expr_depths(64, 32)
        .set_max_string_size(MAX_STRING_BYTES)
        .set_max_array_size(MAX_ARRAY_LENGTH)
        .set_max_map_size(MAX_MAP_LENGTH)
        .set_max_variables(MAX_VARIABLES)
        .set_max_functions(MAX_FUNCTIONS)
        .set_max_modules(0)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .disable_symbol("eval")
        .disable_symbol("import")
        .disable_symbol("export");
}

fn register(module: &mut Module, function: &'static HostFunction, host: &Host) {
    type Context<'a> = NativeCallContext<'a>;
    for arity in function.arities() {
        let host = host.clone();
        let call = move |context: &Context<'_>, arguments: &[Dynamic]| {
            // An error from a function in a namespace would carry no place.
            let at = context.call_position();
            let arguments = arguments.iter().map(to_json).collect::<Result<Vec<_>, _>>();
            let arguments = arguments.map_err(|error| EvalAltResult::ErrorRuntime(error.into(), at))?;
            let answer = host.ask(Request::Call { function: function.path(), arguments }, at)?;
            Ok::<_, Box<EvalAltResult>>(to_dynamic(&answer))
        };
        let new = FuncRegistration::new(function.name);
        match arity {
            0 => new.set_into_module(module, move |c: Context<'_>| call(&c, &[])),
            1 => new.set_into_module(module, move |c: Context<'_>, a: Dynamic| call(&c, &[a])),
            2 => new.set_into_module(module, move |c: Context<'_>, a: Dynamic, b: Dynamic| call(&c, &[a, b])),
            3 => new.set_into_module(module, move |c: Context<'_>, a: Dynamic, b: Dynamic, d: Dynamic| {
                call(&c, &[a, b, d])
            }),
            _ => new.set_into_module(
                module,
                move |c: Context<'_>, a: Dynamic, b: Dynamic, d: Dynamic, e: Dynamic| call(&c, &[a, b, d, e]),
            ),
        };
    }
}
