//! Lines of syslog: RFC 3164 and what is made of it, RFC 5424, with and without `<PRI>`.

use telemetry::LogScalar;

use super::draft::Draft;
use super::severity::{of_syslog, syslog_word};
use super::time;

/// Reads a whole line up to the message, which is returned; `None` where it is no syslog.
pub(super) fn read<'t>(line: &'t [u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<&'t [u8]> {
    let rest = match priority(line) {
        Some((priority, rest)) => {
            let severity = (priority % 8) as u8;
            draft.grave(of_syslog(severity)?, syslog_word(severity));
            draft.writer.attribute(b"syslog.facility", LogScalar::Int(i64::from(priority / 8)));
            rest
        }
        None => line,
    };
    match rest.strip_prefix(b"1 ") {
        Some(rest) => structured(rest, scratch, draft),
        None => traditional(rest, draft),
    }
}

/// `<34>`.
fn priority(line: &[u8]) -> Option<(u16, &[u8])> {
    let rest = line.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let (digits, rest) = rest.split_at_checked(end)?;
    let number: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest.get(1..)?)).filter(|(number, _)| *number < 192)
}

/// `Nov 22 08:00:00 host app[12]: message`, also with a time of RFC 3339, and without host.
fn traditional<'t>(line: &'t [u8], draft: &mut Draft<'_>) -> Option<&'t [u8]> {
    let (civil, rest) = time::syslog(line).or_else(|| time::civil(line))?;
    // A router says `: ` after the time.
    let rest = rest.strip_prefix(b":").unwrap_or(rest).strip_prefix(b" ")?;
    draft.moment(draft.options.time.moment(civil, draft.now)?);
    let (first, after) = word(rest);
    // Without host, as programs send to the local socket.
    let message = if first.ends_with(b":") {
        rest
    } else {
        draft.writer.attribute(b"syslog.hostname", LogScalar::Text(first));
        after
    };
    Some(tag(message, draft))
}

/// Takes `app[12]: ` off a message; a message without it is whole.
fn tag<'t>(message: &'t [u8], draft: &mut Draft<'_>) -> &'t [u8] {
    let length = message.iter().take_while(|byte| !matches!(byte, b':' | b'[' | b' ')).count();
    let Some((name, rest)) = message.split_at_checked(length).filter(|(name, _)| !name.is_empty()) else {
        return message;
    };
    let (process, rest) = match rest.strip_prefix(b"[").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b']')?;
        Some((rest.get(..end)?, rest.get(end + 1..)?))
    }) {
        Some((process, rest)) => (Some(process), rest),
        None => (None, rest),
    };
    let Some(rest) = rest.strip_prefix(b":") else { return message };
    draft.writer.attribute(b"syslog.appname", LogScalar::Text(name));
    if let Some(process) = process {
        draft.writer.attribute(b"syslog.procid", LogScalar::Text(process));
    }
    rest.strip_prefix(b" ").unwrap_or(rest)
}

/// What follows the version of RFC 5424: `time host app process id data message`.
fn structured<'t>(line: &'t [u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<&'t [u8]> {
    let (when, mut rest) = word(line);
    if when != b"-" {
        let (civil, []) = time::civil(when)? else { return None };
        draft.moment(draft.options.time.moment(civil, draft.now)?);
    }
    for name in [&b"syslog.hostname"[..], b"syslog.appname", b"syslog.procid", b"syslog.msgid"] {
        let (value, after) = word(rest);
        (!value.is_empty()).then_some(())?;
        if value != b"-" {
            draft.writer.attribute(name, LogScalar::Text(value));
        }
        rest = after;
    }
    let rest = match rest.strip_prefix(b"-") {
        Some(rest) => rest,
        None => data(rest, scratch, draft)?,
    };
    let message = rest.strip_prefix(b" ").unwrap_or(rest);
    // A message in UTF-8 begins with a mark.
    Some(message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message))
}

/// `[id name="value" …]…`
fn data<'t>(text: &'t [u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<&'t [u8]> {
    let all = draft.writer.begin_map(b"syslog.structured_data");
    let mut rest = text.strip_prefix(b"[")?;
    loop {
        let length = rest.iter().take_while(|byte| !matches!(byte, b' ' | b']' | b'=' | b'"')).count();
        let (id, after) = rest.split_at_checked(length)?;
        let one = draft.writer.begin_map(id);
        rest = after;
        while let Some(parameter) = rest.strip_prefix(b" ") {
            let end = parameter.iter().position(|byte| *byte == b'=')?;
            let (name, value) = parameter.split_at_checked(end)?;
            let (raw, after) = super::logfmt::quoted(value.strip_prefix(b"=\"")?)?;
            draft.writer.attribute(name, LogScalar::Text(unescaped(raw, scratch)));
            rest = after;
        }
        draft.writer.end(one);
        rest = rest.strip_prefix(b"]")?;
        match rest.strip_prefix(b"[") {
            Some(next) => rest = next,
            None => break,
        }
    }
    draft.writer.end(all);
    Some(rest)
}

/// Only `"`, `\` and `]` are escaped.
fn unescaped<'s>(raw: &'s [u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    if memchr::memchr(b'\\', raw).is_none() {
        return raw;
    }
    scratch.clear();
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(next @ (b'"' | b'\\' | b']'))) => {
                scratch.push(*next);
                bytes.next();
            }
            _ => scratch.push(byte),
        }
    }
    scratch
}

/// What stands before the next space, and what after it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, b""),
    }
}
