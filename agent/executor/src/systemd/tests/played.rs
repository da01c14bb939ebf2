//! A systemd of one unit, at a socket.

use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use zbus::object_server::SignalEmitter;
use zbus::{fdo, interface};

use super::super::*;
use super::WITHIN;

/// What the played systemd knows of its one unit, and how it behaves.
#[derive(Clone)]
pub(super) struct Play {
    pub(super) load: &'static str,
    pub(super) names: Vec<String>,
    /// How a restart ends; not at all if it is empty.
    pub(super) result: &'static str,
    pub(super) refusal: Option<&'static str>,
    /// Whether a stop of the unit is under way.
    pub(super) stopping: bool,
    pub(super) hangs_up: bool,
    /// Whether it is asked in vain why the service has ended.
    pub(super) hangs: bool,
    pub(super) state: (&'static str, &'static str, u32),
    /// What the service's last end was.
    pub(super) service_result: &'static str,
    pub(super) asked: Arc<Mutex<Vec<(String, String)>>>,
    /// Units that need this one, and those that it conflicts with.
    pub(super) required_by: Vec<String>,
    pub(super) conflicts: Vec<String>,
    pub(super) freezer: &'static str,
    pub(super) memory_max: u64,
    pub(super) cgroup: &'static str,
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
            required_by: Vec::new(),
            conflicts: vec!["shutdown.target".to_owned()],
            freezer: "running",
            memory_max: u64::MAX,
            cgroup: "/system.slice/web.service",
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
        Self::end(result, hangs_up, &emitter, connection).await
    }

    async fn stop_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.take("stop", &name, &mode, ("inactive", "dead", 0));
        Self::end("done", false, &emitter, connection).await
    }

    async fn start_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.take("start", &name, &mode, ("active", "running", 44));
        Self::end("done", false, &emitter, connection).await
    }

    async fn reload_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.take("reload", &name, &mode, ("active", "running", 43));
        Self::end("done", false, &emitter, connection).await
    }

    fn reset_failed_unit(&self, name: &str) {
        let mut play = self.0.lock().unwrap();
        // Before each start it is called too.
        if play.result == "reset" {
            play.asked.lock().unwrap().push(("reset".to_owned(), name.to_owned()));
            play.state = ("inactive", "dead", 0);
        }
    }

    fn freeze_unit(&self, name: &str) {
        self.take("freeze", name, "", ("active", "running", 43));
        self.0.lock().unwrap().freezer = "frozen";
    }

    fn thaw_unit(&self, name: &str) {
        self.take("thaw", name, "", ("active", "running", 43));
        self.0.lock().unwrap().freezer = "running";
    }

    fn set_unit_properties(&self, name: &str, runtime: bool, properties: Vec<(String, OwnedVariant)>) {
        let mut play = self.0.lock().unwrap();
        for (property, value) in properties {
            play.memory_max = u64::try_from(value).unwrap();
            play.asked.lock().unwrap().push((format!("{property} {runtime}"), name.to_owned()));
        }
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

impl PlayedSystemd {
    fn take(&self, verb: &str, name: &str, mode: &str, state: (&'static str, &'static str, u32)) {
        let mut play = self.0.lock().unwrap();
        play.state = state;
        play.asked.lock().unwrap().push((verb.to_owned(), format!("{name} {mode}")));
    }

    /// Ends a job, after another's.
    async fn end(
        result: &str,
        hangs_up: bool,
        emitter: &SignalEmitter<'_>,
        connection: &Connection,
    ) -> Result<OwnedObjectPath, Refusal> {
        let job = |number: u32| {
            OwnedObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).unwrap()
        };
        // Another's job ends first, and all of them before the answer is even sent.
        Self::job_removed(emitter, 6, job(6), "db.service", "failed").await?;
        if !result.is_empty() {
            Self::job_removed(emitter, 7, job(7), "web.service", result).await?;
        }
        if hangs_up {
            connection.clone().close().await?;
        }
        Ok(job(7))
    }
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
    fn required_by(&self) -> Vec<String> {
        self.0.lock().unwrap().required_by.clone()
    }

    #[zbus(property)]
    fn conflicts(&self) -> Vec<String> {
        self.0.lock().unwrap().conflicts.clone()
    }

    #[zbus(property)]
    fn can_reload(&self) -> bool {
        self.0.lock().unwrap().state.0 == "active"
    }

    #[zbus(property)]
    fn can_freeze(&self) -> bool {
        self.0.lock().unwrap().load == "loaded"
    }

    #[zbus(property)]
    fn freezer_state(&self) -> String {
        self.0.lock().unwrap().freezer.to_owned()
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
    fn memory_max(&self) -> u64 {
        self.0.lock().unwrap().memory_max
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        self.0.lock().unwrap().cgroup.to_owned()
    }

    #[zbus(property)]
    async fn result(&self) -> String {
        if self.0.lock().unwrap().hangs {
            std::future::pending::<()>().await;
        }
        self.0.lock().unwrap().service_result.to_owned()
    }
}

/// Plays systemd for so many connections at a socket, one after the other.
pub(super) fn with_systemd<T>(play: &Play, connections: usize, ask: impl FnOnce(&Systemd) -> T) -> T {
    let directory = tempfile::tempdir().unwrap();
    let private = directory.path().join("private");
    let listener = UnixListener::bind(&private).unwrap();
    let shared = Arc::new(Mutex::new(play.clone()));
    let played = std::thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let unit = "/org/freedesktop/systemd1/unit/web_2eservice";
                let connection = Builder::unix_stream(stream)
                    .server(zbus::Guid::generate())
                    .p2p()
                    .serve_at(OBJECT, PlayedSystemd(Arc::clone(&shared)))
                    .serve_at(unit, PlayedUnit(Arc::clone(&shared)))
                    .serve_at(unit, PlayedService(Arc::clone(&shared)))
                    .build()
                    .await
                    .unwrap();
                connection.closed().await;
            });
        }
    });
    // Long enough for a busy machine, unless the answer never comes.
    let answer_within = if play.hangs { Duration::from_secs(1) } else { WITHIN };
    let answer = ask(&Systemd { private, bus: None, answer_within });
    played.join().unwrap();
    answer
}
