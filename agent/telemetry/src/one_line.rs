//! Text of others, on the line that it belongs to.

use std::fmt::{self, Write};

/// Prints what it holds with control characters and line ends escaped, as in `\n`: a name that a process gives itself or
/// a path that was asked for must not look like a line of its own in a log.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<T>(pub T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(breaks_the_line) {
            let last = piece.chars().next_back().filter(|last| breaks_the_line(*last));
            self.0.write_str(last.and_then(|last| piece.strip_suffix(last)).unwrap_or(piece))?;
            last.map_or(Ok(()), |last| write!(self.0, "{}", last.escape_default()))?;
        }
        Ok(())
    }
}

/// Control characters, and Unicode's separators of lines and paragraphs.
fn breaks_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_begin_a_line_or_move_a_cursor_is_escaped() {
        for (text, printed) in [
            ("/var/spool/web", "/var/spool/web"),
            ("größe \\n", "größe \\n"),
            ("a\nWARN b\r\n", "a\\nWARN b\\r\\n"),
            ("\u{1b}[2K\u{9b}1A", "\\u{1b}[2K\\u{9b}1A"),
            ("a\u{2028}b\0", "a\\u{2028}b\\u{0}"),
        ] {
            assert_eq!(OneLine(text).to_string(), printed);
        }
    }
}
