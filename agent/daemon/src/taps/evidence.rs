//! The last lines that each log rule matched, for whoever asks why an alert fires.
//!
//! Kept in memory only, and masked before they get here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use telemetry::{MatchedLine, Timestamp};

/// Lines of one rule; a further one takes the place of the oldest.
pub(super) const LINES: usize = 10;

/// Of one line; the rest is cut. What matters in a line stands in front.
const LINE_BYTES: usize = 1024;

/// Of all lines together; beyond it, the oldest lines go.
const MOST_BYTES: usize = 1 << 20;

/// A line as it is kept. It is masked already.
pub(super) fn kept(at: Timestamp, origin: String, text: &[u8]) -> MatchedLine {
    let mut text = String::from_utf8_lossy(text).into_owned();
    if text.len() > LINE_BYTES {
        text.truncate(text.floor_char_boundary(LINE_BYTES));
        text.push('…');
    }
    MatchedLine { at, origin, text }
}

#[derive(Debug, Default)]
struct Kept {
    of: BTreeMap<String, VecDeque<MatchedLine>>,
    bytes: usize,
}

/// The last lines of all rules.
#[derive(Debug, Default)]
pub(super) struct Evidence(Mutex<Kept>);

impl Evidence {
    pub(super) fn push(&self, rule: &str, line: MatchedLine) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.text.len();
        let lines = match kept.of.get_mut(rule) {
            Some(lines) => lines,
            None => kept.of.entry(rule.to_owned()).or_default(),
        };
        lines.push_back(line);
        let gone = if lines.len() > LINES { lines.pop_front() } else { None };
        kept.bytes -= gone.map_or(0, |line| line.text.len());
        while kept.bytes > MOST_BYTES {
            let oldest = kept.of.values_mut().min_by_key(|lines| lines.front().map(|line| line.at));
            let Some(gone) = oldest.and_then(VecDeque::pop_front) else { return };
            kept.bytes -= gone.text.len();
            kept.of.retain(|_, lines| !lines.is_empty());
        }
    }

    /// The last lines of the rules that `wanted` names, from the oldest on; no more than one rule can have.
    pub(super) fn of(&self, wanted: impl Fn(&str) -> bool) -> Vec<MatchedLine> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_wanted = kept.of.iter().filter(|(rule, _)| wanted(rule));
        let mut lines: Vec<MatchedLine> = of_wanted.flat_map(|(_, lines)| lines).cloned().collect();
        lines.sort_by_key(|line| line.at);
        lines.drain(..lines.len().saturating_sub(LINES));
        lines
    }

    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64, text: &str) -> MatchedLine {
        kept(Timestamp::from_secs(second), "log:app".to_owned(), text.as_bytes())
    }

    #[test]
    fn the_last_lines_of_each_rule_are_kept_and_long_ones_cut() {
        let evidence = Evidence::default();
        for second in 0..15 {
            evidence.push("a", line(second, &second.to_string()));
        }
        evidence.push("b", line(1, &"ä".repeat(LINE_BYTES)));
        let texts: Vec<String> = evidence.of(|rule| rule == "a").into_iter().map(|line| line.text).collect();
        assert_eq!(texts, (5..15).map(|second| second.to_string()).collect::<Vec<_>>());
        assert_eq!(evidence.of(|rule| rule == "b")[0].text.len(), LINE_BYTES + "…".len());
        assert_eq!(evidence.of(|_| true).len(), LINES);
        assert!(evidence.of(|rule| rule == "c").is_empty());
    }

    #[test]
    fn all_lines_together_have_a_limit_at_which_the_oldest_go() {
        let evidence = Evidence::default();
        for rule in 0..300 {
            for _ in 0..LINES {
                evidence.push(&rule.to_string(), line(rule, &"x".repeat(LINE_BYTES)));
            }
        }
        let kept = evidence.0.lock().unwrap();
        assert!(kept.bytes <= MOST_BYTES && kept.bytes > MOST_BYTES - 2 * LINE_BYTES);
        assert!(kept.of.contains_key("299") && !kept.of.contains_key("0"));
    }
}
