//! Error logs of nginx and Apache.

use telemetry::LogScalar;

use super::draft::Draft;
use super::time;

/// Reads a whole line; `None` where it is of neither.
pub(super) fn read(line: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    if line.first() == Some(&b'[') { apache(line, draft) } else { nginx(line, draft) }
}

/// `2026/11/22 08:00:00 [error] 31#32: *5 message, client: 192.0.2.1, server: example.org, …`
fn nginx(line: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    let (civil, rest) = time::civil(line)?;
    let (level, rest) = until(rest.strip_prefix(b" [")?, b"] ")?;
    draft.severity(level).then_some(())?;
    draft.moment(draft.options.time.moment(civil, draft.now)?);
    let (process, rest) = until(rest, b"#")?;
    let (thread, message) = until(rest, b": ")?;
    ids(process, thread, draft);
    draft.body(super::draft::Value::Text(message));
    // What was known of the request stands at the end, from here on.
    let request = memchr::memmem::rfind(message, b", client: ").and_then(|at| message.get(at..));
    for (name, key) in [(&b", client: "[..], &b"client.address"[..]), (b", server: ", b"server.address")] {
        let text = request.unwrap_or_default();
        let value = memchr::memmem::find(text, name).and_then(|at| text.get(at + name.len()..));
        let value = value.and_then(|value| value.split(|byte| *byte == b',').next());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            draft.writer.attribute(key, LogScalar::Text(value));
        }
    }
    Some(())
}

/// `[Sun Nov 22 08:00:00.123456 2026] [proxy:error] [pid 31:tid 32] [client 192.0.2.1:5678] message`
fn apache(line: &[u8], draft: &mut Draft<'_>) -> Option<()> {
    let (civil, rest) = time::ctime(line.strip_prefix(b"[")?)?;
    let mut rest = rest.strip_prefix(b"] ")?;
    let mut is_known = false;
    while let Some((part, after)) = rest.strip_prefix(b"[").and_then(|part| until(part, b"] ")) {
        if let Some((process, thread)) =
            part.strip_prefix(b"pid ").map(|ids| until(ids, b":tid ").unwrap_or((ids, b"")))
        {
            ids(process, thread, draft);
        } else if let Some(client) = part.strip_prefix(b"client ") {
            let address = memchr::memrchr(b':', client).and_then(|at| client.get(..at)).unwrap_or(client);
            draft.writer.attribute(b"client.address", LogScalar::Text(address));
        } else {
            let (module, level) = until(part, b":").unwrap_or((b"", part));
            // A message may begin with a bracket.
            if is_known || !draft.severity(level) {
                break;
            }
            is_known = true;
            if !module.is_empty() {
                draft.writer.attribute(b"apache.module", LogScalar::Text(module));
            }
        }
        rest = after;
    }
    draft.moment(draft.options.time.moment(civil, draft.now)?);
    draft.body(super::draft::Value::Text(rest));
    is_known.then_some(())
}

fn ids(process: &[u8], thread: &[u8], draft: &mut Draft<'_>) {
    for (key, text) in [(&b"process.pid"[..], process), (b"thread.id", thread)] {
        if let Some(id) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
            draft.writer.attribute(key, LogScalar::Int(id));
        }
    }
}

/// What stands before an end, and what after it.
fn until<'t>(text: &'t [u8], end: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let at = memchr::memmem::find(text, end)?;
    Some((text.get(..at)?, text.get(at + end.len()..)?))
}
