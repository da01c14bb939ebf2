//! Numbers of any width, the most significant bit first.

/// Bits one after the other, the last byte filled with zeros.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not taken.
    free: u32,
}

impl BitWriter {
    /// Appends the lowest `bits` of `value`, 64 at most.
    pub(super) fn push(&mut self, value: u64, bits: u32) {
        let mut left = bits;
        while left > 0 {
            if self.free == 0 {
                if self.bytes.len() == self.bytes.capacity() {
                    self.bytes.reserve_exact(self.bytes.len() / 8 + 16);
                }
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let part = (value >> (left - take)) as u8 & (0xff >> (8 - take));
            if let Some(byte) = self.bytes.last_mut() {
                *byte |= part << (self.free - take);
            }
            self.free -= take;
            left -= take;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    pub(super) fn into_bytes(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next 57 bits or more at the top, zeros beyond the end.
    pub(super) fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = rest.first_chunk().map_or_else(
            || {
                let mut last = [0; 8];
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                u64::from_be_bytes(last)
            },
            |next| u64::from_be_bytes(*next),
        );
        word << (self.at % 8)
    }

    /// How many zeros follow, as far as can be seen; some may lie beyond the end.
    pub(super) fn zeros(&self) -> u32 {
        self.peek().leading_zeros().min(57)
    }

    /// `None` beyond the end.
    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        self.at += bits as usize;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// The next `bits`, from 1 to 64; `None` beyond the end.
    pub(super) fn read(&mut self, bits: u32) -> Option<u64> {
        if bits > 57 {
            let high = self.read(bits - 32)?;
            return Some(high << 32 | self.read(32)?);
        }
        let value = self.peek() >> (64 - bits);
        self.skip(bits)?;
        Some(value)
    }
}
