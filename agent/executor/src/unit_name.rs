//! The name of a service that systemd runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the name of a service ends with.
const SUFFIX: &str = ".service";

/// The longest name that systemd knows: `UNIT_NAME_MAX` of its `unit-name.h`, less the terminating NUL.
const MAX_BYTES: usize = 255;

/// One service of systemd, by its exact name: no pattern, no path, no template without its instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

/// A text that names no service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the exact name of a service; write it as in nginx.service or getmail@ann.service")]
pub struct UnitNameError {
    text: String,
}

impl UnitName {
    /// The name as text, with its `.service`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitName {
    type Err = UnitNameError;

    fn from_str(text: &str) -> Result<Self, UnitNameError> {
        // `VALID_CHARS` of systemd's unit-name.c, and the `@` before an instance.
        let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let stem = text.strip_suffix(SUFFIX).unwrap_or_default();
        let named = !stem.starts_with(['@', '.']) && !stem.ends_with('@') && !stem.is_empty();
        if named && stem.chars().all(known) && text.len() <= MAX_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(UnitNameError { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for UnitName {
    type Error = UnitNameError;

    fn try_from(text: String) -> Result<Self, UnitNameError> {
        text.parse()
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_exactly_or_not_at_all() {
        for name in ["nginx.service", "getmail@ann.service", "a\\x2db.service", "mnt-x:1_2.3.service"] {
            assert_eq!(name.parse::<UnitName>().unwrap().as_str(), name);
        }
        let long = format!("{}.service", "x".repeat(248));
        for name in [
            "",
            "nginx",
            ".service",
            "nginx.socket",
            "nginx.service ",
            "*.service",
            "ngin?.service",
            "[n]ginx.service",
            "../nginx.service",
            "/etc/nginx.service",
            "getmail@.service",
            "@ann.service",
            "..service",
            "nginx.service\n",
            "nginx\0.service",
            "nginx;reboot.service",
            "ngïnx.service",
            &long,
        ] {
            let error = name.parse::<UnitName>().unwrap_err().to_string();
            assert!(error.ends_with("write it as in nginx.service or getmail@ann.service"), "{error}");
            assert!(serde_json::from_value::<UnitName>(name.into()).is_err(), "{name}");
        }
    }
}
