//! The name that was probably meant.

/// The candidate nearest to `word`, if it is near enough to be a slip: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // `http` means `http/protobuf`, however much is missing.
    let begins = |candidate: &str| word.chars().count() >= 4 && candidate.starts_with(word);
    candidates
        .into_iter()
        .map(|candidate| (if begins(candidate) { 1 } else { distance(word, candidate) }, candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, one point each. With plain
/// Levenshtein a swap costs two and `stauts` would be nearer to `start` than to `status`.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(usize::MAX - 1);
            let mut cost =
                (at(&last, j) + usize::from(a != b)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        for (word, meant) in [
            ("stauts", "status"),
            ("intervall", "interval"),
            ("grcp", "grpc"),
            ("Rate", "rate"),
            ("http", "http/protobuf"),
        ] {
            let found = nearest(word, ["start", "status", "interval", "grpc", "rate", "http/protobuf"]);
            assert_eq!(found, Some(meant), "{word}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("colour", ["status", "interval"]), None);
        assert_eq!(nearest("", ["a"]), Some("a"));
    }
}
