//! Says what goes wrong again and again once a minute.

use std::time::{Duration, Instant};

/// The same is not said more often: what is said is telemetry as well.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// Texts that are remembered; with more of them the oldest is forgotten, and may be said again early.
const MOST_REMEMBERED: usize = 64;

/// What was said, and when.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<(String, Instant)>);

impl Troubles {
    /// Whether `text` is to be said at `now`; then it counts as said.
    pub(super) fn is_news(&mut self, text: &str, now: Instant) -> bool {
        self.0.retain(|(_, said)| now.saturating_duration_since(*said) < SAY_EVERY);
        if self.0.iter().any(|(known, _)| known == text) {
            return false;
        }
        if self.0.len() == MOST_REMEMBERED {
            self.0.remove(0);
        }
        self.0.push((text.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_text_is_news_once_a_minute() {
        let begun = clock::monotonic();
        let mut troubles = Troubles::default();
        for (text, after, news) in
            [("a", 0, true), ("a", 59, false), ("b", 59, true), ("a", 60, true), ("b", 61, false)]
        {
            assert_eq!(troubles.is_news(text, begun + Duration::from_secs(after)), news, "{text} {after}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let begun = clock::monotonic();
        let mut troubles = Troubles::default();
        for number in 0..1_000 {
            assert!(troubles.is_news(&number.to_string(), begun));
        }
        assert_eq!(troubles.0.len(), MOST_REMEMBERED);
    }
}
