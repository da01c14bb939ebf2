//! What nodes share while they are evaluated.

use std::ops::Range;

use series::Store;

use crate::sets::{SetId, Sets};
use crate::{EvalError, Note, Reads, Severity};

/// The most samples that one evaluation reads; at about 5 ns each this bounds it to some 50 ms. A rule over 5,000 series
/// and an hour at 10 s needs 1.8 million.
pub const MAX_SAMPLES: u64 = 10_000_000;

/// Label sets that a query remembers before it forgets them all; they are more than its series only where values become
/// labels. An evaluation that alone makes as many is refused.
pub(crate) const MAX_SETS: usize = 200_000;

/// Notes that an evaluation keeps. Some quote a label, so a hostile series could otherwise add one with every sample; what
/// comes after is left out, as notes repeat themselves by then.
const MAX_NOTES: usize = 32;

/// One sample on its way through a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) set: SetId,
    /// The name is dropped at the end, so that `by (__name__)` can still see it.
    pub(crate) nameless: bool,
    pub(crate) value: f64,
}

/// The store, the moment, and what must be remembered.
pub(crate) struct Context<'a> {
    pub(crate) store: &'a Store,
    pub(crate) sets: &'a mut Sets,
    pub(crate) notes: &'a mut Vec<Note>,
    /// Milliseconds since the epoch at which expressions are evaluated.
    pub(crate) at: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// How far back an instant selector looks.
    pub(crate) lookback: i64,
    /// Changes when the sets are cleared; what nodes have learned before is void.
    pub(crate) epoch: u64,
    pub(crate) is_range: bool,
    pub(crate) reads: Reads,
    /// Work that reads nothing: evaluations of subqueries, samples between operators, and bytes of the label values that are looked at and made.
    pub(crate) steps: u64,
}

impl Context<'_> {
    /// Counts what has been read. A series is counted with its samples: looking for one costs as much as reading one.
    pub(crate) fn count(
        &mut self,
        series: usize,
        samples: usize,
        span: &Range<usize>,
    ) -> Result<(), EvalError> {
        self.reads.series += series as u64;
        self.reads.samples += samples as u64;
        let error = |message| Err(EvalError { span: Some(span.clone()), message });
        if self.is_over() {
            return error(format!("the query reads more than {MAX_SAMPLES} samples"));
        }
        if self.sets.len() > 2 * MAX_SETS {
            return error(format!("the query makes more than {MAX_SETS} label sets"));
        }
        Ok(())
    }

    /// Counts samples that one operator hands to the next: a long chain of operators over samples that were read once
    /// takes its time as well.
    pub(crate) fn count_passed(&mut self, samples: u64) -> Result<(), EvalError> {
        self.steps += samples;
        if self.is_over() {
            let message =
                format!("the query handles more than {MAX_SAMPLES} samples, intermediate ones counted in");
            return Err(EvalError { span: None, message });
        }
        Ok(())
    }

    /// Counts bytes of label values, each as much as a sample, so that one limit bounds the time and, at 10 MB, the
    /// memory.
    pub(crate) fn count_label_bytes(&mut self, bytes: usize, span: &Range<usize>) -> Result<(), EvalError> {
        self.steps += bytes as u64;
        if self.is_over() {
            let message =
                format!("the query makes too many long labels: over {MAX_SAMPLES} bytes, samples counted in");
            return Err(EvalError { span: Some(span.clone()), message });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.reads.series + self.reads.samples + self.steps > MAX_SAMPLES
    }

    /// Notes what Prometheus would warn of, once, as long as there is room.
    pub(crate) fn note(&mut self, severity: Severity, span: &Range<usize>, message: String) {
        if self.notes.len() >= MAX_NOTES {
            return;
        }
        let note = Note { severity, span: span.clone(), message };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use series::Limits;
    use telemetry::{Labels, Origin, Timestamp};

    use super::*;
    use crate::Query;

    #[test]
    fn notes_do_not_pile_up() {
        let mut store = Store::new(Limits::default());
        let now = Timestamp::from_secs(30);
        for number in 0..1_000 {
            let bound = format!("none-{number}");
            let labels: Labels = [("__name__", "x_bucket"), ("le", bound.as_str())].into_iter().collect();
            store.append_sample(&labels, &Origin::Rule, now, 1.0).unwrap();
        }
        let mut query = Query::new("histogram_quantile(0.5, x_bucket)").unwrap();
        query.instant(&store, now).unwrap();
        assert_eq!(query.notes().len(), MAX_NOTES);
    }
}
