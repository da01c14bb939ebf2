// Sends the same spans, log records and points twice: straight to a sink over HTTP, and to the agent.
//
// usage: send.js SINK AGENT grpc|http/protobuf|http/json
import { SpanKind, SpanStatusCode, context, trace } from '@opentelemetry/api';
import * as grpcLogs from '@opentelemetry/exporter-logs-otlp-grpc';
import * as jsonLogs from '@opentelemetry/exporter-logs-otlp-http';
import * as protoLogs from '@opentelemetry/exporter-logs-otlp-proto';
import * as grpcMetrics from '@opentelemetry/exporter-metrics-otlp-grpc';
import * as jsonMetrics from '@opentelemetry/exporter-metrics-otlp-http';
import * as protoMetrics from '@opentelemetry/exporter-metrics-otlp-proto';
import * as grpcTraces from '@opentelemetry/exporter-trace-otlp-grpc';
import * as jsonTraces from '@opentelemetry/exporter-trace-otlp-http';
import * as protoTraces from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const attributes = {
  text: 'Grüße, 世界 🧭\n"quoted" \\ \u2028',
  empty: '',
  truth: true,
  untruth: false,
  whole: -9007199254740991,
  broken: 0.1,
  tiny: 5e-324,
  texts: ['a', '', 'ü'],
  wholes: [0, -1, 2 ** 53 - 1],
  // Not 1e308: it counts as a whole number, and is sent as an intValue that no int64 holds.
  fractions: [1.5, -0.5, 1e-308],
  truths: [true, false],
  'none of them': [],
};

function exporters(protocol, base) {
  const [traces, logs, metrics] = {
    grpc: [grpcTraces, grpcLogs, grpcMetrics],
    'http/protobuf': [protoTraces, protoLogs, protoMetrics],
    'http/json': [jsonTraces, jsonLogs, jsonMetrics],
  }[protocol];
  const url = (signal) => ({ url: protocol === 'grpc' ? base : `${base}/v1/${signal}` });
  return {
    traces: new traces.OTLPTraceExporter(url('traces')),
    logs: new logs.OTLPLogExporter(url('logs')),
    metrics: new metrics.OTLPMetricExporter(url('metrics')),
  };
}

function sendTraces(provider) {
  const tracer = provider.getTracer('tests.node', '1.2.3', { schemaUrl: 'https://example.org/schema/1.0' });
  const outer = tracer.startSpan('outer', { kind: SpanKind.SERVER, attributes });
  outer.addEvent('happened', { at: 'first', times: 2 });
  for (let number = 0; number < 300; number += 1) {
    const links = [{ context: outer.spanContext(), attributes: { number } }];
    tracer.startSpan(`inner ${number}`, { links, attributes: { number } }, trace.setSpan(context.active(), outer)).end();
  }
  outer.setStatus({ code: SpanStatusCode.ERROR, message: 'it broke' });
  outer.recordException(new Error('told as an event'));
  outer.end();
}

function sendLogs(provider) {
  const logger = provider.getLogger('tests.node', '1.2.3');
  for (let number = 0; number < 300; number += 1) {
    logger.emit({
      timestamp: [1_700_000_000, number],
      severityNumber: number % 2 ? 17 : 6,
      severityText: number % 2 ? 'bad' : 'fine',
      body: number % 3 ? { number, list: ['a', 1, 2.5, { deep: new Uint8Array([0, 255]) }] } : 'just text',
      attributes: { number, ...attributes },
      eventName: number % 5 ? undefined : 'tested',
    });
  }
}

function sendMetrics(provider) {
  const meter = provider.getMeter('tests.node', '1.2.3');
  const counter = meter.createCounter('tests.counter', { unit: '{thing}', description: 'counts things' });
  const falling = meter.createUpDownCounter('tests.falling');
  const histogram = meter.createHistogram('tests.duration', { unit: 's' });
  const exponential = meter.createHistogram('tests.exponential', { unit: 's' });
  const gauge = meter.createGauge('tests.level');
  for (let number = 0; number < 200; number += 1) {
    counter.add(number, { of: `thing ${number % 20}` });
    falling.add(-1, { truth: number % 2 === 0 });
    histogram.record(number / 10, { of: `thing ${number % 3}` });
    exponential.record(number / 10, { of: `thing ${number % 3}` });
    gauge.record(number / 7, { number: number % 10 });
  }
}

const [direct, through, protocol] = process.argv.slice(2);
const ways = [exporters('http/protobuf', direct), exporters(protocol, through)];
const resource = resourceFromAttributes({ 'service.name': 'sdk-test', tested: ['by', 'node'], pid: 4711 });
const tracing = new TracerProvider({
  resource,
  spanProcessors: ways.map((way) => new BatchSpanProcessor({ exporter: way.traces, maxExportBatchSize: 100 })),
});
const logging = new LoggerProvider({
  resource,
  processors: ways.map((way) => new BatchLogRecordProcessor({ exporter: way.logs, maxExportBatchSize: 100 })),
});
const metering = new MeterProvider({
  resource,
  readers: ways.map((way) => new PeriodicExportingMetricReader({ exporter: way.metrics, exportIntervalMillis: 3_600_000 })),
  views: [{ instrumentName: 'tests.exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
});
sendTraces(tracing);
sendLogs(logging);
sendMetrics(metering);
for (const provider of [tracing, logging, metering]) await provider.shutdown();
