//! Whatever a script says, it is checked to the end, and every place that is told lies within it.
#![no_main]

use std::path::Path;

use documents::Document;
use remediation::check_script;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let document = Document::from_text(Path::new("fuzz.rhai"), text);
    let lines = text.split('\n').count();
    for problem in check_script(&document) {
        assert!(problem.place().is_none_or(|place| (1..=lines).contains(&place.line)));
    }
});
