//! Messages of D-Bus, as far as a question to systemd and its answer take them: texts, numbers and lists.
//!
//! The specification's marshalling: each value begins at a multiple of its size, counted from the beginning of the header
//! or of the body, in the byte order that the first byte of a message says. Peers on one host have one order; what comes
//! in another is refused.

/// Version 1 of the protocol, and the bytes that tell its kinds of messages apart.
const PROTOCOL: u8 = 1;
const CALL: u8 = 1;
const RETURN: u8 = 2;
const ERROR: u8 = 3;

/// Do not start the service that is asked, if it does not run.
const NO_AUTO_START: u8 = 2;

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
    /// A signal or a question, which nobody waits for.
    Other,
}

/// Takes a whole message apart.
pub(super) fn parse(message: &[u8]) -> Option<Incoming<'_>> {
    let kind = *message.get(1)?;
    let body_length = Reader { bytes: message, at: 4 }.number()? as usize;
    let mut header = Reader { bytes: message, at: 12 };
    let (mut to, mut name, mut signature) = (0, "", "");
    let fields_length = header.number()? as usize;
    let end = header.at.checked_add(fields_length)?;
    while header.at < end {
        header.align(8)?;
        let field = header.byte()?;
        match (field, header.signature()?) {
            (REPLY_SERIAL, "u") => to = header.number()?,
            (ERROR_NAME, "s") => name = header.text()?,
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
        _ => Incoming::Other,
    })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `busctl --user capture` shows the bytes of an answer to `Hello`.
    #[test]
    fn an_answer_of_a_bus_is_taken_apart() {
        let mut message = Body(vec![ORDER, RETURN, 1, PROTOCOL]);
        message.number(10);
        message.number(1);
        message.list(8, |fields| {
            fields.0.push(REPLY_SERIAL);
            fields.signature("u");
            fields.number(7);
            fields.align(8);
            fields.0.push(DESTINATION);
            fields.signature("s");
            fields.text(":1.2");
            fields.align(8);
            fields.0.push(SIGNATURE);
            fields.signature("g");
            fields.signature("s");
        });
        message.align(8);
        let head: [u8; HEAD_BYTES] = message.0[..HEAD_BYTES].try_into().unwrap();
        let begun = message.0.len();
        let mut body = Body::default();
        body.text(":1.42");
        message.0.extend_from_slice(&body.0);
        assert_eq!(rest_length(&head), Some(begun - HEAD_BYTES + 10));
        let Some(Incoming::Answer { to: 7, signature: "s", body }) = parse(&message.0) else {
            panic!("{:?}", parse(&message.0))
        };
        assert_eq!(Reader::new(body).text(), Some(":1.42"));
    }

    #[test]
    fn a_question_is_as_the_specification_lays_it_out() {
        let call = Call { destination: "d", path: "/", interface: "i", member: "M", signature: "as" };
        let mut body = Body::default();
        body.texts(&["*"]);
        let message = call.message(5, &body);
        let native = |number: u32| number.to_ne_bytes();
        let expected = [
            &[ORDER, 1, 2, 1][..],
            &native(10),
            &native(5),
            &native(79),
            &[1, 1, b'o', 0],
            &native(1),
            b"/\0\0\0\0\0\0\0",
            &[2, 1, b's', 0],
            &native(1),
            b"i\0\0\0\0\0\0\0",
            &[3, 1, b's', 0],
            &native(1),
            b"M\0\0\0\0\0\0\0",
            &[6, 1, b's', 0],
            &native(1),
            b"d\0\0\0\0\0\0\0",
            &[8, 1, b'g', 0, 2, b'a', b's', 0],
            &native(6),
            &native(1),
            b"*\0",
        ]
        .concat();
        assert_eq!(message.len(), expected.len());
        assert_eq!(message[HEAD_BYTES..], expected[HEAD_BYTES..]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            kind in 0..5_u8,
            length in 0..100_u32,
        ) {
            if let Some(place) = bytes.get_mut(..16) {
                place[..4].copy_from_slice(&[ORDER, kind, 0, PROTOCOL]);
                place[4..8].copy_from_slice(&(length / 2).to_ne_bytes());
                place[12..16].copy_from_slice(&length.to_ne_bytes());
                let _ = rest_length((&*place).try_into().unwrap());
            }
            let _ = parse(&bytes);
            let _ = Reader::new(&bytes).structures(|read| Some((read.text()?, read.number()?, read.signature()?)));
        }
    }
}
