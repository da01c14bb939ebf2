//! What an HTTP probe asks and what it expects.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;

/// The longest wait for an answer. A service that takes longer is down to whoever waits for it.
pub const MAX_TIMEOUT: Duration = Duration::from_mins(1);

const DEFAULT_PORT: u16 = 80;

/// A probe that cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It would have no name in its series.
    #[error("a probe of {url} needs a name")]
    NoName {
        /// The URL given.
        url: String,
    },
    /// TLS is not there yet.
    #[error("{url:?} is https, which is not supported yet; probe the plain http port")]
    Https {
        /// The URL given.
        url: String,
    },
    /// No plain URL.
    #[error("{url:?} is not a plain URL; write it as in http://127.0.0.1:8080/health")]
    NotAUrl {
        /// The URL given.
        url: String,
    },
    /// A password would be on every series.
    #[error("{url:?} holds a user name, and the URL becomes an attribute that others read; leave it out")]
    UserInUrl {
        /// The URL given.
        url: String,
    },
    /// It would fail at once or hang.
    #[error("the timeout {timeout:?} of probe {name:?} must be over zero and at most {MAX_TIMEOUT:?}")]
    Timeout {
        /// The probe.
        name: String,
        /// The timeout given.
        timeout: Duration,
    },
    /// No status would ever be right.
    #[error("probe {name:?} expects no status between 100 and 599; write it as in 200..=299")]
    Status {
        /// The probe.
        name: String,
    },
}

/// An HTTP GET of one URL. Redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    name: String,
    url: String,
    uri: Uri,
    timeout: Duration,
    expect_status: RangeInclusive<u16>,
}

impl HttpProbe {
    /// A probe that expects any status from 200 to 299.
    ///
    /// # Errors
    ///
    /// No name, a URL that is no plain `http://host:port/path`, or a timeout of zero or over [`MAX_TIMEOUT`].
    pub fn new(name: &str, url: &str, timeout: Duration) -> Result<Self, ProbeError> {
        let text = || url.to_owned();
        if name.is_empty() {
            return Err(ProbeError::NoName { url: text() });
        }
        let not_a_url = || ProbeError::NotAUrl { url: text() };
        let uri: Uri = url.parse().map_err(|_| not_a_url())?;
        if uri.scheme_str() == Some("https") {
            return Err(ProbeError::Https { url: text() });
        }
        let authority = uri.authority().ok_or_else(not_a_url)?;
        if authority.as_str().contains('@') {
            return Err(ProbeError::UserInUrl { url: text() });
        }
        let port_is_right = match authority.port() {
            Some(port) => port.as_u16() != 0,
            None => authority.as_str() == authority.host(),
        };
        // `http::Uri` drops a fragment without a word; it would never reach the service.
        let plain = uri.scheme_str() == Some("http") && !authority.host().is_empty() && !url.contains('#');
        if !plain || !port_is_right {
            return Err(not_a_url());
        }
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            return Err(ProbeError::Timeout { name: name.to_owned(), timeout });
        }
        Ok(Self { name: name.to_owned(), url: text(), uri, timeout, expect_status: 200..=299 })
    }

    /// The same probe, expecting other statuses.
    ///
    /// # Errors
    ///
    /// No status of HTTP lies in the range.
    pub fn expecting(mut self, status: RangeInclusive<u16>) -> Result<Self, ProbeError> {
        if status.is_empty() || *status.end() < 100 || *status.start() > 599 {
            return Err(ProbeError::Status { name: self.name });
        }
        self.expect_status = status;
        Ok(self)
    }

    /// The name that its series carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL as it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long an answer may take, connecting included.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The statuses that count as success.
    pub fn expect_status(&self) -> &RangeInclusive<u16> {
        &self.expect_status
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Host and port to connect to; an IPv6 address without its brackets.
    pub(crate) fn address(&self) -> (&str, u16) {
        let host = self.uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (bare, self.uri.port_u16().unwrap_or(DEFAULT_PORT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_plain_url_is_connected_to_where_it_says() {
        for (url, address) in [
            ("http://127.0.0.1:8080/health", ("127.0.0.1", 8080)),
            ("http://localhost", ("localhost", 80)),
            ("http://[::1]:9090/-/ready?verbose=1", ("::1", 9090)),
        ] {
            let probe = HttpProbe::new("web", url, SECOND).unwrap();
            assert_eq!(probe.address(), address, "{url}");
            assert_eq!(probe.url(), url);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_what_would_be_right() {
        for (url, expected) in [
            (
                "https://web/",
                "\"https://web/\" is https, which is not supported yet; probe the plain http port",
            ),
            ("ftp://web/", "\"ftp://web/\" is not a plain URL; write it as in http://127.0.0.1:8080/health"),
            ("web:80", "\"web:80\" is not a plain URL; write it as in http://127.0.0.1:8080/health"),
            ("/health", "\"/health\" is not a plain URL; write it as in http://127.0.0.1:8080/health"),
            ("", "\"\" is not a plain URL; write it as in http://127.0.0.1:8080/health"),
            (
                "http://:80/",
                "\"http://:80/\" is not a plain URL; write it as in http://127.0.0.1:8080/health",
            ),
            (
                "http://web:99999/",
                "\"http://web:99999/\" is not a plain URL; write it as in http://127.0.0.1:8080/health",
            ),
            (
                "http://web/a b",
                "\"http://web/a b\" is not a plain URL; write it as in http://127.0.0.1:8080/health",
            ),
            (
                "http://web/#top",
                "\"http://web/#top\" is not a plain URL; write it as in http://127.0.0.1:8080/health",
            ),
            (
                "http://me:secret@web/",
                "\"http://me:secret@web/\" holds a user name, and the URL becomes an attribute that others read; \
                 leave it out",
            ),
        ] {
            assert_eq!(HttpProbe::new("web", url, SECOND).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_probe_that_could_never_succeed_is_refused() {
        let new = |name, timeout| HttpProbe::new(name, "http://web/", timeout);
        assert!(matches!(new("", SECOND), Err(ProbeError::NoName { .. })));
        assert!(matches!(new("web", Duration::ZERO), Err(ProbeError::Timeout { .. })));
        assert!(matches!(new("web", MAX_TIMEOUT + SECOND), Err(ProbeError::Timeout { .. })));
        #[expect(clippy::reversed_empty_ranges, reason = "an operator can write it so")]
        for status in [299..=200, 0..=99, 600..=700] {
            assert!(matches!(new("web", SECOND).unwrap().expecting(status), Err(ProbeError::Status { .. })));
        }
    }
}
