//! Texts and characters as Go's source code writes them.

use super::value::Number;

/// What stands in the quotes. `None` if an escape is bad.
pub(super) fn unquoted(source: &str) -> Option<String> {
    let inside = source.get(1..source.len().checked_sub(1)?)?;
    if source.starts_with('`') {
        // Go leaves carriage returns out of raw texts.
        return Some(inside.replace('\r', ""));
    }
    let mut bytes = Vec::new();
    let mut rest = inside;
    while let Some((piece, length)) = piece(rest, '"') {
        match piece {
            Piece::Byte(byte) => bytes.push(byte),
            Piece::Character(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
        rest = rest.get(length..)?;
    }
    rest.is_empty().then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The number of the one character in single quotes.
pub(super) fn character(source: &str) -> Option<Number> {
    let inside = source.get(1..source.len().checked_sub(1)?)?;
    let (piece, length) = piece(inside, '\'')?;
    let number = match piece {
        Piece::Byte(byte) => i64::from(byte),
        Piece::Character(c) => i64::from(u32::from(c)),
    };
    (length == inside.len()).then_some(Number::Int(number))
}

enum Piece {
    Byte(u8),
    Character(char),
}

/// The first character or escape, and its length.
fn piece(source: &str, quote: char) -> Option<(Piece, usize)> {
    let mut characters = source.chars();
    let first = characters.next()?;
    if first == quote {
        return None;
    }
    if first != '\\' {
        return Some((Piece::Character(first), first.len_utf8()));
    }
    let escape = characters.next()?;
    let digits = |count: usize, base: u32, start: usize| {
        let digits = source.get(start..start + count)?;
        let all = digits.chars().all(|c| c.is_digit(base));
        u32::from_str_radix(digits, base).ok().filter(|_| all).map(|number| (number, start + count))
    };
    let simple = |c: char| Some((Piece::Character(c), 2));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        c if c == quote => simple(c),
        'x' => digits(2, 16, 2).and_then(|(number, end)| Some((Piece::Byte(number.try_into().ok()?), end))),
        '0'..='7' => {
            digits(3, 8, 1).and_then(|(number, end)| Some((Piece::Byte(number.try_into().ok()?), end)))
        }
        'u' => {
            digits(4, 16, 2).and_then(|(number, end)| Some((Piece::Character(char::from_u32(number)?), end)))
        }
        'U' => {
            digits(8, 16, 2).and_then(|(number, end)| Some((Piece::Character(char::from_u32(number)?), end)))
        }
        _ => None,
    }
}
