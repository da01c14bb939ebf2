//! The section about what is masked in received telemetry and in logs.

use std::io::ErrorKind;

use documents::{Review, Spanned, nearest};
use otlp::{Builtin, MaskAction, MaskRule, Masking};
use telemetry::with_causes;

use super::Base;
use super::file::{MaskActionName, MaskSection};
use super::secret::private;

/// What stands where something was masked, unless told otherwise.
pub(super) const DEFAULT_TEXT: &str = "[masked]";

/// A shorter key of a hash could be found by trying.
const MIN_KEY_BYTES: usize = 16;

/// The rules, in their order.
pub(super) fn rules(sections: &[Spanned<MaskSection>], base: &Base, review: &mut Review) -> Vec<MaskRule> {
    sections.iter().filter_map(|section| rule(section, base, review)).collect()
}

/// What all rules do together.
pub(super) fn masking(
    rules: Vec<MaskRule>,
    sections: &[Spanned<MaskSection>],
    review: &mut Review,
) -> Masking {
    match (Masking::new(rules), sections.first()) {
        (Ok(masking), _) => return masking,
        (Err(error), Some(first)) => {
            review.error(first, with_causes(&error));
        }
        (Err(_), None) => {}
    }
    Masking::default()
}

fn rule(spanned: &Spanned<MaskSection>, base: &Base, review: &mut Review) -> Option<MaskRule> {
    let section = &spanned.value;
    let texts =
        |values: &[Spanned<String>]| values.iter().map(|value| value.value.clone()).collect::<Vec<_>>();
    let builtins: Vec<Builtin> = section.builtin.iter().filter_map(|name| builtin(name, review)).collect();
    if section.keys.is_empty() && section.values.is_empty() && section.builtin.is_empty() {
        review.error(spanned, "this masks nothing; say builtin, keys or values");
    }
    if let Some(key) = section.keys.iter().find(|key| key.value.is_empty()) {
        review.error(key, "no attribute has an empty key");
    }
    let action = action(spanned, base, review)?;
    match MaskRule::new(&texts(&section.keys), &texts(&section.values), &builtins, action) {
        Ok(rule) => Some(rule),
        Err(error) => {
            match section.values.iter().find(|value| value.value == error.text()) {
                Some(value) => review.error(value, error.to_string()),
                None => review.error(spanned, error.to_string()),
            };
            None
        }
    }
}

fn builtin(name: &Spanned<String>, review: &mut Review) -> Option<Builtin> {
    let found = Builtin::ALL.into_iter().find(|(known, _)| *known == name.value);
    if found.is_none() {
        let names = Builtin::ALL.map(|(known, _)| known);
        let problem = review.error(name, format!("there is no builtin {:?}", name.value));
        problem.hint = Some(match nearest(&name.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.join(", ")),
        });
    }
    found.map(|(_, builtin)| builtin)
}

fn action(spanned: &Spanned<MaskSection>, base: &Base, review: &mut Review) -> Option<MaskAction> {
    let section = &spanned.value;
    let needless = match section.action {
        MaskActionName::Replace => section.hash_key_file.as_ref(),
        MaskActionName::Drop => section.text.as_ref().or(section.hash_key_file.as_ref()),
        MaskActionName::Hash => section.text.as_ref(),
    };
    if let Some(value) = needless {
        review.error(value, "text is for action: replace, hash_key_file for action: hash");
    }
    match section.action {
        MaskActionName::Replace => {
            let text = section.text.as_ref().map_or(DEFAULT_TEXT, |text| text.value.as_str());
            Some(MaskAction::Replace(text.to_owned()))
        }
        MaskActionName::Drop => Some(MaskAction::Drop),
        MaskActionName::Hash => {
            let Some(file) = &section.hash_key_file else {
                review.error(
                    spanned,
                    "action: hash needs hash_key_file, or anybody could find out what was hashed by trying",
                );
                return None;
            };
            let path = base.path(&file.value);
            let key = match std::fs::read(&path) {
                Ok(key) => key.trim_ascii().to_vec(),
                Err(error) => {
                    let problem = review.error(file, format!("reading {}: {error}", path.display()));
                    problem.hint = (error.kind() == ErrorKind::NotFound)
                        .then(|| "`openssl rand -hex 16` prints a key for it".to_owned());
                    return None;
                }
            };
            private(&path, file, review);
            if key.len() < MIN_KEY_BYTES {
                review.error(
                    file,
                    "the key is too short; 16 bytes at least, such as `openssl rand -hex 16` prints",
                );
            }
            Some(MaskAction::Hash { key })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, load};
    use crate::self_telemetry::environment::Variables;
    use documents::Trust;
    use std::os::unix::fs::PermissionsExt as _;

    fn load_text(text: &str) -> Loaded {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hostmend.yaml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(directory.path().join("good.key"), "0123456789abcdef\n").unwrap();
        std::fs::write(directory.path().join("short.key"), "0123\n").unwrap();
        std::fs::write(directory.path().join("open.key"), "0123456789abcdef\n").unwrap();
        for (key, mode) in [("good.key", 0o600), ("short.key", 0o600), ("open.key", 0o644)] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(directory.path().join(key), permissions).unwrap();
        }
        load(&path, Trust::invoking_user(), &Variables::new())
    }

    #[test]
    fn rules_are_as_they_are_written() {
        assert!(load_text("{}\n").config.unwrap().masking.is_empty());
        let text = "masking:\n- builtin: [secret_keys, tokens]\n- { keys: [user.*], values: [\"s[0-9]+\"], text: x }\n\
                    - { keys: [a], action: drop }\n- { keys: [b], action: hash, hash_key_file: good.key }\n";
        let owned = |text: &str| vec![text.to_owned()];
        let rules = [
            MaskRule::new(
                &[],
                &[],
                &[Builtin::SecretKeys, Builtin::Tokens],
                MaskAction::Replace("[masked]".into()),
            ),
            MaskRule::new(&owned("user.*"), &owned("s[0-9]+"), &[], MaskAction::Replace("x".into())),
            MaskRule::new(&owned("a"), &[], &[], MaskAction::Drop),
            MaskRule::new(&owned("b"), &[], &[], MaskAction::Hash { key: b"0123456789abcdef".to_vec() }),
        ];
        let expected = Masking::new(rules.into_iter().map(Result::unwrap).collect()).unwrap();
        assert_eq!(load_text(text).config.unwrap().masking, expected);
    }

    #[test]
    fn a_key_that_everybody_may_read_is_refused() {
        let rule = |key: &str| format!("masking: [{{ keys: [a], action: hash, hash_key_file: {key} }}]\n");
        let problems: Vec<String> =
            load_text(&rule("open.key")).problems.iter().map(ToString::to_string).collect();
        assert!(problems[0].contains("open.key holds a secret, and everybody may open it"), "{problems:?}");
        let missing = load_text(&rule("none.key"));
        assert_eq!(missing.problems[0].hint.as_deref(), Some("`openssl rand -hex 16` prints a key for it"));
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        for (text, expected) in [
            ("masking: [{ action: drop }]\n", "1:11: this masks nothing; say builtin, keys or values"),
            ("masking: [{ keys: [\"\"] }]\n", "1:20: no attribute has an empty key"),
            (
                "masking: [{ builtin: [token] }]\n",
                "1:23: there is no builtin \"token\"; did you mean `tokens`?",
            ),
            (
                "masking: [{ values: [\"(\"] }]\n",
                "1:22: \"(\" is no regular expression that can be used: unclosed group",
            ),
            (
                "masking: [{ keys: [a], action: drop, text: x }]\n",
                "1:44: text is for action: replace, hash_key_file for action: hash",
            ),
            (
                "masking: [{ keys: [a], action: hash }]\n",
                "1:11: action: hash needs hash_key_file, or anybody could find out what was hashed by trying",
            ),
            (
                "masking: [{ keys: [a], action: hash, hash_key_file: short.key }]\n",
                "1:53: the key is too short; 16 bytes at least, such as `openssl rand -hex 16` prints",
            ),
        ] {
            let problems: Vec<String> = load_text(text).problems.iter().map(ToString::to_string).collect();
            let found: Vec<&str> =
                problems.iter().filter_map(|text| text.rsplit("hostmend.yaml:").next()).collect();
            assert_eq!(found, [expected], "{text}");
        }
    }
}
