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
            RunStep::Matched { runbook, script, script_sha256, stage, .. } => {
                let attributes = vec![
                    KeyValue::new("hostmend.run.id", event.run.to_string()),
                    KeyValue::new("hostmend.alert.name", alert.name().to_owned()),
                    KeyValue::new("hostmend.runbook.name", runbook.clone()),
                    KeyValue::new("hostmend.runbook.stage", stage.to_string()),
                    KeyValue::new("hostmend.script.name", script.clone()),
                    KeyValue::new("hostmend.script.sha256", script_sha256.clone()),
                ];
                let root = self.begin(format!("run {runbook}"), attributes, alert.active_at, None);
                let detection = self.begin("detection", Vec::new(), alert.active_at, Some(&root));
                end(&detection, alert.fired_at.unwrap_or(at), None);
                self.root = Some(root);
            }
            RunStep::Guard { guard, allowed, reason } => {
                let attributes = vec![
                    KeyValue::new("hostmend.guard.name", guard.clone()),
                    KeyValue::new("hostmend.guard.allowed", *allowed),
                    KeyValue::new("hostmend.guard.reason", reason.clone()),
                ];
                self.mark("guard", attributes, at);
            }
            RunStep::Started { parameters } => {
                let attributes = vec![KeyValue::new("hostmend.script.parameters", parameters.clone())];
                self.script = Some(self.begin("script", attributes, at, self.root.as_ref()));
            }
            RunStep::Fact { call, answer } => {
                let attributes = vec![
                    KeyValue::new("hostmend.call", call.clone()),
                    KeyValue::new("hostmend.answer", answer.clone()),
                ];
                self.mark("fact", attributes, at);
            }
            RunStep::Note { text } => {
                self.mark("note", vec![KeyValue::new("hostmend.note", text.clone())], at);
            }
            RunStep::ActionIntended { action, .. } => {
                let attributes = vec![KeyValue::new("hostmend.action", action.clone())];
                self.action = Some(self.begin("action", attributes, at, self.script.as_ref()));
            }
            RunStep::ActionDone { ok, outcome, .. } => {
                if let Some(action) = self.action.take() {
                    action.span().set_attribute(KeyValue::new("hostmend.outcome", outcome.clone()));
                    end(&action, at, (!ok).then_some(outcome.as_str()));
                }
            }
            RunStep::Ended { ok, result } => {
                self.ended = Some(at);
                if let Some(script) = self.script.take() {
                    script.span().set_attribute(KeyValue::new("hostmend.result", result.clone()));
                    end(&script, at, (!ok).then_some(result.as_str()));
                }
            }
            RunStep::Verified { expression, ok, observed } => {
                let attributes = vec![
                    KeyValue::new("hostmend.expression", expression.clone()),
                    KeyValue::new("hostmend.observed", observed.clone()),
                ];
                let began = self.ended.unwrap_or(at);
                let verification = self.begin("verification", attributes, began, self.root.as_ref());
                end(&verification, at, (!ok).then_some(observed.as_str()));
            }
            RunStep::Finished { outcome, reason } => self.finish(*outcome, reason, at),
        }
    }

    fn finish(&mut self, outcome: RunOutcome, reason: &str, at: Timestamp) {
        for unfinished in [self.action.take(), self.script.take()].into_iter().flatten() {
            end(&unfinished, at, Some("the run was over before it"));
        }
        self.ended = None;
        if let Some(root) = self.root.take() {
            root.span().set_attribute(KeyValue::new("hostmend.run.outcome", outcome.to_string()));
            let failed = matches!(outcome, RunOutcome::Escalated | RunOutcome::Interrupted);
            end(&root, at, failed.then_some(reason));
        }
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

fn end(context: &Context, at: Timestamp, error: Option<&str>) {
    let span = context.span();
    if let Some(error) = error {
        span.set_status(Status::error(error.to_owned()));
    }
    span.end_with_timestamp(system_time(at));
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
