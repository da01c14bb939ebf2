//! What a message quotes of texts that may be of any length.

use std::borrow::Cow;

/// How much of a text a message quotes, in characters.
const QUOTED: usize = 100;

/// The text, or its beginning and an ellipsis.
pub(crate) fn brief(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)).into(),
        None => text.into(),
    }
}
