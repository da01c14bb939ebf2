//! What applications send is judged by rules.

use std::net::SocketAddr;
use std::time::Duration;

use load::{Answer, Client, Protocol, Signal};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use crate::program::{Running, binary, free_port};

const WITHIN: Duration = Duration::from_secs(20);

const RULES: &str = "groups: [{ name: spans, rules: [{ alert: CheckoutFails, \
    expr: 'increase(traces_span_metrics_calls_total{status_code=\"STATUS_CODE_ERROR\"}[1m]) > 0' }] }]\n";

/// One span that failed.
fn failed_span() -> Vec<u8> {
    let span = Span {
        name: "POST /checkout".to_owned(),
        kind: 2,
        start_time_unix_nano: 1,
        end_time_unix_nano: 2_000_001,
        status: Some(Status { code: 2, ..Status::default() }),
        ..Span::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

#[test]
fn the_first_failed_span_over_grpc_makes_a_rule_on_span_metrics_fire() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hostmend.yaml");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let text = format!(
        "state_directory: state\ncollect: {{ interval: 200ms, budget: {{ cpu: 400% }} }}\nevaluation_interval: 200ms\nrules: [rules.yaml]\n\
         receive: {{ listeners: [{{ name: apps, grpc: \"{address}\" }}] }}\n\
         destinations: [{{ name: away, endpoint: \"http://127.0.0.1:{}\" }}]\n",
        free_port()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
    let arguments = ["run", "--config", path.to_str().unwrap()];
    let mut agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
    agent.wait_for("start", WITHIN, |log| log.contains("running").then_some(()));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(address, Protocol::Grpc).await.unwrap();
        assert_eq!(client.send(Signal::Traces, failed_span().into()).await, Answer::Accepted);
    });

    agent.wait_for("alert", WITHIN, |log| {
        let fires = |line: &str| line.contains("CheckoutFails") && line.contains("firing");
        log.lines().find(|line| fires(line)).map(|line| {
            assert!(line.contains("otlp:apps") && line.contains("POST /checkout"), "{line}");
        })
    });
}
