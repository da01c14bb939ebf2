//! systemd and the bus are played by another implementation of D-Bus.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use zbus::Variant;
use zbus::connection::Builder;
use zbus::{OwnedObjectPath, fdo, interface};

use crate::events::{EventSource, Events};

use super::*;

/// What the played systemd says of its one service.
#[derive(Clone, Copy)]
struct Play {
    state: &'static str,
    restarts: u32,
    refuses: bool,
    hangs: bool,
    refuses_signals: bool,
}

const RUNS: Play =
    Play { state: "active", restarts: 2, refuses: false, hangs: false, refuses_signals: false };

type Shared = Arc<Mutex<Play>>;

const UNIT: &str = "/org/freedesktop/systemd1/unit/web_2eservice";

/// Gives its clients this name.
struct PlayedBus(&'static str);

#[interface(name = "org.freedesktop.DBus")]
impl PlayedBus {
    fn hello(&self) -> String {
        self.0.to_owned()
    }

    #[expect(clippy::unused_self, clippy::needless_pass_by_value, reason = "as the interface wants it")]
    fn add_match(&self, rule: String) {
        assert!(rule.contains("PropertiesChanged") && !rule.contains('\n'), "{rule}");
    }
}

/// Says to those that have subscribed that the service failed, whenever it is asked for states.
struct PlayedSystemd(Shared, Subscribers);

type Subscribers = Arc<Mutex<Vec<zbus::Connection>>>;

type Unit = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl PlayedSystemd {
    async fn list_units_by_patterns(
        &self,
        states: Vec<String>,
        patterns: Vec<String>,
    ) -> fdo::Result<Vec<Unit>> {
        let play = *self.0.lock().unwrap();
        assert_eq!((states.len(), patterns.as_slice()), (0, ["*.service".to_owned()].as_slice()));
        if play.hangs {
            std::future::pending::<()>().await;
        }
        if play.refuses {
            return Err(fdo::Error::AccessDenied("not today".to_owned()));
        }
        self.say_failed().await;
        let unit = |name: &str, state: &str| {
            let [name, load, state, sub] = [name, "loaded", state, "whatever"].map(str::to_owned);
            let path = OwnedObjectPath::try_from(UNIT).unwrap();
            let description = "Täglich — ein Dienst".to_owned();
            (name, description, load, state, sub, String::new(), path.clone(), 0, String::new(), path)
        };
        Ok(vec![unit("web.service", play.state), unit("idle.service", "inactive")])
    }

    fn subscribe(&self, #[zbus(connection)] connection: &zbus::Connection) -> fdo::Result<()> {
        if self.0.lock().unwrap().refuses_signals {
            return Err(fdo::Error::AccessDenied("not to you".to_owned()));
        }
        self.1.lock().unwrap().push(connection.clone());
        Ok(())
    }
}

impl PlayedSystemd {
    async fn say_failed(&self) {
        let states = HashMap::from([("ActiveState", Variant::from("failed"))]);
        let said = ("org.freedesktop.systemd1.Unit", states, Vec::<&str>::new());
        let interface = "org.freedesktop.DBus.Properties";
        let subscribers = self.1.lock().unwrap().clone();
        for connection in subscribers {
            let _ = connection.emit_signal(None::<&str>, UNIT, interface, "PropertiesChanged", &said).await;
        }
    }
}

struct PlayedService(Shared);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl PlayedService {
    #[zbus(property, name = "NRestarts")]
    fn n_restarts(&self) -> u32 {
        self.0.lock().unwrap().restarts
    }
}

/// Plays a bus at a socket.
fn play(play: Play) -> (tempfile::TempDir, Shared) {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("bus")).unwrap();
    let shared = Arc::new(Mutex::new(play));
    let (played, subscribers) = (Arc::clone(&shared), Subscribers::default());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (played, subscribers) = (Arc::clone(&played), Arc::clone(&subscribers));
            std::thread::spawn(move || serve(stream, &played, &subscribers));
        }
    });
    (directory, shared)
}

fn serve(stream: UnixStream, played: &Shared, subscribers: &Subscribers) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Builder::unix_stream(stream)
            .server(zbus::Guid::generate())
            .p2p()
            .serve_at("/org/freedesktop/DBus", PlayedBus(":1.42"))
            .serve_at("/org/freedesktop/systemd1", PlayedSystemd(Arc::clone(played), Arc::clone(subscribers)))
            .serve_at(UNIT, PlayedService(Arc::clone(played)))
            .build()
            .await
            .unwrap();
        connection.closed().await;
    });
}

fn systemd(directory: &tempfile::TempDir) -> Systemd {
    Systemd::at(directory.path().join("bus"), directory.path().join("invocation:"))
}

fn told(systemd: &mut Systemd, second: i64) -> Vec<(String, &'static str, Option<u32>)> {
    let (services, _) = systemd.ask(Timestamp::from_secs(second)).unwrap();
    let told =
        |service: Service| (service.name, service.state, service.restarts.map(|restarts| restarts.count));
    services.into_iter().map(told).collect()
}

#[test]
fn states_and_restarts_are_what_systemd_says() {
    let (directory, shared) = play(RUNS);
    let mut systemd = systemd(&directory);
    let idle = ("idle.service".to_owned(), "inactive", None);
    let web = |state, restarts| ("web.service".to_owned(), state, Some(restarts));
    assert_eq!(told(&mut systemd, 1), [idle.clone(), web("active", 2)]);
    *shared.lock().unwrap() = Play { state: "failed", restarts: 5, ..RUNS };
    assert_eq!(told(&mut systemd, 2), [idle, web("failed", 5)]);
}

#[test]
fn a_refusal_is_said_in_systemds_words_and_the_next_round_tries_again() {
    let (directory, shared) = play(Play { refuses: true, ..RUNS });
    let mut systemd = systemd(&directory);
    let error = systemd.ask(Timestamp::EPOCH).unwrap_err().to_string();
    assert_eq!(error, "org.freedesktop.DBus.Error.AccessDenied: not today");
    *shared.lock().unwrap() = RUNS;
    assert_eq!(told(&mut systemd, 1).len(), 2);
}

fn collect(collector: &mut UnitStates, second: i64) -> (String, Result<(), CollectError>) {
    let mut out = SampleBuffer::default();
    out.reset(Timestamp::from_secs(second), Timestamp::EPOCH);
    let result = collector.collect(&HostRoot::at("/nowhere"), &mut out);
    (out.to_text(), result)
}

fn collector(directory: &tempfile::TempDir) -> UnitStates {
    let invocations = directory.path().join("invocation:");
    UnitStates::over(directory.path().join("bus"), invocations, Timestamp::EPOCH).unwrap()
}

/// Collects at one second after the other until something holds of what is told.
fn collect_until(collector: &mut UnitStates, holds: impl Fn(&str) -> bool) -> String {
    for second in 1..1000 {
        let (text, _) = collect(collector, second);
        if holds(&text) {
            return text;
        }
    }
    panic!("it never held");
}

#[test]
fn of_a_service_each_state_is_told_and_1_is_the_one_it_is_in() {
    let (directory, _shared) = play(RUNS);
    let text = collect_until(&mut collector(&directory), |text| text.contains("restarts"));
    let web = text.split("[systemd.unit{systemd.unit.name=\"web.service\"}]\n").nth(1).unwrap();
    let lines: Vec<&str> = web.lines().map(|line| line.split(" @ ").next().unwrap()).collect();
    assert_eq!(lines.len(), STATES.len() + 1);
    assert_eq!(lines[0], "systemd.unit.state{systemd.unit.state=\"active\"} 1");
    assert!(lines[1..STATES.len()].iter().all(|line| line.ends_with(" 0")), "{lines:?}");
    assert_eq!(lines[STATES.len()], "systemd.unit.restarts 2");
}

#[test]
fn a_bus_that_hangs_costs_its_own_answer_only_and_is_said_to() {
    let (directory, shared) = play(RUNS);
    let mut collector = collector(&directory);
    collect_until(&mut collector, |text| text.contains("web.service"));
    shared.lock().unwrap().hangs = true;
    let asked = collector.latest.as_ref().unwrap().0.as_millis() / 1000;
    // The question that is overdue is the only one that is waited for; what was known is told a while longer.
    let (text, result) = collect(&mut collector, asked + 1);
    assert!(text.contains(" @ ") && result.is_ok(), "{text}");
    let question = collector.open_question.unwrap();
    let (text, result) = collect(&mut collector, asked + 20);
    assert!(text.contains("web.service"));
    assert_eq!(
        result.unwrap_err().to_string(),
        "asking systemd, over the system bus: \"there is no answer\""
    );
    assert_eq!(collector.open_question, Some(question));
    assert_eq!(collect(&mut collector, asked + 70).0, "");
}

#[test]
fn a_service_whose_state_changes_is_an_event_and_one_connection_tells_of_all() {
    let (directory, _shared) = play(RUNS);
    let mut systemd = systemd(&directory);
    let mut events = Events::new().unwrap();
    let signals = systemd.subscribe(Timestamp::EPOCH);
    assert!(signals.is_some());
    events.set_units(signals);
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
    systemd.ask(Timestamp::EPOCH).unwrap();
    assert_eq!(events.wait(Duration::from_secs(20)), Ok(BTreeSet::from([EventSource::UnitState])));
    assert_eq!(events.wait(Duration::ZERO), Ok(BTreeSet::new()));
    let later = Timestamp::from_secs(100);
    assert!(systemd.subscribe(later).is_none(), "somebody has them");
    events.set_units(None);
    assert!(systemd.subscribe(later).is_some() && systemd.subscribe(later).is_none(), "not at once again");
}

#[test]
fn without_signals_states_are_asked_for_as_ever() {
    let (directory, _shared) = play(Play { refuses_signals: true, ..RUNS });
    let mut collector = collector(&directory);
    for _ in 0..3 {
        collect_until(&mut collector, |text| text.contains("restarts"));
        assert!(collector.signals().is_none());
    }
}

#[test]
fn a_collector_hands_on_the_signals_once() {
    let (directory, _shared) = play(RUNS);
    let mut collector = collector(&directory);
    let mut handed = 0;
    for second in 1_000..1_200 {
        let _ = collect(&mut collector, second);
        handed += usize::from(collector.signals().map(std::mem::forget).is_some());
    }
    assert_eq!(handed, 1);
}

#[test]
fn a_bus_that_is_no_bus_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("bus")).unwrap();
    let served = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut open = vec![];
        for answer in ["REJECTED EXTERNAL\r\n", "OK 0\r\nHTTP/1.1 400 Bad Request\r\n"] {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            open.push(stream);
        }
        drop(listener.accept());
    });
    let mut systemd = systemd(&directory);
    let mut error = || systemd.ask(Timestamp::EPOCH).unwrap_err().to_string();
    assert_eq!(error(), "AUTH EXTERNAL: the bus does not know this user");
    assert_eq!(error(), "what came is no header");
    assert!(error().starts_with("connecting to the system bus: "));
    served.join().unwrap();
}

#[test]
fn the_socket_of_a_bus_is_found_in_its_address() {
    for (address, socket) in [
        ("unix:path=/run/dbus/system_bus_socket", Some("/run/dbus/system_bus_socket")),
        ("unix:guid=0,path=/x", Some("/x")),
        ("tcp:host=a,port=1;unix:path=/y", Some("/y")),
        ("unix:abstract=/tmp/z", None),
        ("", None),
    ] {
        assert_eq!(socket_of(address).as_deref(), socket.map(std::path::Path::new), "{address}");
    }
}

#[test]
fn a_host_without_systemd_has_no_states_and_one_without_a_bus_says_what_helps() {
    let directory = tempfile::tempdir().unwrap();
    let host = HostRoot::at(directory.path());
    assert_eq!(UnitStates::open(&host).err(), Some(CollectError::Absent { what: "systemd" }));
    assert!(host.lacking().is_empty());
    std::fs::create_dir_all(directory.path().join(BOOTED)).unwrap();
    let error = UnitStates::open(&host).err();
    // Where the environment names a bus, it may be there.
    if std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_none() {
        assert_eq!(error, Some(CollectError::Absent { what: "system bus" }));
        assert_eq!(host.lacking(), [&NO_BUS]);
    }
}
