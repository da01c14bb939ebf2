//! Protobuf to JSON.
//!
//! Most messages are written field by field as they lie there. One that is out of order (fields that occur once found
//! twice, repeated fields scattered, several of a `oneof`) is read as often as it has kinds of fields, so that it says
//! what a decoder would see; nothing is copied for that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::proto::{DEPTH, FieldSpec, Kind, Label, Message};
use crate::strict::{TOO_DEEP, WRONG_TYPE};
use crate::wire::{Field, Fields, Malformed};

/// How often a field that occurs once may occur all the same; a decoder merges such messages. None does it on purpose.
const MOST_PARTS: usize = 1000;

pub(super) fn message(message: &'static Message, bytes: &[u8]) -> Result<String, Malformed> {
    let mut writer = Writer { out: Vec::with_capacity(bytes.len() * 2) };
    writer.object(message, &[bytes], DEPTH)?;
    Ok(String::from_utf8(writer.out).expect("only texts were written"))
}

struct Writer {
    out: Vec<u8>,
}

/// The fields of a message that lies in several parts, as a decoder merges them.
fn fields<'a>(parts: &[&'a [u8]]) -> impl Iterator<Item = Result<(u32, Field<'a>), Malformed>> {
    parts.iter().flat_map(|part| Fields::of(part))
}

impl Writer {
    /// `depth`: how many levels of messages may lie within this one.
    fn object(&mut self, message: &'static Message, parts: &[&[u8]], depth: usize) -> Result<(), Malformed> {
        self.out.push(b'{');
        if is_in_order(message, parts)? {
            self.fields_as_they_lie(message, parts, depth)?;
        } else {
            self.fields_in_order(message, parts, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn fields_as_they_lie(
        &mut self,
        message: &Message,
        parts: &[&[u8]],
        depth: usize,
    ) -> Result<(), Malformed> {
        let mut is_first = true;
        let mut open_list = None;
        for field in fields(parts) {
            let (number, value) = field?;
            let Some(spec) = spoken(message, number) else { continue };
            if open_list != Some(number) {
                if open_list.take().is_some() {
                    self.out.push(b']');
                }
                self.key(spec, &mut is_first);
                if spec.label == Label::Repeated {
                    self.out.push(b'[');
                    open_list = Some(number);
                }
            }
            if spec.label == Label::Repeated {
                self.elements(spec, value, depth)?;
            } else {
                self.value(spec.kind, value, depth)?;
            }
        }
        if open_list.is_some() {
            self.out.push(b']');
        }
        Ok(())
    }

    fn fields_in_order(&mut self, message: &Message, parts: &[&[u8]], depth: usize) -> Result<(), Malformed> {
        let mut is_first = true;
        let chosen = last_of_one_of(message, parts)?;
        for spec in message.fields {
            let is_left_out = spec.label == Label::OneOf && chosen != Some(spec.number);
            if is_left_out || spoken(message, spec.number).is_none() {
                continue;
            }
            let found =
                || fields(parts).filter(|field| !matches!(field, Ok((number, _)) if *number != spec.number));
            let Some(first) = found().next() else { continue };
            first?;
            self.key(spec, &mut is_first);
            match (spec.label, spec.kind) {
                (Label::Repeated, _) => {
                    self.out.push(b'[');
                    for field in found() {
                        self.elements(spec, field?.1, depth)?;
                    }
                    self.out.push(b']');
                }
                (_, Kind::Message(inner)) => {
                    let inner_parts = merged(message, spec, parts)?;
                    self.object(inner, &inner_parts, depth.checked_sub(1).ok_or(TOO_DEEP)?)?;
                }
                _ => {
                    if let Some(last) = found().last() {
                        self.value(spec.kind, last?.1, depth)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, spec: &FieldSpec, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(spec.name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// The element, or the packed numbers, that one field adds to its list.
    fn elements(&mut self, spec: &FieldSpec, value: Field<'_>, depth: usize) -> Result<(), Malformed> {
        match (spec.kind, value) {
            (Kind::Double | Kind::Fixed64, Field::Bytes(packed)) => {
                let (numbers, []) = packed.as_chunks() else { return Err(WRONG_TYPE) };
                for number in numbers {
                    self.element(spec, Field::Fixed64(u64::from_le_bytes(*number)), depth)?;
                }
            }
            (Kind::Uint64, Field::Bytes(packed)) => {
                let mut numbers = Fields::of(packed);
                while !numbers.rest().is_empty() {
                    let number = numbers.varint()?;
                    self.element(spec, Field::Varint(number), depth)?;
                }
            }
            _ => self.element(spec, value, depth)?,
        }
        Ok(())
    }

    fn element(&mut self, spec: &FieldSpec, value: Field<'_>, depth: usize) -> Result<(), Malformed> {
        if self.out.last() != Some(&b'[') {
            self.out.push(b',');
        }
        self.value(spec.kind, value, depth)
    }

    fn value(&mut self, kind: Kind, value: Field<'_>, depth: usize) -> Result<(), Malformed> {
        match (kind, value) {
            (Kind::Message(inner), Field::Bytes(bytes)) => {
                self.object(inner, &[bytes], depth.checked_sub(1).ok_or(TOO_DEEP)?)?;
            }
            (Kind::Text, Field::Bytes(bytes)) => self.json(String::from_utf8_lossy(bytes).as_ref()),
            (Kind::Bytes, Field::Bytes(bytes)) => self.json(&STANDARD.encode(bytes)),
            (Kind::Id, Field::Bytes(bytes)) => self.hexadecimal(bytes),
            (Kind::Bool, Field::Varint(value)) => self.json(&(value != 0)),
            (Kind::Enum, Field::Varint(value)) => self.json(&(value as i32)),
            (Kind::Uint32, Field::Varint(value)) => self.json(&(value as u32)),
            (Kind::Sint32, Field::Varint(value)) => {
                let value = value as u32;
                self.json(&((value >> 1) as i32 ^ -((value & 1) as i32)));
            }
            (Kind::Int64, Field::Varint(value)) | (Kind::Sfixed64, Field::Fixed64(value)) => {
                self.quoted(value as i64);
            }
            (Kind::Uint64, Field::Varint(value)) | (Kind::Fixed64, Field::Fixed64(value)) => {
                self.quoted(value);
            }
            (Kind::Fixed32, Field::Fixed32(value)) => self.json(&value),
            (Kind::Double, Field::Fixed64(bits)) => self.double(f64::from_bits(bits)),
            _ => return Err(WRONG_TYPE),
        }
        Ok(())
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.out, value).expect("memory takes what is written to it");
    }

    /// Integers of 64 bits are texts, since JavaScript's numbers end at 53.
    fn quoted(&mut self, number: impl Serialize) {
        self.out.push(b'"');
        self.json(&number);
        self.out.push(b'"');
    }

    fn double(&mut self, value: f64) {
        if value.is_nan() {
            self.json("NaN");
        } else if value.is_infinite() {
            self.json(if value > 0.0 { "Infinity" } else { "-Infinity" });
        } else {
            self.json(&value);
        }
    }

    fn hexadecimal(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.out.push(b'"');
        for byte in bytes {
            let digits = [byte >> 4, byte & 0xf]
                .map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or_default());
            self.out.extend_from_slice(&digits);
        }
        self.out.push(b'"');
    }
}

/// The field of this number, if JSON can tell of it.
fn spoken(message: &Message, number: u32) -> Option<&'static FieldSpec> {
    message.field(number).filter(|spec| !matches!(spec.kind, Kind::TableIndex))
}

/// Whether each field occurs once, or in one run if it is repeated, and at most one of a `oneof`.
fn is_in_order(message: &Message, parts: &[&[u8]]) -> Result<bool, Malformed> {
    let mut seen = 0_u32;
    let mut last = None;
    for field in fields(parts) {
        let (number, _) = field?;
        let Some(spec) = spoken(message, number) else { continue };
        let is_in_run = spec.label == Label::Repeated && last == Some(number);
        // Field 0 does not exist: its bit stands for all fields of the `oneof`.
        let bits = 1 << number | u32::from(spec.label == Label::OneOf);
        if !is_in_run && seen & bits != 0 {
            return Ok(false);
        }
        seen |= bits;
        last = Some(number);
    }
    Ok(true)
}

fn last_of_one_of(message: &Message, parts: &[&[u8]]) -> Result<Option<u32>, Malformed> {
    let mut last = None;
    for field in fields(parts) {
        let (number, _) = field?;
        if spoken(message, number).is_some_and(|spec| spec.label == Label::OneOf) {
            last = Some(number);
        }
    }
    Ok(last)
}

/// The parts of which a decoder makes the message in the field `spec`. Another field of the same `oneof` in between
/// takes away what came before.
fn merged<'a>(message: &Message, spec: &FieldSpec, parts: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut merged = Vec::new();
    for field in fields(parts) {
        let (number, value) = field?;
        if number == spec.number {
            match value {
                Field::Bytes(bytes) => merged.push(bytes),
                _ => return Err(WRONG_TYPE),
            }
            if merged.len() > MOST_PARTS {
                return Err(Malformed::new("a field that occurs once occurs too often"));
            }
        } else if spec.label == Label::OneOf
            && spoken(message, number).is_some_and(|other| other.label == Label::OneOf)
        {
            merged.clear();
        }
    }
    Ok(merged)
}
