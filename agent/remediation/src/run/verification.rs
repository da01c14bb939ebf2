//! The independent proof of a repair: a query, asked of samples that were taken after the script's end.

use std::time::Duration;

use promql::ast::ExprKind;
use telemetry::{RunStep, Timestamp};

use super::chronicle::Chronicle;
use crate::runbook::Verify;
use crate::world::World;

/// How long it waits at most until it asks again; new samples end a wait.
const VERIFY_EVERY: Duration = Duration::from_millis(250);

/// How long after the first look at what it reads, it wants the next; twice as long each time, up to the longest.
const WANT_AFTER: Duration = Duration::from_millis(25);
const WANT_EVERY: Duration = Duration::from_secs(1);

/// How often new samples may end a wait before it is taken for one in which no time passes.
const MOST_LOOKS_EACH: u128 = 100;

/// What came of it.
pub(super) enum Verification {
    /// It has held for its time; what it gave.
    Holds(String),
    /// It has not within its time; what it gave last.
    Fails(String),
    /// The agent is stopping.
    Stopped,
}

/// Waits until the verification has held for its time, or its time is over. Samples from before now show what was, not
/// what the script has mended.
pub(super) fn verify(verify: &Verify, chronicle: &Chronicle, world: &mut dyn World) -> Verification {
    let begun = world.now();
    let limit = begun.plus(verify.within);
    let mut holds_since: Option<Timestamp> = None;
    let (mut want_at, mut want_after) = (begun, WANT_AFTER);
    // Counted as well, so that a clock that stands still ends it too.
    let mut looks = MOST_LOOKS_EACH * (verify.within.as_millis() / VERIFY_EVERY.as_millis() + 2);
    let (ok, observed) = loop {
        let now = world.now();
        if now >= want_at {
            world.want_samples(&verify.expr);
            want_at = now.plus(want_after);
            want_after = WANT_EVERY.min(want_after * 2);
        }
        let (holds, observed) = match world.query(&verify.expr, Some(begun)) {
            Ok(answer) => (!answer.values.is_empty(), answer.describe()),
            Err(error) => (false, error),
        };
        holds_since = if holds { Some(holds_since.unwrap_or(now)) } else { None };
        if holds_since.is_some_and(|since| now.since(since) >= verify.settle) {
            break (true, observed);
        }
        looks = looks.saturating_sub(1);
        if now >= limit || looks == 0 {
            break (false, observed);
        }
        let settled = holds_since.map_or(limit, |since| since.plus(verify.settle));
        let patience = VERIFY_EVERY.min(limit.since(now)).min(settled.since(now));
        if !world.wait_for_samples(patience) {
            return Verification::Stopped;
        }
    };
    let sides = if ok { None } else { sides(&verify.expr, begun, world) };
    let observed = sides.map_or_else(|| observed.clone(), |sides| format!("{observed}; {sides}"));
    let verified = RunStep::Verified { expression: verify.expr.clone(), ok, observed: observed.clone() };
    chronicle.tell(world, verified);
    if ok { Verification::Holds(observed) } else { Verification::Fails(observed) }
}

/// What was compared, where a comparison did not hold: that it gave nothing says little.
fn sides(expr: &str, since: Timestamp, world: &dyn World) -> Option<String> {
    let parsed = promql::parse(expr).ok()?;
    let mut kind = &parsed.kind;
    while let ExprKind::Paren(inner) = kind {
        kind = &inner.kind;
    }
    let ExprKind::Binary(binary) = kind else { return None };
    if !binary.op.is_comparison() {
        return None;
    }
    let asked = [&binary.left, &binary.right].into_iter();
    let told = asked.filter(|side| !matches!(side.kind, ExprKind::Number(_))).map(|side| {
        let side = side.to_string();
        match world.query(&side, Some(since)) {
            Ok(answer) if answer.values.is_empty() => format!("{side} has no new sample"),
            Ok(answer) => format!("{side} is {}", answer.describe()),
            Err(error) => format!("{side} cannot be had: {error}"),
        }
    });
    Some(told.collect::<Vec<_>>().join(", ")).filter(|told| !told.is_empty())
}
