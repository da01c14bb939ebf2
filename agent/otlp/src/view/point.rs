//! Points of all kinds.

use super::{Attributes, MISPLACED, Messages, fixed64, varint};
use crate::wire::{Field, Fields, Malformed};

/// `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_RECORDED_VALUE: u64 = 1;

/// What all points have.
#[derive(Clone, Copy, Debug, Default)]
pub struct PointHead<'a> {
    message: &'a [u8],
    attributes: u32,
    /// When what it counts began, in nanoseconds since the epoch; 0 when it is not known.
    pub start: u64,
    /// When it was measured, in nanoseconds since the epoch.
    pub time: u64,
    flags: u64,
}

impl<'a> PointHead<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::of(self.message, self.attributes)
    }

    /// Whether it says that its series has ended.
    pub const fn is_gone(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// The value of a number point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
}

impl Scalar {
    /// As a double.
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// A point of a gauge or a sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberView<'a> {
    /// Times, flags, attributes.
    pub head: PointHead<'a>,
    /// The value, if there is one.
    pub value: Option<Scalar>,
}

impl<'a> NumberView<'a> {
    /// Reads the point and passes over its attributes and exemplars.
    ///
    /// # Errors
    ///
    /// The bytes are no `NumberDataPoint`.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut point =
            Self { head: PointHead { message, attributes: 7, ..PointHead::default() }, value: None };
        for field in Fields::of(message) {
            match field? {
                (2, field) => point.head.start = fixed64(field)?,
                (3, field) => point.head.time = fixed64(field)?,
                (4, field) => point.value = Some(Scalar::Double(f64::from_bits(fixed64(field)?))),
                (6, field) => point.value = Some(Scalar::Int(fixed64(field)? as i64)),
                (8, field) => point.head.flags = varint(field)?,
                _ => {}
            }
        }
        Ok(point)
    }
}

/// A point of a histogram, with explicit or exponential bounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct DistributionView<'a> {
    /// Times, flags, attributes.
    pub head: PointHead<'a>,
    /// How many values there are.
    pub count: u64,
    /// What they add up to, if that makes sense.
    pub sum: Option<f64>,
}

impl<'a> DistributionView<'a> {
    /// Reads a point with explicit bounds and passes over its attributes, buckets and exemplars.
    ///
    /// # Errors
    ///
    /// The bytes are no `HistogramDataPoint`.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        Self::read_numbered(message, 9)
    }

    /// Reads a point with exponential bounds, but for its buckets.
    ///
    /// # Errors
    ///
    /// The bytes are no `ExponentialHistogramDataPoint`.
    pub fn read_exponential(message: &'a [u8]) -> Result<Self, Malformed> {
        Self::read_numbered(message, 1)
    }

    fn read_numbered(message: &'a [u8], attributes: u32) -> Result<Self, Malformed> {
        let head = PointHead { message, attributes, ..PointHead::default() };
        let mut point = Self { head, ..Self::default() };
        for field in Fields::of(message) {
            match field? {
                (2, field) => point.head.start = fixed64(field)?,
                (3, field) => point.head.time = fixed64(field)?,
                (4, field) => point.count = fixed64(field)?,
                (5, field) => point.sum = Some(f64::from_bits(fixed64(field)?)),
                (10, field) => point.head.flags = varint(field)?,
                _ => {}
            }
        }
        Ok(point)
    }

    /// How many values lie in each bucket; of a point with explicit bounds.
    pub fn bucket_counts(&self) -> impl Iterator<Item = Result<u64, Malformed>> + use<'a> {
        Numbers::of(self.head.message, 6)
    }

    /// The upper bounds of all buckets but the last; of a point with explicit bounds.
    pub fn explicit_bounds(&self) -> impl Iterator<Item = Result<f64, Malformed>> + use<'a> {
        Numbers::of(self.head.message, 7).map(|bits| bits.map(f64::from_bits))
    }
}

/// A point of a summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryView<'a> {
    /// Times, flags, attributes.
    pub head: PointHead<'a>,
    /// How many values there are.
    pub count: u64,
    /// What they add up to.
    pub sum: f64,
}

impl<'a> SummaryView<'a> {
    /// Reads the point and passes over its attributes and quantiles.
    ///
    /// # Errors
    ///
    /// The bytes are no `SummaryDataPoint`.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let head = PointHead { message, attributes: 7, ..PointHead::default() };
        let mut point = Self { head, ..Self::default() };
        for field in Fields::of(message) {
            match field? {
                (2, field) => point.head.start = fixed64(field)?,
                (3, field) => point.head.time = fixed64(field)?,
                (4, field) => point.count = fixed64(field)?,
                (5, field) => point.sum = f64::from_bits(fixed64(field)?),
                (8, field) => point.head.flags = varint(field)?,
                _ => {}
            }
        }
        Ok(point)
    }

    /// Its quantiles: which, and the value at it.
    pub fn quantiles(&self) -> Pairs<'a> {
        Pairs(Messages::of(self.head.message, 6))
    }
}

/// The quantiles of a summary with their values.
pub struct Pairs<'a>(Messages<'a>);

impl Iterator for Pairs<'_> {
    type Item = Result<(f64, f64), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|message| {
            let mut pair = (0.0, 0.0);
            for field in Fields::of(message) {
                match field? {
                    (1, field) => pair.0 = f64::from_bits(fixed64(field)?),
                    (2, field) => pair.1 = f64::from_bits(fixed64(field)?),
                    _ => {}
                }
            }
            Ok(pair)
        }))
    }
}

/// A repeated field of eight-byte numbers, packed or not.
struct Numbers<'a> {
    fields: Fields<'a>,
    number: u32,
    packed: &'a [u8],
}

impl<'a> Numbers<'a> {
    const fn of(message: &'a [u8], number: u32) -> Self {
        Self { fields: Fields::of(message), number, packed: &[] }
    }

    fn fail(&mut self, error: Malformed) -> Result<u64, Malformed> {
        (self.fields, self.packed) = (Fields::of(&[]), &[]);
        Err(error)
    }
}

impl Iterator for Numbers<'_> {
    type Item = Result<u64, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((number, rest)) = self.packed.split_first_chunk() {
                self.packed = rest;
                return Some(Ok(u64::from_le_bytes(*number)));
            }
            if !self.packed.is_empty() {
                return Some(self.fail(Malformed::new("a packed field does not end with a number")));
            }
            match self.fields.next()? {
                Ok((number, _)) if number != self.number => {}
                Ok((_, Field::Bytes(packed))) => self.packed = packed,
                Ok((_, Field::Fixed64(number))) => return Some(Ok(number)),
                Ok(_) => return Some(self.fail(MISPLACED)),
                Err(error) => return Some(self.fail(error)),
            }
        }
    }
}
