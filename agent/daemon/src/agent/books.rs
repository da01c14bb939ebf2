//! The record of incidents, shared by those who see alerts and those who run scripts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use incidents::{Incident, IncidentRecord};
use telemetry::{Alert, MatchedLine, RunEvent};

use crate::agent::incident_files::IncidentFiles;
use crate::agent::watcher::{Happening, Watcher};

/// Incidents in memory, and the files of those that are over.
#[derive(Debug)]
pub(crate) struct Books {
    record: Mutex<IncidentRecord>,
    files: IncidentFiles,
}

impl Books {
    pub(crate) fn new(files: IncidentFiles) -> Self {
        Self { record: Mutex::default(), files }
    }

    pub(crate) fn alert_changed(&self, alert: &Alert) {
        self.record().alert_changed(alert);
    }

    /// Lines in which log rules found what the alert is about.
    pub(crate) fn lines_seen(&self, alert: &Alert, lines: &[MatchedLine]) {
        let mut record = self.record();
        for MatchedLine { at, origin, text } in lines {
            record.evidence_seen(&alert.labels, *at, format!("{origin} said: {text}"));
        }
    }

    pub(crate) fn run_stepped(&self, alert: &Alert, event: &RunEvent) {
        self.record().run_stepped(&alert.labels, event);
    }

    /// Writes down the incidents that are over.
    pub(crate) fn close_finished(&self, watcher: &Watcher) {
        let finished = self.record().close_finished();
        for incident in finished {
            match self.files.write(&incident) {
                Ok(draft) => {
                    tracing::info!(alert = incident.alert_name(), draft = %draft.display(), "incident is over");
                    watcher.tell(|| Happening::IncidentOver { incident, draft });
                }
                Err(error) => tracing::error!("{error:#}"),
            }
        }
    }

    /// Writes down the incidents that are not over, because the agent ends.
    pub(crate) fn write_open(&self) {
        let open: Vec<Incident> = self.record().open().cloned().collect();
        for incident in open {
            if let Err(error) = self.files.write(&incident) {
                tracing::error!("{error:#}");
            }
        }
    }

    /// Alerts that opened no incident because too many were open.
    pub(crate) fn left_out(&self) -> u64 {
        self.record().left_out
    }

    fn record(&self) -> MutexGuard<'_, IncidentRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
