//! The values of labels: texts with what groups of a pattern have found, or attributes, put into them.

use std::borrow::Cow;
use std::io::Write as _;

use regex::bytes::{Captures, Regex};
use telemetry::{AttributeValue, Attributes, LogValue, LogView};

use super::BODY_BYTES;
use crate::Masking;
use crate::view::{AnyValue, LogRecordView};

/// The longest value of a label, in bytes; longer ones are cut.
const VALUE_BYTES: usize = 128;

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Box<str>),
    Group(usize),
    Attribute(Box<str>),
}

/// The parts of `template`; nothing if it cannot be read.
pub(super) fn parts(template: &str, pattern: Option<&Regex>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        let (name, after) = after.split_once('}').filter(|(name, _)| !name.is_empty())?;
        let mut names = pattern.into_iter().flat_map(Regex::capture_names);
        let group = names.position(|group| group == Some(name));
        parts.push(group.map_or_else(|| Part::Attribute(name.into()), Part::Group));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Some(parts)
}

/// What rules look at.
pub(in crate::tap) trait Line {
    /// `SeverityNumber`, 1 to 24; 0 when it is not known.
    fn severity(&self) -> i32;

    /// The text that was logged, as far as it is looked at; empty where none was.
    fn body(&self) -> &[u8];

    /// Appends the attribute of this name as a text, and says whether there is one.
    fn write_attribute(&self, key: &str, out: &mut Vec<u8>) -> bool;
}

impl Line for LogRecordView<'_> {
    fn severity(&self) -> i32 {
        self.severity
    }

    fn body(&self) -> &[u8] {
        let body = self.body.text().unwrap_or_default();
        body.get(..BODY_BYTES).unwrap_or(body)
    }

    fn write_attribute(&self, key: &str, out: &mut Vec<u8>) -> bool {
        let mut attributes = self.attributes().filter_map(Result::ok);
        let found = attributes.find(|attribute| attribute.key == key.as_bytes());
        // Writing into memory does not fail.
        match found.map(|attribute| attribute.value) {
            Some(Ok(AnyValue::Text(text))) => out.extend_from_slice(text.get(..BODY_BYTES).unwrap_or(text)),
            Some(Ok(AnyValue::Bool(value))) => drop(write!(out, "{value}")),
            Some(Ok(AnyValue::Int(value))) => drop(write!(out, "{value}")),
            Some(Ok(AnyValue::Double(value))) => drop(write!(out, "{value}")),
            _ => return false,
        }
        true
    }
}

impl Line for LogView<'_> {
    fn severity(&self) -> i32 {
        i32::from(LogView::severity(self))
    }

    fn body(&self) -> &[u8] {
        let (LogValue::Text(body) | LogValue::Bytes(body)) = LogView::body(self) else { return &[] };
        body.get(..BODY_BYTES).unwrap_or(body)
    }

    fn write_attribute(&self, key: &str, out: &mut Vec<u8>) -> bool {
        match self.attribute(key) {
            Some(LogValue::Text(text) | LogValue::Bytes(text)) => {
                out.extend_from_slice(text.get(..BODY_BYTES).unwrap_or(text));
            }
            Some(LogValue::Bool(value)) => drop(write!(out, "{value}")),
            Some(LogValue::Int(value)) => drop(write!(out, "{value}")),
            Some(LogValue::Double(value)) => drop(write!(out, "{value}")),
            Some(_) => return false,
            None => {
                let group = self.group();
                return write_shared(&group.shared, key, out) || write_shared(&group.resource, key, out);
            }
        }
        true
    }
}

fn write_shared(attributes: &Attributes, key: &str, out: &mut Vec<u8>) -> bool {
    match attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value) {
        Some(AttributeValue::Text(text)) => out.extend_from_slice(text.as_bytes()),
        Some(AttributeValue::Int(value)) => drop(write!(out, "{value}")),
        _ => return false,
    }
    true
}

/// The attribute of this name as a text.
pub(super) fn attribute(line: &impl Line, key: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    line.write_attribute(key, &mut text).then_some(text)
}

/// A line of which nothing may be shown that is masked.
pub(in crate::tap) struct MaskedLine<'a, L> {
    line: &'a L,
    masking: &'a Masking,
    body: Cow<'a, [u8]>,
}

impl<'a, L: Line> MaskedLine<'a, L> {
    pub(in crate::tap) fn new(line: &'a L, masking: &'a Masking) -> Self {
        Self { line, masking, body: masking.line(line.body()) }
    }
}

impl<L: Line> Line for MaskedLine<'_, L> {
    fn severity(&self) -> i32 {
        self.line.severity()
    }

    fn body(&self) -> &[u8] {
        &self.body
    }

    fn write_attribute(&self, key: &str, out: &mut Vec<u8>) -> bool {
        let Some(text) = attribute(self.line, key) else { return false };
        out.extend_from_slice(&self.masking.attribute(key.as_bytes(), &text));
        true
    }
}

/// The values of the labels of one line, one after the other, each with its length before it: what tells their series
/// from all others of the rule.
#[derive(Debug, Default)]
pub(in crate::tap) struct Values {
    bytes: Vec<u8>,
    text: Vec<u8>,
}

impl Values {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn push(&mut self, parts: &[Part], captures: Option<&Captures<'_>>, line: &impl Line) {
        self.text.clear();
        for part in parts {
            match part {
                Part::Text(text) => self.text.extend_from_slice(text.as_bytes()),
                Part::Group(group) => {
                    let found = captures.and_then(|captures| captures.get(*group));
                    self.text.extend_from_slice(found.map_or(&[], |found| found.as_bytes()));
                }
                Part::Attribute(key) => drop(line.write_attribute(key, &mut self.text)),
            }
        }
        let length = self.text.len().min(VALUE_BYTES);
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(self.text.get(..length).unwrap_or_default());
    }

    pub(in crate::tap) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The values in what [`Values::as_bytes`] gave.
    pub(in crate::tap) fn texts(mut bytes: &[u8]) -> Vec<Box<str>> {
        let mut texts = Vec::new();
        while let Some((length, rest)) = bytes.split_first() {
            let (value, rest) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, &[]));
            // A value that was cut within a character ends before it.
            let whole = match std::str::from_utf8(value) {
                Err(error) if error.error_len().is_none() => value.get(..error.valid_up_to()),
                _ => None,
            };
            texts.push(String::from_utf8_lossy(whole.unwrap_or(value)).into());
            bytes = rest;
        }
        texts
    }
}
