//! A feature flag, as it stands in the file that the policy names for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use executor::FlagState;
use serde_json::{Value, json};
use telemetry::with_causes;

/// A longer file is not read; the executor sets no flag in one either.
const MAX_BYTES: u64 = 2 << 20;

pub(super) fn get(files: &HashMap<String, PathBuf>, name: &str) -> Result<Value, String> {
    let path = files.get(name).ok_or_else(|| {
        format!("the policy names no flag {name:?}; under `flags` it would say in which file that is")
    })?;
    let reading = |why: String| format!("reading the flags in {}: {why}", path.display());
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    read.map_err(|error| reading(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(reading(format!("it has more than {MAX_BYTES} bytes")));
    }
    let FlagState { variant, variants, targeted } =
        FlagState::read(&text, name).map_err(|error| reading(with_causes(&error)))?;
    Ok(json!({ "variant": variant, "variants": variants, "targeted": targeted }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_shown_with_its_variants_and_whether_rules_come_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flags.json");
        let text = r#"{"flags": {"new": {"state": "ENABLED", "variants": {"on": true, "off": false},
            "defaultVariant": "on", "targeting": {"if": []}}, "bare": {"variants": {}, "targeting": {}}}}"#;
        std::fs::write(&path, text).unwrap();
        let files = ["new", "bare", "old"].map(|name| (name.to_owned(), path.clone())).into();
        assert_eq!(
            get(&files, "new"),
            Ok(json!({"variant": "on", "variants": ["off", "on"], "targeted": true}))
        );
        assert_eq!(get(&files, "bare"), Ok(json!({"variant": null, "variants": [], "targeted": false})));
        assert!(get(&files, "old").unwrap_err().contains("it holds no flag \"old\""));
        assert!(get(&files, "other").unwrap_err().contains("the policy names no flag \"other\""));
    }
}
