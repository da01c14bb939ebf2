//! Errors as a person reads them.

use std::error::Error;

/// An error and everything that caused it, on one line: `reading rules.yaml: permission denied`.
///
/// A cause whose text the layer above has already repeated is left out; line ends and other control characters become
/// blanks.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn chain(texts: &[&'static str]) -> Layer {
        let (text, below) = texts.split_first().unwrap();
        Layer { text, source: (!below.is_empty()).then(|| Box::new(chain(below))) }
    }

    #[test]
    fn an_error_and_its_causes_are_one_line_that_says_nothing_twice() {
        for (texts, expected) in [
            (&["alone"][..], "alone"),
            (&["a", "b", "c"], "a: b: c"),
            (&["tls: no route", "no route", "host unreachable"], "tls: no route: host unreachable"),
            (&["script failed", "line 1\n\tline 2"], "script failed: line 1  line 2"),
        ] {
            assert_eq!(with_causes(&chain(texts)), expected);
        }
    }
}
