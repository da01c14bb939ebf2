//! Functions of the language that are replaced, because their own would pass a limit before it is looked at, or wait where no
//! stop can reach them.

use rhai::{Engine, EvalAltResult, ImmutableString};

use super::MAX_STRING_BYTES;

type Raised = Box<EvalAltResult>;

pub(super) fn register(engine: &mut Engine) {
    let asleep = || -> Result<(), Raised> { Err("use clock::sleep(\"5s\")".into()) };
    engine.register_fn("sleep", move |_: i64| asleep());
    engine.register_fn("sleep", move |_: f64| asleep());
    // The language builds the whole text before it looks at its size: gigabytes, from two texts of 64 KiB.
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, with: &str| {
        replace(text, find, with)
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, with: char| {
        replace(text, find, with.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, with: &str| {
        replace(text, find.encode_utf8(&mut [0; 4]), with)
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, with: char| {
        replace(text, find.encode_utf8(&mut [0; 4]), with.encode_utf8(&mut [0; 4]))
    });
}

fn replace(text: &mut ImmutableString, find: &str, with: &str) -> Result<(), Raised> {
    if with.len() > find.len() {
        let grown = text.matches(find).count().saturating_mul(with.len() - find.len());
        if text.len().saturating_add(grown) > MAX_STRING_BYTES {
            return Err(format!("replace would make a text of more than {MAX_STRING_BYTES} bytes").into());
        }
    }
    *text = text.replace(find, with).into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_is_as_the_language_has_it_but_for_its_limit() {
        for (text, find, with, expected) in [
            ("aXbX", "X", "yy", "ayybyy"),
            ("aXbX", "X", "", "ab"),
            ("ab", "", "-", "-a-b-"),
            ("ab", "c", "d", "ab"),
        ] {
            let mut replaced = text.into();
            replace(&mut replaced, find, with).unwrap();
            assert_eq!(replaced, expected);
        }
        let mut long: ImmutableString = "x".repeat(1000).into();
        assert!(replace(&mut long, "x", &"y".repeat(65)).is_ok());
        let mut long: ImmutableString = "x".repeat(1000).into();
        assert!(replace(&mut long, "x", &"y".repeat(66)).is_err());
        assert!(replace(&mut long, "", &"y".repeat(66)).is_err());
    }
}
