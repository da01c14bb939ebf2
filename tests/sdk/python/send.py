"""Sends the same spans, log records and points twice: straight to a sink over HTTP, and to the agent.

usage: send.py SINK AGENT grpc|http/protobuf
"""

import sys

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

ATTRIBUTES = {
    "text": "Grüße, 世界 \U0001f9ed\n\"quoted\" \\ \u2028",
    "empty": "",
    "truth": True,
    "untruth": False,
    "whole": -9007199254740993,
    "broken": 0.1,
    "tiny": 5e-324,
    "texts": ["a", "", "ü"],
    "wholes": [0, -1, 2**53],
    "fractions": [1.5, -0.0, 1e308],
    "truths": [True, False],
    "none of them": [],
}


def over_http(base):
    return (
        http_traces.OTLPSpanExporter(endpoint=base + "/v1/traces"),
        http_logs.OTLPLogExporter(endpoint=base + "/v1/logs"),
        http_metrics.OTLPMetricExporter(endpoint=base + "/v1/metrics"),
    )


def over_grpc(base):
    return (
        grpc_traces.OTLPSpanExporter(endpoint=base, insecure=True),
        grpc_logs.OTLPLogExporter(endpoint=base, insecure=True),
        grpc_metrics.OTLPMetricExporter(endpoint=base, insecure=True),
    )


def send_traces(provider):
    tracer = provider.get_tracer("tests.python", "1.2.3", "https://example.org/schema/1.0", {"scope": "ours"})
    with tracer.start_as_current_span("outer", kind=SpanKind.SERVER, attributes=ATTRIBUTES) as outer:
        outer.add_event("happened", {"at": "first", "times": 2}, timestamp=1_700_000_000_000_000_001)
        for number in range(300):
            links = [Link(outer.get_span_context(), {"number": number})]
            with tracer.start_as_current_span(f"inner {number}", links=links) as inner:
                inner.set_attribute("number", number)
        outer.set_status(Status(StatusCode.ERROR, "it broke"))
        try:
            raise ValueError("told as an event")
        except ValueError as error:
            outer.record_exception(error)


def send_logs(provider):
    logger = provider.get_logger("tests.python", "1.2.3")
    for number in range(300):
        logger.emit(
            timestamp=1_700_000_000_000_000_000 + number,
            severity_number=SeverityNumber.ERROR if number % 2 else SeverityNumber.DEBUG2,
            severity_text="bad" if number % 2 else "fine",
            body={"number": number, "list": ["a", 1, 2.5, None, {"deep": b"\x00\xff"}]} if number % 3 else "just text",
            attributes={"number": number, **ATTRIBUTES},
            event_name="tested" if number % 5 == 0 else None,
        )


def send_metrics(provider):
    meter = provider.get_meter("tests.python", "1.2.3")
    counter = meter.create_counter("tests.counter", "{thing}", "counts things")
    falling = meter.create_up_down_counter("tests.falling")
    histogram = meter.create_histogram("tests.duration", "s", "how long")
    gauge = meter.create_gauge("tests.level", "1")
    for number in range(200):
        counter.add(number, {"of": f"thing {number % 20}"})
        falling.add(-1, {"truth": number % 2 == 0})
        histogram.record(number / 10, {"of": f"thing {number % 3}"})
        gauge.set(number / 7, {"number": number % 10})


def main():
    direct, through, protocol = sys.argv[1:]
    pairs = zip(over_http(direct), over_grpc(through) if protocol == "grpc" else over_http(through))
    traces, logs, metrics = pairs
    resource = Resource.create({"service.name": "sdk-test", "tested": ["by", "python"], "pid": 4711})
    tracing = TracerProvider(resource=resource)
    logging = LoggerProvider(resource=resource)
    for exporter in traces:
        tracing.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=100))
    for exporter in logs:
        logging.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=100))
    readers = [PeriodicExportingMetricReader(exporter, 3_600_000) for exporter in metrics]
    metering = MeterProvider(metric_readers=readers, resource=resource)
    trace.set_tracer_provider(tracing)
    send_traces(tracing)
    send_logs(logging)
    send_metrics(metering)
    for provider in (tracing, logging, metering):
        provider.shutdown()


main()
