//! How lines of the run journal hang together: each ends with a hash of itself and of the hash before it.
//!
//! A line is `{…,"hash":"HASH"}`, where HASH is the SHA-256, in hexadecimal, of the hash before followed by the line as it
//! would be without `,"hash":"HASH"`. It is taken of the text and not of what the text means, so that any tool can check it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Of a hash, in characters.
const DIGITS: usize = 64;

const BEFORE: &str = ",\"hash\":\"";
const AFTER: &str = "\"}";

/// The hash of a line of the run journal, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(String);

impl Hash {
    /// What stands before the first line of all.
    pub fn none() -> Self {
        Self("0".repeat(DIGITS))
    }

    /// The hash that is written so; None if none can be.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == DIGITS && digits(text)).then(|| Self(text.to_owned()))
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Of what follows this one.
    fn next(&self, body: &str) -> Self {
        use fmt::Write as _;
        let digest = Sha256::new().chain_update(&self.0).chain_update(body).finalize();
        Self(digest.iter().fold(String::with_capacity(DIGITS), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The line, with its newline, that says `body`, a JSON object that is not empty, after the line of `before`; and its hash.
pub(super) fn sealed(before: &Hash, body: &str) -> (String, Hash) {
    let hash = before.next(body);
    let open = body.strip_suffix('}').unwrap_or(body);
    (format!("{open}{BEFORE}{hash}{AFTER}\n"), hash)
}

/// A line without its hash, and the hash; None if it has none at its end.
pub(crate) fn opened(line: &str) -> Option<(String, Hash)> {
    let rest = line.strip_suffix(AFTER)?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let open = rest.strip_suffix(BEFORE)?;
    Some((format!("{open}}}"), Hash::parse(hash)?))
}

/// Whether a line with `body` and `hash` follows the line of `before`.
pub(crate) fn follows(before: &Hash, body: &str, hash: &Hash) -> bool {
    before.next(body) == *hash
}

/// The hash of the newest line, for whoever is to be its witness. Clones show the same.
#[derive(Clone, Debug)]
pub struct ChainHead(Arc<Mutex<Hash>>);

impl ChainHead {
    pub(super) fn new(hash: Hash) -> Self {
        Self(Arc::new(Mutex::new(hash)))
    }

    /// The hash of the newest line.
    pub fn get(&self) -> Hash {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, hash: Hash) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_hash_before_and_the_line_without_it() {
        let (line, hash) = sealed(&Hash::none(), r#"{"a":1}"#);
        // printf '%064d{"a":1}' 0 | sha256sum
        let expected = "fc6cee09194dd2578bd7664604fcb72a539066fd34544cea0009c43eb6cdc289";
        assert_eq!(line, format!("{{\"a\":1,\"hash\":\"{hash}\"}}\n"));
        assert_eq!(hash.as_str(), expected);
        let (body, read) = opened(line.trim_end()).unwrap();
        assert_eq!((body.as_str(), &read), (r#"{"a":1}"#, &hash));
        assert!(follows(&Hash::none(), &body, &read) && !follows(&hash, &body, &read));
    }

    #[test]
    fn a_line_without_a_hash_at_its_end_is_not_taken_for_one() {
        let hash = "0".repeat(DIGITS);
        for line in [
            "",
            "{}",
            "\"}",
            &format!("{{\"a\":1,\"hash\":\"{}\"}}", &hash[1..]),
            &format!("{{\"a\":1,\"hash\":\"{}\"}}", hash.replace('0', "A")),
            &format!("{{\"a\":1,\"hash\":\"{hash}\"}} "),
            &format!("é{}\"}}", &hash[1..]),
        ] {
            assert_eq!(opened(line), None, "{line}");
        }
    }
}
