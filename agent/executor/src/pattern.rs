//! Patterns for names: `*` stands for any text, `?` for one character, everything else for itself.
//!
//! There are no sets, no alternatives and no way to quote. A match takes at most time in the product of both lengths.

/// Whether the whole name matches the pattern.
pub fn name_matches(pattern: &str, name: &str) -> bool {
    matches_where(pattern, name, |_| true)
}

/// The same, where `*` and `?` stand only for characters that are `fit`.
pub(crate) fn matches_where(pattern: &str, name: &str, fit: impl Fn(char) -> bool) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // Where to go on when what follows the last `*` does not match: after it, with one more character taken by it.
    let mut retry = None;
    loop {
        let (mut rest, mut name_rest) = (pattern.clone(), name.clone());
        match (rest.next(), name_rest.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((rest.clone(), name.clone()));
                pattern = rest;
                continue;
            }
            (Some('?'), Some(found)) if fit(found) => {
                (pattern, name) = (rest, name_rest);
                continue;
            }
            (Some(wanted), Some(found)) if wanted == found && wanted != '?' => {
                (pattern, name) = (rest, name_rest);
                continue;
            }
            _ => {}
        }
        let Some((after, mut taken)) = retry.take() else { return false };
        if !taken.next().is_some_and(&fit) {
            return false;
        }
        (pattern, name) = (after.clone(), taken.clone());
        retry = Some((after, taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, name, matches) in [
            ("*.log", "a.log", true),
            ("*.log", ".log", true),
            ("*.log", "a.log.1", false),
            ("*.log.*", "a.log.b.log.1", true),
            ("a?c", "abc", true),
            ("a?c", "aüc", true),
            ("a?c", "ac", false),
            ("a?c", "a?c", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**a**", "a", true),
            ("core.*.zst", "core.web.7.zst", true),
            ("[ab]", "a", false),
        ] {
            assert_eq!(name_matches(pattern, name), matches, "{pattern} {name}");
        }
        let long = "a".repeat(4096);
        assert!(!name_matches(&format!("{}b", "a*".repeat(200)), &long));
    }

    #[test]
    fn a_star_stops_where_a_character_does_not_fit() {
        let fit = |c: char| c != '/';
        assert!(matches_where("/srv/*/x", "/srv/a/x", fit));
        assert!(!matches_where("/srv/*/x", "/srv/a/b/x", fit));
        assert!(!matches_where("/srv/?", "/srv//", fit));
    }

    fn slowly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => {
                slowly(rest, name) || matches!(name, [_, more @ ..] if slowly(pattern, more))
            }
            (['?', rest @ ..], [_, more @ ..]) => slowly(rest, more),
            ([one, rest @ ..], [other, more @ ..]) => one == other && slowly(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(pattern in "[ab*?]{0,8}", name in "[ab?]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(name_matches(&pattern, &name), slowly(&chars(&pattern), &chars(&name)));
        }
    }
}
