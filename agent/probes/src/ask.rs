//! Asks once.
//!
//! Everything that can go wrong on the way becomes a [`ProbeResult`] with a sentence: to a probe a failure is an
//! answer, not an error.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use telemetry::format_duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::HttpProbe;

/// How much of an answer's body is read. What follows does not change the result.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// The largest head of an answer; a longer one is a failure.
const MAX_HEAD_BYTES: usize = 64 << 10;

const AGENT: &str = concat!("hostmend/", env!("CARGO_PKG_VERSION"));

const CUT_SHORT: &str = "connection closed before the answer was complete";

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Whether the service answered completely, in time and with an expected status.
    pub success: bool,
    /// From connecting to the end of the answer, or to the failure.
    pub duration: Duration,
    /// The status, if the answer came that far.
    pub status: Option<u16>,
    /// Why it is no success: `timed out after 500ms`, `connection refused`, `status 503`.
    pub failure: Option<String>,
}

/// What a URL answers, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The status; 0 if no complete answer came in time.
    pub status: u16,
    /// The beginning of the body, or why there was no answer.
    pub body: String,
    /// From connecting to the end of the answer, or to the failure.
    pub took: Duration,
}

/// Asks once for what the service says, at most for the probe's timeout.
pub async fn fetch(probe: &HttpProbe) -> Fetched {
    let began = Instant::now();
    let (mut status, mut body) = (None, Vec::new());
    let answer = tokio::time::timeout(probe.timeout(), exchange(probe, &mut status, &mut body)).await;
    let took = began.elapsed();
    let failure = match answer {
        Err(_) => format!("timed out after {}", format_duration(probe.timeout())),
        Ok(Err(failure)) => failure,
        Ok(Ok(())) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Fetched { status: status.unwrap_or(0), body, took };
        }
    };
    Fetched { status: 0, body: failure, took }
}

/// Asks the service once and waits for the whole answer, at most for the probe's timeout.
pub async fn ask(probe: &HttpProbe) -> ProbeResult {
    let began = Instant::now();
    let mut status = None;
    let answer = tokio::time::timeout(probe.timeout(), exchange(probe, &mut status, &mut Vec::new())).await;
    let failure = match answer {
        Err(_) => Some(format!("timed out after {}", format_duration(probe.timeout()))),
        Ok(Err(failure)) => Some(failure),
        Ok(Ok(())) => status
            .filter(|status| !probe.expect_status().contains(status))
            .map(|status| format!("status {status}")),
    };
    ProbeResult { success: failure.is_none(), duration: began.elapsed(), status, failure }
}

async fn exchange(probe: &HttpProbe, status: &mut Option<u16>, body: &mut Vec<u8>) -> Result<(), String> {
    let stream = TcpStream::connect(probe.address()).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    let mut answer = pin!(async {
        let response = sender.send_request(request(probe)?).await.map_err(|error| broken(&error))?;
        *status = Some(response.status().as_u16());
        read(response, body).await
    });
    // The connection may end while parts of the answer still wait in its channel, so its end decides nothing.
    tokio::select! {
        biased;
        result = &mut answer => result,
        _ = connection => answer.await,
    }
}

fn request(probe: &HttpProbe) -> Result<Request<Empty<Bytes>>, String> {
    let path = probe.uri().path_and_query().map_or("/", |path| path.as_str());
    let host = probe.uri().authority().map_or("", |authority| authority.as_str());
    Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("request cannot be written: {error}"))
}

async fn read(response: Response<Incoming>, into: &mut Vec<u8>) -> Result<(), String> {
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let data = frame.data_ref().map_or(&[][..], Bytes::as_ref);
        let room = MAX_BODY_BYTES.saturating_sub(into.len());
        into.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
        if into.len() >= MAX_BODY_BYTES {
            break;
        }
    }
    Ok(())
}

fn unreachable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => format!("cannot connect: {error}"),
    }
}

fn broken(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let closed = matches!(io, Some(std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset));
    if error.is_parse() {
        "answer is not HTTP".to_owned()
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() || closed {
        CUT_SHORT.to_owned()
    } else {
        match cause {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
