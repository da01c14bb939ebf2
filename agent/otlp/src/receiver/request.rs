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
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
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
use crate::json::to_protobuf;
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

/// One request on its way through.
pub(crate) struct Visit<'a> {
    pub(crate) hall: &'a Hall,
    /// The listener as it is configured now.
    pub(crate) listener: &'a Current,
    pub(crate) peer: &'a Peer,
}

impl Visit<'_> {
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Answered> {
        let counters = &self.listener.counters;
        counters.requests.fetch_add(1, Relaxed);
        let (head, mut body) = request.into_parts();
        let dialect = dialect(&head.headers);
        let spoken = dialect.unwrap_or(Dialect::Protobuf);
        let signal = Signal::ALL.into_iter().find(|signal| {
            head.uri.path() == if spoken == Dialect::Grpc { grpc_path(*signal) } else { http_path(*signal) }
        });
        let outcome = async {
            let outcome = self.receive(&head, dialect, signal, &mut body).await;
            // Cut off while they send, many clients see a broken connection, not their answer.
            if outcome.is_err() {
                drain(&mut body, MOST_DRAINED).await;
            }
            outcome
        };
        let outcome = within(self.listener.limits.request_timeout, outcome).await;
        let outcome =
            outcome.unwrap_or_else(|| Err(Refused::new(Reason::TimedOut, "the request took too long")));
        match (outcome, signal) {
            (Ok(answer), Some(signal)) => {
                counters.rejected_items.fetch_add(answer.rejected, Relaxed);
                success(spoken, signal, &answer)
            }
            (Ok(_), None) => unreachable!("a request without a signal is refused"),
            (Err(refused), _) => {
                counters.refuse(refused.reason);
                failure(spoken, &refused)
            }
        }
    }

    async fn receive(
        &self,
        head: &http::request::Parts,
        dialect: Option<Dialect>,
        signal: Option<Signal>,
        body: &mut Incoming,
    ) -> Result<Answer, Refused> {
        let signal = signal.ok_or_else(|| unknown_path(dialect))?;
        if head.method != Method::POST {
            return Err(Refused::new(Reason::Method, "use POST"));
        }
        let dialect = dialect.ok_or_else(unknown_type)?;
        self.listener.admit(self.peer)?;
        let name = if dialect == Dialect::Grpc { "grpc-encoding" } else { header::CONTENT_ENCODING.as_str() };
        let encoding = Encoding::named(head.headers.get(name).map(HeaderValue::as_bytes))?;
        if let Some(rate) = &self.listener.rate {
            rate.admit().map_err(Refused::rate_limited)?;
        }
        let limit = self.listener.limits.max_request_bytes;
        let mut hold = Hold::empty(&self.hall.in_flight);
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
            // The same in protobuf takes less room than what is held.
            payload = to_protobuf(signal, &payload)
                .map_err(|error| Refused::new(Reason::Malformed, error.to_string()))?;
        }
        self.hand_on(signal, payload, hold).await
    }

    async fn hand_on(&self, signal: Signal, payload: Bytes, hold: Hold) -> Result<Answer, Refused> {
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
