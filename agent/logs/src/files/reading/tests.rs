use std::sync::Arc;

use super::*;
use crate::files::place::HEAD_BYTES;

const LIMITS: Limits = Limits { line_bytes: 1000, is_last: false };

/// Reads all that is in `text`, and returns the lines with their beginnings.
fn lines_of(reading: &mut Reading, text: &[u8], limits: Limits) -> Vec<(u64, String)> {
    let mut content = Content::Plain(Arc::new(text.to_vec()));
    let (mut lines, mut buffer) = (Vec::new(), Vec::new());
    let mut take = |line: Line<'_>| {
        let cut = if line.is_cut { "…" } else { "" };
        lines.push((line.begins_at, format!("{}{cut}", String::from_utf8_lossy(line.text))));
        true
    };
    loop {
        match reading.turn(&mut content, &mut buffer, limits, &mut take).unwrap() {
            Turn::More => {}
            Turn::CaughtUp => return lines,
            Turn::Replaced => {
                lines.push((0, "replaced".to_owned()));
                return lines;
            }
        }
    }
}

fn texts(reading: &mut Reading, text: &[u8], limits: Limits) -> Vec<String> {
    lines_of(reading, text, limits).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn lines_end_at_their_ends() {
    let rows: [(&[u8], &[&str]); 8] = [
        (b"a\nb\n", &["a", "b"]),
        (b"a\r\nb\r\n", &["a", "b"]),
        (b"a\n\n\r\nb\n", &["a", "b"]),
        (b"a\nhalf", &["a"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &["a", "\u{feff}b"]),
        (b"a\0b\n", &["a\0b"]),
        (b"\xef\xbb", &[]),
        (b"", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(texts(&mut Reading::default(), text, LIMITS), expected, "{text:?}");
    }
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let mut reading = Reading::default();
    assert_eq!(lines_of(&mut reading, b"one\ntw", LIMITS), [(0, "one".to_owned())]);
    assert_eq!(reading.spot.offset, 4);
    assert_eq!(lines_of(&mut reading, b"one\ntwo\nth", LIMITS), [(4, "two".to_owned())]);
    let last = Limits { is_last: true, ..LIMITS };
    assert_eq!(lines_of(&mut reading, b"one\ntwo\nth", last), [(8, "th".to_owned())]);
    assert_eq!((reading.spot.offset, reading.end), (10, 10));
}

#[test]
fn a_long_line_is_cut_once_and_its_rest_is_passed_over() {
    let mut text = vec![b'x'; 3 * READ_BYTES];
    text.extend_from_slice(b"\nnext\n");
    let mut reading = Reading::default();
    let found = texts(&mut reading, &text, LIMITS);
    assert_eq!(found, [format!("{}…", "x".repeat(1000)), "next".to_owned()]);
    assert_eq!(reading.spot.offset, text.len() as u64);
}

#[test]
fn a_line_that_is_longer_than_the_buffer_is_read_whole_up_to_the_limit() {
    let limits = Limits { line_bytes: 2 * READ_BYTES, is_last: false };
    for length in [READ_BYTES, 2 * READ_BYTES, 2 * READ_BYTES + 1] {
        let mut text = b"first\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', length));
        text.extend_from_slice(b"\nnext\n");
        let found = texts(&mut Reading::default(), &text, limits);
        let (whole, cut) = (length.min(2 * READ_BYTES), if length > 2 * READ_BYTES { "…" } else { "" });
        assert_eq!(found, ["first".to_owned(), format!("{}{cut}", "x".repeat(whole)), "next".to_owned()]);
    }
}

#[test]
fn a_long_line_that_grows_bit_by_bit_is_one_line() {
    let limits = Limits { line_bytes: 200_000, is_last: false };
    let (mut reading, mut text) = (Reading::default(), b"first\n".to_vec());
    assert_eq!(texts(&mut reading, &text, limits), ["first"]);
    for _ in 0..15 {
        text.extend(std::iter::repeat_n(b'x', 10_000));
        assert_eq!(texts(&mut reading, &text, limits), [""; 0]);
        assert_eq!(reading.end, text.len() as u64);
    }
    text.extend_from_slice(b"\nnext\n");
    assert_eq!(texts(&mut reading, &text, limits), ["x".repeat(150_000), "next".to_owned()]);
}

#[test]
fn a_cut_is_not_within_a_character() {
    let limits = Limits { line_bytes: 5, is_last: false };
    assert_eq!(texts(&mut Reading::default(), "aaaaéé\n".as_bytes(), limits), ["aaaa…"]);
    assert_eq!(texts(&mut Reading::default(), b"aaaa\x80\x80\x80\x80\x80\x80\n", limits).len(), 1);
}

#[test]
fn a_skipped_rest_is_remembered_with_the_place() {
    let mut reading = Reading::default();
    let text = vec![b'x'; 5000];
    assert_eq!(texts(&mut reading, &text, LIMITS).len(), 1);
    assert!(reading.spot.skipping);
    let mut again = Reading::at(reading.spot);
    let more = [&text[..], b"rest\nnext\n"].concat();
    assert_eq!(texts(&mut again, &more, LIMITS), ["next"]);
}

#[test]
fn other_bytes_before_the_place_are_noticed() {
    let text = b"one\ntwo\n".repeat(500);
    let mut reading = Reading::default();
    lines_of(&mut reading, &text, LIMITS);
    let mut other = text.clone();
    *other.last_mut().unwrap() = b'X';
    other.extend_from_slice(b"more\n");
    for changed in [&other[..], &text[..100], b""] {
        assert_eq!(texts(&mut reading.clone(), changed, LIMITS), ["replaced"]);
    }
    let mut longer = text.clone();
    longer.extend_from_slice(b"more\n");
    assert_eq!(texts(&mut reading, &longer, LIMITS), ["more"]);
    assert_eq!(reading.spot.head.len, HEAD_BYTES);
}

#[test]
fn the_hole_that_a_truncation_leaves_is_no_text() {
    let mut reading = Reading::after_truncation();
    assert_eq!(texts(&mut reading, &[0; 700], LIMITS), [""; 0]);
    let text = [&[0; 700][..], b"line\n\0kept\n"].concat();
    assert_eq!(texts(&mut reading, &text, LIMITS), ["line", "\0kept"]);
}

#[test]
fn reading_goes_on_where_the_taker_had_enough() {
    let mut content = Content::Plain(Arc::new(b"a\nb\nc\n".to_vec()));
    let (mut reading, mut buffer) = (Reading::default(), Vec::new());
    for expected in ["a", "b", "c"] {
        let mut lines = Vec::new();
        let mut take = |line: Line<'_>| {
            lines.push(String::from_utf8_lossy(line.text).into_owned());
            false
        };
        assert_eq!(reading.turn(&mut content, &mut buffer, LIMITS, &mut take).unwrap(), Turn::More);
        assert_eq!(lines, [expected]);
    }
    assert_eq!(reading.turn(&mut content, &mut buffer, LIMITS, &mut |_| true).unwrap(), Turn::CaughtUp);
}
