//! The running agent, asked and changed: status, reload, health, and who may.

#![expect(clippy::disallowed_methods, reason = "a test asks as another user, and mounts a disk that fails")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Running, binary, free_port, run, skip, stderr, stdout};

const WITHIN: Duration = Duration::from_secs(20);

/// An agent and its files.
struct Host {
    agent: Running,
    directory: TempDir,
}

/// Fires at once and for ever.
const ALWAYS: &str =
    "groups:\n- name: g\n  interval: 500ms\n  rules:\n  - { alert: Always, expr: vector(1) }\n";

impl Host {
    /// Starts an agent with `more` in its configuration and the rules [`ALWAYS`].
    fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rules.yaml"), ALWAYS).unwrap();
        write_configuration(&directory, more);
        Self::launch(directory)
    }

    fn launch(directory: TempDir) -> Self {
        let configuration = directory.path().join("hostmend.yaml");
        let arguments = ["run", "--config", configuration.to_str().unwrap()];
        let mut agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
        agent.wait_for("start", WITHIN, |log| log.contains("running").then_some(()));
        Self { agent, directory }
    }

    /// Writes the configuration anew, with `more` in it.
    fn configure(&self, more: &str) {
        write_configuration(&self.directory, more);
    }

    fn configuration(&self) -> String {
        self.path("hostmend.yaml").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn ask(&self, command: &[&str]) -> Output {
        let configuration = self.configuration();
        run(&[command, &["--config", &configuration]].concat())
    }

    fn status(&self) -> Value {
        let output = self.ask(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}\n{}", stderr(&output), self.agent.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn reload(&self) -> (Option<i32>, String, String) {
        let output = self.ask(&["reload", "--wait"]);
        (output.status.code(), stdout(&output), stderr(&output))
    }

    /// Waits until the status shows `what`.
    fn shows<T>(&mut self, what: &str, seen: impl Fn(&Value) -> Option<T>) -> T {
        let configuration = self.configuration();
        self.agent.wait_for(what, WITHIN, |_| {
            let output = run(&["status", "--json", "--config", &configuration]);
            seen(&serde_json::from_slice(&output.stdout).ok()?)
        })
    }
}

fn write_configuration(directory: &TempDir, more: &str) {
    let text = format!("state_directory: state\nrules: [rules.yaml]\n{more}");
    std::fs::write(directory.path().join("hostmend.yaml"), text).unwrap();
}

/// What is answered at a loopback address: status line and body.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_status_says_what_is_owed_to_whom_and_what_fires() {
    let away = format!("http://127.0.0.1:{}", free_port());
    let mut host = Host::start(&format!(
        "collect: {{ interval: 500ms }}\ndestinations: [{{ name: away, endpoint: \"{away}\" }}]\n"
    ));
    let status = host.shows("failure and alert", |status| {
        let fails = status["destinations"][0]["failed_attempts"].as_u64()? > 0;
        let fires = status["rules"]["firing"][0]["labels"]["alertname"] == "Always";
        let owes = status["destinations"][0]["signals"]["metrics"]["queued"].as_u64()? > 0;
        (fails && fires && owes).then(|| status.clone())
    });
    let owed = &status["destinations"][0]["signals"]["metrics"];
    assert_eq!(owed["accepted"], owed["queued"]);
    assert_eq!((&status["health"]["healthy"], &status["rules"]["total"]), (&Value::Bool(true), &1.into()));
    let page = stdout(&host.ask(&["status"]));
    for text in
        ["works. Up", "away does not take telemetry", "! Always for", "rules: 1, groups: 1, firing: 1"]
    {
        assert!(page.contains(text), "{text}\n{page}");
    }
    let view = stdout(&host.ask(&["top", "--once"]));
    for text in ["! Always for", "owed    away: ", "memory  used ", "group by CPU", "process by CPU"] {
        assert!(view.contains(text), "{text}\n{view}");
    }
    assert!(!view.contains('\x1b'), "{view}");
}

#[test]
fn who_asks_an_agent_that_is_not_there_is_told_what_to_look_at() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    for command in ["status", "reload", "top"] {
        let output = run(&[command, "--socket", socket.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains(socket.to_str().unwrap()) && said.contains("systemctl status"), "{said}");
    }
}

#[test]
fn a_configuration_with_errors_leaves_the_old_one_in_force_and_is_shown_everywhere() {
    let mut host = Host::start("collect: { interval: 500ms }\n");
    host.configure("collect: { interval: 5 }\n");
    let (code, _, problems) = host.reload();
    assert_eq!(code, Some(3));
    let checked = host.ask(&["check"]);
    assert!(stdout(&checked).starts_with(&problems) && problems.contains("hostmend.yaml:3:22"), "{problems}");
    assert!(host.agent.log().contains("the configuration in force stays"), "{}", host.agent.log());
    let status = host.status();
    assert_eq!(status["configuration"]["last_reload"]["result"], "errors");
    assert_eq!(status["configuration"]["failed_reloads"], 1);
    assert!(stdout(&host.ask(&["status"])).contains("\"5\" is not a duration"));

    host.agent.signal(Signal::HUP);
    host.shows("the second failure", |status| (status["configuration"]["failed_reloads"] == 2).then_some(()));
    host.configure("collect: { interval: 700ms }\n");
    host.agent.signal(Signal::HUP);
    let last = host.shows("a reload", |status| {
        let last = &status["configuration"]["last_reload"];
        (last["result"] == "done").then(|| last.clone())
    });
    assert_eq!(last["changed"], serde_json::json!(["collect"]));
    assert_eq!(host.reload(), (Some(0), "reloaded; changed: nothing\n".to_owned(), String::new()));
    host.agent.signal(Signal::TERM);
    assert_eq!(host.agent.ended(WITHIN).0.code(), Some(0), "{}", host.agent.log());
    assert!(!host.path("state/api.sock").exists(), "the socket goes with the agent");
}

#[test]
fn alerts_of_rules_that_stay_go_on_through_a_reload_and_those_of_rules_that_go_are_over() {
    let mut host = Host::start("collect: { interval: 500ms }\n");
    let firing = |status: &Value| -> Vec<String> {
        let firing = status["rules"]["firing"].as_array().unwrap().iter();
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    };
    host.shows("the alert", |status| (firing(status) == ["Always"]).then_some(()));
    let series = host.status()["series"]["kept"].as_u64().unwrap();
    std::fs::write(host.path("rules.yaml"), format!("{ALWAYS}  - {{ alert: Second, expr: vector(2) }}\n"))
        .unwrap();
    assert_eq!(host.reload().1, "reloaded; changed: rules\n");
    host.shows("both alerts", |status| (firing(status) == ["Always", "Second"]).then_some(()));
    assert!(host.status()["series"]["kept"].as_u64().unwrap() >= series, "series survive");
    std::fs::write(host.path("rules.yaml"), ALWAYS).unwrap();
    assert_eq!(host.reload().0, Some(0));
    host.shows("one alert", |status| (firing(status) == ["Always"]).then_some(()));
    let log = host.agent.log();
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("{alertname=\"Always\"} state=firing"), 1, "{log}");
    assert_eq!(count("{alertname=\"Second\"} state=resolved"), 1, "{log}");
}

/// Sends one log record to a listener; the status line of the answer.
fn send_log(address: SocketAddr) -> String {
    // A record of a scope of a resource, with a body of text.
    let body = b"\x0a\x0d\x12\x0b\x12\x09\x2a\x07\x0a\x05hello";
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    let head =
        "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).lines().next().unwrap().to_owned()
}

/// A listener `apps` at this address.
fn listener(address: SocketAddr) -> String {
    format!("receive: {{ listeners: [{{ name: apps, http: \"{address}\" }}] }}\n")
}

#[test]
fn what_applications_send_is_on_disk_when_they_are_answered_and_shows_in_the_status() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let away = format!("destinations: [{{ name: away, endpoint: \"http://127.0.0.1:{}\" }}]\n", free_port());
    let mut host = Host::start(&format!("collect: {{ interval: 1h }}\n{}{away}", listener(address)));
    assert!(send_log(address).contains("200"), "{}", host.agent.log());
    host.agent.signal(Signal::KILL);
    host.agent.ended(WITHIN);
    let exported = run(&["queue", "export", host.path("state/queue").to_str().unwrap()]);
    let is_ours = |line: &&str| line.contains("\"logs\"");
    let requests: Vec<String> = stdout(&exported).lines().filter(is_ours).map(str::to_owned).collect();
    let hello = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        let request = STANDARD.decode(record["request"].as_str().unwrap()).unwrap();
        let text = String::from_utf8_lossy(&request).into_owned();
        text.contains("hello") && text.contains("host.name")
    };
    assert!(requests.iter().any(hello), "the record, with the host's attributes");

    let host = Host::launch(host.directory);
    assert!(send_log(address).contains("200"));
    let status = host.status();
    let apps = &status["receiver"]["listeners"][0];
    assert_eq!((&apps["accepted"], &apps["items"]), (&1.into(), &1.into()));
    assert!(stdout(&host.ask(&["status"])).contains("apps"), "{}", stdout(&host.ask(&["status"])));
}

#[test]
fn a_new_listener_whose_port_is_taken_leaves_everything_as_it_was() {
    let [old, new] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let host = Host::start(&format!("collect: {{ interval: 1h }}\n{}", listener(old)));
    let taken = TcpListener::bind(new).unwrap();
    host.configure(&format!("collect: {{ interval: 500ms }}\n{}", listener(new)));
    let (code, _, said) = host.reload();
    assert_eq!(code, Some(1));
    assert!(said.contains(&new.to_string()) && said.contains("in use by another program"), "{said}");
    assert!(send_log(old).contains("200"), "the old listener still answers");
    drop(taken);
    let (code, said, _) = host.reload();
    assert_eq!((code, said.as_str()), (Some(0), "reloaded; changed: receive, collect\n"));
    assert!(send_log(new).contains("200") && TcpStream::connect(old).is_err());
}

#[test]
fn connections_of_a_listener_that_stays_stay_open_through_a_reload() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let host = Host::start(&format!("collect: {{ interval: 1h }}\n{}", listener(address)));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    let mut send = || {
        let head = "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf";
        write!(stream, "{head}\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        stream.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
        head.lines().next().unwrap().to_owned()
    };
    assert_eq!(send(), "http/1.1 200 ok");
    host.configure(&format!("collect: {{ interval: 30m }}\n{}", listener(address).replace("apps", "other")));
    assert_eq!(host.reload().1, "reloaded; changed: receive, collect\n");
    assert_eq!(send(), "http/1.1 200 ok");
}

#[test]
fn what_takes_a_restart_is_named_and_nothing_else_is_reloaded_either() {
    let host = Host::start("collect: { interval: 500ms }\n");
    let text = std::fs::read_to_string(host.configuration()).unwrap();
    let text = text.replace("state_directory: state", "state_directory: elsewhere").replace("500ms", "900ms");
    std::fs::write(host.configuration(), text).unwrap();
    let socket = host.path("state/api.sock");
    let output = run(&["reload", "--wait", "--socket", socket.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("state_directory cannot change while the agent runs"),
        "{}",
        stderr(&output)
    );
    host.configure("collect: { interval: 900ms }\n");
    assert_eq!(host.reload().1, "reloaded; changed: collect\n");
}

/// Open descriptors and resident memory in KiB.
fn footprint(host: &Host) -> (usize, f64) {
    let process = host.status()["agent"]["process"].to_string();
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (descriptors, resident.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn a_hundred_reloads_cost_neither_descriptors_nor_memory() {
    let host = Host::start("collect: { interval: 1h, disable: [processes] }\n");
    let port = free_port();
    let round = |number: usize| {
        let probe = format!("{{ name: p, url: \"http://127.0.0.1:{port}/{number}\", interval: 1h }}");
        let more = format!(
            "collect: {{ interval: 1h, disable: [processes], directories: [d{number}] }}\nprobes: {{ http: [{probe}] }}\n"
        );
        std::fs::write(host.path("rules.yaml"), format!("{ALWAYS}# {number}\n")).unwrap();
        host.configure(&more);
        assert_eq!(host.reload().1, "reloaded; changed: collect, probes, rules\n", "{}", host.agent.log());
        host.configure("collect: { interval: 5 }\n");
        assert_eq!(host.reload().0, Some(3));
    };
    // What is allocated once is allocated by then.
    (0..20).for_each(round);
    let before = footprint(&host);
    (20..70).for_each(round);
    // What a reload replaces ends by itself, on a busy host a moment later.
    let begun = Instant::now();
    let mut after = footprint(&host);
    while before.0.abs_diff(after.0) > 2 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::park_timeout(Duration::from_millis(100));
        after = footprint(&host);
    }
    assert!(before.0.abs_diff(after.0) <= 2, "descriptors: {before:?} became {after:?}");
    assert!((after.1 / before.1 - 1.0).abs() <= 0.05, "resident KiB: {before:?} became {after:?}");
    println!("a hundred reloads: {before:?} became {after:?}");
}

#[test]
fn health_and_figures_are_served_at_a_loopback_address_and_nothing_else_is() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut host =
        Host::start(&format!("collect: {{ interval: 500ms }}\napi: {{ listen: \"{address}\" }}\n"));
    let (status, health) = get(address, "/healthz");
    assert!(status.contains("200") && health.contains("\"healthy\":true"), "{status} {health}");
    for path in ["/v1/status", "/v1/reload", "/"] {
        assert!(get(address, path).0.contains("404"), "{path}");
    }
    let page = host.agent.wait_for("a collection", WITHIN, |_| {
        let (_, page) = get(address, "/metrics");
        page.contains("hostmend_collections_total 2").then_some(page)
    });
    let families: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let distinct: std::collections::BTreeSet<&str> = families.iter().copied().collect();
    assert_eq!(families.len(), distinct.len(), "a family stands in one place");
    assert!(families.contains(&"hostmend_series_count gauge"), "{page}");
}

#[test]
fn an_address_of_the_api_that_is_taken_is_named_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("hostmend.yaml");
    std::fs::write(&configuration, format!("state_directory: state\napi: {{ listen: \"{address}\" }}\n"))
        .unwrap();
    let output = run(&["run", "--config", configuration.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&address) && stderr(&output).contains("api.listen"),
        "{}",
        stderr(&output)
    );
}

/// Runs the program as a user without groups. None, said as a skip, where nobody may become another user.
fn as_nobody(check: &str, arguments: &[&str]) -> Option<Output> {
    if !rustix::process::geteuid().is_root() {
        skip(check, "only root can ask as another user");
        return None;
    }
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    let output = Command::new("setpriv").args(user).arg(binary()).args(arguments).output();
    output.inspect_err(|error| skip(check, &format!("setpriv: {error}"))).ok()
}

#[test]
fn another_user_may_ask_for_health_and_is_told_which_group_the_rest_needs() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = directory.path().join("api.sock");
    let host = Host::start(&format!("api: {{ socket: \"{}\" }}\n", socket.display()));
    for (command, group) in [("status", "hostmend-read"), ("reload", "hostmend-operate")] {
        let Some(output) = as_nobody("groups", &[command, "--socket", socket.to_str().unwrap()]) else {
            return;
        };
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("the group {group}")), "{said}");
    }
    assert_eq!(host.status()["agent"]["turned_away"], 2);
    let health = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "curl", "--silent", "--unix-socket"])
        .args([socket.to_str().unwrap(), "http://hostmend/healthz"])
        .output();
    let Ok(health) = health.inspect_err(|error| skip("health", &error.to_string())) else { return };
    assert!(stdout(&health).contains("\"healthy\":true"), "{}{}", stdout(&health), stderr(&health));
}

#[test]
fn a_state_directory_that_turns_read_only_is_told_within_ten_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("state");
    std::fs::create_dir(&disk).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&disk).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=64m", "none"]);
    if !mounted.is_ok_and(|output| output.status.success()) {
        return skip("a read-only disk", "this user may not mount");
    }
    let _unmount = Unmount(disk.clone());
    let configuration = directory.path().join("hostmend.yaml");
    let text = format!(
        "state_directory: state\ncollect: {{ interval: 1h }}\napi: {{ socket: \"{}\" }}\n",
        directory.path().join("api.sock").display()
    );
    std::fs::write(&configuration, text).unwrap();
    let configuration = configuration.to_str().unwrap().to_owned();
    let arguments = ["run", "--config", &configuration];
    let mut agent = Running::start(binary(), &arguments, &[], &directory.path().join("log"));
    agent.wait_for("start", WITHIN, |log| log.contains("running").then_some(()));
    // An open file keeps a file system from becoming read-only, but not from being bound read-only.
    let _ = mount(&["--bind", disk.to_str().unwrap()]);
    assert!(mount(&["-o", "remount,ro,bind"]).unwrap().status.success());
    agent.wait_for("the complaint", Duration::from_secs(10), |_| {
        let output = run(&["status", "--json", "--config", &configuration]);
        let status: Value = serde_json::from_slice(&output.stdout).ok()?;
        status["health"]["reasons"].to_string().contains("read-only").then_some(())
    });
}

/// Takes mounts away at the end of a test.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        while Command::new("umount").arg(&self.0).output().is_ok_and(|output| output.status.success()) {}
    }
}
