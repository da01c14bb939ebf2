use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Heard, sync_channel};

use otlp::{DestinationOptions, PostTarget, Protocol};
use serde_json::Value as Json;
use telemetry::AlertState;

use super::*;
use crate::options::{DeadMansSwitch, Kind, Receiver};
use crate::webhook::signed;

const SOON: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "requests carry the time of day")]
fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::EPOCH.plus(since)
}

/// A request: its path, its signature and its body.
type Request = (String, Option<String>, Vec<u8>);

/// Answers every request with a status, and tells what was asked.
fn stub(status: u16) -> (SocketAddr, Heard<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, heard) = sync_channel(100);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                while let Some(request) = read(&mut stream) {
                    let _ = tell.send(request);
                    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nwhy\n");
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    (address, heard)
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut first, mut length, mut signature) = (String::new(), 0, None);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-hostmend-signature" => signature = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((first.split(' ').nth(1).unwrap().to_owned(), signature, body))
}

fn target(name: &str, address: SocketAddr, path: &str) -> PostTarget {
    let options = DestinationOptions::new(name, format!("http://{address}{path}"), Protocol::HttpJson);
    PostTarget::new(options).unwrap()
}

fn alertmanager(name: &str, address: SocketAddr) -> Receiver {
    Receiver { target: target(name, address, crate::ALERTMANAGER_PATH), kind: Kind::Alertmanager }
}

fn options(receivers: Vec<Receiver>) -> Options {
    Options { resend_delay: Duration::from_mins(1), receivers, ..Options::default() }
}

fn start(options: Options, directory: &Path) -> Notifier {
    Notifier::start(options, directory, clock, SOON, || ()).unwrap()
}

fn alert(name: &str, path: &str, state: AlertState) -> Alert {
    let since = Timestamp::from_secs(1_700_000_000);
    Alert::new([("alertname", name), ("path", path)].into_iter().collect(), state, since)
}

fn publish(notifier: &Notifier, alerts: &[Alert]) {
    let now = clock();
    let notices = notifier.notices(alerts.iter().map(|alert| (alert, INTERVAL)), |_| None, now);
    notifier.publish(notices, INTERVAL, now);
}

/// The alerts of the next request, each with its path, and whether it fires.
fn told(heard: &Heard<Request>) -> Vec<(String, bool)> {
    let (_, _, body) = heard.recv_timeout(SOON).expect("a request");
    let body: Json = serde_json::from_slice(&body).unwrap();
    let alerts = body.as_array().or_else(|| body["alerts"].as_array()).unwrap();
    let now = clock().to_string();
    let fires =
        |alert: &Json| alert["status"] == "firing" || alert["endsAt"].as_str().unwrap() > now.as_str();
    let path = |alert: &Json| alert["labels"]["path"].as_str().unwrap_or("-").to_owned();
    alerts.iter().map(|alert| (path(alert), fires(alert))).collect()
}

fn quiet(heard: &Heard<Request>) -> bool {
    heard.try_recv().is_err()
}

#[test]
fn one_receiver_that_is_down_delays_nobody_and_a_restart_tells_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody listens where a listener has just gone.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, heard) = stub(200);
    let receivers = || options(vec![alertmanager("a", gone), alertmanager("b", address)]);
    let notifier = start(receivers(), directory.path());
    publish(&notifier, &[alert("DiskFull", "/", AlertState::Firing)]);
    assert_eq!(told(&heard), [("/".to_owned(), true)]);
    notifier.stop(SOON);
    let figures = notifier.figures().receivers;
    assert_eq!((figures[0].accepted, figures[0].owed), (0, 1));
    assert_eq!((figures[1].accepted, figures[1].owed), (1, 0));

    let notifier = start(receivers(), directory.path());
    publish(
        &notifier,
        &[alert("DiskFull", "/", AlertState::Firing), alert("DiskFull", "/srv", AlertState::Firing)],
    );
    assert_eq!(told(&heard), [("/srv".to_owned(), true)]);
    publish(&notifier, &[alert("DiskFull", "/srv", AlertState::Firing)]);
    assert_eq!(told(&heard), [("/".to_owned(), false)]);
    assert!(quiet(&heard));
}

#[test]
fn a_webhook_is_told_of_all_alerts_of_a_name_at_once_and_each_message_is_signed() {
    let directory = tempfile::tempdir().unwrap();
    let (address, heard) = stub(200);
    let kind = Kind::Webhook { repeat: Duration::from_hours(4), secret: Some("open sesame".into()) };
    let receiver = Receiver { target: target("chat", address, "/hook?token=1"), kind };
    let notifier = start(options(vec![receiver]), directory.path());
    publish(&notifier, &[alert("DiskFull", "/", AlertState::Firing)]);
    let (path, signature, body) = heard.recv_timeout(SOON).unwrap();
    assert_eq!(path, "/hook?token=1");
    let signature = signature.unwrap();
    let seconds = signature.strip_prefix("t=").and_then(|text| text.split(',').next()).unwrap();
    let at = Timestamp::from_secs(seconds.parse().unwrap());
    assert_eq!(signed("open sesame", &body, at)[crate::SIGNATURE], signature);
    publish(
        &notifier,
        &[alert("DiskFull", "/", AlertState::Firing), alert("DiskFull", "/srv", AlertState::Firing)],
    );
    let mut both = told(&heard);
    both.sort();
    assert_eq!(both, [("/".to_owned(), true), ("/srv".to_owned(), true)]);
}

#[test]
fn what_is_silenced_is_told_once_the_silence_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (address, heard) = stub(200);
    let notifier = start(options(vec![alertmanager("a", address)]), directory.path());
    let matchers = vec!["path=/".to_owned()];
    let silence =
        notifier.silence(NewSilence { matchers, lasts: SOON * 60, ..NewSilence::default() }).unwrap();
    drop(notifier);

    let notifier = start(options(vec![alertmanager("a", address)]), directory.path());
    let firing = [alert("DiskFull", "/", AlertState::Firing), alert("DiskFull", "/srv", AlertState::Firing)];
    assert_eq!(notifier.silencing(&firing[0].labels).unwrap().id, silence.id);
    assert_eq!(notifier.silencing(&firing[1].labels), None);
    publish(&notifier, &firing);
    assert_eq!(told(&heard), [("/srv".to_owned(), true)]);
    notifier.expire(&silence.id).unwrap();
    assert_eq!(told(&heard), [("/".to_owned(), true)]);
}

#[test]
fn a_change_of_silences_that_cannot_be_kept_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let notifier = start(options(Vec::new()), directory.path());
    let silence = |path: &str| {
        let matchers = vec![format!("path={path}")];
        notifier.silence(NewSilence { matchers, lasts: SOON * 60, ..NewSilence::default() })
    };
    let before = silence("/").unwrap();
    let in_the_way = directory.path().join("silences.new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(silence("/srv"), Err(ChangeError::Kept(_))));
    assert!(matches!(notifier.expire(&before.id), Err(ChangeError::Kept(_))));
    assert_eq!(notifier.silences(), std::slice::from_ref(&before));
    assert_eq!(notifier.silencing(&alert("A", "/srv", AlertState::Firing).labels), None);

    std::fs::remove_dir(&in_the_way).unwrap();
    silence("/srv").unwrap();
    notifier.expire(&before.id).unwrap();
    assert_eq!(notifier.silencing(&alert("A", "/", AlertState::Firing).labels), None);
}

#[test]
fn what_is_refused_holds_up_nothing_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (address, heard) = stub(400);
    let notifier = start(options(vec![alertmanager("a", address)]), directory.path());
    publish(&notifier, &[alert("A", "/", AlertState::Firing)]);
    assert_eq!(told(&heard), [("/".to_owned(), true)]);
    publish(&notifier, &[alert("A", "/", AlertState::Firing), alert("A", "/srv", AlertState::Firing)]);
    assert_eq!(told(&heard), [("/srv".to_owned(), true)]);
    notifier.stop(SOON);
    assert!((1..=2).contains(&notifier.figures().receivers[0].refused));
}

#[test]
fn the_watchdog_fires_from_the_first_round_on_and_the_dead_mans_switch_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let ((address, heard), (held_at, held)) = (stub(200), stub(200));
    let target = target("deadman", held_at, "/ping");
    let switch = DeadMansSwitch { target, interval: Duration::from_mins(1), secret: None };
    let options = || Options {
        watchdog: true,
        dead_mans_switch: Some(switch.clone()),
        ..options(vec![alertmanager("a", address)])
    };
    let notifier = start(options(), directory.path());
    assert!(quiet(&heard) && quiet(&held), "no rule was evaluated");
    publish(&notifier, &[]);
    let (_, _, body) = heard.recv_timeout(SOON).unwrap();
    assert!(String::from_utf8(body).unwrap().contains(r#"{"alertname":"Watchdog","severity":"none"}"#));
    let (path, _, body) = held.recv_timeout(SOON).unwrap();
    let body: Json = serde_json::from_slice(&body).unwrap();
    assert_eq!((path.as_str(), &body["commonLabels"]["alertname"]), ("/ping", &Json::from("Watchdog")));
    drop(notifier);
    // It has fired all along.
    let notifier = start(options(), directory.path());
    publish(&notifier, &[]);
    publish(&notifier, &[alert("A", "/", AlertState::Firing)]);
    assert_eq!(told(&heard), [("/".to_owned(), true)]);
}

#[test]
fn a_reload_keeps_what_was_told_to_those_who_stay() {
    let directory = tempfile::tempdir().unwrap();
    let ((one, of_one), (two, of_two)) = (stub(200), stub(200));
    let notifier = start(options(vec![alertmanager("one", one)]), directory.path());
    publish(&notifier, &[alert("A", "/", AlertState::Firing)]);
    assert_eq!(told(&of_one).len(), 1);
    notifier.reconfigure(options(vec![alertmanager("one", one), alertmanager("two", two)]));
    publish(&notifier, &[alert("A", "/", AlertState::Firing)]);
    assert_eq!(told(&of_two).len(), 1);
    assert!(quiet(&of_one));
}

#[test]
fn a_dead_mans_switch_that_could_not_be_held_is_tried_again_before_its_interval_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let (address, held) = stub(503);
    let target = target("deadman", address, "/ping");
    let switch = DeadMansSwitch { target, interval: Duration::from_hours(1), secret: None };
    let notifier = start(Options { dead_mans_switch: Some(switch), ..options(vec![]) }, directory.path());
    publish(&notifier, &[]);
    for request in ["a first", "a second"] {
        held.recv_timeout(SOON).expect(request);
    }
}

#[test]
fn a_call_outlives_an_agent_that_could_tell_nobody_of_it_and_needs_no_alert() {
    let directory = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let before = start(options(vec![alertmanager("a", gone)]), directory.path());
    let alert = [("alertname", "WebDown"), ("path", "/web")].into_iter().collect();
    let call = Call {
        alert,
        expression: String::new(),
        runbook: "restart".to_owned(),
        run: "r1".to_owned(),
        annotations: BTreeMap::new(),
    };
    assert_eq!(before.call(call), ["a"]);
    // As the file is now, if the agent were killed.
    let crashed = tempfile::tempdir().unwrap();
    std::fs::copy(directory.path().join("notifications.json"), crashed.path().join("notifications.json"))
        .unwrap();
    let (address, heard) = stub(200);
    let after = start(options(vec![alertmanager("a", address)]), crashed.path());
    assert_eq!(told(&heard), [("/web".to_owned(), true)]);
    drop((before, after));
}

#[test]
fn a_silence_of_the_alert_silences_its_call() {
    let directory = tempfile::tempdir().unwrap();
    let (address, heard) = stub(200);
    let notifier = start(options(vec![alertmanager("a", address)]), directory.path());
    let matchers = vec!["alertname=WebDown".to_owned()];
    notifier.silence(NewSilence { matchers, lasts: SOON, ..NewSilence::default() }).unwrap();
    let call = |name: &str| Call {
        alert: [("alertname", name), ("path", name)].into_iter().collect(),
        expression: String::new(),
        runbook: "restart".to_owned(),
        run: name.to_owned(),
        annotations: BTreeMap::new(),
    };
    assert_eq!(notifier.call(call("WebDown")), [] as [&str; 0]);
    assert_eq!(notifier.call(call("DiskFull")), ["a"]);
    assert_eq!(told(&heard), [("DiskFull".to_owned(), true)]);
}
