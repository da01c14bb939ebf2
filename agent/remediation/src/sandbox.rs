//! The script language as it runs here: its limits, its packages, and the host's functions.
//!
//! These limits stop honest mistakes with a good message. They are not the wall: single native calls can pass them, so
//! a script runs in a process of its own, which ends when its memory or its time does. See [`crate::runner`].

use std::sync::Arc;

use rhai::packages::{
    BasicArrayPackage, BasicMapPackage, BasicMathPackage, CorePackage, LogicPackage, MoreStringPackage,
    Package,
};
use rhai::{Dynamic, Engine, EvalAltResult, FuncRegistration, Module, NativeCallContext, OptimizationLevel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::functions::HostFunction;

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

/// How deep a value may nest on its way between the script and the agent.
const MAX_NESTING: usize = 16;

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

/// Asks the agent, from inside the sandbox. The error is what the script sees.
pub(crate) type Ask = Arc<dyn Fn(&HostFunction, Vec<Value>) -> Result<Value, String> + Send + Sync>;

/// An interpreter with these host functions and no others.
pub(crate) fn interpreter<'a>(
    functions: impl IntoIterator<Item = &'a HostFunction>,
    ask: &Ask,
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
    // The language's own `sleep` would sleep inside the sandbox, where no stop can reach it.
    let asleep = || -> Result<(), Box<EvalAltResult>> { Err("use clock::sleep(\"5s\")".into()) };
    engine.register_fn("sleep", move |_: i64| asleep());
    engine.register_fn("sleep", move |_: f64| asleep());
    let mut modules: Vec<(&str, Module)> = Vec::new();
    for function in functions {
        if !modules.iter().any(|(name, _)| *name == function.namespace) {
            modules.push((function.namespace, Module::new()));
        }
        let module = modules.iter_mut().find(|(name, _)| *name == function.namespace);
        register(&mut module.expect("it was just added if it was missing").1, &function.path(), ask);
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

fn register(module: &mut Module, path: &str, ask: &Ask) {
    let function = HostFunction::at(path).expect("only rows of the table are registered");
    let ask = Arc::clone(ask);
    let call = move |context: &NativeCallContext<'_>, arguments: &[Dynamic]| {
        let answer = arguments.iter().map(|value| to_json(value, 0)).collect::<Result<Vec<_>, _>>();
        answer.and_then(|values| ask(function, values)).map(|value| to_dynamic(&value)).map_err(|error| {
            // An error from a function in a namespace would carry no place.
            Box::new(EvalAltResult::ErrorRuntime(error.into(), context.call_position()))
        })
    };
    let registration = FuncRegistration::new(function.name);
    match function.parameters.len() {
        1 => registration.set_into_module(module, move |c: NativeCallContext<'_>, a: Dynamic| call(&c, &[a])),
        2 => registration.set_into_module(module, move |c: NativeCallContext<'_>, a: Dynamic, b: Dynamic| {
            call(&c, &[a, b])
        }),
        _ => registration.set_into_module(
            module,
            move |context: NativeCallContext<'_>, a: Dynamic, b: Dynamic, c: Dynamic| {
                call(&context, &[a, b, c])
            },
        ),
    };
}

/// A value of the script as JSON.
pub(crate) fn to_json(value: &Dynamic, depth: usize) -> Result<Value, String> {
    if depth > MAX_NESTING {
        return Err(format!("a value nests deeper than {MAX_NESTING} levels"));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Value::from(text.as_str()));
    }
    if let Ok(map) = value.as_map_ref() {
        let entries = map.iter().map(|(key, value)| Ok((key.to_string(), to_json(value, depth + 1)?)));
        return entries.collect::<Result<_, String>>().map(Value::Object);
    }
    if let Ok(array) = value.as_array_ref() {
        return array
            .iter()
            .map(|value| to_json(value, depth + 1))
            .collect::<Result<_, _>>()
            .map(Value::Array);
    }
    match value {
        value if value.is_unit() => Ok(Value::Null),
        value if value.is_bool() => Ok(Value::from(value.as_bool().unwrap_or_default())),
        value if value.is_int() => Ok(Value::from(value.as_int().unwrap_or_default())),
        value if value.is_float() => Ok(Value::from(value.as_float().unwrap_or_default())),
        value if value.is_char() => Ok(Value::from(value.to_string())),
        other => Err(format!("a {} cannot leave the script", other.type_name())),
    }
}

/// JSON as a value of the script.
pub(crate) fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(truth) => Dynamic::from(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Dynamic::from(integer),
            None => Dynamic::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Dynamic::from(text.clone()),
        Value::Array(values) => Dynamic::from_array(values.iter().map(to_dynamic).collect()),
        Value::Object(entries) => Dynamic::from_map(
            entries.iter().map(|(name, value)| (name.as_str().into(), to_dynamic(value))).collect(),
        ),
    }
}
