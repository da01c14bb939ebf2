//! Adds resource attributes to a request without decoding it.
//!
//! Only resources are looked into; their lengths are written anew and all else is copied, fields that nobody knows yet
//! included. A resource that changes is moved to the front of its `ResourceMetrics`, `ResourceSpans` or `ResourceLogs`,
//! where senders write it anyway: protobuf's fields have no order.

use bytes::Bytes;
use telemetry::{AttributeValue, Signal};

use crate::wire::{Fields, Malformed, Raw, attribute_field, length_field, varint_length};

/// How many bytes a request may gain: as much as a request may have by default. Reached only by thousands of tiny
/// resources in one request, which is then refused rather than kept many times as large as it came.
const MOST_ADDED: usize = 16 * 1024 * 1024;

/// Attributes that every resource of a request must have.
#[derive(Clone, Debug, Default)]
pub struct Splice {
    attributes: Vec<Attribute>,
}

#[derive(Clone, Debug)]
struct Attribute {
    key: String,
    /// The field `attributes` of a `Resource`, key and length included.
    field: Vec<u8>,
    /// Whether it replaces what the sender says under this key.
    is_override: bool,
}

/// What a resource has under the key of one attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// What it should have.
    Good,
    /// What the override replaces.
    Other,
}

impl Splice {
    /// Adds each of these attributes where a resource has none of that key.
    pub fn new(attributes: &[(String, AttributeValue)]) -> Self {
        let mut splice = Self::default();
        for (key, value) in attributes {
            if !splice.attributes.iter().any(|attribute| attribute.key == *key) {
                splice.attributes.push(Attribute::new(key, value, false));
            }
        }
        splice
    }

    /// The same, and gives every resource the attribute `key` with this value, whatever the sender says there: for
    /// what is known of a sender for certain, such as its user.
    #[must_use]
    pub fn with_override(mut self, key: &str, value: &str) -> Self {
        self.attributes.retain(|attribute| attribute.key != key);
        self.attributes.push(Attribute::new(key, &value.into(), true));
        self
    }

    /// The request `payload` with its attributes. The same bytes, not a copy, when nothing is missing.
    ///
    /// # Errors
    ///
    /// The bytes are no protobuf message down to the keys of resource attributes, or so many resources miss
    /// attributes that the request would grow by more than 16 MiB.
    pub fn apply(&self, _: Signal, payload: Bytes) -> Result<Bytes, Malformed> {
        let mut found = vec![Found::Nothing; self.attributes.len()];
        let mut out = Vec::new();
        // Where what is not yet copied begins, and where the field at hand does.
        let mut uncopied = 0;
        let mut begin = 0;
        for field in Fields::of(&payload).raw() {
            let Raw { number, value, bytes } = field?;
            let end = begin + bytes.len();
            // The numbering is the same in all signals: request.resource_x = 1, resource_x.resource = 1.
            if number == 1 && self.look(value.bytes()?, &mut found)? {
                if out.is_empty() {
                    out.reserve(payload.len() + self.most_added());
                }
                out.extend_from_slice(payload.get(uncopied..begin).unwrap_or_default());
                self.write(&mut out, value.bytes()?, &found)?;
                uncopied = end;
                if out.len() > end + MOST_ADDED {
                    return Err(Malformed::new("too many resources miss attributes of the host"));
                }
            }
            begin = end;
        }
        if out.is_empty() {
            return Ok(payload);
        }
        out.extend_from_slice(payload.get(uncopied..).unwrap_or_default());
        Ok(out.into())
    }

    /// What one resource gains at most, with the lengths around it.
    fn most_added(&self) -> usize {
        16 + self.attributes.iter().map(|attribute| attribute.field.len()).sum::<usize>()
    }

    /// Notes what the resource in `body` has of each attribute, and says whether that must change.
    fn look(&self, body: &[u8], found: &mut [Found]) -> Result<bool, Malformed> {
        found.fill(Found::Nothing);
        for resource in resources(body) {
            for field in Fields::of(resource?).raw() {
                let Raw { number: 1, value, bytes } = field? else { continue };
                let key = key(value.bytes()?)?;
                let known = self.attributes.iter().zip(&mut *found);
                if let Some((attribute, found)) = known.into_iter().find(|(one, _)| one.key.as_bytes() == key)
                {
                    let is_good =
                        !attribute.is_override || *found == Found::Nothing && bytes == attribute.field;
                    *found = if is_good { Found::Good } else { Found::Other };
                }
            }
        }
        Ok(found.iter().any(|found| *found != Found::Good))
    }

    /// Writes the field with the `ResourceX` whose content was `body`.
    fn write(&self, out: &mut Vec<u8>, body: &[u8], found: &[Found]) -> Result<(), Malformed> {
        let added = || self.attributes.iter().zip(found).filter(|(_, found)| **found != Found::Good);
        // Replaced attributes leave holes, and what was several resources becomes one, as decoders see it.
        let is_kept =
            |key: &[u8]| !added().any(|(one, found)| *found == Found::Other && one.key.as_bytes() == key);
        let holes = found.contains(&Found::Other);
        let mut length: usize = added().map(|(attribute, _)| attribute.field.len()).sum();
        for resource in resources(body) {
            let resource = resource?;
            length += if holes { kept(resource, &is_kept, |_| ())? } else { resource.len() };
        }
        let rest: usize = others(body).map(|field| field.map_or(0, <[u8]>::len)).sum();
        length_field(out, 1, 1 + varint_length(length as u64) + length + rest);
        length_field(out, 1, length);
        for resource in resources(body) {
            let resource = resource?;
            if holes {
                kept(resource, &is_kept, |field| out.extend_from_slice(field))?;
            } else {
                out.extend_from_slice(resource);
            }
        }
        added().for_each(|(attribute, _)| out.extend_from_slice(&attribute.field));
        for field in others(body) {
            out.extend_from_slice(field?);
        }
        Ok(())
    }
}

impl Attribute {
    fn new(key: &str, value: &AttributeValue, is_override: bool) -> Self {
        let mut field = Vec::new();
        attribute_field(&mut field, 1, key, value);
        Self { key: key.to_owned(), field, is_override }
    }
}

/// The `Resource`s of a `ResourceX`: mostly one.
fn resources(body: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::of(body).filter_map(|field| match field {
        Ok((1, value)) => Some(value.bytes()),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// The other fields of a `ResourceX`.
fn others(body: &[u8]) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    let fields = Fields::of(body).raw();
    fields
        .filter(|field| !matches!(field, Ok(Raw { number: 1, .. })))
        .map(|field| field.map(|field| field.bytes))
}

/// The key of a `KeyValue`; the last one counts, as decoders see it.
fn key(key_value: &[u8]) -> Result<&[u8], Malformed> {
    let mut key: &[u8] = &[];
    for field in Fields::of(key_value) {
        if let (1, value) = field? {
            key = value.bytes()?;
        }
    }
    Ok(key)
}

/// Visits the fields of a `Resource`, except attributes whose key is not kept. How many bytes they have.
fn kept<'a>(
    resource: &'a [u8],
    is_kept: &impl Fn(&[u8]) -> bool,
    mut visit: impl FnMut(&'a [u8]),
) -> Result<usize, Malformed> {
    let mut length = 0;
    for field in Fields::of(resource).raw() {
        let Raw { number, value, bytes } = field?;
        if number != 1 || is_kept(key(value.bytes()?)?) {
            length += bytes.len();
            visit(bytes);
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
