//! Answers one request, as the OTLP specification asks of a server.
//!
//! gRPC and HTTP differ in how the bytes lie in the body and how the answer is said; all else is the same for both. The
//! bytes are looked through and handed on, never decoded.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::body::Incoming;
use telemetry::Signal;
use tokio::time::sleep;

use super::body::{drain, grpc_message, http_body};
use super::budget::{Hold, InFlight};
use super::peer::Peer;
use super::refused::{Reason, Refused};
use super::response::{Answered, Dialect, failure, success};
use super::sink::{Answer, Received, Reply, Sink};
use super::slot::Current;
use super::unpack::{Encoding, unpack};
use crate::count::count_items;
use crate::json::to_protobuf_within;
use crate::paths::{grpc_path, http_path};
use crate::strict::check_strictly;
use crate::wire::Malformed;

/// What is read of a refused request so that its sender gets to the answer: as much as the specification has senders
/// dare.
const MOST_DRAINED: usize = 64 << 20;

/// What all requests of a receiver share.
pub(crate) struct Hall {
    pub(crate) sink: Sink,
    pub(crate) in_flight: Arc<InFlight>,
}

/// What is kept of the head of a request. The head takes several times as much memory as it came with, and the body may
/// be slow; so the head goes at once.
pub(crate) struct Asked {
    dialect: Option<Dialect>,
    signal: Option<Signal>,
    encoding: Result<Encoding, Refused>,
    is_post: bool,
    is_http1: bool,
    body: Incoming,
}

impl Asked {
    pub(crate) fn of(request: Request<Incoming>) -> Self {
        let (head, body) = request.into_parts();
        let dialect = dialect(&head.headers);
        let is_grpc = dialect == Some(Dialect::Grpc);
        let path = head.uri.path();
        let encoding = if is_grpc { "grpc-encoding" } else { header::CONTENT_ENCODING.as_str() };
        Self {
            dialect,
            signal: Signal::ALL
                .into_iter()
                .find(|signal| path == if is_grpc { grpc_path(*signal) } else { http_path(*signal) }),
            encoding: Encoding::named(head.headers.get(encoding).map(HeaderValue::as_bytes)),
            is_post: head.method == Method::POST,
            is_http1: head.version < Version::HTTP_2,
            body,
        }
    }

    pub(crate) const fn is_http1(&self) -> bool {
        self.is_http1
    }
}

/// What a request takes from its head to the end of its answer, however little its client sends or reads: the stream, the
/// task, the answer. Measured: 4 KiB, of which 1 KiB is held with the bytes.
const STAY: usize = 3 * 1024;

/// One request on its way through.
pub(crate) struct Visit<'a> {
    pub(crate) hall: &'a Hall,
    /// The listener as it is configured now.
    pub(crate) listener: &'a Current,
    pub(crate) peer: &'a Peer,
}

impl Visit<'_> {
    pub(crate) async fn answer(&self, mut asked: Asked) -> Response<Answered> {
        let counters = &self.listener.counters;
        counters.requests.fetch_add(1, Relaxed);
        let spoken = asked.dialect.unwrap_or(Dialect::Protobuf);
        let mut stay = Hold::empty(&self.hall.in_flight);
        if !stay.set(STAY) {
            counters.refuse(Reason::Overloaded);
            let mut response = failure(spoken, &Refused::overloaded());
            if !asked.is_http1 {
                // A body that its client does not read would stay without having a place.
                *response.body_mut() = Answered::default();
            }
            return response;
        }
        let outcome = async {
            let outcome = self.receive(&mut asked).await;
            // Cut off while they send, many clients see a broken connection, not their answer.
            if outcome.is_err() {
                drain(&mut asked.body, MOST_DRAINED).await;
            }
            outcome
        };
        let outcome = within(self.listener.limits.request_timeout, outcome).await;
        let outcome =
            outcome.unwrap_or_else(|| Err(Refused::new(Reason::TimedOut, "the request took too long")));
        let response = match (outcome, asked.signal) {
            (Ok(answer), Some(signal)) => {
                counters.rejected_items.fetch_add(answer.rejected, Relaxed);
                success(spoken, signal, &answer)
            }
            (Ok(_), None) => unreachable!("a request without a signal is refused"),
            (Err(refused), _) => {
                counters.refuse(refused.reason);
                failure(spoken, &refused)
            }
        };
        response.map(|answered| answered.staying(stay))
    }

    async fn receive(&self, asked: &mut Asked) -> Result<Answer, Refused> {
        let signal = asked.signal.ok_or_else(|| unknown_path(asked.dialect))?;
        if !asked.is_post {
            return Err(Refused::new(Reason::Method, "use POST"));
        }
        let dialect = asked.dialect.ok_or_else(unknown_type)?;
        self.listener.admit(self.peer)?;
        let encoding = asked.encoding.clone()?;
        if let Some(rate) = &self.listener.rate {
            rate.admit().map_err(Refused::rate_limited)?;
        }
        let limit = self.listener.limits.max_request_bytes;
        let mut hold = Hold::empty(&self.hall.in_flight);
        let body = &mut asked.body;
        let (encoding, packed) = if dialect == Dialect::Grpc {
            match grpc_message(body, limit, &mut hold).await? {
                (false, message) => (Encoding::Identity, message),
                (true, _) if encoding == Encoding::Identity => {
                    let text = "the message says that it is compressed, but not how";
                    return Err(Refused::new(Reason::Malformed, text));
                }
                (true, message) => (encoding, message),
            }
        } else {
            (encoding, http_body(body, limit, &mut hold).await?)
        };
        let mut payload = unpack(encoding, packed, limit, &mut hold)?;
        if dialect == Dialect::Json {
            payload = to_protobuf_within(signal, &payload, limit)
                .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?;
        }
        self.hand_on(signal, payload, hold).await
    }

    async fn hand_on(&self, signal: Signal, payload: Bytes, mut hold: Hold) -> Result<Answer, Refused> {
        let listener = self.listener;
        if let Some(rate) = &listener.rate {
            rate.charge(payload.len());
        }
        let items = if listener.is_strict {
            check_strictly(signal, &payload)
                .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?
        } else {
            count_items(signal, &payload)?
        };
        // A request without items is a legitimate way to ask whether somebody is there.
        if items == 0 {
            return Ok(Answer::default());
        }
        let bytes = payload.len() as u64;
        let payload = listener.masking.apply(signal, payload)?;
        let payload = self.attributed(signal, payload)?;
        // Attributes make it larger, and so does being no longer JSON.
        if !hold.set(payload.len()) {
            return Err(Refused::overloaded());
        }
        let (reply, answer) = Reply::new(hold);
        (self.hall.sink)(Received { origin: listener.origin.clone(), signal, payload, items }, reply);
        let answer = answer.await.map_err(|_| Refused::overloaded())??;
        listener.counters.bytes.fetch_add(bytes, Relaxed);
        listener.counters.items.fetch_add(items, Relaxed);
        Ok(answer)
    }

    /// The payload with the attributes that the listener and the peer add.
    fn attributed(&self, signal: Signal, payload: Bytes) -> Result<Bytes, Malformed> {
        let Current { splice, peer_attribute, .. } = self.listener;
        match peer_attribute {
            Some(key) => {
                let splice = splice.clone().unwrap_or_default();
                splice.with_override(key, self.listener.peer_name(self.peer)).apply(signal, payload)
            }
            None => match splice {
                Some(splice) => splice.apply(signal, payload),
                None => Ok(payload),
            },
        }
    }
}

/// `future`, unless it takes longer than `limit`. Most requests never wait, and those set up no timer.
async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

fn dialect(headers: &HeaderMap) -> Option<Dialect> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    // Parameters such as a charset say nothing.
    let name = value.split(';').next().unwrap_or_default().trim_end();
    match name.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Some(Dialect::Protobuf),
        "application/json" => Some(Dialect::Json),
        "application/grpc" | "application/grpc+proto" => Some(Dialect::Grpc),
        _ => None,
    }
}

fn unknown_path(dialect: Option<Dialect>) -> Refused {
    let text = match dialect {
        Some(Dialect::Grpc) => "no such service; metrics, traces and logs are received",
        _ => "post to /v1/metrics, /v1/traces or /v1/logs",
    };
    Refused::new(Reason::Path, text)
}

fn unknown_type() -> Refused {
    Refused::new(Reason::ContentType, "send application/x-protobuf or application/json")
}
