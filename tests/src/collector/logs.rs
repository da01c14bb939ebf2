//! Lines of files at the official Collector: each is the record that the conventions say.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// A file, how it is followed, and the records that it becomes.
struct Row {
    /// Of the source, and of its file with `.log`.
    name: &'static str,
    /// Keys of the source.
    keys: &'static str,
    content: &'static [u8],
    records: Vec<Value>,
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// `2026-11-22T08:00:00Z`, as OTLP has it in JSON.
const EIGHT: &str = "1795334400000000000";

/// A line of 300 bytes.
const LONG: &[u8] = &{
    let mut line = [b'x'; 301];
    line[300] = b'\n';
    line
};

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "json",
            keys: "format: json",
            content: b"{\"time\":\"2026-11-22T08:00:00Z\",\"level\":\"warn\",\"msg\":\"slow\",\
                \"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"span_id\":\"b7ad6b7169203331\",\
                \"code\":7,\"ratio\":0.5,\"ok\":true,\"user\":{\"tags\":[\"a\",1]},\"password\":\"hunter2\"}\n",
            records: vec![json!({
                "time": EIGHT, "severity": [13, "warn"], "body": { "stringValue": "slow" }, "trace": TRACE, "span": SPAN,
                "attributes": {
                    "code": { "intValue": "7" }, "ratio": { "doubleValue": 0.5 }, "ok": { "boolValue": true },
                    "user": { "kvlistValue": { "values": [{ "key": "tags", "value": { "arrayValue": { "values":
                        [{ "stringValue": "a" }, { "intValue": "1" }] } } }] } },
                    "password": { "stringValue": "[masked]" },
                },
            })],
        },
        Row {
            name: "bytes",
            keys: "",
            content: b"caf\xe9 \xff\n\xef\xbb\xbfcaf\xc3\xa9\r\n",
            records: vec![
                json!({ "body": { "bytesValue": "Y2Fm6SD/" } }),
                json!({ "body": { "stringValue": "\u{feff}café" } }),
            ],
        },
        Row {
            name: "cut",
            keys: "max_line_bytes: 256",
            content: LONG,
            records: vec![json!({
                "body": { "stringValue": "x".repeat(256) },
                "attributes": { "hostmend.log.truncated": { "boolValue": true } },
            })],
        },
        Row {
            name: "syslog",
            keys: "format: syslog",
            content: b"<165>1 2026-11-22T08:00:00Z box app 8710 ID47 - An event\n",
            records: vec![json!({
                "time": EIGHT, "severity": [10, "notice"], "body": { "stringValue": "An event" },
                "attributes": {
                    "syslog.facility": { "intValue": "20" }, "syslog.hostname": { "stringValue": "box" },
                    "syslog.appname": { "stringValue": "app" }, "syslog.procid": { "stringValue": "8710" },
                    "syslog.msgid": { "stringValue": "ID47" },
                },
            })],
        },
        Row {
            name: "access",
            keys: "format: access",
            content: b"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 5\n",
            records: vec![json!({
                "time": EIGHT,
                "body": { "stringValue": "192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 5" },
                "attributes": {
                    "client.address": { "stringValue": "192.0.2.1" }, "http.request.method": { "stringValue": "GET" },
                    "url.path": { "stringValue": "/a" }, "url.query": { "stringValue": "b=c" },
                    "network.protocol.version": { "stringValue": "1.1" },
                    "http.response.status_code": { "intValue": "200" }, "http.response.body.size": { "intValue": "5" },
                },
            })],
        },
        Row {
            name: "stack",
            keys: "multiline: { stack_traces: true }",
            content: b"it failed\njava.lang.Error: x\n\tat A.b(C.java:1)\nit goes on\n",
            records: vec![
                json!({ "body": { "stringValue": "it failed\njava.lang.Error: x\n\tat A.b(C.java:1)" } }),
                json!({ "body": { "stringValue": "it goes on" } }),
            ],
        },
    ]
}

/// A record without what every record has, by the part of OTLP/JSON that it is.
fn told(record: &Value) -> Value {
    let mut told = serde_json::Map::new();
    let is_there = |value: &Value| !value.is_null() && value != "" && value != "0" && value != 0;
    for (name, key) in [("time", "timeUnixNano"), ("body", "body"), ("trace", "traceId"), ("span", "spanId")]
    {
        if is_there(&record[key]) {
            told.insert(name.to_owned(), record[key].clone());
        }
    }
    if is_there(&record["severityNumber"]) {
        told.insert("severity".to_owned(), json!([record["severityNumber"], record["severityText"]]));
    }
    let attributes = list(record, "attributes").iter().filter(|one| one["key"] != "log.file.name");
    let attributes = attributes.map(|one| (one["key"].as_str().unwrap().to_owned(), one["value"].clone()));
    let attributes: serde_json::Map<String, Value> = attributes.collect();
    if !attributes.is_empty() {
        told.insert("attributes".to_owned(), Value::Object(attributes));
    }
    told.into()
}

/// The records of files, by the service of their resource.
fn by_service(collector: &Collector) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for resource in collector.received("resourceLogs").iter().flat_map(|all| list(all, "resourceLogs")) {
        let attributes = list(&resource["resource"], "attributes");
        let text = |key: &str| {
            let attribute = attributes.iter().find(|one| one["key"] == key)?;
            attribute["value"]["stringValue"].as_str().map(str::to_owned)
        };
        let Some(service) = text("service.name").and_then(|name| Some(name.strip_prefix("of-")?.to_owned()))
        else {
            continue;
        };
        assert!(text("host.name").is_some(), "{attributes:?}");
        let records = list(resource, "scopeLogs").iter().flat_map(|scope| list(scope, "logRecords"));
        for record in records {
            let file = list(record, "attributes").iter().find(|one| one["key"] == "log.file.name");
            assert_eq!(file.unwrap()["value"]["stringValue"], format!("{service}.log"), "{record}");
            found.entry(service.clone()).or_default().push(told(record));
        }
    }
    found
}

#[test]
fn lines_of_every_kind_reach_the_official_collector_as_the_conventions_say() {
    let Some(mut collector) = Collector::start() else { return };
    let rows = rows();
    let source = |Row { name, keys, content, .. }: &Row| {
        let directory = collector.path();
        std::fs::write(directory.join(format!("{name}.log")), content).unwrap();
        format!(
            "  - name: {name}\n    include: ['{}/{name}.log']\n    start: beginning\n    \
             resource: {{ service.name: of-{name} }}\n    {keys}\n",
            directory.display()
        )
    };
    let more = format!("logs:\n  files:\n{}", rows.iter().map(source).collect::<String>());
    let destination = format!("  - {{ name: c, endpoint: \"http://127.0.0.1:{}\" }}", collector.grpc);
    collector.fed_by(&destination, &more, |collector| {
        let found = by_service(collector);
        rows.iter().all(|row| found.get(row.name).map_or(0, Vec::len) >= row.records.len())
    });
    let found = by_service(&collector);
    for Row { name, records, .. } in rows {
        assert_eq!(found.get(name).map_or(&[][..], Vec::as_slice), records, "{name}");
    }
}
