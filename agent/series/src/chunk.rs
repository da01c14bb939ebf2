//! Samples packed into bits.
//!
//! A value is stored as its difference, by exclusive or, from the one before it; a time as the change of the distance to
//! the one before it (Pelkonen et al., Gorilla, VLDB 2015). Every bit of a value returns, those of a NaN too. What would
//! surprise you: values that are all hundredths or thousandths, as the kernel's times are, are packed as whole numbers,
//! which takes a third of the room. The layout is described in `FORMAT.md`.

mod bits;

use bits::{BitReader, BitWriter};

/// Samples in one chunk at most. A window that begins within a chunk has the whole of it unpacked.
pub(crate) const CHUNK_SAMPLES: u16 = 240;

/// Widths of a change of distance, in bits; the first needs none, the last is whatever does not fit.
const CHANGES: [u32; 4] = [7, 12, 20, 64];

/// What the values of a chunk were multiplied by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scale {
    #[default]
    One,
    Hundred,
    Thousand,
}

impl Scale {
    const ALL: [Self; 3] = [Self::One, Self::Hundred, Self::Thousand];

    fn factor(self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Hundred => 100.0,
            Self::Thousand => 1_000.0,
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::One => 0,
            Self::Hundred => 1,
            Self::Thousand => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    fn whole(self, value: f64) -> f64 {
        if self == Self::One { value } else { (value * self.factor()).round() }
    }

    /// Whether every bit of the value returns.
    pub(crate) fn fits(self, value: f64) -> bool {
        self == Self::One || (self.whole(value) / self.factor()).to_bits() == value.to_bits()
    }

    /// The scale at which `values` become whole numbers, if there is one.
    pub(crate) fn of(values: &(impl Iterator<Item = f64> + Clone)) -> Self {
        let whole =
            |scale: &Self| values.clone().all(|value| scale.fits(value) && scale.whole(value).fract() == 0.0);
        Self::ALL.iter().find(|scale| whole(scale)).copied().unwrap_or_default()
    }
}

/// When the samples of a chunk were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkTimes {
    /// In collections one after the other, from this one on.
    Shared(u64),
    /// At times that are packed with the values.
    Own,
}

/// A chunk as it can be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) times: ChunkTimes,
    pub(crate) scale: Scale,
    pub(crate) count: u16,
    pub(crate) bytes: &'a [u8],
}

impl Chunk<'_> {
    /// Appends the values, and the times if they are its own. `None` if the bytes hold fewer samples than they should; what
    /// was appended then means nothing.
    pub(crate) fn unpack(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) -> Option<()> {
        let from = values.len();
        values.reserve(usize::from(self.count));
        let mut bits = BitReader::new(self.bytes);
        let mut last = Last::default();
        match self.times {
            ChunkTimes::Shared(_) => {
                let mut left = u32::from(self.count);
                while left > 0 {
                    // A constant is a run of zeros.
                    let run = bits.zeros().min(left);
                    if run > 0 {
                        bits.skip(run)?;
                        values.resize(values.len() + run as usize, f64::from_bits(last.value));
                        left -= run;
                    } else {
                        values.push(last.next_value(&mut bits)?);
                        left -= 1;
                    }
                }
            }
            ChunkTimes::Own => {
                times.reserve(usize::from(self.count));
                for number in 0..self.count {
                    times.push(if number == 0 {
                        last.first_time(&mut bits)?
                    } else {
                        last.next_time(&mut bits)?
                    });
                    values.push(last.next_value(&mut bits)?);
                }
            }
        }
        if self.scale != Scale::One {
            let factor = self.scale.factor();
            values.get_mut(from..)?.iter_mut().for_each(|value| *value /= factor);
        }
        Some(())
    }

    /// When the first sample was taken, if the chunk itself says so.
    pub(crate) fn first_time(&self) -> Option<i64> {
        match self.times {
            ChunkTimes::Shared(_) => None,
            ChunkTimes::Own => Last::default().first_time(&mut BitReader::new(self.bytes)),
        }
    }
}

/// The sample before, to which the next is compared.
#[derive(Clone, Debug, Default)]
struct Last {
    value: u64,
    time: i64,
    distance: i64,
    /// How many leading zeros the last difference had, and how many bits followed; zero before the first.
    lead: u8,
    width: u8,
}

impl Last {
    fn first_time(&mut self, bits: &mut BitReader<'_>) -> Option<i64> {
        self.time = bits.read(64)? as i64;
        Some(self.time)
    }

    fn next_time(&mut self, bits: &mut BitReader<'_>) -> Option<i64> {
        if bits.read(1)? == 1 {
            let mut class = 0;
            while class + 1 < CHANGES.len() && bits.read(1)? == 1 {
                class += 1;
            }
            let width = *CHANGES.get(class)?;
            let change = (bits.read(width)? << (64 - width)) as i64 >> (64 - width);
            self.distance = self.distance.wrapping_add(change);
        }
        self.time = self.time.wrapping_add(self.distance);
        Some(self.time)
    }

    fn next_value(&mut self, bits: &mut BitReader<'_>) -> Option<f64> {
        let next = bits.peek();
        if next >> 63 == 0 {
            bits.skip(1)?;
        } else {
            if next >> 62 == 0b10 {
                bits.skip(2)?;
            } else {
                bits.skip(13)?;
                self.lead = (next >> 57 & 31) as u8;
                self.width = match next >> 51 & 63 {
                    0 => 64,
                    width => width as u8,
                };
            }
            // No packer takes up a window before it has opened one, or one that ends beyond the value.
            let width = u32::from(self.width);
            let shift = 64_u32.checked_sub(u32::from(self.lead) + width).filter(|_| width > 0)?;
            self.value ^= bits.read(width)? << shift;
        }
        Some(f64::from_bits(self.value))
    }
}

/// A chunk that takes further samples.
#[derive(Debug)]
pub(crate) struct Packer {
    times: ChunkTimes,
    scale: Scale,
    count: u16,
    bits: BitWriter,
    last: Last,
}

impl Packer {
    pub(crate) fn new(times: ChunkTimes, scale: Scale) -> Self {
        Self { times, scale, count: 0, bits: BitWriter::default(), last: Last::default() }
    }

    pub(crate) fn count(&self) -> u16 {
        self.count
    }

    pub(crate) fn scale(&self) -> Scale {
        self.scale
    }

    /// Whether samples with such times can follow.
    pub(crate) fn continues(&self, times: ChunkTimes) -> bool {
        match (self.times, times) {
            (ChunkTimes::Shared(first), ChunkTimes::Shared(next)) => first + u64::from(self.count) == next,
            (ChunkTimes::Own, ChunkTimes::Own) => true,
            _ => false,
        }
    }

    /// Appends a sample whose value fits the scale. The time counts only where times are the chunk's own.
    pub(crate) fn push(&mut self, time: i64, value: f64) {
        if self.times == ChunkTimes::Own {
            self.push_time(time);
        }
        self.push_value(self.scale.whole(value).to_bits());
        self.count += 1;
    }

    fn push_time(&mut self, time: i64) {
        if self.count == 0 {
            self.bits.push(time as u64, 64);
        } else {
            let distance = time.wrapping_sub(self.last.time);
            let change = distance.wrapping_sub(self.last.distance);
            self.last.distance = distance;
            if change == 0 {
                self.bits.push(0, 1);
            } else {
                let fits =
                    |width: u32| width == 64 || (-(1 << (width - 1))..1 << (width - 1)).contains(&change);
                let (class, width) =
                    CHANGES.into_iter().enumerate().find(|(_, width)| fits(*width)).unwrap_or((3, 64));
                // Of ones as many as the class, and a zero unless it is the last.
                match class {
                    0 => self.bits.push(0b10, 2),
                    1 => self.bits.push(0b110, 3),
                    2 => self.bits.push(0b1110, 4),
                    _ => self.bits.push(0b1111, 4),
                }
                self.bits.push(change as u64, width);
            }
        }
        self.last.time = time;
    }

    fn push_value(&mut self, value: u64) {
        let difference = value ^ self.last.value;
        self.last.value = value;
        if difference == 0 {
            self.bits.push(0, 1);
            return;
        }
        let (lead, tail) = (difference.leading_zeros().min(31), difference.trailing_zeros());
        let width = 64 - lead - tail;
        let (old_lead, old_width) = (u32::from(self.last.lead), u32::from(self.last.width));
        let inside = old_width > 0 && lead >= old_lead && tail >= 64 - old_lead - old_width;
        // A new window costs eleven bits more.
        if inside && old_width <= width + 11 {
            self.bits.push(0b10, 2);
            self.bits.push(difference >> (64 - old_lead - old_width), old_width);
        } else {
            self.bits.push(0b11, 2);
            self.bits.push(u64::from(lead << 6 | (width & 63)), 11);
            self.bits.push(difference >> tail, width);
            self.last.lead = lead as u8;
            self.last.width = width as u8;
        }
    }

    pub(crate) fn chunk(&self) -> Chunk<'_> {
        Chunk { times: self.times, scale: self.scale, count: self.count, bytes: self.bits.bytes() }
    }

    /// The memory it takes outside itself, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.bits.capacity()
    }

    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        self.bits.into_bytes()
    }
}

#[cfg(test)]
mod tests;
