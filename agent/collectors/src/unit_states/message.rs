//! Messages of D-Bus, as far as questions to systemd, its answers and its signals take them: texts, numbers and lists.
//!
//! The specification's marshalling: each value begins at a multiple of its size, counted from the beginning of the header
//! or of the body, in the byte order that the first byte of a message says. Peers on one host have one order; what comes
//! in another is refused.

/// Version 1 of the protocol, and the bytes that tell its kinds of messages apart.
const PROTOCOL: u8 = 1;
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// Do not start the service that is asked, if it does not run.
const NO_AUTO_START: u8 = 2;

/// How deep values may lie in each other, half of what the specification allows.
pub(super) const DEEPEST: usize = 32;

const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// Fields of a header.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// The part of a header that has a fixed length, the length of the fields included.
pub(super) const HEAD_BYTES: usize = 16;

/// A longer message is not read: the states of some ten thousand units fit.
pub(super) const LONGEST_BYTES: usize = 4 << 20;

/// A question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    /// What the body holds: `ss`, `asas`, or nothing.
    pub(super) signature: &'a str,
}

impl Call<'_> {
    /// The bytes of the question.
    pub(super) fn message(&self, serial: u32, body: &Body) -> Vec<u8> {
        let mut message = Body(vec![ORDER, CALL, NO_AUTO_START, PROTOCOL]);
        message.number(body.0.len() as u32);
        message.number(serial);
        message.list(8, |fields| {
            let texts = [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.destination),
            ];
            for (field, signature, text) in texts {
                fields.align(8);
                fields.0.push(field);
                fields.signature(signature);
                fields.text(text);
            }
            if !self.signature.is_empty() {
                fields.align(8);
                fields.0.push(SIGNATURE);
                fields.signature("g");
                fields.signature(self.signature);
            }
        });
        message.align(8);
        message.0.extend_from_slice(&body.0);
        message.0
    }
}

/// Bytes that are written.
#[derive(Debug, Default)]
pub(super) struct Body(Vec<u8>);

impl Body {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend_from_slice(&number.to_ne_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }

    pub(super) fn texts(&mut self, texts: &[&str]) {
        self.list(4, |list| texts.iter().for_each(|text| list.text(text)));
    }

    /// A list of what `write` writes, whose elements begin at multiples of `to`.
    fn list(&mut self, to: usize, write: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(to);
        let begun = self.0.len();
        write(self);
        let length = (self.0.len() - begun) as u32;
        if let Some(place) = self.0.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// How much follows the fixed part of a header, in bytes; `None` when this is none, or too much follows.
pub(super) fn rest_length(head: &[u8; HEAD_BYTES]) -> Option<usize> {
    let [order, _, _, version, ..] = head;
    let mut read = Reader::new(head);
    read.at = 4;
    let body = read.number()?;
    read.at = 12;
    let fields = read.number()?;
    let rest = (fields as usize).checked_next_multiple_of(8)?.checked_add(body as usize)?;
    (*order == ORDER && *version == PROTOCOL && rest <= LONGEST_BYTES).then_some(rest)
}

/// What a message is to whoever has asked.
#[derive(Debug, PartialEq)]
pub(super) enum Incoming<'a> {
    /// An answer to the question of this number, with its signature and its body.
    Answer { to: u32, signature: &'a str, body: &'a [u8] },
    /// It was refused, and why: the error's name, and a text if there is one.
    Refusal { to: u32, name: &'a str, why: &'a str },
    /// Something happened to the object at this path.
    Signal { path: &'a str, member: &'a str, signature: &'a str, body: &'a [u8] },
    /// A question, which nobody answers.
    Other,
}

/// Takes a whole message apart.
pub(super) fn parse(message: &[u8]) -> Option<Incoming<'_>> {
    let kind = *message.get(1)?;
    let body_length = Reader { bytes: message, at: 4 }.number()? as usize;
    let mut header = Reader { bytes: message, at: 12 };
    let (mut to, mut name, mut signature) = (0, "", "");
    let (mut path, mut member) = ("", "");
    let fields_length = header.number()? as usize;
    let end = header.at.checked_add(fields_length)?;
    while header.at < end {
        header.align(8)?;
        let field = header.byte()?;
        match (field, header.signature()?) {
            (REPLY_SERIAL, "u") => to = header.number()?,
            (ERROR_NAME, "s") => name = header.text()?,
            (PATH, "o") => path = header.text()?,
            (MEMBER, "s") => member = header.text()?,
            (SIGNATURE, "g") => signature = header.signature()?,
            (_, "s" | "o") => drop(header.text()?),
            (_, "g") => drop(header.signature()?),
            (_, "u") => drop(header.number()?),
            _ => return None,
        }
    }
    header.align(8)?;
    let body = message.get(header.at..header.at.checked_add(body_length)?)?;
    Some(match kind {
        RETURN => Incoming::Answer { to, signature, body },
        ERROR => {
            let why = if signature.starts_with('s') { Reader::new(body).text()? } else { "" };
            Incoming::Refusal { to, name, why }
        }
        SIGNAL => Incoming::Signal { path, member, signature, body },
        _ => Incoming::Other,
    })
}

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    /// A text or a path.
    Text(String),
    /// A whole number or a truth value.
    Number(i128),
    /// Of another kind; it was passed over.
    Other,
}

/// Bytes that are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    fn wide_number(&mut self) -> Option<u64> {
        self.align(8)?;
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Reads or passes over a value of the type `of`.
    pub(super) fn property(&mut self, of: &str) -> Option<Property> {
        Some(match of {
            "s" | "o" => Property::Text(self.text()?.to_owned()),
            "u" | "b" => Property::Number(self.number()?.into()),
            "i" => Property::Number(self.number()?.cast_signed().into()),
            "t" => Property::Number(self.wide_number()?.into()),
            "x" => Property::Number(self.wide_number()?.cast_signed().into()),
            other => {
                self.skip(other, DEEPEST)?;
                Property::Other
            }
        })
    }

    /// A text or a path.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    pub(super) fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        (self.byte()? == 0).then_some(text)
    }

    /// Passes over one value of the type that `signature` begins with, and returns the rest of it.
    pub(super) fn skip<'s>(&mut self, signature: &'s str, depth: usize) -> Option<&'s str> {
        let depth = depth.checked_sub(1)?;
        let rest = signature.get(1..)?;
        match signature.as_bytes().first()? {
            b'y' => drop(self.byte()?),
            b'n' | b'q' => self.skip_fixed(2)?,
            b'b' | b'i' | b'u' | b'h' => self.skip_fixed(4)?,
            b'x' | b't' | b'd' => self.skip_fixed(8)?,
            b's' | b'o' => drop(self.text()?),
            b'g' => drop(self.signature()?),
            b'v' => {
                let of = self.signature()?;
                if !self.skip(of, depth)?.is_empty() {
                    return None;
                }
            }
            b'a' => return self.skip_list(rest),
            b'(' | b'{' => {
                self.align(8)?;
                let mut members = rest;
                while !members.starts_with([')', '}']) {
                    members = self.skip(members, depth)?;
                }
                return members.get(1..);
            }
            _ => return None,
        }
        Some(rest)
    }

    fn skip_fixed(&mut self, size: usize) -> Option<()> {
        self.align(size)?;
        self.take(size).map(drop)
    }

    /// Passes over a list of what `of` begins with; its length is said.
    fn skip_list<'s>(&mut self, of: &'s str) -> Option<&'s str> {
        let length = self.number()? as usize;
        self.align(alignment(of)?)?;
        self.take(length)?;
        end_of_type(of, DEEPEST)
    }

    /// The entries of a list of texts with values, each value read or passed over by `read`, which gets its type.
    pub(super) fn entries(
        &mut self,
        mut read: impl FnMut(&mut Self, &'a str, &'a str) -> Option<()>,
    ) -> Option<()> {
        let length = self.number()? as usize;
        self.align(8)?;
        let end = self.at.checked_add(length)?;
        while self.at < end {
            self.align(8)?;
            let key = self.text()?;
            let signature = self.signature()?;
            read(self, key, signature)?;
        }
        Some(())
    }

    /// The elements of a list of structures, each read by `read`.
    pub(super) fn structures<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.number()? as usize;
        self.align(8)?;
        let end = self.at.checked_add(length)?;
        let mut elements = Vec::new();
        while self.at < end {
            self.align(8)?;
            elements.push(read(self)?);
        }
        Some(elements)
    }
}

/// What the first type of a signature begins at multiples of.
fn alignment(signature: &str) -> Option<usize> {
    Some(match signature.as_bytes().first()? {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => return None,
    })
}

/// What follows the first type of a signature.
fn end_of_type(signature: &str, depth: usize) -> Option<&str> {
    let depth = depth.checked_sub(1)?;
    let rest = signature.get(1..)?;
    match signature.as_bytes().first()? {
        b'a' => end_of_type(rest, depth),
        b'(' | b'{' => {
            let mut members = rest;
            while !members.starts_with([')', '}']) {
                members = end_of_type(members, depth)?;
            }
            members.get(1..)
        }
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests;
