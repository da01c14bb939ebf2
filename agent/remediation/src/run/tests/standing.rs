use super::*;
use crate::ledger::LedgerError;
use crate::run::standings_of;

#[test]
fn runbooks_stand_without_an_agent_as_they_do_with_one() {
    let mut bench = Bench::new(RUNBOOK, RESTART);
    assert!(bench.respond().is_some());
    let Remediator { runbooks, scripts, .. } = &bench.remediator;
    let told = standings_of(bench.directory.path(), runbooks, scripts).unwrap();
    assert_eq!(told, bench.remediator.standings());
    assert_eq!(told[0].standing.judged, 1);
    let elsewhere = standings_of(&bench.directory.path().join("x"), runbooks, scripts);
    assert!(matches!(elsewhere, Err(LedgerError::Missing { .. })), "{elsewhere:?}");
}
