use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use super::*;

const WITHIN: Duration = Duration::from_secs(20);

/// What the played systemd knows of its one unit, and how it behaves.
#[derive(Clone)]
struct Play {
    load: &'static str,
    names: Vec<String>,
    /// How a restart ends; not at all if it is empty.
    result: &'static str,
    refusal: Option<&'static str>,
    /// Whether a stop of the unit is under way.
    stopping: bool,
    hangs_up: bool,
    /// Whether it is asked in vain why the service has ended.
    hangs: bool,
    state: (&'static str, &'static str, u32),
    /// What the service's last end was.
    service_result: &'static str,
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            load: "loaded",
            names: vec!["web.service".to_owned()],
            result: "done",
            refusal: None,
            stopping: false,
            hangs_up: false,
            hangs: false,
            state: ("failed", "failed", 0),
            service_result: "exit-code",
            asked: Arc::default(),
        }
    }
}

type Shared = Arc<Mutex<Play>>;

/// Errors under systemd's own names.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    TransactionIsDestructive(String),
    OnlyByDependency(String),
}

struct PlayedSystemd(Shared);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl PlayedSystemd {
    fn load_unit(&self, name: &str) -> fdo::Result<OwnedObjectPath> {
        let play = self.0.lock().unwrap();
        if play.load == "refused" {
            return Err(fdo::Error::AccessDenied(format!("{name} is none of yours")));
        }
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/unit/web_2eservice").unwrap())
    }

    async fn restart_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        let (result, hangs_up) = {
            let mut play = self.0.lock().unwrap();
            if play.stopping && mode == "fail" {
                let why = format!("Transaction for {name}/restart is destructive");
                return Err(Refusal::TransactionIsDestructive(why));
            }
            play.asked.lock().unwrap().push((name, mode));
            if let Some(refusal) = play.refusal {
                return Err(Refusal::OnlyByDependency(refusal.to_owned()));
            }
            play.state =
                if play.result == "done" { ("active", "running", 43) } else { ("failed", "failed", 0) };
            (play.result, play.hangs_up)
        };
        let job = |number: u32| {
            OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).unwrap()
        };
        // Another's job ends first, and all of them before the answer is even sent.
        Self::job_removed(&emitter, 6, job(6), "db.service", "failed").await?;
        if !result.is_empty() {
            Self::job_removed(&emitter, 7, job(7), "web.service", result).await?;
        }
        if hangs_up {
            connection.clone().close().await?;
        }
        Ok(job(7))
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

struct PlayedUnit(Shared);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl PlayedUnit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.0.lock().unwrap().load.to_owned()
    }

    #[zbus(property)]
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().names.clone()
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.0.lock().unwrap().state.0.to_owned()
    }

    #[zbus(property)]
    fn sub_state(&self) -> String {
        self.0.lock().unwrap().state.1.to_owned()
    }
}

struct PlayedService(Shared);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl PlayedService {
    #[zbus(property, name = "MainPID")]
    fn main_pid(&self) -> u32 {
        self.0.lock().unwrap().state.2
    }

    #[zbus(property)]
    async fn result(&self) -> String {
        if self.0.lock().unwrap().hangs {
            std::future::pending::<()>().await;
        }
        self.0.lock().unwrap().service_result.to_owned()
    }
}

/// Plays systemd for one connection at a socket, and returns what became of a restart that is permitted.
fn restart(play: &Play, within: Duration) -> Result<Outcome, ActionError> {
    restart_if(play, within, || Ok(()))
}

fn restart_if(
    play: &Play,
    within: Duration,
    permit: impl FnOnce() -> Result<(), ActionError>,
) -> Result<Outcome, ActionError> {
    let directory = tempfile::tempdir().unwrap();
    let private = directory.path().join("private");
    let listener = UnixListener::bind(&private).unwrap();
    let shared = Arc::new(Mutex::new(play.clone()));
    let played = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let unit = "/org/freedesktop/systemd1/unit/web_2eservice";
            let connection = Builder::unix_stream(stream)
                .server(zbus::Guid::generate())
                .p2p()
                .serve_at(OBJECT, PlayedSystemd(Arc::clone(&shared)))
                .serve_at(unit, PlayedUnit(Arc::clone(&shared)))
                .serve_at(unit, PlayedService(shared))
                .build()
                .await
                .unwrap();
            connection.closed().await;
        });
    });
    // Long enough for a busy machine, unless the answer never comes.
    let answer_within = if play.hangs { Duration::from_secs(1) } else { WITHIN };
    let systemd = Systemd { private, bus: None, answer_within };
    let outcome = systemd.restart(&"web.service".parse().unwrap(), within, permit);
    played.join().unwrap();
    outcome
}

fn error(play: &Play, within: Duration) -> String {
    telemetry::with_causes(&restart(play, within).unwrap_err())
}

#[test]
fn a_restart_says_how_the_service_was_and_is() {
    let play = Play::default();
    let outcome = restart(&play, WITHIN).unwrap();
    assert_eq!(
        outcome.to_string(),
        "restarted web.service: it was failed (failed) and is active (running) as process 43"
    );
    assert_eq!(*play.asked.lock().unwrap(), [("web.service".to_owned(), "fail".to_owned())]);
}

#[test]
fn a_stop_that_a_person_has_asked_for_is_not_cancelled() {
    let play = Play { stopping: true, ..Play::default() };
    let said = error(&play, WITHIN);
    assert!(
        said.starts_with("refused: another job is under way that a restart of web.service would cancel"),
        "{said}"
    );
    assert!(play.asked.lock().unwrap().is_empty());
}

#[test]
fn nothing_is_spent_on_a_unit_that_systemd_would_not_restart_and_nothing_done_unspent() {
    let count = std::cell::Cell::new(0);
    let spend = || {
        count.set(count.get() + 1);
        Err(ActionError::refused("its budget is used up"))
    };
    for (load, expected) in [("not-found", 0), ("masked", 0), ("loaded", 1)] {
        let play = Play { load, ..Play::default() };
        assert!(matches!(restart_if(&play, WITHIN, spend), Err(ActionError::Refused { .. })));
        assert_eq!(count.get(), expected, "{load}");
        assert!(play.asked.lock().unwrap().is_empty());
    }
}

#[test]
fn a_systemd_that_hangs_after_the_restart_is_not_waited_for() {
    assert_eq!(
        error(&Play { result: "failed", hangs: true, ..Play::default() }, WITHIN),
        "looking at web.service, which systemd has restarted, failed: it has taken longer than 1s"
    );
}

#[test]
fn a_restart_that_fails_says_what_systemd_says() {
    assert_eq!(
        error(&Play { result: "failed", ..Play::default() }, WITHIN),
        "restarting web.service failed: systemd's job ended with `failed`, the service with `exit-code`; it is failed \
         (failed); see `journalctl -u web.service`"
    );
    let refusal = Some("Operation refused, unit web.service may be requested by dependency only.");
    let said = error(&Play { refusal, ..Play::default() }, WITHIN);
    assert!(
        said.starts_with("restarting web.service failed: ") && said.contains("by dependency only"),
        "{said}"
    );
    let said = error(&Play { load: "refused", ..Play::default() }, WITHIN);
    assert!(
        said.contains("asking systemd about web.service failed: ") && said.contains("none of yours"),
        "{said}"
    );
}

#[test]
fn what_must_not_be_restarted_is_not_asked_for() {
    let alias = vec!["web.service".to_owned(), "dbus-org.freedesktop.network1.service".to_owned()];
    for (play, expected) in [
        (
            Play { load: "not-found", ..Play::default() },
            "systemd knows no web.service; correct the name under `units`",
        ),
        (Play { load: "masked", ..Play::default() }, "`systemctl unmask web.service` allows it again"),
        (
            Play { names: alias, ..Play::default() },
            "dbus-org.freedesktop.network1.service is never restarted",
        ),
    ] {
        let said = error(&play, WITHIN);
        assert!(said.starts_with("refused: ") && said.contains(expected), "{said}");
        assert!(play.asked.lock().unwrap().is_empty());
    }
}

#[test]
fn a_restart_that_does_not_end_is_waited_for_no_longer_than_its_time() {
    assert_eq!(
        error(&Play { result: "", ..Play::default() }, Duration::from_millis(200)),
        "restarting web.service (systemd goes on with it; `systemctl list-jobs` shows how far it is) failed: it has \
         taken longer than 200ms"
    );
}

#[test]
fn a_systemd_that_hangs_up_does_not_leave_anybody_waiting() {
    let said = error(&Play { result: "", hangs_up: true, ..Play::default() }, WITHIN);
    assert!(said.starts_with("restarting web.service failed: "), "{said}");
}

#[test]
fn without_systemd_the_error_says_where_it_was_looked_for() {
    let directory = tempfile::tempdir().unwrap();
    let private = directory.path().join("private");
    let bus = Some("unix:path=/nowhere/at/all");
    let systemd = Systemd { private: private.clone(), bus, answer_within: WITHIN };
    let error = systemd.restart(&"web.service".parse().unwrap(), WITHIN, || Ok(())).unwrap_err();
    let said = telemetry::with_causes(&error);
    let expected =
        format!("connecting to systemd at {} (is it this host's PID 1?) failed: ", private.display());
    assert!(said.starts_with(&expected) && said.contains("; and over the system bus: "), "{said}");
}
