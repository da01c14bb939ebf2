//! Lines of which a regular expression names the parts.

use regex::bytes::Regex;

use super::draft::{Draft, Value};
use super::logfmt::typed;

/// Groups of these names are numbers; all others are texts.
const NUMBERS: [&str; 6] = [
    "http.response.status_code",
    "http.response.body.size",
    "http.request.body.size",
    "http.server.request.duration",
    "process.pid",
    "thread.id",
];

/// Reads a whole line; `None` where it does not match.
pub(super) fn read(pattern: &Regex, line: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    let parts = pattern.captures(line)?;
    let named =
        pattern.capture_names().zip(parts.iter()).filter_map(|(name, part)| Some((name?, part?.as_bytes())));
    for (name, text) in named {
        let value = if NUMBERS.contains(&name) { typed(text) } else { Value::Text(text) };
        if !draft.writer.has(None, name.as_bytes()) {
            draft.field(name.as_bytes(), value);
        }
    }
    Some(())
}
