//! Access logs of nginx and Apache: common and combined, with a virtual host before and more after it.
//!
//! The line stays the body; its parts become attributes by semantic conventions. After the user agent come, in any order:
//! another text in quotes (`X-Forwarded-For`), `name=value` pairs such as `rt=0.012`, and bare numbers with a decimal
//! point, the first of which is the duration of the request and the second that of the upstream, in seconds.

use telemetry::LogScalar;

use super::draft::Draft;
use super::logfmt::quoted;
use super::time;

/// The methods that have a name of their own; any other is `_OTHER`.
const METHODS: [&[u8]; 10] =
    [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE", b"QUERY"];

/// Reads a whole line; `None` where it is no line of an access log.
pub(super) fn read(line: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    let bracket = memchr::memchr(b'[', line)?;
    let (who, rest) = line.split_at_checked(bracket)?;
    let (civil, rest) = time::access(rest.get(1..)?)?;
    let (request, rest) = quoted(rest.strip_prefix(b"] \"")?)?;
    draft.moment(draft.options.time.moment(civil, draft.now)?);
    client(who, draft)?;
    self::request(request, draft);
    let (status, rest) = word(rest.strip_prefix(b" ")?);
    let (size, rest) = word(rest);
    let status = digits(status).filter(|status| (100..1000).contains(status))?;
    draft.writer.attribute(b"http.response.status_code", LogScalar::Int(status));
    draft.is_failure = status >= 500;
    if size != b"-" {
        draft.writer.attribute(b"http.response.body.size", LogScalar::Int(digits(size)?));
    }
    more(rest, draft);
    Some(())
}

/// `192.0.2.1 - frank `, perhaps with the virtual host before.
fn client(who: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    let (first, rest) = word(who);
    let (second, third) = word(rest);
    let (third, fourth) = word(third);
    // A user may hold spaces, so only what looks like a host and is followed by an address is one.
    let is_host = !fourth.is_empty() && second != b"-" && is_address(second) && !first.is_empty();
    let (address, user) = if is_host { (second, fourth.trim_ascii_end()) } else { (first, third) };
    (!address.is_empty() && !third.is_empty()).then_some(())?;
    if is_host {
        server(first, draft);
    }
    draft.writer.attribute(b"client.address", LogScalar::Text(address));
    if user != b"-" {
        draft.writer.attribute(b"user.name", LogScalar::Text(user));
    }
    Some(())
}

/// `example.org:443`.
fn server(host: &[u8], draft: &mut Draft<'_>) {
    let port =
        memchr::memrchr(b':', host).and_then(|at| Some((host.get(..at)?, digits(host.get(at + 1..)?)?)));
    let (name, port) = port.map_or((host, None), |(name, port)| (name, Some(port)));
    draft.writer.attribute(b"server.address", LogScalar::Text(name));
    if let Some(port) = port {
        draft.writer.attribute(b"server.port", LogScalar::Int(port));
    }
}

fn is_address(text: &[u8]) -> bool {
    let parts = text.iter().filter(|byte| matches!(byte, b'.' | b':')).count();
    parts >= 2 && text.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'%'))
}

/// `GET /path?query HTTP/1.1`. What strangers send instead has no method and no path.
fn request(request: &[u8], draft: &mut Draft<'_>) {
    let (method, rest) = word(request);
    let is_method =
        !method.is_empty() && method.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    let end = memchr::memrchr(b' ', rest).unwrap_or(rest.len());
    let (target, version) = rest.split_at_checked(end).unwrap_or((rest, b""));
    if !is_method || target.is_empty() {
        return;
    }
    if METHODS.contains(&method) {
        draft.writer.attribute(b"http.request.method", LogScalar::Text(method));
    } else {
        draft.writer.attribute(b"http.request.method", LogScalar::Text(b"_OTHER"));
        draft.writer.attribute(b"http.request.method_original", LogScalar::Text(method));
    }
    let query = memchr::memchr(b'?', target);
    let (path, query) = query.and_then(|at| target.split_at_checked(at)).unwrap_or((target, b""));
    draft.writer.attribute(b"url.path", LogScalar::Text(path));
    if let Some(query) = query.strip_prefix(b"?").filter(|query| !query.is_empty()) {
        draft.writer.attribute(b"url.query", LogScalar::Text(query));
    }
    if let Some(version) = version.strip_prefix(b" HTTP/") {
        let version = if version == b"2.0" { b"2" } else { version };
        draft.writer.attribute(b"network.protocol.version", LogScalar::Text(version));
    }
}

/// What follows the size.
fn more(mut rest: &[u8], draft: &mut Draft<'_>) {
    let (mut headers, mut durations) = (HEADERS.iter(), DURATIONS.iter());
    let mut duration = |text: &[u8], draft: &mut Draft<'_>| {
        let Some(seconds) = seconds(text) else { return false };
        if let Some(key) = durations.next() {
            draft.writer.attribute(key, LogScalar::Double(seconds));
        }
        true
    };
    loop {
        rest = rest.trim_ascii_start();
        let (text, after) = word(rest);
        if text.is_empty() {
            return;
        }
        rest = if let Some(text) = rest.strip_prefix(b"\"") {
            let Some((value, after)) = quoted(text) else { return };
            let header = headers.next();
            // A duration may stand in quotes too, once the usual headers have.
            let is_duration = !matches!(header, Some(&(REFERER | USER_AGENT))) && duration(value, draft);
            if let Some(header) = header.filter(|_| !is_duration && value != b"-" && !value.is_empty()) {
                draft.writer.attribute(header, LogScalar::Text(value));
            }
            after
        } else if let Some(at) = memchr::memchr(b'=', text) {
            let (name, value) = rest.split_at_checked(at).unwrap_or_default();
            let Some((value, after)) = pair(value.get(1..).unwrap_or_default()) else { return };
            named(name, value, draft);
            after
        } else {
            duration(text, draft);
            after
        };
    }
}

/// A value, perhaps in quotes, and what follows it.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    match text.strip_prefix(b"\"") {
        Some(text) => quoted(text),
        None => Some(word(text)),
    }
}

const REFERER: &[u8] = b"http.request.header.referer";
const USER_AGENT: &[u8] = b"user_agent.original";

/// The texts in quotes, in their order.
const HEADERS: [&[u8]; 3] = [REFERER, USER_AGENT, b"http.request.header.x-forwarded-for"];

/// The numbers, in their order.
const DURATIONS: [&[u8]; 2] = [b"http.server.request.duration", b"nginx.upstream.response.duration"];

/// A pair after the user agent.
fn named(name: &[u8], value: &[u8], draft: &mut Draft<'_>) {
    let key: &[u8] = match name {
        b"rt" | b"request_time" | b"duration" => b"http.server.request.duration",
        b"urt" | b"upstream_response_time" => b"nginx.upstream.response.duration",
        b"host" | b"vhost" | b"server_name" => b"server.address",
        b"request_id" | b"req_id" | b"rid" => b"http.request.header.x-request-id",
        other => other,
    };
    if value.is_empty() || value == b"-" || draft.writer.has(None, key) {
        return;
    }
    let number = key.ends_with(b"duration").then(|| seconds(value)).flatten();
    draft.writer.attribute(key, number.map_or(LogScalar::Text(value), LogScalar::Double));
}

/// A number with a decimal point; of several upstreams, the last one.
fn seconds(text: &[u8]) -> Option<f64> {
    let last = text.rsplit(|byte| matches!(byte, b' ' | b',')).next()?;
    let is_number = last.contains(&b'.') && last.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if is_number { std::str::from_utf8(last).ok()?.parse().ok() } else { None }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.first().filter(|byte| byte.is_ascii_digit())?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What stands before the next space, and what after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, b""),
    }
}
