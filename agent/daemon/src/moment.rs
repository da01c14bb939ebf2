//! Times as texts.

use serde::{Deserialize, Deserializer};
use telemetry::Timestamp;

/// The time that an RFC 3339 text means.
pub(crate) fn rfc_3339(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(moment.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

/// For fields that hold one.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    rfc_3339(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no time")))
}

/// For fields that may hold one.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    deserialize(deserializer).map(Some)
}
