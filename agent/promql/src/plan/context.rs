//! What nodes share while they are evaluated.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use series::Store;

use crate::sets::{SetId, Sets};
use crate::{EvalError, Note, Reads, Severity};

/// The most samples that one evaluation reads unless it is told otherwise; at about 5 ns each this bounds it to some
/// 50 ms. A rule over 5,000 series and an hour at 10 s needs 1.8 million.
pub const MAX_SAMPLES: u64 = 10_000_000;

/// The most points of a result unless it is told otherwise: 16 bytes each make 32 MB.
pub const MAX_POINTS: usize = 2_000_000;

/// How much a query may read and answer. One that goes over a limit fails alone, with a message that names it.
#[derive(Clone, Debug)]
pub struct QueryLimits {
    /// Samples that one evaluation reads, series counted in; [`MAX_SAMPLES`] by default. Samples that one operator hands
    /// to the next count too, and so do the bytes of labels that are made.
    pub samples: u64,
    /// Series that one selector may mean, and that a result may have. No limit by default: the store has its own.
    pub series: usize,
    /// Points of a result; [`MAX_POINTS`] by default.
    pub points: usize,
    /// Ends the evaluation soon after it became true.
    pub cancelled: Option<Arc<AtomicBool>>,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { samples: MAX_SAMPLES, series: usize::MAX, points: MAX_POINTS, cancelled: None }
    }
}

impl QueryLimits {
    pub(crate) fn check_cancelled(&self) -> Result<(), EvalError> {
        match &self.cancelled {
            Some(cancelled) if cancelled.load(Ordering::Relaxed) => Err(EvalError::cancelled()),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_selected(&self, series: usize, span: &Range<usize>) -> Result<(), EvalError> {
        if series <= self.series {
            return Ok(());
        }
        let message = format!("the selector means {series} series, the limit is {}", self.series);
        Err(EvalError::limit(Some(span), message))
    }

    pub(crate) fn check_result(
        &self,
        series: usize,
        points: usize,
        span: &Range<usize>,
    ) -> Result<(), EvalError> {
        let message = if series > self.series {
            format!("the result has more than {} series", self.series)
        } else if points > self.points {
            format!("the result has more than {} points", self.points)
        } else {
            return Ok(());
        };
        Err(EvalError::limit(Some(span), message))
    }
}

/// Label sets that a query remembers before it forgets them all; they are more than its series only where values become
/// labels. An evaluation that alone makes as many is refused.
pub(crate) const MAX_SETS: usize = 200_000;

/// Notes that an evaluation keeps. Some quote a label, so a hostile series could otherwise add one with every sample; what
/// comes after is left out, as notes repeat themselves by then.
const MAX_NOTES: usize = 32;

/// What Prometheus would warn of, each once, as long as there is room.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Vec<Note>,
    /// Where in the list notes of the worst number of a place are, and the number.
    worst: Vec<(usize, f64)>,
}

impl Notes {
    pub(crate) fn list(&self) -> &[Note] {
        &self.list
    }

    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.worst.clear();
    }

    fn add(&mut self, note: Note) {
        if self.list.len() < MAX_NOTES && !self.list.contains(&note) {
            self.list.push(note);
        }
    }

    fn add_worst(&mut self, value: f64, note: Note) {
        for (at, worst) in &mut self.worst {
            let Some(known) = self.list.get_mut(*at).filter(|known| known.span == note.span) else {
                continue;
            };
            if (value > 0.0) == (*worst > 0.0) && value.is_nan() == worst.is_nan() {
                if value.abs() > worst.abs() {
                    *worst = value;
                    *known = note;
                }
                return;
            }
        }
        if self.list.len() < MAX_NOTES {
            self.worst.push((self.list.len(), value));
            self.list.push(note);
        }
    }
}

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
    pub(crate) notes: &'a mut Notes,
    pub(crate) limits: &'a QueryLimits,
    /// Milliseconds since the epoch at which expressions are evaluated.
    pub(crate) at: i64,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Milliseconds between the evaluations of a range query, otherwise zero.
    pub(crate) step: i64,
    /// How far back an instant selector looks.
    pub(crate) lookback: i64,
    /// Milliseconds between the evaluations of a subquery that does not say.
    pub(crate) subquery_step: i64,
    /// Changes when the sets are cleared; what nodes have learned before is void.
    pub(crate) epoch: u64,
    /// Whether the same expression is evaluated at other times too, by a range query or a subquery.
    pub(crate) is_repeated: bool,
    pub(crate) reads: Reads,
}

impl Context<'_> {
    /// Counts what has been read.
    pub(crate) fn count(
        &mut self,
        series: usize,
        samples: usize,
        span: &Range<usize>,
    ) -> Result<(), EvalError> {
        self.reads.series += series as u64;
        self.reads.samples += samples as u64;
        let error = |message| Err(EvalError::limit(Some(span), message));
        if self.is_over() {
            return error(format!("the query reads more than {} samples", self.limits.samples));
        }
        if self.sets.len() > 2 * MAX_SETS {
            return error(format!("the query makes more than {MAX_SETS} label sets"));
        }
        self.limits.check_cancelled()
    }

    /// Counts samples that one operator hands to the next: a long chain of operators over samples that were read once
    /// takes its time as well.
    pub(crate) fn count_passed(&mut self, samples: u64) -> Result<(), EvalError> {
        self.reads.steps += samples;
        if self.is_over() {
            let message = format!(
                "the query handles more than {} samples, intermediate ones counted in",
                self.limits.samples
            );
            return Err(EvalError::limit(None, message));
        }
        self.limits.check_cancelled()
    }

    /// Counts bytes of label values, each as much as a sample, so that one limit bounds the time and, at 10 MB, the
    /// memory.
    pub(crate) fn count_label_bytes(&mut self, bytes: usize, span: &Range<usize>) -> Result<(), EvalError> {
        self.reads.steps += bytes as u64;
        if self.is_over() {
            let message = format!(
                "the query makes too many long labels: over {} bytes, samples counted in",
                self.limits.samples
            );
            return Err(EvalError::limit(Some(span), message));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.left() == 0
    }

    /// How many samples may still be read, one more than that.
    pub(crate) fn left(&self) -> u64 {
        self.limits.samples.saturating_add(1).saturating_sub(self.reads.total())
    }

    /// Notes what Prometheus would warn of, once, as long as there is room.
    pub(crate) fn note(&mut self, severity: Severity, span: &Range<usize>, message: String) {
        self.notes.add(Note { severity, span: span.clone(), message });
    }

    /// Notes a number that is out of bounds; of those that one place has in a range query, the one furthest out.
    pub(crate) fn note_worst(&mut self, value: f64, span: &Range<usize>, message: String) {
        self.notes.add_worst(value, Note { severity: Severity::Warning, span: span.clone(), message });
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
