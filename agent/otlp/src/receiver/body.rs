//! Reads the body of a request, as far as it may go and there is room.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::budget::Hold;
use super::refused::{Reason, Refused};

/// Room for a body is made in advance up to so much; what a client only announces costs no more.
const MOST_IN_ADVANCE: usize = 1 << 20;

/// Smaller bodies are copied: a slice would keep the whole buffer that was read from the connection.
const COPIED_BELOW: usize = 4096;

/// The length of a gRPC message and whether it is compressed.
const GRPC_HEAD: usize = 5;

/// The one message in the body of a gRPC call, and whether it is compressed.
pub(crate) async fn grpc_message(
    body: &mut Incoming,
    limit: usize,
    hold: &mut Hold,
) -> Result<(bool, Bytes), Refused> {
    let mut first = next(body).await?.ok_or_else(cut_off)?;
    while first.len() < GRPC_HEAD {
        let more = next(body).await?.ok_or_else(cut_off)?;
        first = Bytes::from([first, more].concat());
    }
    let is_compressed = match first.get_u8() {
        0 => false,
        1 => true,
        _ => return Err(Refused::new(Reason::Malformed, "the message has no gRPC frame")),
    };
    let length = first.get_u32() as usize;
    if length > limit {
        return Err(Refused::too_large(limit));
    }
    let message = collect(body, first, Some(length), length, hold).await?;
    match message {
        Some(message) if message.len() == length => Ok((is_compressed, message)),
        Some(_) => Err(cut_off()),
        None => Err(Refused::new(Reason::Malformed, "more than one message came in one call")),
    }
}

/// The whole body of an HTTP request.
pub(crate) async fn http_body(body: &mut Incoming, limit: usize, hold: &mut Hold) -> Result<Bytes, Refused> {
    let announced = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limit) {
        return Err(Refused::too_large(limit));
    }
    let first = next(body).await?.unwrap_or_default();
    collect(body, first, announced, limit, hold).await?.ok_or_else(|| Refused::too_large(limit))
}

/// Reads and forgets at most `limit` bytes: a client that is cut off while it sends may not read its answer.
pub(crate) async fn drain(body: &mut Incoming, limit: usize) {
    let mut drained = 0;
    while drained < limit {
        match next(body).await {
            Ok(Some(data)) => drained += data.len(),
            _ => break,
        }
    }
}

/// `first` and what follows; `None` if that is more than `limit`.
async fn collect(
    body: &mut Incoming,
    first: Bytes,
    announced: Option<usize>,
    limit: usize,
    hold: &mut Hold,
) -> Result<Option<Bytes>, Refused> {
    let claim = |hold: &mut Hold, bytes| if hold.set(bytes) { Ok(()) } else { Err(Refused::overloaded()) };
    claim(hold, first.len())?;
    let second = if body.is_end_stream() { None } else { next(body).await? };
    let Some(second) = second else {
        let all = if first.len() < COPIED_BELOW { Bytes::copy_from_slice(&first) } else { first };
        return Ok(Some(all).filter(|all| all.len() <= limit));
    };
    let mut all = BytesMut::with_capacity(announced.unwrap_or(0).min(MOST_IN_ADVANCE));
    all.extend_from_slice(&first);
    drop(first);
    let mut more = Some(second);
    while let Some(data) = more {
        if all.len() + data.len() > limit {
            return Ok(None);
        }
        claim(hold, all.len() + data.len())?;
        all.extend_from_slice(&data);
        more = next(body).await?;
    }
    Ok(Some(all.freeze()))
}

/// The next bytes; `None` at the end.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refused> {
    loop {
        match body.frame().await {
            None => return Ok(None),
            Some(Err(_)) => return Err(cut_off()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers, or an empty piece.
                _ => {}
            },
        }
    }
}

fn cut_off() -> Refused {
    Refused::new(Reason::CutOff, "the body ended early")
}
