//! Values on their way between the script and the agent.
//!
//! Texts are shared inside of a script, so a small value can be huge once it is written out: what it takes is counted while
//! it is.

use rhai::Dynamic;
use serde_json::Value;

/// How deep a value may nest.
const MAX_NESTING: usize = 16;
/// How much one value may take, in bytes of its texts and 16 for each part.
const MAX_BYTES: usize = 256 << 10;

/// A value of the script as JSON.
pub(crate) fn to_json(value: &Dynamic) -> Result<Value, String> {
    write_out(value, 0, &mut MAX_BYTES.clone())
}

fn write_out(value: &Dynamic, depth: usize, left: &mut usize) -> Result<Value, String> {
    if depth > MAX_NESTING {
        return Err(format!("a value nests deeper than {MAX_NESTING} levels"));
    }
    spend(16, left)?;
    if let Ok(text) = value.as_immutable_string_ref() {
        spend(text.len(), left)?;
        return Ok(Value::from(text.as_str()));
    }
    if let Ok(map) = value.as_map_ref() {
        let entries = map.iter().map(|(key, value)| {
            spend(key.len(), left)?;
            Ok((key.to_string(), write_out(value, depth + 1, left)?))
        });
        return entries.collect::<Result<_, String>>().map(Value::Object);
    }
    if let Ok(array) = value.as_array_ref() {
        let values = array.iter().map(|value| write_out(value, depth + 1, left));
        return values.collect::<Result<_, _>>().map(Value::Array);
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

fn spend(bytes: usize, left: &mut usize) -> Result<(), String> {
    *left = left
        .checked_sub(bytes)
        .ok_or_else(|| format!("a value of more than {} KiB cannot leave the script", MAX_BYTES >> 10))?;
    Ok(())
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
