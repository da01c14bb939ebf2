//! Lines that are JSON objects, read in one pass straight into the record.
//!
//! Strict where it matters to know that a line is JSON at all; lenient in what logging libraries get wrong: control
//! characters and bytes that are no UTF-8 within strings. Of keys that come twice the first counts.

use telemetry::{LogScalar, Open};

use super::draft::{Draft, Value};
use super::roles::Role;

mod text;

use text::find_special;
pub(super) use text::{number_length, unescape};

/// How deep values may lie in each other. A line with deeper ones is no JSON to us, so that none can exhaust the stack.
const DEPTH: u32 = 32;

/// Memory for strings with escapes, kept from line to line.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

/// What of a text has not been read.
struct Parser<'t> {
    rest: &'t [u8],
}

/// Reads a whole line; `None` where it is no JSON object.
pub(super) fn read(line: &[u8], scratch: &mut Scratch, draft: &mut Draft<'_>) -> Option<()> {
    let mut parser = Parser { rest: line };
    parser.skip_space();
    parser.byte(b'{')?;
    let Scratch { key: key_scratch, value: value_scratch } = scratch;
    let mut keys = Keys::default();
    let mut more = parser.begins(b'}');
    while more {
        let key = parser.key(key_scratch)?;
        if keys.seen(key) && draft.writer.has(None, key) {
            parser.pass(DEPTH)?;
        } else {
            parser.top(key, value_scratch, draft)?;
        }
        more = parser.goes_on(b'}')?;
    }
    parser.skip_space();
    parser.rest.is_empty().then_some(())
}

/// Reads the three fields of Docker's lines: the text is left in `log`, the stream and the time are returned.
pub(super) fn docker<'t>(line: &'t [u8], log: &mut Vec<u8>) -> Option<(&'t [u8], &'t [u8])> {
    let mut parser = Parser { rest: line };
    let (mut stream, mut time, mut has_log) = (&b""[..], &b""[..], false);
    parser.skip_space();
    parser.byte(b'{')?;
    let mut more = parser.begins(b'}');
    while more {
        match parser.raw_key()? {
            b"log" => {
                log.clear();
                parser.byte(b'"')?;
                let (raw, escaped) = parser.raw_string()?;
                if escaped {
                    unescape(raw, log)?;
                } else {
                    log.extend_from_slice(raw);
                }
                has_log = true;
            }
            b"stream" => stream = parser.plain_string()?,
            b"time" => time = parser.plain_string()?,
            _ => parser.pass(DEPTH)?,
        }
        more = parser.goes_on(b'}')?;
    }
    parser.skip_space();
    (has_log && parser.rest.is_empty()).then_some((stream, time))
}

/// Which keys there may have been, so that most need not be looked for.
#[derive(Default)]
struct Keys(u64);

impl Keys {
    fn seen(&mut self, key: &[u8]) -> bool {
        let ends =
            u32::from(key.first().copied().unwrap_or(0)) * 7 + u32::from(key.last().copied().unwrap_or(0));
        let bit = 1 << ((ends + key.len() as u32 * 13) & 63);
        let seen = self.0 & bit != 0;
        self.0 |= bit;
        seen
    }
}

impl<'t> Parser<'t> {
    fn skip_space(&mut self) {
        while let Some((b' ' | b'\t' | b'\n' | b'\r', rest)) = self.rest.split_first() {
            self.rest = rest;
        }
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        (*first == wanted).then(|| self.rest = rest)
    }

    /// After the opening of a map or list: whether something is in it.
    fn begins(&mut self, end: u8) -> bool {
        self.skip_space();
        self.byte(end).is_none()
    }

    /// After a value: whether another one follows.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        self.skip_space();
        if self.byte(b',').is_some() {
            self.skip_space();
            return Some(true);
        }
        self.byte(end).map(|()| false)
    }

    /// A key with its colon, still escaped.
    fn raw_key(&mut self) -> Option<&'t [u8]> {
        self.byte(b'"')?;
        let (raw, _) = self.raw_string()?;
        self.colon().map(|()| raw)
    }

    fn colon(&mut self) -> Option<()> {
        self.skip_space();
        self.byte(b':')?;
        self.skip_space();
        Some(())
    }

    /// A key with its colon.
    fn key<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        't: 's,
    {
        self.byte(b'"')?;
        let key = self.string(scratch)?;
        self.colon().map(|()| key)
    }

    /// A string whose opening quote has been read.
    fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        't: 's,
    {
        let (raw, escaped) = self.raw_string()?;
        if !escaped {
            return Some(raw);
        }
        scratch.clear();
        unescape(raw, scratch)?;
        Some(scratch)
    }

    /// A string without escapes.
    fn plain_string(&mut self) -> Option<&'t [u8]> {
        self.byte(b'"')?;
        self.raw_string().filter(|(_, escaped)| !escaped).map(|(raw, _)| raw)
    }

    /// What stands up to the closing quote, and whether there are escapes in it.
    fn raw_string(&mut self) -> Option<(&'t [u8], bool)> {
        let text = self.rest;
        let mut at = 0;
        let mut escaped = false;
        loop {
            at += find_special(text.get(at..)?)?;
            if text.get(at) == Some(&b'"') {
                break;
            }
            escaped = true;
            at += 2;
        }
        self.rest = text.get(at + 1..)?;
        Some((text.get(..at)?, escaped))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<Value<'t>> {
        for (word, value) in
            [(&b"true"[..], Value::Bool(true)), (b"false", Value::Bool(false)), (b"null", Value::Null)]
        {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Some(value);
            }
        }
        let text = self.rest;
        let length = number_length(text)?;
        self.rest = text.get(length..)?;
        text.get(..length).map(Value::Number)
    }

    /// The value of a field of the line itself.
    fn top(&mut self, key: &[u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<()> {
        match self.rest.first()? {
            b'"' => {
                self.byte(b'"')?;
                let text = self.string(scratch)?;
                draft.field(key, Value::Text(text));
            }
            b'{' => match draft.options.roles.of(key) {
                Some(Role::Time) if !draft.has_time && self.time_in_object(draft).is_some() => {}
                role => {
                    let message = role == Some(Role::Fields);
                    self.map(key, scratch, draft, DEPTH - 1, message)?;
                }
            },
            b'[' => self.list(key, scratch, draft, DEPTH - 1)?,
            _ => draft.field(key, self.word()?),
        }
        Some(())
    }

    /// `{"$date":"…"}` of `MongoDB`, `{"epochSecond":…,"nanoOfSecond":…}` of Log4j; nothing is read where it is neither.
    fn time_in_object(&mut self, draft: &mut Draft<'_>) -> Option<()> {
        let mut parser = Parser { rest: self.rest };
        let (mut seconds, mut nanos) = (None, 0);
        parser.byte(b'{')?;
        let mut more = parser.begins(b'}');
        while more {
            match (parser.raw_key()?, parser.rest.first()?) {
                (b"$date", b'"') => {
                    let text = parser.plain_string()?;
                    draft.time(text).then_some(())?;
                }
                (b"epochSecond", _) => seconds = Some(parser.whole()?),
                (b"nanoOfSecond", _) => nanos = parser.whole()?,
                _ => return None,
            }
            more = parser.goes_on(b'}')?;
        }
        if let Some(seconds) = seconds {
            draft.moment(telemetry::Timestamp::from_nanos(
                seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
            ));
        }
        draft.has_time.then(|| self.rest = parser.rest)
    }

    fn whole(&mut self) -> Option<i64> {
        let Value::Number(digits) = self.word()? else { return None };
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn map(
        &mut self,
        key: &[u8],
        scratch: &mut Vec<u8>,
        draft: &mut Draft<'_>,
        depth: u32,
        message: bool,
    ) -> Option<()> {
        self.byte(b'{')?;
        let map = draft.writer.begin_map(key);
        let mut keys = Keys::default();
        let mut more = self.begins(b'}');
        // A key is stored before its value is read, so one piece of memory does for both unless the key has escapes.
        let mut key_scratch = Vec::new();
        while more {
            let key = self.key(&mut key_scratch)?;
            if keys.seen(key) && draft.writer.has(Some(map), key) {
                self.pass(depth)?;
            } else if !(message && self.message(key, scratch, draft)?) {
                self.value(key, scratch, draft, depth)?;
            }
            more = self.goes_on(b'}')?;
        }
        draft.writer.end(map);
        Some(())
    }

    /// Whether the value was the message of the record, and has been read.
    fn message(&mut self, key: &[u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>) -> Option<bool> {
        if draft.has_body || draft.options.roles.of(key) != Some(Role::Message) || self.byte(b'"').is_none() {
            return Some(false);
        }
        let text = self.string(scratch)?;
        Some(draft.body(Value::Text(text)))
    }

    fn list(&mut self, key: &[u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>, depth: u32) -> Option<()> {
        self.byte(b'[')?;
        let list: Open = draft.writer.begin_list(key);
        let mut more = self.begins(b']');
        while more {
            self.value(b"", scratch, draft, depth)?;
            more = self.goes_on(b']')?;
        }
        draft.writer.end(list);
        Some(())
    }

    /// A value in a map or list; `depth` more may lie in each other.
    fn value(&mut self, key: &[u8], scratch: &mut Vec<u8>, draft: &mut Draft<'_>, depth: u32) -> Option<()> {
        match self.rest.first()? {
            b'"' => {
                self.byte(b'"')?;
                let text = self.string(scratch)?;
                draft.writer.attribute(key, LogScalar::Text(text));
            }
            b'{' => self.map(key, scratch, draft, depth.checked_sub(1)?, false)?,
            b'[' => self.list(key, scratch, draft, depth.checked_sub(1)?)?,
            _ => drop(draft.writer.attribute(key, self.word()?.scalar())),
        }
        Some(())
    }

    /// Reads a value that nobody wants.
    fn pass(&mut self, depth: u32) -> Option<()> {
        let (first, is_map) = (*self.rest.first()?, self.rest.first() == Some(&b'{'));
        match first {
            b'"' => {
                self.byte(b'"')?;
                self.raw_string()?;
            }
            b'{' | b'[' => {
                let end = if is_map { b'}' } else { b']' };
                self.byte(first)?;
                let mut more = self.begins(end);
                while more {
                    if is_map {
                        self.raw_key()?;
                    }
                    self.pass(depth.checked_sub(1)?)?;
                    more = self.goes_on(end)?;
                }
            }
            _ => drop(self.word()?),
        }
        Some(())
    }
}
