//! All incidents of this host that are not over.

use telemetry::{Alert, AlertState, Labels, RunEvent, Timestamp};

use crate::{Incident, Source};

/// The most incidents open at once: as many as alerts can fire in a storm that a person could still read. Alerts
/// beyond it open none and are counted.
pub const MAX_OPEN: usize = 200;

/// The incidents that are not over. Those that are belong to whoever writes them down.
#[derive(Debug, Default)]
pub struct IncidentRecord {
    open: Vec<Incident>,
    number: u64,
    /// Alerts that opened no incident because [`MAX_OPEN`] were open.
    pub left_out: u64,
}

impl IncidentRecord {
    /// Takes a change of an alert's state. A pending alert opens nothing: it may be a false alarm.
    pub fn alert_changed(&mut self, alert: &Alert) {
        match alert.state {
            AlertState::Pending => {}
            AlertState::Firing => self.fired(alert),
            AlertState::Resolved => {
                let resolved = alert.resolved_at.unwrap_or(alert.active_at);
                if let Some(incident) = self.find_mut(&alert.labels) {
                    incident.resolved = Some(resolved);
                    incident.add(resolved, Source::Alert, format!("{} is resolved", alert.name()));
                }
            }
        }
    }

    fn fired(&mut self, alert: &Alert) {
        let fired = alert.fired_at.unwrap_or(alert.active_at);
        if let Some(incident) = self.find_mut(&alert.labels) {
            if incident.resolved.take().is_some() {
                incident.add(fired, Source::Alert, format!("{} fires again", alert.name()));
            }
            return;
        }
        if self.open.len() >= MAX_OPEN {
            self.left_out += 1;
            return;
        }
        self.number += 1;
        let id = format!("{}-{}", compact(fired), self.number);
        let mut incident = Incident::open(id, alert.labels.clone(), alert.active_at);
        incident.detected = Some(fired);
        incident.annotations.clone_from(&alert.annotations);
        incident.add(
            alert.active_at,
            Source::Alert,
            format!("the condition of {} began to hold", alert.name()),
        );
        incident.add(fired, Source::Alert, format!("{} fires with value {}", alert.name(), alert.value));
        self.open.push(incident);
    }

    /// Takes something that was seen at `at` and says why the alert with these labels fires.
    pub fn evidence_seen(&mut self, labels: &Labels, at: Timestamp, text: String) {
        if let Some(incident) = self.find_mut(labels) {
            incident.add(at, Source::Evidence, text);
        }
    }

    /// Takes a step of a run that answers the alert with these labels.
    pub fn run_stepped(&mut self, labels: &Labels, event: &RunEvent) {
        if let Some(incident) = self.find_mut(labels) {
            incident.take_step(event);
        }
    }

    /// Closes the incidents whose alert is resolved and whose runs are over, and gives them away.
    pub fn close_finished(&mut self) -> Vec<Incident> {
        self.open.extract_if(.., |incident| incident.is_over()).collect()
    }

    fn find_mut(&mut self, labels: &Labels) -> Option<&mut Incident> {
        self.open.iter_mut().find(|incident| incident.labels == *labels)
    }

    /// Incidents that are not over, oldest first.
    pub fn open(&self) -> impl ExactSizeIterator<Item = &Incident> {
        self.open.iter()
    }
}

/// `20261121T080500Z`.
fn compact(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;
    use telemetry::{RunId, RunOutcome, RunStep, Stage};

    pub(crate) fn second(n: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + n)
    }

    pub(crate) fn alert(state: AlertState, at: i64) -> Alert {
        let labels = [("alertname", "WebDown"), ("web", "a")].into_iter().collect();
        Alert {
            annotations: [("summary".to_owned(), "web a is down".to_owned())].into(),
            fired_at: (state != AlertState::Pending).then(|| second(2)),
            resolved_at: (state == AlertState::Resolved).then(|| second(at)),
            ..Alert::new(labels, state, second(0))
        }
    }

    pub(crate) fn step(at: i64, step: RunStep) -> RunEvent {
        RunEvent { run: RunId("r1".into()), at: second(at), step }
    }

    pub(crate) fn repaired_incident() -> Incident {
        let mut record = IncidentRecord::default();
        record.alert_changed(&alert(AlertState::Firing, 2));
        let labels = alert(AlertState::Firing, 2).labels;
        for event in [
            step(
                3,
                RunStep::Matched {
                    alert: labels.to_string(),
                    runbook: "restart-web".into(),
                    stage: Stage::Auto,
                    script: "restart-process.rhai".into(),
                    script_sha256: "ab".repeat(32),
                    target: String::new(),
                    runbook_sha256: String::new(),
                    touches: Vec::new(),
                },
            ),
            step(
                3,
                RunStep::Guard { guard: "cooldown".into(), allowed: true, reason: "never run before".into() },
            ),
            step(
                4,
                RunStep::ActionIntended { number: 1, action: "restart process web".into(), simulated: false },
            ),
            step(
                5,
                RunStep::ActionDone {
                    number: 1,
                    ok: true,
                    outcome: "started as pid 7".into(),
                    answer: None,
                    took: Duration::from_millis(12),
                },
            ),
            step(
                6,
                RunStep::Verified { expression: "up == 1".into(), ok: true, observed: "1 series".into() },
            ),
        ] {
            record.run_stepped(&labels, &event);
        }
        record.alert_changed(&alert(AlertState::Resolved, 6));
        assert!(record.close_finished().is_empty(), "a run is still under way");
        let end =
            RunStep::Finished { outcome: RunOutcome::Repaired, reason: "the verification holds".into() };
        record.run_stepped(&labels, &step(7, end));
        record.close_finished().remove(0)
    }

    #[test]
    fn a_pending_alert_opens_no_incident() {
        let mut record = IncidentRecord::default();
        record.alert_changed(&alert(AlertState::Pending, 0));
        assert_eq!(record.open().len(), 0);
    }

    #[test]
    fn an_incident_ends_when_its_alert_is_resolved_and_its_run_is_over() {
        let incident = repaired_incident();
        assert_eq!(incident.id, "20231114T221322Z-1");
        assert_eq!(incident.time_to_detect(), Some(Duration::from_secs(2)));
        assert_eq!(incident.time_to_repair(), Some(Duration::from_secs(6)));
        assert_eq!(incident.outcome, Some(RunOutcome::Repaired));
        assert_eq!(incident.timeline.len(), 9);
    }

    #[test]
    fn an_alert_that_flaps_stays_one_incident_until_its_run_is_over() {
        let mut record = IncidentRecord::default();
        for state in [AlertState::Firing, AlertState::Resolved, AlertState::Firing] {
            record.alert_changed(&alert(state, 4));
        }
        assert!(record.close_finished().is_empty());
        assert_eq!(record.open().len(), 1);
    }

    #[test]
    fn a_refusal_does_not_hide_a_repair_that_failed() {
        let mut record = IncidentRecord::default();
        let firing = alert(AlertState::Firing, 2);
        record.alert_changed(&firing);
        for outcome in [RunOutcome::Escalated, RunOutcome::Refused] {
            let end = RunStep::Finished { outcome, reason: String::new() };
            record.run_stepped(&firing.labels, &step(3, end));
        }
        assert_eq!(record.open().next().unwrap().outcome, Some(RunOutcome::Escalated));
    }

    #[test]
    fn a_storm_of_alerts_is_counted_beyond_the_limit() {
        let mut record = IncidentRecord::default();
        for number in 0..MAX_OPEN + 3 {
            let labels = [("alertname", format!("A{number}"))].into_iter().collect();
            record.alert_changed(&Alert { labels, ..alert(AlertState::Firing, 2) });
        }
        assert_eq!((record.open().len(), record.left_out), (MAX_OPEN, 3));
    }
}
