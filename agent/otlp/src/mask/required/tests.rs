use regex_syntax::ParserBuilder;

use super::*;

fn of(pattern: &str) -> Option<Required> {
    required(&ParserBuilder::new().utf8(false).build().parse(pattern).unwrap())
}

fn texts(pattern: &str) -> Vec<String> {
    match of(pattern) {
        Some(Required::Texts(texts)) => {
            texts.iter().map(|text| text.iter().map(|byte| char::from(*byte)).collect()).collect()
        }
        other => panic!("{pattern} requires {other:?}"),
    }
}

#[test]
fn the_rarest_text_is_chosen_and_its_letters_have_no_case() {
    for (pattern, expected) in [
        ("Secret", &["secret"][..]),
        ("(?i-u)bear(er)?", &["bear"]),
        (r"(?-u)\b(?:AKIA|asia)[0-9A-Z]{16}", &["akia", "asia"]),
        ("[0-9]+ppm", &["ppm"]),
        ("(?-u)://[^@]*@", &["`"]),
        ("(?:a[0-9]*secret|token[0-9]*b)x", &["secret", "token"]),
        ("(?:key)+=", &["key="]),
        ("(?:word|words|password) (?:a|b)", &["word"]),
        // The sign for Kelvin is a k, and the long s an s.
        ("(?i)k", &["k", "\u{e2}\u{a4}\u{aa}"]),
        ("a text that is longer than is looked for", &["a text that is l"]),
    ] {
        assert_eq!(texts(pattern), expected, "{pattern}");
    }
}

#[test]
fn where_no_text_is_rare_a_run_of_few_bytes_is_looked_for() {
    for (pattern, length, bytes) in [
        (r"(?-u)\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b", 11, "-0123456789"),
        ("[a-c]{32,}", 32, "abc"),
        ("(?:[x-z]{100})", 64, "xyz"),
    ] {
        let Some(Required::Run(run)) = of(pattern) else { panic!("{pattern}") };
        let found: String =
            (0..=255_u8).filter(|byte| run.bytes[usize::from(*byte)]).map(char::from).collect();
        assert_eq!((run.length, found.as_str()), (length, bytes), "{pattern}");
    }
}

#[test]
fn what_may_be_anything_requires_nothing() {
    for pattern in ["(?s-u:.)+", "[0-9]+", "(?:secret|[a-z])", "[^ ]{3,}"] {
        assert_eq!(of(pattern), None, "{pattern}");
    }
}
