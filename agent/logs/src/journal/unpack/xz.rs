//! One stream of xz with LZMA2 in it, as journald writes it, by `xz-file-format.txt` and `lzma-specification.txt`.
//!
//! What was unpacked is what it looks back into, so it takes no dictionary of its own. Checks are not verified: the journal
//! has its own hashes, and journald writes none.

use super::Unpacked;
use super::lz4::repeat;

const WRONG: &str = "a field is no xz";

/// Appends what `stream` holds to `out`, up to `most` bytes.
pub(super) fn decode(stream: &[u8], most: usize, out: &mut Vec<u8>) -> Result<Unpacked, &'static str> {
    let block = stream.strip_prefix(b"\xfd7zXZ\0").and_then(|rest| rest.get(6..)).ok_or(WRONG)?;
    let header_bytes = (usize::from(*block.first().ok_or(WRONG)?) + 1) * 4;
    // An index instead of a block: nothing was packed.
    if header_bytes == 4 {
        return Ok(Unpacked::Whole);
    }
    let flags = *block.get(1).ok_or(WRONG)?;
    if flags & 0b11 != 0 {
        return Err("a field is xz with another filter than LZMA2");
    }
    let mut input = block.get(header_bytes..).ok_or(WRONG)?;
    let begin = out.len();
    let mut lzma = Lzma::default();
    loop {
        let control = byte(&mut input)?;
        let unpacked = match control {
            0 => return Ok(Unpacked::Whole),
            1 | 2 => raw(&mut input, begin, most, out)?,
            0x80.. => lzma.chunk(control, &mut input, begin, most, out)?,
            _ => return Err(WRONG),
        };
        if unpacked == Unpacked::Cut {
            return Ok(Unpacked::Cut);
        }
    }
}

fn byte(input: &mut &[u8]) -> Result<u8, &'static str> {
    let (first, rest) = input.split_first().ok_or(WRONG)?;
    *input = rest;
    Ok(*first)
}

/// A size as LZMA2 has it, less one, big-endian.
fn size(input: &mut &[u8]) -> Result<usize, &'static str> {
    Ok(usize::from(byte(input)?) << 8 | usize::from(byte(input)?))
}

fn raw(input: &mut &[u8], begin: usize, most: usize, out: &mut Vec<u8>) -> Result<Unpacked, &'static str> {
    let count = size(input)? + 1;
    let (bytes, rest) = input.split_at_checked(count).ok_or(WRONG)?;
    *input = rest;
    let left = most - (out.len() - begin);
    out.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
    Ok(if count > left { Unpacked::Cut } else { Unpacked::Whole })
}

/// The range coder.
struct Range<'a> {
    input: &'a [u8],
    width: u32,
    code: u32,
}

impl<'a> Range<'a> {
    fn new(input: &'a [u8]) -> Result<Self, &'static str> {
        let (first, rest) = input.split_first_chunk::<5>().ok_or(WRONG)?;
        let [_, code @ ..] = *first;
        Ok(Self { input: rest, width: u32::MAX, code: u32::from_be_bytes(code) })
    }

    fn normalize(&mut self) -> Result<(), &'static str> {
        if self.width < 1 << 24 {
            self.width <<= 8;
            self.code = self.code << 8 | u32::from(byte(&mut self.input)?);
        }
        Ok(())
    }

    fn bit(&mut self, probability: &mut u16) -> Result<usize, &'static str> {
        self.normalize()?;
        let bound = (self.width >> 11) * u32::from(*probability);
        if self.code < bound {
            self.width = bound;
            *probability += (2048 - *probability) >> 5;
            return Ok(0);
        }
        self.width -= bound;
        self.code -= bound;
        *probability -= *probability >> 5;
        Ok(1)
    }

    fn direct(&mut self, bits: u32) -> Result<usize, &'static str> {
        let mut value = 0;
        for _ in 0..bits {
            self.normalize()?;
            self.width >>= 1;
            let is_set = self.code >= self.width;
            self.code -= if is_set { self.width } else { 0 };
            value = value << 1 | usize::from(is_set);
        }
        Ok(value)
    }

    /// `bits` bits, the most significant first.
    fn tree(&mut self, probabilities: &mut [u16], bits: u32) -> Result<usize, &'static str> {
        let mut node = 1;
        for _ in 0..bits {
            node = node << 1 | self.bit(probabilities.get_mut(node).ok_or(WRONG)?)?;
        }
        Ok(node - (1 << bits))
    }

    /// `bits` bits, the least significant first.
    fn reverse(&mut self, probabilities: &mut [u16], bits: u32) -> Result<usize, &'static str> {
        let (mut node, mut value) = (1, 0);
        for at in 0..bits {
            let bit = self.bit(probabilities.get_mut(node).ok_or(WRONG)?)?;
            node = node << 1 | bit;
            value |= bit << at;
        }
        Ok(value)
    }
}

const HALF: u16 = 1024;

/// How long a match is.
struct Lengths {
    choice: [u16; 2],
    low: [[u16; 8]; 16],
    middle: [[u16; 8]; 16],
    high: [u16; 256],
}

impl Default for Lengths {
    fn default() -> Self {
        Self { choice: [HALF; 2], low: [[HALF; 8]; 16], middle: [[HALF; 8]; 16], high: [HALF; 256] }
    }
}

impl Lengths {
    fn decode(&mut self, range: &mut Range<'_>, position: usize) -> Result<usize, &'static str> {
        let [first, second] = &mut self.choice;
        if range.bit(first)? == 0 {
            return range.tree(self.low.get_mut(position).ok_or(WRONG)?, 3).map(|length| length + 2);
        }
        if range.bit(second)? == 0 {
            return range.tree(self.middle.get_mut(position).ok_or(WRONG)?, 3).map(|length| length + 10);
        }
        range.tree(&mut self.high, 8).map(|length| length + 18)
    }
}

/// All that is learned within a stream.
struct Model {
    is_match: [[u16; 16]; 12],
    is_repeated: [u16; 12],
    is_not_last: [u16; 12],
    is_not_second: [u16; 12],
    is_third: [u16; 12],
    is_long: [[u16; 16]; 12],
    slots: [[u16; 64]; 4],
    special: [u16; 128],
    aligned: [u16; 16],
    lengths: Lengths,
    repeated_lengths: Lengths,
    literals: Vec<[u16; 0x300]>,
    state: usize,
    distances: [usize; 4],
}

impl Model {
    fn new(literal_bits: u32) -> Self {
        Self {
            is_match: [[HALF; 16]; 12],
            is_repeated: [HALF; 12],
            is_not_last: [HALF; 12],
            is_not_second: [HALF; 12],
            is_third: [HALF; 12],
            is_long: [[HALF; 16]; 12],
            slots: [[HALF; 64]; 4],
            special: [HALF; 128],
            aligned: [HALF; 16],
            lengths: Lengths::default(),
            repeated_lengths: Lengths::default(),
            literals: vec![[HALF; 0x300]; 1 << literal_bits],
            state: 0,
            distances: [0; 4],
        }
    }
}

#[derive(Default)]
struct Lzma {
    /// lc, lp and pb.
    bits: Option<(u32, u32, u32)>,
    model: Option<Box<Model>>,
}

impl Lzma {
    fn chunk(
        &mut self,
        control: u8,
        input: &mut &[u8],
        begin: usize,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<Unpacked, &'static str> {
        let unpacked = (usize::from(control & 0x1f) << 16) + size(input)? + 1;
        let packed = size(input)? + 1;
        if control >= 0xc0 {
            self.bits = Some(properties(byte(input)?)?);
        }
        let (lc, lp, pb) = self.bits.ok_or(WRONG)?;
        if control >= 0xa0 {
            self.model = Some(Box::new(Model::new(lc + lp)));
        }
        let model = self.model.as_mut().ok_or(WRONG)?;
        let (chunk, rest) = input.split_at_checked(packed).ok_or(WRONG)?;
        *input = rest;
        let mut decoder = Decoder { model, range: Range::new(chunk)?, lc, lp, pb, begin };
        let end = out.len() + unpacked;
        let wanted = end.min(begin + most);
        while out.len() < wanted {
            decoder.step(out, wanted)?;
        }
        Ok(if wanted < end { Unpacked::Cut } else { Unpacked::Whole })
    }
}

fn properties(byte: u8) -> Result<(u32, u32, u32), &'static str> {
    let byte = u32::from(byte);
    let (lc, lp, pb) = (byte % 9, byte / 9 % 5, byte / 45);
    if lc + lp > 4 || pb > 4 { Err(WRONG) } else { Ok((lc, lp, pb)) }
}

struct Decoder<'a> {
    model: &'a mut Model,
    range: Range<'a>,
    lc: u32,
    lp: u32,
    pb: u32,
    begin: usize,
}

impl Decoder<'_> {
    /// Appends one literal or one match, to `wanted` bytes at most.
    fn step(&mut self, out: &mut Vec<u8>, wanted: usize) -> Result<(), &'static str> {
        let position = (out.len() - self.begin) & ((1 << self.pb) - 1);
        let state = self.model.state;
        let is_match = self.model.is_match.get_mut(state).and_then(|it| it.get_mut(position)).ok_or(WRONG)?;
        if self.range.bit(is_match)? == 0 {
            return self.literal(out);
        }
        let is_repeated = self.model.is_repeated.get_mut(state).ok_or(WRONG)?;
        let length = if self.range.bit(is_repeated)? == 0 {
            self.matched(position)?
        } else {
            self.repeated(position)?
        };
        let count = length.min(wanted - out.len());
        repeat(out, self.begin, self.model.distances.first().map_or(0, |it| it.saturating_add(1)), count)
    }

    fn literal(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let before = out.get(self.begin..).and_then(<[u8]>::last).copied().unwrap_or(0);
        let position = (out.len() - self.begin) & ((1 << self.lp) - 1);
        let at = (position << self.lc) + (usize::from(before) >> (8 - self.lc));
        let probabilities = self.model.literals.get_mut(at).ok_or(WRONG)?;
        let mut symbol = 1;
        if self.model.state >= 7 {
            let distance = self.model.distances.first().map_or(0, |it| it.saturating_add(1));
            let from = out.len().checked_sub(distance).filter(|from| *from >= self.begin);
            let mut expected = usize::from(*from.and_then(|from| out.get(from)).ok_or(WRONG)?);
            while symbol < 0x100 {
                expected <<= 1;
                let bit = expected & 0x100;
                let probability = probabilities.get_mut(0x100 + bit + symbol).ok_or(WRONG)?;
                let decoded = self.range.bit(probability)?;
                symbol = symbol << 1 | decoded;
                if bit >> 8 != decoded {
                    break;
                }
            }
        }
        while symbol < 0x100 {
            symbol = symbol << 1 | self.range.bit(probabilities.get_mut(symbol).ok_or(WRONG)?)?;
        }
        out.push(symbol as u8);
        self.model.state = match self.model.state {
            0..4 => 0,
            state @ 4..10 => state - 3,
            state => state - 6,
        };
        Ok(())
    }

    /// A match at a distance of its own: its length.
    fn matched(&mut self, position: usize) -> Result<usize, &'static str> {
        let model = &mut *self.model;
        let length = model.lengths.decode(&mut self.range, position)?;
        let slots = model.slots.get_mut((length - 2).min(3)).ok_or(WRONG)?;
        let slot = self.range.tree(slots, 6)?;
        let distance = match slot {
            0..4 => slot,
            4..14 => {
                let bits = (slot as u32 >> 1) - 1;
                let base = (2 | (slot & 1)) << bits;
                let probabilities = model.special.get_mut(base - slot..).ok_or(WRONG)?;
                base + self.range.reverse(probabilities, bits)?
            }
            _ => {
                let bits = (slot as u32 >> 1) - 1;
                let base = (2 | (slot & 1)) << bits;
                let direct = self.range.direct(bits - 4)? << 4;
                base + direct + self.range.reverse(&mut model.aligned, 4)?
            }
        };
        let [last, second, third, _] = model.distances;
        model.distances = [distance, last, second, third];
        model.state = if model.state < 7 { 7 } else { 10 };
        Ok(length)
    }

    /// A match at a distance that was there before: its length.
    fn repeated(&mut self, position: usize) -> Result<usize, &'static str> {
        let (model, range) = (&mut *self.model, &mut self.range);
        let state = model.state;
        let [last, second, third, fourth] = model.distances;
        if range.bit(model.is_not_last.get_mut(state).ok_or(WRONG)?)? == 0 {
            let is_long = model.is_long.get_mut(state).and_then(|it| it.get_mut(position)).ok_or(WRONG)?;
            if range.bit(is_long)? == 0 {
                model.state = if state < 7 { 9 } else { 11 };
                return Ok(1);
            }
        } else if range.bit(model.is_not_second.get_mut(state).ok_or(WRONG)?)? == 0 {
            model.distances = [second, last, third, fourth];
        } else if range.bit(model.is_third.get_mut(state).ok_or(WRONG)?)? == 0 {
            model.distances = [third, last, second, fourth];
        } else {
            model.distances = [fourth, last, second, third];
        }
        model.state = if state < 7 { 8 } else { 11 };
        model.repeated_lengths.decode(range, position)
    }
}
