//! Secrets that are known by themselves.

use super::rule::Check;

/// A set of keys or patterns that operators choose by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// Attributes whose key says that they hold a secret: passwords, authorization headers, cookies, tokens, API keys.
    SecretKeys,
    /// Credentials in texts: bearer and basic authorization, JWTs, keys of clouds and forges, passwords in URLs, and
    /// `password=…`.
    Tokens,
    /// Private keys in PEM.
    PrivateKeys,
    /// Payment card numbers whose check digit is right.
    CardNumbers,
}

impl Builtin {
    /// All of them, by the name that operators write.
    pub const ALL: [(&str, Self); 4] = [
        ("secret_keys", Self::SecretKeys),
        ("tokens", Self::Tokens),
        ("private_keys", Self::PrivateKeys),
        ("card_numbers", Self::CardNumbers),
    ];

    pub(super) const fn keys(self) -> Option<&'static str> {
        match self {
            Self::SecretKeys => Some(SECRET_KEYS),
            Self::Tokens | Self::PrivateKeys | Self::CardNumbers => None,
        }
    }

    pub(super) const fn patterns(self) -> &'static [(&'static str, Option<Check>)] {
        match self {
            Self::SecretKeys => &[],
            Self::Tokens => TOKENS,
            Self::PrivateKeys => PRIVATE_KEYS,
            Self::CardNumbers => CARD_NUMBERS,
        }
    }
}

/// Some words make a secret of everything below them, others only as the last word: `gen_ai.token.type` is none.
const SECRET_KEYS: &str = r"(?x)
    (^|[._-]) ( password | passwd | passphrase | pwd | authorization | cookie | set[_-]cookie | credentials? ) ([._-]|$)
    | (^|[._-]) ( secret | token | api[_-]?key | apikey | (access|private|secret|account)[_-]key | client[_-]secret ) $";

const TOKENS: &[(&str, Option<Check>)] = &[
    (r"(?i-u)\b(?:bearer|basic)[ \t]+(?P<mask>[a-z0-9._~+/=-]{8,})", None),
    (r"(?-u)\b(?P<mask>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)", None),
    (
        r"(?-u)\b(?P<mask>(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|xox[abprs]-[A-Za-z0-9-]{10,})",
        None,
    ),
    (r"(?-u)://[^/\s:@]*:(?P<mask>[^/\s@]+)@", None),
    (
        r#"(?i-u)(?:\b|_)(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key)["']?[ \t]*[=:][ \t]*["']?(?P<mask>[^\s"',;&]{3,})"#,
        None,
    ),
];

const PRIVATE_KEYS: &[(&str, Option<Check>)] =
    &[(r"(?s-u)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", None)];

/// Cards begin with 2 to 6, so that times in nanoseconds are none.
const CARD_NUMBERS: &[(&str, Option<Check>)] =
    &[(r"(?-u)\b[2-6][0-9]{3}(?:[ -]?[0-9]){9,15}\b", Some(has_right_check_digit))];

/// ISO/IEC 7812-1, annex B.
fn has_right_check_digit(text: &[u8]) -> bool {
    let digits = text.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit) {
            (0, digit) => digit,
            (_, digit) => digit * 2 - if digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}
