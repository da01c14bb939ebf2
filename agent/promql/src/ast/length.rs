//! Lengths of time: fixed ones, and those that are computed from the query that is asked.

use std::fmt;

use crate::ast::BinaryOp;
use crate::ast::print::write_number;

/// The longest duration and the furthest time from the epoch, in milliseconds: 292 years, which is what 64 bits of
/// nanoseconds hold. Sums of such times cannot overflow.
pub(crate) const MAX_MILLIS: i64 = i64::MAX / 1_000_000;

/// A length of time.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Milliseconds.
    Millis(i64),
    /// What `step()` and `range()` make it.
    Computed(Box<DurationExpr>),
}

/// No time at all.
impl Default for Length {
    fn default() -> Self {
        Self::Millis(0)
    }
}

/// An expression in place of a duration, as in `[step() * 5]`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is named after its sign or function")]
pub enum DurationExpr {
    Seconds(f64),
    Step,
    Range,
    Negate(Box<DurationExpr>),
    Compute(BinaryOp, Box<(DurationExpr, DurationExpr)>),
    MinOf(Box<(DurationExpr, DurationExpr)>),
    MaxOf(Box<(DurationExpr, DurationExpr)>),
}

/// What a query is asked for: the values of `step()` and `range()`, in milliseconds. Both are zero where one moment is
/// asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) step: i64,
    pub(crate) range: i64,
}

impl DurationExpr {
    /// Its value in seconds, or why it has none.
    pub(crate) fn seconds(&self, asked: Asked) -> Result<f64, &'static str> {
        Ok(match self {
            Self::Seconds(seconds) => *seconds,
            Self::Step => seconds_of(asked.step),
            Self::Range => seconds_of(asked.range),
            Self::Negate(inner) => -inner.seconds(asked)?,
            Self::MinOf(sides) => go_min(sides.0.seconds(asked)?, sides.1.seconds(asked)?),
            Self::MaxOf(sides) => go_max(sides.0.seconds(asked)?, sides.1.seconds(asked)?),
            Self::Compute(op, sides) => {
                let (left, right) = (sides.0.seconds(asked)?, sides.1.seconds(asked)?);
                match op {
                    BinaryOp::Divide if right == 0.0 => return Err("division by zero"),
                    BinaryOp::Modulo if right == 0.0 => return Err("modulo by zero"),
                    op => crate::plan::compute(*op, left, right),
                }
            }
        })
    }

    /// Whether it is the same whatever is asked.
    pub(crate) fn is_constant(&self) -> bool {
        match self {
            Self::Seconds(_) => true,
            Self::Step | Self::Range => false,
            Self::Negate(inner) => inner.is_constant(),
            Self::Compute(_, sides) | Self::MinOf(sides) | Self::MaxOf(sides) => {
                sides.0.is_constant() && sides.1.is_constant()
            }
        }
    }

    /// Its value in milliseconds, cut off as Prometheus cuts it.
    pub(crate) fn millis(&self, asked: Asked, may_be_negative: bool) -> Result<i64, &'static str> {
        let seconds = self.seconds(asked)?;
        if !seconds.is_finite() {
            return Err("a duration is NaN or infinite");
        }
        if seconds <= 0.0 && !may_be_negative {
            return Err("a duration must be greater than 0");
        }
        // A literal is rounded to nanoseconds first.
        let millis = if matches!(self, Self::Seconds(_)) {
            ((seconds * 1e9).round() / 1e6).trunc()
        } else {
            (seconds * 1000.0).trunc()
        };
        if millis < 1.0 && !may_be_negative {
            return Err("a duration must be at least a millisecond");
        }
        if millis.abs() > MAX_MILLIS as f64 {
            return Err("a duration must be between 0 and 292 years");
        }
        Ok(millis as i64)
    }
}

/// Milliseconds in seconds, rounded as Go's `Duration.Seconds` rounds.
pub(crate) fn seconds_of(millis: i64) -> f64 {
    (millis / 1000) as f64 + (millis % 1000) as f64 * 1e6 / 1e9
}

/// Go's `math.Min` and `math.Max`, which Rust's are not: NaN wins, but not over what nothing can be beyond.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    let least = a.min(b);
    if least > f64::NEG_INFINITY && (a.is_nan() || b.is_nan()) { f64::NAN } else { least }
}

pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    let most = a.max(b);
    if most < f64::INFINITY && (a.is_nan() || b.is_nan()) { f64::NAN } else { most }
}

impl Length {
    /// Milliseconds. What would have to be computed counts as no time: whoever evaluates has resolved it before.
    pub fn millis(&self) -> i64 {
        match self {
            Self::Millis(millis) => *millis,
            Self::Computed(_) => 0,
        }
    }

    /// Whether it is certainly no time.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::Millis(0)
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write_number(f, *seconds),
            Self::Step => f.write_str("step()"),
            Self::Range => f.write_str("range()"),
            Self::Negate(inner) => write!(f, "-({inner})"),
            Self::Compute(op, sides) => write!(f, "({} {} {})", sides.0, op.spelling(), sides.1),
            Self::MinOf(sides) => write!(f, "min_of({}, {})", sides.0, sides.1),
            Self::MaxOf(sides) => write!(f, "max_of({}, {})", sides.0, sides.1),
        }
    }
}
