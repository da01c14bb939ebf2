//! JSON to protobuf.
//!
//! `serde_json` reads, and what it reads is written to the wire at once. What a key said before it occurred again is
//! taken out when its object ends.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::proto::{DEPTH, FieldSpec, Kind, Label, Message};
use crate::wire::{bytes_field, fixed32_field, fixed64_field, message_field, varint, varint_field};

/// No message has more fields.
const MOST_FIELDS: usize = 16;

const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);

/// Values of one object that a later one of the same key replaced. Senders write a key once; each costs memory until the
/// object ends.
const MOST_REPLACED: usize = 1024;

/// The wire form of `json`, which spells the `message`. Stops soon after it has grown beyond `most` bytes.
pub(super) fn message(message: &'static Message, json: &[u8], most: usize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity((json.len() / 2).min(most));
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // Known keys are bounded by the depth of messages, and unknown ones are passed over without recursion.
    deserializer.disable_recursion_limit();
    Object { message, out: &mut out, bounds: Bounds { depth: DEPTH, most } }
        .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(out)
}

/// How far what is read may go.
#[derive(Clone, Copy)]
struct Bounds {
    /// How many levels of messages may lie within this one.
    depth: usize,
    /// Bytes of the whole output.
    most: usize,
}

/// Reads the fields of one message. `null` has none.
struct Object<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
    bounds: Bounds,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an object ({})", self.message.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom(format_args!("a text where {} is expected, which is an object", self.message.name)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut written = Written::default();
        while let Some(key) = map.next_key_seed(Key(self.message))? {
            let Some((place, spec)) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let begin = self.out.len();
            map.next_value_seed(Value { spec, out: &mut *self.out, bounds: self.bounds })?;
            written.note(self.message, place, (begin, self.out.len()));
            if written.replaced.len() > MOST_REPLACED {
                return Err(A::Error::custom("the same keys occur over and over in one object"));
            }
        }
        written.take_out_replaced(self.out);
        Ok(())
    }
}

/// Where in the output the fields of one message are.
#[derive(Default)]
struct Written {
    fields: [(usize, usize); MOST_FIELDS],
    replaced: Vec<(usize, usize)>,
}

impl Written {
    /// The field at this place of the table lies here now, wherever it lay before.
    fn note(&mut self, message: &Message, place: usize, range: (usize, usize)) {
        let is_empty = |(begin, end)| begin == end;
        let is_one_of = message.fields.get(place).is_some_and(|spec| spec.label == Label::OneOf);
        for (other, (spec, before)) in message.fields.iter().zip(&mut self.fields).enumerate() {
            // Of a `oneof`, the last field that says something counts.
            let is_replaced = other == place || is_one_of && spec.label == Label::OneOf && !is_empty(range);
            if is_replaced && !is_empty(*before) {
                self.replaced.push(std::mem::take(before));
            }
        }
        if let Some(field) = self.fields.get_mut(place) {
            *field = range;
        }
    }

    fn take_out_replaced(mut self, out: &mut Vec<u8>) {
        self.replaced.sort_unstable();
        let Some((first, _)) = self.replaced.first() else { return };
        let mut end = *first;
        let begins = self.replaced.iter().map(|(begin, _)| *begin).skip(1).chain([out.len()]);
        let kept: Vec<(usize, usize)> = self.replaced.iter().map(|(_, end)| *end).zip(begins).collect();
        for (from, to) in kept {
            out.copy_within(from..to, end);
            end += to - from;
        }
        out.truncate(end);
    }
}

/// Reads a key: which field of the message it is, if one.
struct Key(&'static Message);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<(usize, &'static FieldSpec)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<(usize, &'static FieldSpec)>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let found = self.0.fields.iter().enumerate().find(|(_, spec)| spec.name == key);
        if let Some((_, FieldSpec { kind: Kind::TableIndex, .. })) = found {
            tracing::debug!(key, "passed over: there is a string table in the profiles signal only");
            return Ok(None);
        }
        Ok(found)
    }
}

/// Reads the value of one field and writes it with its key.
struct Value<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    bounds: Bounds,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { spec, out, bounds } = self;
        match (spec.label, spec.kind) {
            (Label::Repeated, _) => deserializer.deserialize_any(List { spec, out, bounds }),
            (_, Kind::Message(_)) => deserializer.deserialize_option(Present { spec, out, bounds }),
            _ => deserializer.deserialize_any(Scalar { spec, out, form: Form::Field }),
        }
    }
}

/// Reads a message that may be `null`, which is as good as absent.
struct Present<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    bounds: Bounds,
}

impl<'de> Visitor<'de> for Present<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an object for {}", self.spec.name)
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Element { spec: self.spec, out: self.out, bounds: self.bounds }.deserialize(deserializer)
    }
}

/// Reads one element of a list, or the one message of a field, and writes it with its key.
struct Element<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    bounds: Bounds,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { spec, out, bounds } = self;
        let Kind::Message(message) = spec.kind else {
            return deserializer.deserialize_any(Scalar { spec, out, form: Form::Element });
        };
        let too_deep = || Error::custom("messages lie too deep in each other");
        let depth = bounds.depth.checked_sub(1).ok_or_else(too_deep)?;
        let bounds = Bounds { depth, ..bounds };
        let mut read = Ok(());
        message_field(out, spec.number, length_guess(depth), |out| {
            read = Object { message, out, bounds }.deserialize(deserializer);
        });
        read
    }
}

/// How many bytes the length of a message probably takes that may have this many levels within it: envelopes are long,
/// records have a few hundred bytes, what lies in them less.
const fn length_guess(depth: usize) -> usize {
    match DEPTH - depth {
        0..=2 => 3,
        3 => 2,
        _ => 1,
    }
}

/// Reads a list, of which each element is a field of its own, except for numbers, which are packed into one.
struct List<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    bounds: Bounds,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a list for {}", self.spec.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Err(E::custom(format_args!("a text for {}, which is a list", self.spec.name)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { spec, out, bounds } = self;
        if matches!(spec.kind, Kind::Message(_) | Kind::Text) {
            while list.next_element_seed(Element { spec, out: &mut *out, bounds })?.is_some() {}
            return Ok(());
        }
        let begin = out.len();
        let mut read = Ok(Some(()));
        let mut numbers = 0_u64;
        message_field(out, spec.number, 2, |out| {
            // A number of two characters may take eight bytes; all else shrinks.
            while let (Ok(Some(())), true) = (&read, out.len() <= bounds.most) {
                read = list.next_element_seed(Packed { spec, out: &mut *out });
                numbers += 1;
            }
        });
        if out.len() > bounds.most {
            return Err(A::Error::custom("it becomes too large"));
        }
        // The last round found the end of the list.
        if numbers == 1 {
            out.truncate(begin);
        }
        read.map(|_| ())
    }
}

/// Reads one number of a packed field.
struct Packed<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Packed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Scalar { spec: self.spec, out: self.out, form: Form::Packed })
    }
}

/// How a value lies in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With its key; absent when that says the same.
    Field,
    /// With its key, always.
    Element,
    /// Without a key.
    Packed,
}

/// Reads a value that is no message.
struct Scalar<'a> {
    spec: &'static FieldSpec,
    out: &'a mut Vec<u8>,
    form: Form,
}

/// What JSON makes of a number.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Scalar<'_> {
    fn is_left_out(&self, is_default: bool) -> bool {
        is_default && self.form == Form::Field && self.spec.label == Label::Plain
    }

    fn bytes(self, bytes: &[u8]) {
        if !self.is_left_out(bytes.is_empty()) {
            bytes_field(self.out, self.spec.number, bytes);
        }
    }

    fn varint(self, value: u64) {
        if self.form == Form::Packed {
            varint(self.out, value);
        } else if !self.is_left_out(value == 0) {
            varint_field(self.out, self.spec.number, value);
        }
    }

    fn fixed64(self, value: u64) {
        if self.form == Form::Packed {
            self.out.extend_from_slice(&value.to_le_bytes());
        } else if !self.is_left_out(value == 0) {
            fixed64_field(self.out, self.spec.number, value);
        }
    }

    fn number<E: Error>(self, number: Number) -> Result<(), E> {
        let name = self.spec.name;
        let whole = || number.whole().ok_or_else(|| E::custom(format_args!("{name} is a whole number")));
        let too_large = |_| E::custom(format_args!("a number is out of range for {name}"));
        match self.spec.kind {
            Kind::Double => self.fixed64(number.real().to_bits()),
            Kind::Fixed64 => self.fixed64(u64::try_from(whole()?).map_err(too_large)?),
            Kind::Sfixed64 => self.fixed64(i64::try_from(whole()?).map_err(too_large)? as u64),
            Kind::Uint64 => self.varint(u64::try_from(whole()?).map_err(too_large)?),
            Kind::Int64 => self.varint(i64::try_from(whole()?).map_err(too_large)? as u64),
            Kind::Uint32 => self.varint(u64::from(u32::try_from(whole()?).map_err(too_large)?)),
            Kind::Enum | Kind::TableIndex => {
                self.varint(i64::from(i32::try_from(whole()?).map_err(too_large)?) as u64);
            }
            Kind::Sint32 => {
                let value = i32::try_from(whole()?).map_err(too_large)?;
                self.varint(u64::from((value << 1 ^ value >> 31) as u32));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(whole()?).map_err(too_large)?;
                if !self.is_left_out(value == 0) {
                    fixed32_field(self.out, self.spec.number, value);
                }
            }
            Kind::Text | Kind::Bytes | Kind::Id | Kind::Bool | Kind::Message(_) => {
                return Err(E::custom(format_args!("{name} is no number")));
            }
        }
        Ok(())
    }
}

impl Number {
    fn whole(self) -> Option<i128> {
        match self {
            Self::Whole(value) => Some(value),
            // 1e3 and 5.0 are whole numbers, too. Beyond 64 bits the range is exceeded anyway.
            Self::Real(value) if value.fract() == 0.0 && value.abs() < 1e20 => Some(value as i128),
            Self::Real(_) => None,
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::Real(f64::NAN)),
            "Infinity" => return Some(Self::Real(f64::INFINITY)),
            "-Infinity" => return Some(Self::Real(f64::NEG_INFINITY)),
            // Rust would also read "inf" and "+1".
            _ if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => return None,
            _ if text.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) => {
                return None;
            }
            _ => {}
        }
        // -0 is a double of its own.
        let whole = text.parse().ok().filter(|_| text != "-0").map(Self::Whole);
        whole.or_else(|| text.parse().ok().map(Self::Real))
    }
}

impl Visitor<'_> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.spec.kind {
            Kind::Text => "a text",
            Kind::Bytes => "base64",
            Kind::Id => "hexadecimal digits",
            Kind::Bool => "true or false",
            _ => "a number",
        };
        write!(out, "{what} for {}", self.spec.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match (self.form, self.spec.kind) {
            (Form::Field, _) => {}
            (_, Kind::Text) => self.bytes(b""),
            _ => self.number(Number::Whole(0))?,
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if !matches!(self.spec.kind, Kind::Bool) {
            return Err(E::custom(format_args!("{} is neither true nor false", self.spec.name)));
        }
        self.varint(u64::from(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(Number::Whole(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(Number::Whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(Number::Real(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let name = self.spec.name;
        match self.spec.kind {
            Kind::Text => self.bytes(text.as_bytes()),
            Kind::Bytes => {
                let engine = if text.contains(['-', '_']) { &BASE64_URL } else { &BASE64 };
                let bytes = engine.decode(text);
                self.bytes(&bytes.map_err(|_| E::custom(format_args!("{name} is not base64")))?);
            }
            Kind::Id => {
                let bytes = hexadecimal(text);
                self.bytes(&bytes.ok_or_else(|| E::custom(format_args!("{name} is not hexadecimal")))?);
            }
            Kind::Enum => return Err(E::custom(format_args!("{name} is a number, never a name"))),
            Kind::Bool => return Err(E::custom(format_args!("{name} is true or false, not a text"))),
            _ => {
                let number = Number::parse(text);
                self.number(number.ok_or_else(|| E::custom(format_args!("{name} is a number")))?)?;
            }
        }
        Ok(())
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let (pairs, []) = text.as_bytes().as_chunks() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
