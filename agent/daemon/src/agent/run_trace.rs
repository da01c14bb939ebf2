//! A run as one trace: detection, guards, approval, evidence, script with its steps and actions, verification, rollback, page.
//!
//! A run that waits for a person, or passes from one thread to another, stays in its trace: traces are kept by run. A run
//! that goes on after a start of the agent begins another trace, which bears the same run's name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanBuilder, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use telemetry::{Alert, RunEvent, RunId, RunOutcome, RunStep, Timestamp};

/// Runs that are traced at once; more than can wait for a person. At the limit the oldest trace ends as it is.
const MAX_TRACES: usize = 200;

/// The traces of the runs that are not over.
pub(crate) struct RunTraces {
    tracer: SdkTracer,
    traces: Mutex<BTreeMap<RunId, RunTrace>>,
}

impl RunTraces {
    pub(crate) fn new(tracer: SdkTracer) -> Self {
        Self { tracer, traces: Mutex::default() }
    }

    /// Takes the next step of a run that answers `alert`, and logs it in the run's trace: a step that begins a span stands in
    /// it, and the end of the run still in the run.
    pub(crate) fn step(&self, alert: &Alert, event: &RunEvent, log: impl FnOnce()) {
        // It belongs to no run.
        if matches!(event.step, RunStep::Released { .. }) {
            return log();
        }
        let ends = matches!(event.step, RunStep::Finished { .. });
        let context = {
            let mut traces = self.lock();
            if traces.len() >= MAX_TRACES && !traces.contains_key(&event.run) {
                traces.pop_first();
            }
            let new = || RunTrace::new(self.tracer.clone());
            let trace = traces.entry(event.run.clone()).or_insert_with(new);
            if !ends {
                trace.take(alert, event);
            }
            trace.context()
        };
        {
            let _context = context.attach();
            log();
        }
        if ends && let Some(mut trace) = self.lock().remove(&event.run) {
            trace.take(alert, event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, RunTrace>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builds the trace of one run from its steps.
struct RunTrace {
    tracer: SdkTracer,
    root: Option<Context>,
    approval: Option<Context>,
    script: Option<Context>,
    step: Option<Context>,
    rollback: Option<Context>,
    action: Option<Context>,
    /// When the script ended.
    ended: Option<Timestamp>,
    /// When the step before was.
    last: Option<Timestamp>,
}

impl RunTrace {
    fn new(tracer: SdkTracer) -> Self {
        Self {
            tracer,
            root: None,
            approval: None,
            script: None,
            step: None,
            rollback: None,
            action: None,
            ended: None,
            last: None,
        }
    }

    /// The innermost span that is open, so that records carry it.
    fn context(&self) -> Context {
        let open = [&self.action, &self.step, &self.rollback, &self.script, &self.approval, &self.root];
        open.into_iter().flatten().next().cloned().unwrap_or_default()
    }

    /// Takes the next step of the run that answers `alert`.
    fn take(&mut self, alert: &Alert, event: &RunEvent) {
        if self.root.is_none() {
            self.begin_root(alert, event);
        }
        let before = self.last.replace(event.at).unwrap_or(event.at);
        self.take_step(event, before);
    }

    fn take_step(&mut self, event: &RunEvent, before: Timestamp) {
        let at = event.at;
        match &event.step {
            RunStep::Matched { .. } => {}
            RunStep::Guard { guard, allowed, reason } => {
                let mut attributes =
                    texts([("hostmend.guard.name", guard.as_str()), ("hostmend.guard.reason", reason)]);
                attributes.push(KeyValue::new("hostmend.guard.allowed", *allowed));
                self.mark("guard", attributes, at);
            }
            RunStep::Awaiting { plan, .. } => {
                let attributes = texts([("hostmend.plan", plan.join("; "))]);
                self.approval = Some(self.begin("approval", attributes, at, self.root.as_ref()));
            }
            RunStep::Decided { approved, by, comment } => {
                end(self.approval.take(), "hostmend.decision", &format!("{by}: {comment}"), *approved, at);
            }
            RunStep::Evidence { name, text, .. } => {
                let attributes = texts([("hostmend.evidence.name", name)]);
                let evidence = self.begin("evidence", attributes, before, self.root.as_ref());
                end(Some(evidence), "hostmend.evidence.text", text, true, at);
            }
            RunStep::Started { parameters } => {
                let attributes = texts([("hostmend.script.parameters", parameters)]);
                self.script = Some(self.begin("script", attributes, at, self.root.as_ref()));
            }
            // What it does from here on is the script's, and takes nothing back.
            RunStep::Resumed { reason } => {
                self.script = Some(self.begin("script", Vec::new(), at, self.root.as_ref()));
                self.mark("resumed", texts([("hostmend.run.resumed", reason)]), at);
            }
            RunStep::StepBegun { id, .. } => {
                let attributes = texts([("hostmend.step.id", id)]);
                self.step = Some(self.begin("step", attributes, at, self.parent_of_actions()));
            }
            RunStep::StepDone { result, .. } => {
                end(self.step.take(), "hostmend.step.result", result, true, at);
            }
            RunStep::StepFailed { error, .. } => {
                end(self.step.take(), "hostmend.step.result", error, false, at);
            }
            RunStep::ActionIntended { action, .. } => {
                if self.script.is_none() && self.rollback.is_none() {
                    self.rollback = Some(self.begin("rollback", Vec::new(), before, self.root.as_ref()));
                }
                let attributes = texts([("hostmend.action", action)]);
                self.action = Some(self.begin("action", attributes, at, self.parent_of_actions()));
            }
            RunStep::ActionDone { ok, outcome, .. } => {
                end(self.action.take(), "hostmend.outcome", outcome, *ok, at);
            }
            RunStep::Ended { ok, result } => {
                self.ended = Some(at);
                end(self.step.take(), "hostmend.step.result", "the script ended in it", false, at);
                end(self.script.take(), "hostmend.result", result, *ok, at);
            }
            RunStep::Verified { expression, ok, observed } => {
                let began = self.ended.unwrap_or(at);
                let attributes = texts([("hostmend.expression", expression)]);
                let verification = self.begin("verification", attributes, began, self.root.as_ref());
                end(Some(verification), "hostmend.observed", observed, *ok, at);
            }
            RunStep::RolledBack { ok, result } => {
                let rollback = self.rollback.take();
                let rollback = rollback
                    .unwrap_or_else(|| self.begin("rollback", Vec::new(), before, self.root.as_ref()));
                end(Some(rollback), "hostmend.result", result, *ok, at);
            }
            RunStep::Paged { to, text } => {
                let attributes = texts([("hostmend.page.to", to.join(", "))]);
                let page = self.begin("page", attributes, before, self.root.as_ref());
                end(Some(page), "hostmend.page.text", text, true, at);
            }
            RunStep::Finished { outcome, reason } => self.finish(*outcome, reason, at),
            other => self.mark("note", texts([("hostmend.note", incidents::sentence(other).1)]), at),
        }
    }

    /// What the script asks for stands in its step, or in the script; what takes it back in the rollback.
    fn parent_of_actions(&self) -> Option<&Context> {
        [&self.step, &self.script, &self.rollback, &self.root].into_iter().flatten().next()
    }

    /// Begins the trace where the alert began, so that it holds the time to detect; in the middle of a run, there.
    fn begin_root(&mut self, alert: &Alert, event: &RunEvent) {
        let RunStep::Matched { runbook, script, script_sha256, stage, target, .. } = &event.step else {
            let attributes = texts([("hostmend.run.id", event.run.0.as_str())]);
            self.root = Some(self.begin("run that goes on", attributes, event.at, None));
            return;
        };
        let attributes = texts([
            ("hostmend.run.id", event.run.0.as_str()),
            ("hostmend.alert.name", alert.name()),
            ("hostmend.runbook.name", runbook),
            ("hostmend.runbook.stage", &stage.to_string()),
            ("hostmend.runbook.target", target),
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
        let open =
            [&mut self.action, &mut self.step, &mut self.rollback, &mut self.script, &mut self.approval];
        for unfinished in open {
            end(unfinished.take(), "hostmend.outcome", "the run was over before it", false, at);
        }
        let failed = matches!(outcome, RunOutcome::Escalated | RunOutcome::Interrupted);
        end(self.root.take(), "hostmend.run.outcome", &format!("{outcome}: {reason}"), !failed, at);
    }

    fn begin(
        &self,
        name: impl Into<Cow<'static, str>>,
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

fn texts<const N: usize>(pairs: [(&'static str, impl AsRef<str>); N]) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue::new(key, value.as_ref().to_owned())).collect()
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
        let traces = RunTraces::new(provider.tracer("test"));
        let labels = [("alertname", "WebDown")].into_iter().collect();
        let alert = Alert { fired_at: Some(second(2)), ..Alert::new(labels, AlertState::Firing, second(0)) };
        for (at, step) in (3..).zip(steps) {
            let event = RunEvent { run: RunId("r1".into()), at: second(at), step };
            traces.step(&alert, &event, || assert!(Context::current().has_active_span(), "{:?}", event.step));
        }
        assert!(traces.lock().is_empty());
        exporter.get_finished_spans().unwrap()
    }

    fn matched() -> RunStep {
        RunStep::Matched {
            alert: "WebDown".into(),
            runbook: "restart-web".into(),
            stage: Stage::Auto,
            script: "restart.rhai".into(),
            script_sha256: "00".into(),
            target: String::new(),
            runbook_sha256: String::new(),
            touches: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_one_trace_whose_spans_hang_together() {
        let spans = trace_of(vec![
            matched(),
            RunStep::Started { parameters: "{}".into() },
            RunStep::ActionIntended { number: 1, action: "restart process web".into(), simulated: false },
            RunStep::ActionDone {
                number: 1,
                ok: true,
                outcome: "pid 7".into(),
                answer: None,
                took: Duration::ZERO,
            },
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
    fn a_run_that_goes_on_is_a_trace_with_a_root_in_which_its_script_acts() {
        let spans = trace_of(vec![
            RunStep::Resumed { reason: "all that it did is known".into() },
            RunStep::ActionIntended { number: 2, action: "restart process web".into(), simulated: false },
            RunStep::ActionDone {
                number: 2,
                ok: true,
                outcome: "pid 7".into(),
                answer: None,
                took: Duration::ZERO,
            },
            RunStep::Ended { ok: true, result: "fixed".into() },
            RunStep::Finished { outcome: RunOutcome::Repaired, reason: "verified".into() },
        ]);
        let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let root = span("run that goes on");
        assert_eq!(span("script").parent_span_id, root.span_context.span_id());
        assert_eq!(span("action").parent_span_id, span("script").span_context.span_id());
        assert!(spans.iter().all(|span| span.name != "rollback" && span.status == Status::Unset));
    }

    #[test]
    fn what_was_not_finished_is_ended_with_the_run() {
        let spans = trace_of(vec![
            matched(),
            RunStep::Started { parameters: "{}".into() },
            RunStep::ActionIntended { number: 1, action: "restart process web".into(), simulated: false },
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

    #[test]
    fn what_people_and_scripts_do_in_a_run_has_spans_of_its_own() {
        let intended =
            |number| RunStep::ActionIntended { number, action: "restart".into(), simulated: false };
        let done = |number| RunStep::ActionDone {
            number,
            ok: true,
            outcome: String::new(),
            answer: None,
            took: Duration::ZERO,
        };
        let spans = trace_of(vec![
            matched(),
            RunStep::Awaiting { plan: vec!["restart".into()], until: second(99) },
            RunStep::Decided { approved: true, by: "ann".into(), comment: String::new() },
            RunStep::Evidence { name: "pressure".into(), text: "0".into(), file: None },
            RunStep::Started { parameters: "{}".into() },
            RunStep::StepBegun { id: "restart".into(), keeps: false },
            intended(1),
            done(1),
            RunStep::StepDone { id: "restart".into(), result: "true".into() },
            RunStep::Ended { ok: true, result: "fixed".into() },
            RunStep::Verified { expression: "up == 1".into(), ok: false, observed: "0".into() },
            intended(2),
            done(2),
            RunStep::RolledBack { ok: true, result: "restart".into() },
            RunStep::Paged { to: vec!["ops".into()], text: "help".into() },
            RunStep::Finished { outcome: RunOutcome::Escalated, reason: "no".into() },
        ]);
        let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
        let root = named("run restart-web")[0].span_context.span_id();
        for name in ["approval", "evidence", "script", "verification", "rollback", "page"] {
            assert_eq!(named(name)[0].parent_span_id, root, "{name}");
        }
        let span = |name: &str| named(name)[0].span_context.span_id();
        assert_eq!(named("step")[0].parent_span_id, span("script"));
        let parents: Vec<_> = named("action").iter().map(|action| action.parent_span_id).collect();
        assert_eq!(parents, [span("step"), span("rollback")]);
        let evidence = named("evidence")[0];
        assert_eq!(
            (evidence.start_time, evidence.end_time),
            (system_time(second(5)), system_time(second(6)))
        );
    }

    #[test]
    fn a_run_that_goes_on_after_a_start_has_a_trace_as_well() {
        let spans = trace_of(vec![
            RunStep::Started { parameters: "{}".into() },
            RunStep::Finished { outcome: RunOutcome::Interrupted, reason: "the agent stops".into() },
        ]);
        assert!(spans.iter().any(|span| span.name == "run that goes on"));
    }
}
