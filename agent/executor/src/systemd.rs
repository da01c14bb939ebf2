//! Lets systemd do something with a service, over D-Bus.
//!
//! Root speaks with systemd itself, at its private socket, so that it works where no message bus runs; others ask over the
//! system bus. systemd answers a request at once with a job; what became of that, a signal tells later. D-Bus here is
//! asynchronous, so each action gets a small runtime of its own, on this thread, and for its own time.

mod dependants;
mod limits;
mod private;
mod verb;

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use telemetry::format_duration;
use zbus::connection::Builder;
use zbus::{
    Connection, DynamicType, MatchRule, Message, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant,
};

pub(crate) use self::limits::LimitProperties;
use crate::{ActionError, Outcome, UnitName, UnitState, UnitVerb, protected};

/// systemd's own socket: `bus_init_private` of its `dbus.c`. Only root can connect.
const PRIVATE: &str = "/run/systemd/private";

/// The bus, where it always is. Not from the environment: who sets that must not choose whom root talks to.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

const SERVICE: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const UNIT_SERVICE: &str = "org.freedesktop.systemd1.Service";

/// How long systemd may take to be connected to and asked, before the restart and after it. A host that needs repair is
/// often a slow one: with every core taken, systemd has been seen to need more than five seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Jobs that may end between the request and the moment at which its answer has been read. A booting host ends some hundreds.
const MAX_WAITING_SIGNALS: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// systemd's word for a job that ended well.
const DONE: &str = "done";

/// What systemd answers where a job of ours would have to end another: `BUS_ERROR_TRANSACTION_IS_DESTRUCTIVE` of its
/// `bus-common-errors.h`.
const DESTRUCTIVE: &str = "org.freedesktop.systemd1.TransactionIsDestructive";

/// Where systemd is reached, and how long it may take to answer.
#[derive(Clone, Debug)]
pub(crate) struct Systemd {
    private: PathBuf,
    bus: Option<&'static str>,
    answer_within: Duration,
}

impl Default for Systemd {
    fn default() -> Self {
        Self { private: PRIVATE.into(), bus: Some(SYSTEM_BUS), answer_within: ANSWER_WITHIN }
    }
}

impl Systemd {
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { private: "/nowhere/at/all".into(), bus: None, answer_within: ANSWER_WITHIN }
    }

    /// Has systemd do something with a service, and says how that was and is. Waits until systemd has finished, `within` at
    /// most. What must hold before anything is done, `permit` says, once systemd would do it.
    pub(crate) fn perform(
        &self,
        verb: UnitVerb,
        unit: &UnitName,
        within: Duration,
        permit: impl FnOnce() -> Result<(), ActionError>,
    ) -> Result<Outcome, ActionError> {
        block_on(async {
            let asking = || format!("asking systemd about {unit}");
            let mut asked = in_time(self.answer_within, asking, self.ask_about(verb, unit)).await?;
            permit()?;
            let late = || {
                format!(
                    "{} {unit} (systemd goes on with it; `systemctl list-jobs` shows how far it is)",
                    verb.doing()
                )
            };
            let result = in_time(within, late, asked.perform(verb, unit)).await?;
            let looking = || format!("looking at {unit}, which systemd has {},", verb.done());
            in_time(self.answer_within, looking, asked.outcome(verb, unit, &result)).await
        })
    }

    /// How a unit is with which this may be done, before it is.
    async fn ask_about(&self, verb: UnitVerb, unit: &UnitName) -> Result<Asked, ActionError> {
        let connected = self.connect().await?;
        let path = connected.load(unit).await?;
        connected.can(verb, unit, &path).await?;
        connected.touches_nothing_protected(verb, unit, &path).await?;
        let before = connected.look(unit, &path).await?;
        let ends = connected.job_ends().await;
        let ends = ends.map_err(|error| ActionError::failed("listening to systemd's jobs", error))?;
        Ok(Asked { connected, path, before, ends })
    }

    async fn connect(&self) -> Result<Connected, ActionError> {
        let error = match (private::connect(&self.private).await, self.bus) {
            (Ok(connection), _) => return Ok(Connected { connection, owner: None }),
            (Err(error), None) => error.to_string(),
            (Err(error), Some(address)) => match Connected::over_bus(address).await {
                Ok(connected) => return Ok(connected),
                Err(on_bus) => format!("{error}; and over the system bus: {on_bus}"),
            },
        };
        let doing = format!("connecting to systemd at {} (is it this host's PID 1?)", self.private.display());
        Err(ActionError::failed(doing, error))
    }
}

/// The outcome of a conversation with systemd.
fn block_on<T>(future: impl Future<Output = Result<T, ActionError>>) -> Result<T, ActionError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ActionError::failed("preparing to speak with systemd", error))?;
    runtime.block_on(future)
}

/// The outcome of a future, unless it takes too long.
async fn in_time<T>(
    within: Duration,
    doing: impl FnOnce() -> String,
    future: impl Future<Output = Result<T, ActionError>>,
) -> Result<T, ActionError> {
    tokio::time::timeout(within, future).await.unwrap_or_else(|_| {
        Err(ActionError::failed(doing(), format!("it has taken longer than {}", format_duration(within))))
    })
}

/// systemd, asked about a unit with which something may be done.
struct Asked {
    connected: Connected,
    path: OwnedObjectPath,
    before: UnitState,
    ends: MessageStream,
}

impl Asked {
    /// Has it done, and returns systemd's word for what became of the job: `done` where it takes none.
    async fn perform(&mut self, verb: UnitVerb, unit: &UnitName) -> Result<String, ActionError> {
        let failed = |error| match error {
            zbus::Error::MethodError(name, why, _) if name.as_str() == DESTRUCTIVE => {
                let (why, verb) = (why.unwrap_or_default(), verb.as_str());
                ActionError::refused(format!(
                    "another job is under way that a {verb} of {unit} would cancel, such as a stop that a person has asked \
                     for; `systemctl list-jobs` shows it; systemd says: {why}"
                ))
            }
            error => ActionError::failed(format!("{} {unit}", verb.doing()), error),
        };
        if verb.starts() {
            // A unit that systemd has started too often it would stop and then not start again. How often is the policy's
            // to say, so systemd counts anew; that it may not know of any failure is no matter.
            let _ = self.connected.call(OBJECT, MANAGER, "ResetFailedUnit", &unit.as_str()).await;
        }
        if !verb.is_a_job() {
            let answered = self.connected.call(OBJECT, MANAGER, verb.method(), &unit.as_str()).await;
            return answered.map(|_| DONE.to_owned()).map_err(failed);
        }
        // systemctl(1), --job-mode: with "fail" only a job that conflicts is in the way. A start, a reload and the restart
        // that Restart= has queued become one with ours; only a stop does not.
        let what = (unit.as_str(), "fail");
        let job = self.connected.ask(OBJECT, MANAGER, verb.method(), &what).await.map_err(failed)?;
        result_of(&job, &mut self.ends).await.map_err(failed)
    }

    /// What has changed, if the job ended well.
    async fn outcome(self, verb: UnitVerb, unit: &UnitName, result: &str) -> Result<Outcome, ActionError> {
        let after = self.connected.look(unit, &self.path).await?;
        if result == DONE {
            return Ok(Outcome::UnitChanged { verb, unit: unit.clone(), before: self.before, after });
        }
        let why = self.connected.text(self.path.as_str(), UNIT_SERVICE, "Result").await.unwrap_or_default();
        let cause = format!(
            "systemd's job ended with `{result}`, the service with `{why}`; it is {after}; see `journalctl -u {unit}`"
        );
        Err(ActionError::failed(format!("{} {unit}", verb.doing()), cause))
    }
}

/// systemd, connected.
struct Connected {
    connection: Connection,
    /// Who systemd is on a bus, where anybody may send what looks like its signals.
    owner: Option<String>,
}

impl Connected {
    async fn over_bus(address: &str) -> zbus::Result<Self> {
        let connection = Builder::address(address).build().await?;
        let bus = "org.freedesktop.DBus";
        let owner =
            connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "GetNameOwner", &SERVICE);
        let owner = owner.await?.body().deserialize::<String>()?;
        let connected = Self { connection, owner: Some(owner) };
        // Over a bus systemd sends its signals only if somebody wants them.
        connected.call(OBJECT, MANAGER, "Subscribe", &()).await?;
        Ok(connected)
    }

    async fn call<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + DynamicType,
    {
        self.connection.call_method(Some(SERVICE), path, Some(interface), method, body).await
    }

    async fn ask<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> zbus::Result<OwnedObjectPath>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call(path, interface, method, body).await?.body().deserialize()
    }

    /// The unit's object, if it is one that may be touched.
    async fn load(&self, unit: &UnitName) -> Result<OwnedObjectPath, ActionError> {
        let failed = |error| ActionError::failed(format!("asking systemd about {unit}"), error);
        let path = self.ask(OBJECT, MANAGER, "LoadUnit", &unit.as_str()).await.map_err(failed)?;
        match self.text(path.as_str(), UNIT, "LoadState").await.map_err(failed)?.as_str() {
            "not-found" => {
                return Err(ActionError::refused(format!(
                    "systemd knows no {unit}; correct the name under `units` in the policy, or install the service"
                )));
            }
            "masked" => {
                return Err(ActionError::refused(format!(
                    "{unit} is masked: a person has forbidden it to run; `systemctl unmask {unit}` allows it again"
                )));
            }
            _ => {}
        }
        // A service may have more names than the one it is asked for by.
        let names: Vec<String> =
            self.property(path.as_str(), UNIT, "Names").await.and_then(TryInto::try_into).map_err(failed)?;
        let reason = names.iter().find_map(|name| protected::unit(&name.parse().ok()?));
        reason.map_or(Ok(path), |reason| {
            Err(ActionError::refused(format!("{unit} is another name of one: {reason}")))
        })
    }

    async fn look(&self, unit: &UnitName, path: &ObjectPath<'_>) -> Result<UnitState, ActionError> {
        let read = async {
            let pid: u32 = self.property(path.as_str(), UNIT_SERVICE, "MainPID").await?.try_into()?;
            // systemd 246 and later know it.
            let freezer = self.text(path.as_str(), UNIT, "FreezerState").await.unwrap_or_default();
            let sub = self.text(path.as_str(), UNIT, "SubState").await?;
            Ok::<_, zbus::Error>(UnitState {
                active: self.text(path.as_str(), UNIT, "ActiveState").await?,
                sub: if matches!(freezer.as_str(), "" | "running") { sub } else { freezer },
                main_pid: (pid > 0).then_some(pid),
            })
        };
        read.await.map_err(|error| ActionError::failed(format!("asking systemd how {unit} is"), error))
    }

    async fn text(&self, path: &str, interface: &str, name: &str) -> zbus::Result<String> {
        self.property(path, interface, name).await?.try_into()
    }

    async fn property(&self, path: &str, interface: &str, name: &str) -> zbus::Result<OwnedVariant> {
        let properties = "org.freedesktop.DBus.Properties";
        self.call(path, properties, "Get", &(interface, name)).await?.body().deserialize()
    }

    /// The ends of all jobs from now on.
    async fn job_ends(&self) -> zbus::Result<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .path(OBJECT)
            .interface(MANAGER)
            .member("JobRemoved");
        let rule = match &self.owner {
            Some(owner) => rule.sender(owner.as_str()),
            None => rule,
        };
        MessageStream::for_match_rule(rule.build()?, &self.connection, Some(MAX_WAITING_SIGNALS)).await
    }
}

/// systemd's word for what became of a job: `done`, `failed`, `timeout`, `canceled`, `dependency`, `skipped`.
async fn result_of(job: &OwnedObjectPath, ends: &mut MessageStream) -> zbus::Result<String> {
    while let Some(signal) = poll_fn(|context| Pin::new(&mut *ends).poll_next(context)).await {
        let (_, ended, _, result): (u32, OwnedObjectPath, String, String) = signal?.body().deserialize()?;
        if ended == *job {
            return Ok(result);
        }
    }
    Err(zbus::Error::Failure("systemd hung up; its job may go on".to_owned()))
}

#[cfg(test)]
mod tests;
