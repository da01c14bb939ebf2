//! The OpenTelemetry SDKs for Python and Node as senders.
//!
//! Each sends the same telemetry twice, straight to a sink and through the agent; every field has to be equal. The sink
//! takes protobuf, so what went to the agent as JSON shows that its translation is that of the SDK.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use load::{Protocol, Signal, Sink};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{ARRIVES_WITHIN, Hub};
use crate::program::{binary, skip, stderr};

/// Where `tests/sdk/build.sh` has installed an SDK: the interpreter and the script.
fn sender(language: &str) -> Option<(PathBuf, PathBuf)> {
    let target = binary().ancestors().nth(2).expect("the binary lies in target/<profile>");
    let installed = target.join("sdk").join(language);
    if !installed.join("built-from").exists() {
        skip(&format!("SDK for {language}"), &format!("it is not installed (tests/sdk/build.sh {language})"));
        return None;
    }
    Some(match language {
        "python" => (installed.join("venv/bin/python"), installed.join("send.py")),
        _ => ("node".into(), installed.join("send.js")),
    })
}

fn is_of_the_sdk(resource: &Resource) -> bool {
    resource.attributes.iter().any(|one| {
        one.key == "service.name"
            && one.value.as_ref().and_then(|value| value.value.as_ref())
                == Some(&Value::StringValue("sdk-test".to_owned()))
    })
}

/// What the resource says, without what the agent adds.
fn said(resource: Option<&Resource>) -> Option<Vec<&KeyValue>> {
    let resource = resource.filter(|resource| is_of_the_sdk(resource))?;
    let added =
        |key: &str| key.starts_with("host.") || key.starts_with("os.") || key.starts_with("hostmend.");
    Some(resource.attributes.iter().filter(|one| !added(&one.key)).collect())
}

/// Every item of the SDK as one text with all its fields, sorted.
fn items(signal: Signal, requests: &[(Signal, bytes::Bytes)]) -> Vec<String> {
    let requests = requests.iter().filter(|(of, _)| *of == signal).map(|(_, request)| request.clone());
    let mut items = Vec::new();
    for request in requests {
        match signal {
            Signal::Traces => spans(request, &mut items),
            Signal::Logs => records(request, &mut items),
            Signal::Metrics => metrics(request, &mut items),
        }
    }
    items.sort();
    items
}

fn spans(request: bytes::Bytes, items: &mut Vec<String>) {
    for resource in ExportTraceServiceRequest::decode(request).unwrap().resource_spans {
        let Some(said) = said(resource.resource.as_ref()) else { continue };
        for scope in resource.scope_spans {
            let of = format!("{said:?} {:?} {} {}", scope.scope, scope.schema_url, resource.schema_url);
            items.extend(scope.spans.iter().map(|span| format!("{span:?} {of}")));
        }
    }
}

fn records(request: bytes::Bytes, items: &mut Vec<String>) {
    for resource in ExportLogsServiceRequest::decode(request).unwrap().resource_logs {
        let Some(said) = said(resource.resource.as_ref()) else { continue };
        for scope in resource.scope_logs {
            let of = format!("{said:?} {:?} {} {}", scope.scope, scope.schema_url, resource.schema_url);
            items.extend(scope.log_records.iter().map(|record| format!("{record:?} {of}")));
        }
    }
}

fn metrics(request: bytes::Bytes, items: &mut Vec<String>) {
    for resource in ExportMetricsServiceRequest::decode(request).unwrap().resource_metrics {
        let Some(said) = said(resource.resource.as_ref()) else { continue };
        for scope in resource.scope_metrics {
            let of = format!("{said:?} {:?} {} {}", scope.scope, scope.schema_url, resource.schema_url);
            items.extend(scope.metrics.into_iter().map(|metric| format!("{:?} {of}", without_times(metric))));
        }
    }
}

/// The two readers of an SDK collect one after the other.
fn without_times(mut metric: Metric) -> Metric {
    macro_rules! forget {
        ($data:expr) => {
            for point in &mut $data.data_points {
                (point.start_time_unix_nano, point.time_unix_nano) = (0, 0);
                point.exemplars.clear();
            }
        };
    }
    match metric.data.as_mut() {
        Some(Data::Gauge(data)) => forget!(data),
        Some(Data::Sum(data)) => forget!(data),
        Some(Data::Histogram(data)) => forget!(data),
        Some(Data::ExponentialHistogram(data)) => forget!(data),
        _ => {}
    }
    metric
}

fn everything_arrives_equal(language: &str, protocols: &[&str]) {
    let Some((program, script)) = sender(language) else { return };
    let sink = Sink::listen(0).unwrap();
    let mut hub = Hub::to(&sink);
    for protocol in protocols {
        let direct = Sink::listen(0).unwrap();
        direct.keep();
        sink.keep();
        let over = if *protocol == "grpc" { Protocol::Grpc } else { Protocol::Http };
        let sent = Command::new(&program)
            .arg(&script)
            .args([format!("http://{}", direct.address()), format!("http://{}", hub.address(over))])
            .arg(protocol)
            .output()
            .unwrap();
        assert!(sent.status.success() && sent.stderr.is_empty(), "{}", stderr(&sent));
        for signal in Signal::ALL {
            let expected = items(signal, &direct.kept());
            assert!(expected.len() >= 4, "{language} sent {} {signal:?} to the sink", expected.len());
            let begun = Instant::now();
            loop {
                let arrived = items(signal, &sink.kept());
                if arrived.len() >= expected.len() {
                    let differs =
                        arrived.iter().zip(&expected).find(|(arrived, expected)| arrived != expected);
                    assert_eq!(differs, None, "{language}, {protocol}, {signal:?}: arrived and expected");
                    assert_eq!(arrived.len(), expected.len(), "{language}, {protocol}, {signal:?}");
                    break;
                }
                assert!(
                    begun.elapsed() < ARRIVES_WITHIN,
                    "{language}, {protocol}: {} {signal:?}",
                    arrived.len()
                );
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
    hub.stop();
}

#[test]
fn what_the_python_sdk_sends_arrives_with_every_field_equal() {
    everything_arrives_equal("python", &["grpc", "http/protobuf"]);
}

#[test]
fn what_the_node_sdk_sends_arrives_with_every_field_equal() {
    everything_arrives_equal("node", &["grpc", "http/protobuf", "http/json"]);
}
