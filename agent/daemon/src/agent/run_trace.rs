//! A run as one trace: detection, guards, script with its actions, verification.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanBuilder, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use telemetry::{Alert, RunEvent, RunOutcome, RunStep, Timestamp};

/// Builds the trace of the run under way from its steps.
pub(crate) struct RunTrace {
    tracer: SdkTracer,
    root: Option<Context>,
    script: Option<Context>,
    action: Option<Context>,
    ended: Option<Timestamp>,
}

impl RunTrace {
    pub(crate) fn new(tracer: SdkTracer) -> Self {
        Self { tracer, root: None, script: None, action: None, ended: None }
    }

    /// The context to log in while the run is under way, so that records carry its trace.
    pub(crate) fn context(&self) -> Context {
        self.action.as_ref().or(self.script.as_ref()).or(self.root.as_ref()).cloned().unwrap_or_default()
    }

    /// Takes the next step of the run that answers `alert`.
    pub(crate) fn take(&mut self, alert: &Alert, event: &RunEvent) {
        let at = event.at;
        match &event.step {
            RunStep::Matched { .. } => self.match_up(alert, event),
            RunStep::Guard { guard, allowed, reason } => {
                let mut attributes =
                    texts([("hostmend.guard.name", guard.as_str()), ("hostmend.guard.reason", reason)]);
                attributes.push(KeyValue::new("hostmend.guard.allowed", *allowed));
                self.mark("guard", attributes, at);
            }
            RunStep::Started { parameters } => {
                let attributes = texts([("hostmend.script.parameters", parameters)]);
                self.script = Some(self.begin("script", attributes, at, self.root.as_ref()));
            }
            RunStep::Fact { call, answer } => {
                self.mark("fact", texts([("hostmend.call", call.as_str()), ("hostmend.answer", answer)]), at);
            }
            RunStep::Note { text } => self.mark("note", texts([("hostmend.note", text)]), at),
            RunStep::ActionIntended { action, .. } => {
                let attributes = texts([("hostmend.action", action)]);
                self.action = Some(self.begin("action", attributes, at, self.script.as_ref()));
            }
            RunStep::ActionDone { ok, outcome, .. } => {
                end(self.action.take(), "hostmend.outcome", outcome, *ok, at);
            }
            RunStep::Ended { ok, result } => {
                self.ended = Some(at);
                end(self.script.take(), "hostmend.result", result, *ok, at);
            }
            RunStep::Verified { expression, ok, observed } => {
                let began = self.ended.unwrap_or(at);
                let attributes = texts([("hostmend.expression", expression)]);
                let verification = self.begin("verification", attributes, began, self.root.as_ref());
                end(Some(verification), "hostmend.observed", observed, *ok, at);
            }
            RunStep::Finished { outcome, reason } => self.finish(*outcome, reason, at),
        }
    }

    /// Begins the trace where the alert began, so that it holds the time to detect.
    fn match_up(&mut self, alert: &Alert, event: &RunEvent) {
        let RunStep::Matched { runbook, script, script_sha256, stage, .. } = &event.step else { return };
        let attributes = texts([
            ("hostmend.run.id", event.run.0.as_str()),
            ("hostmend.alert.name", alert.name()),
            ("hostmend.runbook.name", runbook),
            ("hostmend.runbook.stage", &stage.to_string()),
            ("hostmend.script.name", script),
            ("hostmend.script.sha256", script_sha256),
        ]);
        let root = self.begin(format!("run {runbook}"), attributes, alert.active_at, None);
        let detection = self.begin("detection", Vec::new(), alert.active_at, Some(&root));
        let fired = alert.fired_at.unwrap_or(event.at);
        end(Some(detection), "hostmend.alert.value", &alert.value.to_string(), true, fired);
        self.root = Some(root);
    }

    fn finish(&mut self, outcome: RunOutcome, reason: &str, at: Timestamp) {
        for unfinished in [self.action.take(), self.script.take()] {
            end(unfinished, "hostmend.outcome", "the run was over before it", false, at);
        }
        self.ended = None;
        let failed = matches!(outcome, RunOutcome::Escalated | RunOutcome::Interrupted);
        end(self.root.take(), "hostmend.run.outcome", &format!("{outcome}: {reason}"), !failed, at);
    }

    fn begin(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        attributes: Vec<KeyValue>,
        at: Timestamp,
        parent: Option<&Context>,
    ) -> Context {
        let builder =
            SpanBuilder::from_name(name).with_start_time(system_time(at)).with_attributes(attributes);
        let parent = parent.cloned().unwrap_or_default();
        let span = self.tracer.build_with_context(builder, &parent);
        parent.with_span(span)
    }

    fn mark(&self, name: &'static str, attributes: Vec<KeyValue>, at: Timestamp) {
        self.context().span().add_event_with_timestamp(name, system_time(at), attributes);
    }
}

/// Ends a span with how it ended.
fn end(context: Option<Context>, key: &'static str, how: &str, ok: bool, at: Timestamp) {
    let Some(context) = context else { return };
    let span = context.span();
    span.set_attribute(KeyValue::new(key, how.to_owned()));
    if !ok {
        span.set_status(Status::error(how.to_owned()));
    }
    span.end_with_timestamp(system_time(at));
}

fn texts<const N: usize>(pairs: [(&'static str, &str); N]) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue::new(key, value.to_owned())).collect()
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(at.as_nanos().max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
    use telemetry::{AlertState, RunId, Stage};

    fn second(n: i64) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + n)
    }

    fn trace_of(steps: Vec<RunStep>) -> Vec<SpanData> {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let mut trace = RunTrace::new(provider.tracer("test"));
        let alert = Alert {
            labels: [("alertname", "WebDown")].into_iter().collect(),
            annotations: std::collections::BTreeMap::new(),
            state: AlertState::Firing,
            value: 0.0,
            active_at: second(0),
            fired_at: Some(second(2)),
            resolved_at: None,
        };
        for (at, step) in (3..).zip(steps) {
            trace.take(&alert, &RunEvent { run: RunId("r1".into()), at: second(at), step });
        }
        exporter.get_finished_spans().unwrap()
    }

    fn matched() -> RunStep {
        RunStep::Matched {
            alert: "WebDown".into(),
            runbook: "restart-web".into(),
            stage: Stage::Auto,
            script: "restart.rhai".into(),
            script_sha256: "00".into(),
        }
    }

    #[test]
    fn a_run_is_one_trace_whose_spans_hang_together() {
        let spans = trace_of(vec![
            matched(),
            RunStep::Started { parameters: "{}".into() },
            RunStep::ActionIntended { number: 1, action: "restart process web".into() },
            RunStep::ActionDone { number: 1, ok: true, outcome: "pid 7".into(), took: Duration::ZERO },
            RunStep::Ended { ok: true, result: "fixed".into() },
            RunStep::Verified { expression: "up == 1".into(), ok: true, observed: "1".into() },
            RunStep::Finished { outcome: RunOutcome::Repaired, reason: "verified".into() },
        ]);
        let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let root = span("run restart-web");
        assert!(spans.iter().all(|span| span.span_context.trace_id() == root.span_context.trace_id()));
        for (child, parent) in [
            ("detection", "run restart-web"),
            ("script", "run restart-web"),
            ("action", "script"),
            ("verification", "run restart-web"),
        ] {
            assert_eq!(span(child).parent_span_id, span(parent).span_context.span_id(), "{child}");
        }
        assert_eq!(span("detection").end_time, system_time(second(2)));
        assert_eq!(root.end_time, system_time(second(9)));
        assert_eq!(root.status, Status::Unset);
    }

    #[test]
    fn what_was_not_finished_is_ended_with_the_run() {
        let spans = trace_of(vec![
            matched(),
            RunStep::Started { parameters: "{}".into() },
            RunStep::ActionIntended { number: 1, action: "restart process web".into() },
            RunStep::Finished { outcome: RunOutcome::Interrupted, reason: "the agent stops".into() },
        ]);
        assert_eq!(spans.len(), 4);
        assert!(
            spans
                .iter()
                .filter(|span| span.name != "detection")
                .all(|span| matches!(span.status, Status::Error { .. }))
        );
    }
}
