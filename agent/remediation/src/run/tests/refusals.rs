use super::*;
use telemetry::Origin;

fn said_by_others(name: &str, active_at: Timestamp) -> Alert {
    let labels = [("alertname", "WebDown"), ("job", name)].into_iter().collect();
    let mut alert = Alert::new(labels, AlertState::Firing, active_at);
    alert.origins.insert(Origin::Otlp("apps".into()));
    alert
}

#[test]
fn an_alert_on_the_word_of_a_stranger_is_refused_in_one_line_and_once_an_hour_however_it_flaps() {
    let mut bench = Bench::with_script(RESTART);
    let mut told = 0;
    for second in 0..3_601 {
        bench.world.now.set(NOON.plus(Duration::from_secs(second)));
        let alert = said_by_others("a", bench.world.now());
        told += usize::from(bench.respond_to(&alert) == Some(RunOutcome::Refused));
    }
    assert_eq!(told, 2, "{:?}", bench.steps());
    let events = bench.world.events.borrow();
    let guards = events.iter().filter(|event| matches!(event.step, RunStep::Guard { .. }));
    assert_eq!(guards.count(), 2, "only what refuses is told");
    assert_eq!(bench.world.looked.get(), 0, "nothing was gathered for it");
}

#[test]
fn many_alerts_of_strangers_are_counted_and_leave_room_for_what_the_host_measured() {
    let mut bench = Bench::new(&RUNBOOK.replace("auto", "observe"), RESTART);
    let told = (0..900).filter(|n| bench.respond_to(&said_by_others(&n.to_string(), NOON)).is_some());
    assert_eq!(told.count(), 10);
    assert_eq!(bench.remediator.untold_refusals(), 890);
    bench.world.frozen = true;
    assert_eq!(bench.respond(), Some(RunOutcome::Refused));
}
