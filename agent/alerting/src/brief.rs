//! What a message quotes of texts that may be of any length.

use std::borrow::Cow;

/// How much of a word that is wrong a message quotes, in characters.
const WORD: usize = 100;

/// How much of an expression or of a series' labels, which must be recognised.
const IDENTITY: usize = 500;

/// A word, or its beginning and an ellipsis.
pub(crate) fn brief(word: &str) -> Cow<'_, str> {
    cut(word, WORD)
}

/// What tells an expression or a series from others.
pub(crate) fn identity(text: &str) -> Cow<'_, str> {
    cut(text, IDENTITY)
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)).into(),
        None => text.into(),
    }
}
