//! Why a request is refused, and how that is said over gRPC and HTTP.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use super::sink::Refusal;
use crate::wire::Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Reason {
    Path,
    Method,
    ContentType,
    Encoding,
    TooLarge,
    Malformed,
    CutOff,
    NotPermitted,
    Overloaded,
    RateLimited,
    TimedOut,
    NotDurable,
}

impl Reason {
    /// In the order of their values.
    pub(crate) const ALL: [Self; 12] = [
        Self::Path,
        Self::Method,
        Self::ContentType,
        Self::Encoding,
        Self::TooLarge,
        Self::Malformed,
        Self::CutOff,
        Self::NotPermitted,
        Self::Overloaded,
        Self::RateLimited,
        Self::TimedOut,
        Self::NotDurable,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::ContentType => "content_type",
            Self::Encoding => "encoding",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::CutOff => "cut_off",
            Self::NotPermitted => "not_permitted",
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
            Self::TimedOut => "timed_out",
            Self::NotDurable => "not_durable",
        }
    }

    /// Of these, `UNAVAILABLE` alone is one that senders try again after.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Path | Self::Method | Self::ContentType | Self::Encoding => Code::Unimplemented,
            Self::TooLarge => Code::ResourceExhausted,
            Self::Malformed | Self::CutOff => Code::InvalidArgument,
            Self::NotPermitted => Code::PermissionDenied,
            Self::Overloaded | Self::RateLimited | Self::TimedOut | Self::NotDurable => Code::Unavailable,
        }
    }

    /// Of these, 429 and 503 alone are ones that senders try again after.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed | Self::CutOff => StatusCode::BAD_REQUEST,
            Self::NotPermitted => StatusCode::FORBIDDEN,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::TimedOut | Self::NotDurable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) text: Cow<'static, str>,
    /// Only with reasons after which trying again makes sense.
    pub(crate) retry_after: Option<Duration>,
}

/// What a sender is told to wait when memory is used up: commits to disk take far less.
const OVERLOADED_FOR: Duration = Duration::from_secs(1);

impl Refused {
    pub(crate) fn new(reason: Reason, text: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, text: text.into(), retry_after: None }
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(Reason::TooLarge, format!("the request is larger than {limit} bytes"))
    }

    pub(crate) fn overloaded() -> Self {
        let text = "too much is being received at the moment; send it again later";
        Self { retry_after: Some(OVERLOADED_FOR), ..Self::new(Reason::Overloaded, text) }
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let text = "more is sent than this listener takes; send it again later";
        Self { retry_after: Some(wait), ..Self::new(Reason::RateLimited, text) }
    }
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::new(Reason::Malformed, malformed.to_string())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Overloaded { retry_after } => Self { retry_after, ..Self::overloaded() },
            Refusal::Invalid(text) => Self::new(Reason::Malformed, text),
            Refusal::NotDurable(text) => Self::new(Reason::NotDurable, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_in_which_they_are_counted() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at, "{}", reason.as_str());
        }
    }
}
