//! What container runtimes wrap around a line.

use super::join::Stream;
use super::time::{Civil, civil};

/// A line of a container, or a part of one.
pub(super) struct Wrapped<'t> {
    pub(super) time: Option<Civil>,
    pub(super) stream: Option<Stream>,
    pub(super) text: &'t [u8],
    /// The line goes on in the next one of this stream.
    pub(super) is_partial: bool,
}

/// `2026-11-22T08:00:00.1Z stdout F text`
pub(super) fn cri(line: &[u8]) -> Option<Wrapped<'_>> {
    let (time, rest) = civil(line)?;
    let rest = rest.strip_prefix(b" ")?;
    let (stream, rest) = rest.split_at_checked(6)?;
    let stream = Stream::named(stream)?;
    let rest = rest.strip_prefix(b" ")?;
    // More tags may follow the first one after colons.
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (tags, text) = rest.split_at_checked(end)?;
    let is_partial = match tags.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Wrapped {
        time: Some(time),
        stream: Some(stream),
        text: text.get(1..).unwrap_or_default(),
        is_partial,
    })
}

/// `{"log":"text\n","stream":"stdout","time":"2026-11-22T08:00:00.1Z"}`; the text is left in `log`.
pub(super) fn docker<'s>(line: &[u8], log: &'s mut Vec<u8>) -> Option<Wrapped<'s>> {
    let (stream, time) = super::json::docker(line, log)?;
    let (stream, time) = (Stream::named(stream), civil(time).map(|(civil, _)| civil));
    let whole = log.strip_suffix(b"\n");
    let text = whole.unwrap_or(log);
    let text = text.strip_suffix(b"\r").filter(|_| whole.is_some()).unwrap_or(text);
    Some(Wrapped { time, stream, text, is_partial: whole.is_none() })
}
