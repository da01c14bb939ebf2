//! Alerts as log records: one when an alert begins to fire, one when it is over.
//!
//! Each is handed to the sender's queue at once, by whoever evaluates the rules, and not batched; when it is on disk is for the
//! queue to say. The share of the way out is one of its own, so that a storm of the
//! agent's log costs no alert.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider, SimpleLogProcessor};
use otlp::Sender;
use telemetry::{Alert, AlertState, AttributeValue, MatchedLine, Signal, Timestamp};

use super::handover::Handover;
use super::{Shares, key_values, record_exporter};

const SCOPE: &str = "hostmend.alerts";

/// Makes the records.
pub(crate) struct AlertEvents {
    wanted: AtomicBool,
    logger: SdkLogger,
    shares: Arc<Shares>,
    made: AtomicU64,
}

impl AlertEvents {
    /// Records about what has these resource attributes, handed to `sender`.
    pub(crate) fn new(attributes: &[(String, AttributeValue)], sender: &Arc<Sender>) -> anyhow::Result<Self> {
        let shares = Arc::<Shares>::default();
        let handover =
            Handover { signal: Signal::Logs, sender: Arc::clone(sender), shares: Arc::clone(&shares) };
        let exporter = record_exporter(handover)?;
        let resource = Resource::builder_empty().with_attributes(key_values(attributes)).build();
        let provider = SdkLoggerProvider::builder().with_resource(resource);
        let provider = provider.with_log_processor(SimpleLogProcessor::new(exporter)).build();
        let (wanted, made) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Self { wanted, logger: provider.logger(SCOPE), shares, made })
    }

    /// Whether records are wanted from now on.
    pub(crate) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Tells of an alert that began to fire or is over, noticed at `now`, with the lines that log rules matched which it is
    /// about. Of a pending one, nothing.
    pub(crate) fn tell(&self, alert: &Alert, lines: &[MatchedLine], now: Timestamp) {
        let (event, at) = match alert.state {
            AlertState::Pending => return,
            AlertState::Firing => ("hostmend.alert.firing", alert.fired_at),
            AlertState::Resolved => ("hostmend.alert.resolved", alert.resolved_at),
        };
        if !self.wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut record = self.logger.create_log_record();
        let (severity, text) = severity(alert);
        record.set_event_name(event);
        record.set_timestamp(system_time(at.unwrap_or(now)));
        record.set_observed_timestamp(system_time(now));
        record.set_severity_number(severity);
        record.set_severity_text(text);
        record.set_body(AnyValue::from(format!("alert {} is {}", alert.labels, alert.state)));
        record.add_attributes(attributes(alert));
        if !lines.is_empty() {
            let lines = lines.iter().map(|line| AnyValue::from(format!("{}: {}", line.origin, line.text)));
            record.add_attribute("hostmend.alert.lines", AnyValue::ListAny(Box::new(lines.collect())));
        }
        self.logger.emit(record);
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// Records made, and those of them that came in greater number than is their share.
    pub(crate) fn figures(&self) -> (u64, u64) {
        (self.made.load(Ordering::Relaxed), self.shares.dropped(Signal::Logs))
    }
}

/// How bad it is, by the label that most rules have. The end of an alert is good news.
fn severity(alert: &Alert) -> (Severity, &'static str) {
    if alert.state == AlertState::Resolved {
        return (Severity::Info, "INFO");
    }
    match alert.labels.get("severity").to_ascii_lowercase().as_str() {
        "critical" | "page" | "error" | "emergency" | "fatal" | "high" => (Severity::Error, "ERROR"),
        "info" | "none" | "notice" => (Severity::Info, "INFO"),
        _ => (Severity::Warn, "WARN"),
    }
}

fn attributes(alert: &Alert) -> Vec<(String, AnyValue)> {
    let text = |key: &str, value: &str| (key.to_owned(), AnyValue::from(value.to_owned()));
    let origins = alert.origins.iter().map(|origin| AnyValue::from(origin.to_string())).collect();
    let mut attributes = vec![
        text("hostmend.alert.name", alert.name()),
        text("hostmend.alert.state", &alert.state.to_string()),
        ("hostmend.alert.value".to_owned(), AnyValue::Double(alert.value)),
        text("hostmend.alert.active_at", &alert.active_at.to_string()),
        ("hostmend.alert.origins".to_owned(), AnyValue::ListAny(Box::new(origins))),
        text("hostmend.rule.file", &alert.source.file.to_string_lossy()),
        text("hostmend.rule.group.name", &alert.source.group),
        text("hostmend.rule.expression", &alert.source.expression),
    ];
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    attributes.extend(labels.map(|(name, value)| text(&format!("hostmend.alert.label.{name}"), value)));
    let annotations = alert.annotations.iter();
    attributes
        .extend(annotations.map(|(name, value)| text(&format!("hostmend.alert.annotation.{name}"), value)));
    attributes
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(at.as_nanos().max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use otlp::{Destination, DestinationOptions, QueueOptions, Receiver};
    use std::sync::Mutex;
    use telemetry::Origin;

    #[test]
    fn an_alert_that_fires_and_ends_is_two_records_with_all_that_is_known_and_a_pending_one_is_none() {
        let arrived = Arc::<Mutex<Vec<u8>>>::default();
        let keep = Arc::clone(&arrived);
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), move |batch| {
            keep.lock().unwrap().extend_from_slice(&batch.payload);
        });
        let endpoint = format!("http://{}", receiver.as_ref().unwrap().local_address());
        let destination = DestinationOptions::new("test", endpoint, otlp::Protocol::Grpc);
        let destination = Destination::new(destination).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let queue =
            QueueOptions { directory: directory.path().to_owned(), limits: otlp::QueueLimits::default() };
        let soon = Duration::from_secs(10);
        let sender = Arc::new(Sender::start(vec![destination], Some(&queue), soon, || ()).unwrap());
        let events = AlertEvents::new(&[("host.name".to_owned(), "web-01".into())], &sender).unwrap();

        let at = Timestamp::from_secs(1_700_000_000);
        let labels = [("alertname", "DiskFull"), ("severity", "page"), ("path", "/")];
        let alert = |state| {
            let mut alert = Alert::new(labels.into_iter().collect(), state, at);
            alert.origins.insert(Origin::Host);
            alert.annotations.insert("summary".to_owned(), "full".to_owned());
            alert
        };
        let line = MatchedLine { at, origin: "log:app".to_owned(), text: "disk full".to_owned() };
        events.tell(&alert(AlertState::Firing), &[], at);
        events.want(true);
        events.tell(&alert(AlertState::Pending), &[], at);
        events.tell(&alert(AlertState::Firing), &[line], at);
        events.tell(&alert(AlertState::Resolved), &[], at);
        assert_eq!(events.figures(), (2, 0));
        sender.flush_and_stop(soon);
        let logs = otlp::to_json(Signal::Logs, &arrived.lock().unwrap()).unwrap();
        for expected in [
            r#""eventName":"hostmend.alert.firing""#,
            r#""eventName":"hostmend.alert.resolved""#,
            r#""severityNumber":17"#,
            r#""severityNumber":9"#,
            r#"{"key":"hostmend.alert.label.path","value":{"stringValue":"/"}}"#,
            r#"{"key":"hostmend.alert.annotation.summary","value":{"stringValue":"full"}}"#,
            r#"{"key":"hostmend.alert.origins","value":{"arrayValue":{"values":[{"stringValue":"host"}]}}}"#,
            r#"{"key":"hostmend.alert.lines","value":{"arrayValue":{"values":[{"stringValue":"log:app: disk full"}]}}}"#,
            r#"{"key":"host.name","value":{"stringValue":"web-01"}}"#,
            r#""timeUnixNano":"1700000000000000000""#,
        ] {
            assert!(logs.contains(expected), "{expected} in {logs}");
        }
        assert_eq!(logs.matches("eventName").count(), 2);
    }
}
