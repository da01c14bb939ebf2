use super::*;

/// Each line gives one record, which says this.
fn assert_rows(settings: &RecordSettings, rows: &[(&str, &str)]) {
    let mut wrong = String::new();
    for (line, says) in rows {
        let (records, figures) = records(settings.clone(), &[line.as_bytes()]);
        if records != [*says] || figures.unparsed != 0 {
            writeln!(wrong, "{line}\n  is {}\n not {says}\n {figures:?}", records.join("\n     ")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn of(format: LineFormat) -> RecordSettings {
    RecordSettings { format, ..RecordSettings::default() }
}

/// Each line is a record as it stands, and counted.
fn assert_unparsed(format: &LineFormat, lines: &[&str]) {
    for line in lines {
        let (records, figures) = records(of(format.clone()), &[line.as_bytes()]);
        assert_eq!(records, [format!("- - {line:?}")]);
        assert_eq!((figures.unparsed, figures.records), (1, 1), "{line}");
    }
}

#[test]
fn json_of_logging_libraries_becomes_records() {
    assert_rows(
        &of(LineFormat::Json),
        &[
            // zap
            (
                r#"{"level":"info","ts":1795334400.25,"caller":"app/main.go:10","msg":"listening","port":8080}"#,
                r#"2026-11-22T08:00:00.25Z 9/info "listening" caller="app/main.go:10" port=8080"#,
            ),
            // logrus
            (
                r#"{"animal":"walrus","level":"warning","msg":"A group","size":10,"time":"2026-11-22T09:00:00+01:00"}"#,
                r#"2026-11-22T08:00:00Z 13/warning "A group" animal="walrus" size=10"#,
            ),
            // zerolog
            (
                r#"{"level":"error","error":"file open failed!","time":1795334400,"message":"Something"}"#,
                r#"2026-11-22T08:00:00Z 17/error "Something" error="file open failed!""#,
            ),
            // slog
            (
                r#"{"time":"2026-11-22T08:00:00.123456789Z","level":"INFO","msg":"hello","req":{"id":7,"ok":true}}"#,
                r#"2026-11-22T08:00:00.123456789Z 9/INFO "hello" req={id=7 ok=true}"#,
            ),
            // pino
            (
                r#"{"level":30,"time":1795334400123,"pid":657,"hostname":"box","msg":"hello world"}"#,
                r#"2026-11-22T08:00:00.123Z 9/30 "hello world" pid=657 hostname="box""#,
            ),
            // Bunyan
            (
                r#"{"name":"app","hostname":"box","pid":1,"level":50,"msg":"boom","time":"2026-11-22T08:00:00.123Z","v":0}"#,
                r#"2026-11-22T08:00:00.123Z 17/50 "boom" name="app" hostname="box" pid=1 v=0"#,
            ),
            // Winston
            (
                r#"{"level":"silly","message":"What","timestamp":"2026-11-22T08:00:00.000Z"}"#,
                r#"2026-11-22T08:00:00Z 1/silly "What""#,
            ),
            // Log4j 2, JsonLayout
            (
                r#"{"instant":{"epochSecond":1795334400,"nanoOfSecond":118000000},"thread":"main","level":"FATAL","loggerName":"App","message":"Msg"}"#,
                r#"2026-11-22T08:00:00.118Z 21/FATAL "Msg" thread="main" loggerName="App""#,
            ),
            // Log4j 2 and others in ECS
            (
                r#"{"@timestamp":"2026-11-22T08:00:00.000Z","log.level":"ERROR","message":"x","ecs.version":"1.2.0","trace.id":"0af7651916cd43dd8448eb211c80319c","span.id":"b7ad6b7169203331"}"#,
                r#"2026-11-22T08:00:00Z 17/ERROR "x" trace=0af7651916cd43dd8448eb211c80319c span=b7ad6b7169203331 ecs.version="1.2.0""#,
            ),
            // Logback
            (
                r#"{"@timestamp":"2026-11-22T09:00:00.123+01:00","@version":"1","message":"m","logger_name":"a.B","thread_name":"main","level":"DEBUG","level_value":10000}"#,
                r#"2026-11-22T08:00:00.123Z 5/DEBUG "m" @version="1" logger_name="a.B" thread_name="main" level_value=10000"#,
            ),
            // python-json-logger
            (
                r#"{"asctime": "2026-11-22 08:00:00,123", "levelname": "CRITICAL", "name": "root", "message": "down"}"#,
                r#"2026-11-22T08:00:00.123Z 21/CRITICAL "down" name="root""#,
            ),
            // structlog
            (
                r#"{"event": "user logged in", "user": "ann", "level": "info", "timestamp": "2026-11-22T08:00:00Z"}"#,
                r#"2026-11-22T08:00:00Z 9/info "user logged in" user="ann""#,
            ),
            (r#"{"event": "login", "message": "Ann is here"}"#, r#"- - "Ann is here" event="login""#),
            // tracing-subscriber
            (
                r#"{"timestamp":"2026-11-22T08:00:00.1Z","level":"INFO","fields":{"message":"started","port":80},"target":"app"}"#,
                r#"2026-11-22T08:00:00.1Z 9/INFO "started" fields={port=80} target="app""#,
            ),
            // Serilog
            (
                r#"{"@t":"2026-11-22T08:00:00.1Z","@mt":"Hello {User}","@l":"Warning","User":"ann"}"#,
                r#"2026-11-22T08:00:00.1Z 13/Warning "{\"@t\":\"2026-11-22T08:00:00.1Z\",\"@mt\":\"Hello {User}\",\"@l\":\"Warning\",\"User\":\"ann\"}" @mt="Hello {User}" User="ann""#,
            ),
            // .NET
            (
                r#"{"Timestamp":"2026-11-22T08:00:00.1Z","EventId":0,"LogLevel":"Information","Category":"A","Message":"m"}"#,
                r#"2026-11-22T08:00:00.1Z 9/Information "m" EventId=0 Category="A""#,
            ),
            // MongoDB
            (
                r#"{"t":{"$date":"2026-11-22T08:00:00.123+00:00"},"s":"I","c":"NETWORK","id":23015,"ctx":"listener","msg":"Listening on"}"#,
                r#"2026-11-22T08:00:00.123Z - "Listening on" s="I" c="NETWORK" id=23015 ctx="listener""#,
            ),
            // With a header of W3C
            (
                r#"{"msg":"m","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#,
                r#"- - "m" trace=0af7651916cd43dd8448eb211c80319c span=b7ad6b7169203331 flags=1"#,
            ),
            (
                r#"{"msg":"m","trace_id":"00000000000000000000000000000000","span_id":"xyz","trace_flags":"01"}"#,
                r#"- - "m" flags=1 trace_id="00000000000000000000000000000000" span_id="xyz""#,
            ),
        ],
    );
}

#[test]
fn every_value_of_json_is_kept() {
    assert_rows(
        &of(LineFormat::Json),
        &[
            (
                r#" { "msg" : "m" , "a" : [ 1 , [ ] , { } , null ] , "b" : false , "c" : { "d" : { "e" : "f" } } } "#,
                r#"- - "m" a=[1 [] {} null] b=false c={d={e="f"}}"#,
            ),
            (
                r#"{"msg":"m","i":-9223372036854775808,"big":9223372036854775808,"d":-0.5,"e":1E3,"z":0}"#,
                r#"- - "m" i=-9223372036854775808 big=9.223372036854776e18 d=-0.5 e=1000.0 z=0"#,
            ),
            (
                r#"{"msg":"a\"b\\c\/d\b\f\n\r\t\u00e9\ud83d\ude00\ud83d!","k\u0065y":"v"}"#,
                r#"- - "a\"b\\c/d\u{8}\u{c}\n\r\té😀�!" key="v""#,
            ),
            // The first of two keys counts.
            (r#"{"msg":"m","a":1,"a":2,"b":{"c":1,"c":{"d":[2]}}}"#, r#"- - "m" a=1 b={c=1}"#),
            (r#"{"msg":"m","msg":"n"}"#, r#"- - "m" msg="n""#),
            (r#"{"msg":5}"#, r"- - 5"),
            (r#"{"msg":"done","time":13}"#, r#"- - "done" time=13"#),
            (r#"{"msg":{"a":1}}"#, r#"- - "{\"msg\":{\"a\":1}}" msg={a=1}"#),
            (
                r#"{"level":"shiny","time":"soon"}"#,
                r#"- - "{\"level\":\"shiny\",\"time\":\"soon\"}" level="shiny" time="soon""#,
            ),
            ("{}", r#"- - "{}""#),
        ],
    );
}

#[test]
fn what_is_no_json_object_stays_a_line() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(33), "]".repeat(33));
    assert_unparsed(
        &LineFormat::Json,
        &[
            "",
            "hello",
            "[1]",
            "{",
            r#"{"a":1"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":NaN}"#,
            r#"{"a":tru}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":"b}"#,
            r#"{"a":"b\"#,
            r#"{"a" 1}"#,
            "{a:1}",
            r#"{"a":1} {"b":2}"#,
            r#"{"a":1}x"#,
            &deep,
        ],
    );
}

#[test]
fn fields_are_found_under_configured_names() {
    let settings = RecordSettings {
        format: LineFormat::Json,
        fields: FieldNames {
            time: Some("when".into()),
            severity: Some("s".into()),
            message: Some("text".into()),
            trace: Some("tr".into()),
            span: Some("sp".into()),
        },
        time_format: Some("%d.%m.%Y %H:%M:%S".into()),
        zone: Some("Europe/Berlin".into()),
        severities: vec![("W".into(), 13)],
        original: true,
        ..RecordSettings::default()
    };
    let line = r#"{"when":"22.11.2026 09:00:00","s":"W","text":"hi","msg":"m","level":"info","tr":"0af7651916cd43dd8448eb211c80319c","sp":"b7ad6b7169203331"}"#;
    let says = format!(
        r#"2026-11-22T08:00:00Z 13/W "hi" trace=0af7651916cd43dd8448eb211c80319c span=b7ad6b7169203331 msg="m" level="info" log.record.original={line:?}"#
    );
    assert_rows(&settings, &[(line, &says)]);
}

#[test]
fn logfmt_becomes_records() {
    assert_rows(
        &of(LineFormat::Logfmt),
        &[
            // logrus
            (
                r#"time="2026-11-22T08:00:00Z" level=warning msg="The group's number increased" number=122 omg=true"#,
                r#"2026-11-22T08:00:00Z 13/warning "The group's number increased" number=122 omg=true"#,
            ),
            // Prometheus
            (
                r#"ts=2026-11-22T08:00:00.123Z caller=main.go:541 level=info msg="Starting" version="(version=2.37)" d=1.5s"#,
                r#"2026-11-22T08:00:00.123Z 9/info "Starting" caller="main.go:541" version="(version=2.37)" d="1.5s""#,
            ),
            // Heroku's router
            (
                r#"at=info method=GET path="/a b" status=200 bytes= fwd="1.2.3.4" tls"#,
                r#"- - "at=info method=GET path=\"/a b\" status=200 bytes= fwd=\"1.2.3.4\" tls" at="info" method="GET" path="/a b" status=200 bytes="" fwd="1.2.3.4" tls=true"#,
            ),
            (r#"msg="say \"hi\"\n" a=1 a=2 b="\q""#, r#"- - "say \"hi\"\n" a=1 b="\\q""#),
        ],
    );
    assert_unparsed(&LineFormat::Logfmt, &["", "hello world", "=1", "a", r#"a="b"#, r#"a="b"c"#, "\"a\"=1"]);
}

#[test]
fn syslog_becomes_records() {
    assert_rows(
        &of(LineFormat::Syslog),
        &[
            // rsyslog, traditional file format
            (
                "Nov 22 07:59:59 box sshd[1234]: Accepted publickey for ann",
                r#"2026-11-22T07:59:59Z - "Accepted publickey for ann" syslog.hostname="box" syslog.appname="sshd" syslog.procid="1234""#,
            ),
            // rsyslog of Debian 12 and later
            (
                "2026-11-22T09:00:00.123456+01:00 box kernel: [    0.1] Linux",
                r#"2026-11-22T08:00:00.123456Z - "[    0.1] Linux" syslog.hostname="box" syslog.appname="kernel""#,
            ),
            // RFC 3164, examples
            (
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
                r#"2026-10-11T22:14:15Z 18/crit "'su root' failed for lonvick on /dev/pts/8" syslog.facility=4 syslog.hostname="mymachine" syslog.appname="su""#,
            ),
            (
                "<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
                r#"2026-02-05T17:32:18Z 10/notice "Use the BFG!" syslog.facility=1 syslog.hostname="10.0.0.99""#,
            ),
            // What logger sends to the local socket
            (
                "<13>Nov 22 08:00:00 ann: hello",
                r#"2026-11-22T08:00:00Z 10/notice "hello" syslog.facility=1 syslog.appname="ann""#,
            ),
            // RFC 5424, examples
            (
                "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
                r#"2003-10-11T22:14:15.003Z 18/crit "'su root' failed" syslog.facility=4 syslog.hostname="mymachine.example.com" syslog.appname="su" syslog.msgid="ID47""#,
            ),
            (
                r#"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - [ex@32473 iut="3" eventSource="App\]\"\\"][b] An event"#,
                r#"2003-08-24T12:14:15.000003Z 10/notice "An event" syslog.facility=20 syslog.hostname="192.0.2.1" syslog.appname="myproc" syslog.procid="8710" syslog.structured_data={ex@32473={iut="3" eventSource="App]\"\\"} b={}}"#,
            ),
            ("<0>1 - - - - - -", r#"- 21/emerg "" syslog.facility=0"#),
        ],
    );
    assert_unparsed(
        &LineFormat::Syslog,
        &[
            "",
            "hello",
            "<192>Nov 22 08:00:00 a b: c",
            "<34>1 yesterday - - - - -",
            "<34>1 - - - - - [a b=c]",
            "Nov 22",
        ],
    );
}

#[test]
fn json_within_syslog_is_read() {
    let settings = RecordSettings { inner: Some(LineFormat::Json), ..of(LineFormat::Syslog) };
    assert_rows(
        &settings,
        &[(
            r#"Nov 22 08:00:00 box app: @cee: {"msg":"m","level":"error","a":1}"#,
            r#"2026-11-22T08:00:00Z 17/error "m" syslog.hostname="box" syslog.appname="app" a=1"#,
        )],
    );
    let (records, figures) = records(settings, &[br#"Nov 22 08:00:00 box app: {"a":1"#]);
    assert_eq!(records, [r#"2026-11-22T08:00:00Z - "{\"a\":1" syslog.hostname="box" syslog.appname="app""#]);
    assert_eq!(figures.unparsed, 1);
}

/// What an access log's line says, without its body, which is the line.
fn access(line: &str) -> String {
    let (records, figures) = records(of(LineFormat::Access), &[line.as_bytes()]);
    assert_eq!(figures.unparsed, 0, "{line}");
    records[0].replacen(&format!(" - {line:?}"), "", 1)
}

#[test]
fn access_logs_become_records() {
    let rows = [
        // Apache, common
        (
            r#"127.0.0.1 - frank [22/Nov/2026:09:00:00 +0100] "GET /apache_pb.gif HTTP/1.0" 200 2326"#,
            r#"2026-11-22T08:00:00Z client.address="127.0.0.1" user.name="frank" http.request.method="GET" url.path="/apache_pb.gif" network.protocol.version="1.0" http.response.status_code=200 http.response.body.size=2326"#,
        ),
        // nginx, combined
        (
            r#"2001:db8::1 - - [22/Nov/2026:08:00:00 +0000] "POST /a?b=c&d HTTP/2.0" 503 - "https://example.org/" "Mozilla/5.0 (X11)""#,
            r#"2026-11-22T08:00:00Z client.address="2001:db8::1" http.request.method="POST" url.path="/a" url.query="b=c&d" network.protocol.version="2" http.response.status_code=503 http.request.header.referer="https://example.org/" user_agent.original="Mozilla/5.0 (X11)""#,
        ),
        // nginx with durations
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8.0" 0.123 0.120"#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.request.method="GET" url.path="/" network.protocol.version="1.1" http.response.status_code=200 http.response.body.size=5 user_agent.original="curl/8.0" http.server.request.duration=0.123 nginx.upstream.response.duration=0.12"#,
        ),
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8.0" "10.0.0.1" rt=0.5 uct="0.001" urt="0.1, 0.2" host=example.org"#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.request.method="GET" url.path="/" network.protocol.version="1.1" http.response.status_code=200 http.response.body.size=5 user_agent.original="curl/8.0" http.request.header.x-forwarded-for="10.0.0.1" http.server.request.duration=0.5 uct="0.001" nginx.upstream.response.duration=0.2 server.address="example.org""#,
        ),
        // ingress-nginx
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8.0" 409 0.002 [default-web-80] [] 10.1.0.2:80 5 0.001 200 0123abc"#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.request.method="GET" url.path="/" network.protocol.version="1.1" http.response.status_code=200 http.response.body.size=5 user_agent.original="curl/8.0" http.server.request.duration=0.002 nginx.upstream.response.duration=0.001"#,
        ),
        // Apache, vhost_combined
        (
            r#"example.org:443 192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" 304 0 "-" "-""#,
            r#"2026-11-22T08:00:00Z server.address="example.org" server.port=443 client.address="192.0.2.1" http.request.method="GET" url.path="/" network.protocol.version="1.1" http.response.status_code=304 http.response.body.size=0"#,
        ),
        // What strangers send
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "\x16\x03\x01" 400 157 "-" "-""#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.response.status_code=400 http.response.body.size=157"#,
        ),
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "-" 408 - "-" "-""#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.response.status_code=408"#,
        ),
        (
            r#"192.0.2.1 - - [22/Nov/2026:08:00:00 +0000] "PROPFIND /a\"b HTTP/1.1" 405 0 "-" "a \"b\" c""#,
            r#"2026-11-22T08:00:00Z client.address="192.0.2.1" http.request.method="_OTHER" http.request.method_original="PROPFIND" url.path="/a\\\"b" network.protocol.version="1.1" http.response.status_code=405 http.response.body.size=0 user_agent.original="a \\\"b\\\" c""#,
        ),
    ];
    for (line, says) in rows {
        assert_eq!(access(line), says, "{line}");
    }
    assert_unparsed(
        &LineFormat::Access,
        &[
            "",
            "hello [x",
            r#"a - - [22/Nov/2026:08:00:00 +0000] "GET / HTTP/1.1" OK 5"#,
            r#"[22/Nov/2026:08:00:00 +0000] "GET /" 200 5"#,
        ],
    );
}

#[test]
fn error_logs_become_records() {
    assert_rows(
        &of(LineFormat::ErrorLog),
        &[
            (
                r#"2026/11/22 08:00:00 [error] 31#32: *5 open() "/x" failed (2: No such file or directory), client: 192.0.2.1, server: example.org, request: "GET /x HTTP/1.1", host: "example.org""#,
                r#"2026-11-22T08:00:00Z 17/error "*5 open() \"/x\" failed (2: No such file or directory), client: 192.0.2.1, server: example.org, request: \"GET /x HTTP/1.1\", host: \"example.org\"" process.pid=31 thread.id=32 client.address="192.0.2.1" server.address="example.org""#,
            ),
            (
                "2026/11/22 08:00:00 [emerg] 1#1: bind() to 0.0.0.0:80 failed",
                r#"2026-11-22T08:00:00Z 21/emerg "bind() to 0.0.0.0:80 failed" process.pid=1 thread.id=1"#,
            ),
            (
                "[Sun Nov 22 08:00:00.123456 2026] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187:5678] AH00130: File does not exist",
                r#"2026-11-22T08:00:00.123456Z 17/error "AH00130: File does not exist" apache.module="core" process.pid=35708 thread.id=4328636416 client.address="72.15.99.187""#,
            ),
            (
                "[Sun Nov 22 08:00:00 2026] [notice] Apache configured",
                r#"2026-11-22T08:00:00Z 10/notice "Apache configured""#,
            ),
        ],
    );
    assert_unparsed(
        &LineFormat::ErrorLog,
        &["", "2026/11/22 08:00:00 [shiny] 1#1: x", "[Sun Nov 22 08:00:00 2026] x"],
    );
}

#[test]
fn patterns_name_the_parts_of_a_line() {
    let pattern = r"^(?<time>\S+ \S+) (?<level>\w+) +\[(?<thread.name>[^\]]*)\] (?<http.response.status_code>\d+)?(?<message>.*)$";
    assert_rows(
        &of(LineFormat::Pattern(pattern.into())),
        &[
            (
                "2026-11-22 08:00:00,5 WARN  [main] slow",
                r#"2026-11-22T08:00:00.5Z 13/WARN "slow" thread.name="main""#,
            ),
            (
                "2026-11-22 08:00:00,5 WARN  [main] 503 slow",
                r#"2026-11-22T08:00:00.5Z 13/WARN " slow" thread.name="main" http.response.status_code=503"#,
            ),
        ],
    );
    assert_unparsed(&LineFormat::Pattern(pattern.into()), &["hello"]);
}

#[test]
fn bytes_that_are_no_text_are_kept_and_counted() {
    let (records, figures) = records(RecordSettings::default(), &[b"a\xffb\0c", b"", b"\xef\xbb\xbfmark"]);
    assert_eq!(records, [r"- - bytesa\xffb\x00c", r#"- - """#, r#"- - "\u{feff}mark""#]);
    assert_eq!(figures, RecordFigures { records: 3, invalid_utf8: 1, ..RecordFigures::default() });
    let (records, figures) = self::records(of(LineFormat::Json), &[b"{\"msg\":\"m\",\"a\":\"\xff\"}"]);
    assert_eq!(records, [r#"- - "m" a=bytes\xff"#]);
    assert_eq!(figures.invalid_utf8, 1);
}

#[test]
fn a_mark_at_the_beginning_of_a_file_is_no_text() {
    let (records, _) = records(of(LineFormat::Json), &["\u{feff}{\"msg\":\"m\"}".as_bytes()]);
    assert_eq!(records, [r#"- - "m""#]);
}

#[test]
fn a_line_that_was_cut_says_so() {
    let mut recorder = recorder(RecordSettings::default());
    let mut out = LogBuffer::default();
    recorder.line(b"long", 0, true, NOW, &mut out);
    assert_eq!(shown(&out.records().next().unwrap()), r#"- - "long" hostmend.log.truncated=true"#);
}
