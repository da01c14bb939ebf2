//! One block of lz4, by its `lz4_Block_format.md`.

use super::Unpacked;

const WRONG: &str = "a field is no lz4";

/// Appends what `block` holds to `out`, up to `most` bytes.
pub(super) fn decode(block: &[u8], most: usize, out: &mut Vec<u8>) -> Result<Unpacked, &'static str> {
    let (begin, mut input) = (out.len(), block);
    loop {
        let token = take(&mut input, 1)?.first().copied().ok_or(WRONG)?;
        let literals = length(token >> 4, &mut input)?;
        let left = most - (out.len() - begin);
        let bytes = take(&mut input, literals)?;
        out.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
        if literals > left {
            return Ok(Unpacked::Cut);
        }
        if input.is_empty() {
            return Ok(Unpacked::Whole);
        }
        let &[low, high] = take(&mut input, 2)? else { return Err(WRONG) };
        let distance = usize::from(u16::from_le_bytes([low, high]));
        let copied = length(token & 15, &mut input)?.saturating_add(4);
        let left = most - (out.len() - begin);
        repeat(out, begin, distance, copied.min(left))?;
        if copied > left {
            return Ok(Unpacked::Cut);
        }
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = input.split_at_checked(count).ok_or(WRONG)?;
    *input = rest;
    Ok(taken)
}

/// A length of which `nibble` is the beginning.
fn length(nibble: u8, input: &mut &[u8]) -> Result<usize, &'static str> {
    let mut length = usize::from(nibble);
    if nibble == 15 {
        loop {
            let more = take(input, 1)?.first().copied().ok_or(WRONG)?;
            length = length.saturating_add(usize::from(more));
            if more != 255 {
                break;
            }
        }
    }
    Ok(length)
}

/// Appends `count` bytes that begin `distance` before the end of `out`, where they may overlap with what is appended.
pub(super) fn repeat(
    out: &mut Vec<u8>,
    begin: usize,
    distance: usize,
    count: usize,
) -> Result<(), &'static str> {
    let from = out.len().checked_sub(distance).filter(|from| *from >= begin && distance > 0);
    let from = from.ok_or("a field repeats what is not there")?;
    let mut left = count;
    while left > 0 {
        let piece = left.min(out.len() - from);
        out.extend_from_within(from..from + piece);
        left -= piece;
    }
    Ok(())
}
