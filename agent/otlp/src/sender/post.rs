//! Documents that are no telemetry, sent to a URL over connections like those of destinations: with the same TLS, proxies,
//! credentials in files, and time limits. What an answer means is for the caller to say.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use telemetry::Signal;
use tokio::time::timeout;

use crate::sender::answer::{Failure, printable, retry_after};
use crate::sender::connection::{Connections, Link};
use crate::sender::destination::{Destination, DestinationError, DestinationOptions, Protocol};

/// The most bytes of an answer that are read. It should say no more than what is wrong.
const LARGEST_ANSWER: usize = 64 << 10;

const USER_AGENT: &str = concat!("hostmend/", env!("CARGO_PKG_VERSION"));

/// A URL that documents are posted to. Two are equal when an operator said the same about them.
#[derive(Clone, PartialEq, Eq)]
pub struct PostTarget {
    destination: Destination,
    query: Option<String>,
}

impl PostTarget {
    /// Checks the options, of which those count that are about the connection: name, endpoint (the whole URL, which may have
    /// a query), headers, time limits, TLS, proxy. Reads the files that they name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in words for the operator.
    pub fn new(mut options: DestinationOptions) -> Result<Self, DestinationError> {
        let (endpoint, query) = match options.endpoint.split_once('?') {
            Some((endpoint, query)) => (endpoint.to_owned(), Some(query.to_owned())),
            None => (options.endpoint, None),
        };
        options.endpoint = endpoint;
        options.append_path = false;
        options.protocol = Protocol::HttpJson;
        options.signals = BTreeSet::from([Signal::Logs]);
        options.max_response_bytes = LARGEST_ANSWER;
        let target = Self { destination: Destination::new(options)?, query };
        if target.try_uri().is_none() {
            let (endpoint, problem) = ("…".to_owned(), "has a query with characters that need %-escapes");
            return Err(DestinationError::Endpoint { endpoint, problem });
        }
        Ok(target)
    }

    /// What it is called in figures and messages.
    pub fn name(&self) -> &str {
        self.destination.name()
    }

    fn try_uri(&self) -> Option<Uri> {
        let base = self.destination.uri(Some(Signal::Logs));
        let Some(query) = &self.query else { return Some(base) };
        let mut parts = base.into_parts();
        let path = parts.path_and_query.as_ref().map_or("/", |path| path.path());
        parts.path_and_query = Some(format!("{path}?{query}").parse().ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Without its path and query, which may be secrets.
impl fmt::Debug for PostTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostTarget").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The HTTP status.
    pub status: u16,
    /// For how long whoever answered wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of the body, on one line.
    pub text: String,
}

/// Why there is no answer. The texts name host and port, never the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// No connection, or one that broke off.
    #[error("{0}")]
    Unreached(String),
    /// It took too long, connecting included.
    #[error("no answer within {}", telemetry::format_duration(*.0))]
    Silence(Duration),
}

/// Posts documents to one URL. Connections are kept open, and renewed when files with certificates or credentials change.
pub struct Poster {
    target: PostTarget,
    uri: Uri,
    connections: Arc<Connections>,
}

impl Poster {
    /// No connection is made yet.
    pub fn new(target: PostTarget) -> Self {
        let uri = target.try_uri().expect("the target was checked when it was made");
        Self { connections: Connections::new(target.destination.clone()), target, uri }
    }

    /// What the target is called.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// Posts `body`, which is JSON, with these headers besides those of the target.
    ///
    /// # Errors
    ///
    /// Nothing was answered in time. The request may have arrived all the same.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Posted, PostError> {
        let limit = self.target.destination.options.timeout;
        let mut used = None;
        let attempt = async {
            let link = used.insert(self.connections.link().await);
            self.exchange(link, headers, body).await
        };
        let Ok(result) = timeout(limit, attempt).await else {
            if let Some(used) = &used {
                self.connections.give_up(used);
            }
            return Err(PostError::Silence(limit));
        };
        result.map_err(|failure| match failure {
            Failure::Later { reason, .. }
            | Failure::TooLarge { reason }
            | Failure::Never { reason }
            | Failure::Unwelcome { reason } => PostError::Unreached(reason),
            Failure::Silence { timeout } => PostError::Silence(timeout),
        })
    }

    async fn exchange(&self, link: &Link, headers: HeaderMap, body: Bytes) -> Result<Posted, Failure> {
        let mut request = Request::new(Full::new(Bytes::new().chain(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let sent = request.headers_mut();
        sent.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        sent.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        sent.extend(link.material.headers.clone());
        sent.extend(headers);
        if self.target.destination.is_forwarded()
            && let Some(authorization) = link.material.proxy.as_ref().and_then(|proxy| proxy.authorization())
        {
            sent.insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let answer = link.exchange(request, LARGEST_ANSWER).await?;
        Ok(Posted {
            status: answer.status.as_u16(),
            retry_after: retry_after(&answer.headers),
            text: answer.body.map(|body| printable(&body)).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<PostTarget, DestinationError> {
        PostTarget::new(DestinationOptions::new("hook", url, Protocol::Grpc))
    }

    #[test]
    fn a_url_is_used_as_it_is() {
        for url in
            ["http://am:9093/api/v2/alerts", "https://hooks.example/T0/b?token=a%20b&x=1", "http://am/"]
        {
            assert_eq!(target(url).unwrap().try_uri().unwrap().to_string(), url);
        }
        assert_eq!(target("http://am:9093").unwrap().try_uri().unwrap().to_string(), "http://am:9093/");
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let shown = format!("{:?}", target("https://hooks.example/SECRET?token=SECRET").unwrap());
        assert!(!shown.contains("SECRET"), "{shown}");
        let refused = target("https://hooks.example/a?token=SECRET\u{7f}x").unwrap_err().to_string();
        assert!(!refused.contains("SECRET") && refused.contains("%-escapes"), "{refused}");
    }

    #[test]
    fn what_is_no_url_is_refused_as_for_destinations() {
        let refused = target("am:9093").unwrap_err().to_string();
        assert_eq!(
            refused,
            "endpoint \"am:9093\" has no scheme; write http://host:port, or https://host:port for TLS"
        );
    }
}
