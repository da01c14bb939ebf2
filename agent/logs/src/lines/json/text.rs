//! Numbers and escapes of JSON.

/// How far the next quote or backslash is looked for by hand, in bytes: most strings are shorter, and the call of what is
/// faster for the others would cost more than they do.
const SHORT_BYTES: usize = 32;

/// Where the next quote or backslash stands.
#[inline]
pub(in crate::lines) fn find_special(text: &[u8]) -> Option<usize> {
    let (words, _) = text.as_chunks::<8>();
    for (place, word) in words.iter().take(SHORT_BYTES / 8).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (EACH * u64::from(b'"'))) | zeros(word ^ (EACH * u64::from(b'\\')));
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let from = words.len().min(SHORT_BYTES / 8) * 8;
    let rest = text.get(from..)?;
    let found = if rest.len() < 8 {
        rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))
    } else {
        memchr::memchr2(b'"', b'\\', rest)
    };
    found.map(|at| from + at)
}

/// One in each byte.
const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each byte that is zero; the lowest of them is right, those above it may be too many.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(EACH) & !word & (EACH << 7)
}

/// How many bytes at the beginning are a number by JSON's grammar.
pub(in crate::lines) fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text.get(at) == Some(&b'0')) {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        (fraction > 0).then_some(())?;
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        (exponent > 0).then_some(())?;
        at += exponent;
    }
    Some(at)
}

/// Appends what an escaped string says. Half of a surrogate pair says U+FFFD.
pub(in crate::lines) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(rest.get(..at)?);
        let (escape, after) = rest.get(at + 1..)?.split_first()?;
        rest = after;
        out.push(match escape {
            b'"' | b'\\' | b'/' => *escape,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let mut utf8 = [0; 4];
                out.extend_from_slice(unicode(&mut rest)?.encode_utf8(&mut utf8).as_bytes());
                continue;
            }
            _ => return None,
        });
    }
    out.extend_from_slice(rest);
    Some(())
}

/// The character after `\u`, of which there may be two halves.
fn unicode(rest: &mut &[u8]) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let mut ahead = rest.strip_prefix(b"\\u").unwrap_or_default();
    match unit(&mut ahead) {
        Some(second @ 0xdc00..=0xdfff) => {
            *rest = ahead;
            Some(char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?)
        }
        _ => Some(char::REPLACEMENT_CHARACTER),
    }
}

fn unit(rest: &mut &[u8]) -> Option<u32> {
    let (digits, after) = rest.split_first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit * 16 + char::from(*digit).to_digit(16)?;
    }
    *rest = after;
    Some(unit)
}
