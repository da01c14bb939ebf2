//! Records that are appended together, with one answer for all.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::AppendError;
use crate::record::Entry;
use crate::shared::{Done, Waiting};

struct Answer {
    left: usize,
    outcome: Result<u64, AppendError>,
    done: Option<Done>,
}

/// The records, so that `done` is told when the last of them has its outcome: the first refusal, if there is one.
/// Without records it is told at once.
pub(crate) fn all(entries: Vec<Entry>, done: Done) -> Vec<Waiting> {
    if entries.is_empty() {
        done(Ok(0));
        return Vec::new();
    }
    let answer = Answer { left: entries.len(), outcome: Ok(0), done: Some(done) };
    let answer = Arc::new(Mutex::new(answer));
    let waiting = entries.into_iter().map(|entry| {
        let answer = Arc::clone(&answer);
        Waiting { entry, done: Box::new(move |outcome| told(&answer, outcome)) }
    });
    waiting.collect()
}

fn told(answer: &Mutex<Answer>, outcome: Result<u64, AppendError>) {
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    answer.left -= 1;
    if answer.outcome.is_ok() {
        answer.outcome = outcome;
    }
    if answer.left == 0
        && let Some(done) = answer.done.take()
    {
        let outcome = answer.outcome.clone();
        drop(answer);
        done(outcome);
    }
}
