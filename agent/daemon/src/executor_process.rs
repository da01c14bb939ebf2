//! `hostmend executor`: the half that may change the host, in a process of its own.
//!
//! systemd hands over the socket, and starts the process when somebody connects; it ends when nobody has for a while. What
//! it may do, the policy says each time anew; a policy with problems does not keep it from starting, since a unit that
//! fails to start again and again would take its socket down with it.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use documents::Trust;
use executor::{ExecutorServer, ServerOptions, Stopped};
use listenfd::ListenFd;
use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use sd_notify::NotifyState;

use crate::agent::signals::{self, Unfinished};
use crate::cli::ExecutorArgs;
use crate::exit::Exit;
use crate::{clock, logging};

/// Long enough that the actions of one run meet the same process.
const IDLE_EXIT: Duration = Duration::from_mins(1);

/// Where users are looked up. No other source is asked: its library would run in here, as root.
pub(crate) const USERS: &str = "/etc/passwd";

/// Where what was spent of the budgets is kept if systemd names no place.
const STATE_DIRECTORY: &str = "/var/lib/hostmend-executor";

/// An action in hand is finished first, a restart with the default `restart_timeout` too. One that takes longer is left as
/// it is, a little before the unit's `TimeoutStopSec=`: its budget is spent, and systemd goes on with the restart. That is
/// an end as it should be, so that the unit does not fail.
const UNFINISHED: Unfinished = Unfinished { within: Duration::from_secs(185), exit: Exit::Done };

/// Connections that may wait; the agent makes one at a time.
const BACKLOG: i32 = 8;

pub(crate) fn run(args: &ExecutorArgs, log: &str) -> anyhow::Result<Exit> {
    // Before the first thread: it takes the variables that name the socket out of the environment.
    let given =
        ListenFd::from_env().take_unix_listener(0).context("taking the socket that was handed over")?;
    logging::start(log, None)?;
    let options = options(args)?;
    let user = options.user;
    let listener = match (&args.socket, given) {
        (Some(path), _) => bind(path, user)?,
        (None, Some(given)) => given,
        (None, None) => bail!(
            "no socket was handed over: start hostmend-executor.socket, which starts this when needed, or name a path \
             with --socket"
        ),
    };
    let stop = stop_requested()?;
    let mut server = ExecutorServer::new(options);
    tell(&NotifyState::Ready);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), user, "waiting for actions");
    let stopped = server.serve(&listener, &stop).context("waiting for connections")?;
    tell(&NotifyState::Stopping);
    if let Some(path) = &args.socket {
        // Another may have taken it away.
        let _ = std::fs::remove_file(path);
    }
    let why = match stopped {
        Stopped::Asked => "asked to",
        Stopped::Idle => "nobody came for a while",
    };
    tracing::info!(why, "stopped");
    Ok(Exit::Done)
}

fn options(args: &ExecutorArgs) -> anyhow::Result<ServerOptions> {
    Ok(ServerOptions {
        user: user(&args.agent_user)?,
        policy: args.policy.clone(),
        trust: Trust::invoking_user(),
        budgets: Some(state_directory()?.join("budgets.json")),
        idle_exit: args.idle_exit.or_else(|| args.socket.is_none().then_some(IDLE_EXIT)),
        clock: clock::now,
    })
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, %state, "systemd was not told");
    }
}

/// Hung up when the program is asked to stop.
fn stop_requested() -> anyhow::Result<UnixStream> {
    let requests = signals::stop_requests(UNFINISHED)?;
    let (held, stop) = UnixStream::pair().context("making a pair of sockets")?;
    let wait = move || {
        // Both an answer and a channel without senders mean stop.
        let _ = requests.recv();
        drop(held);
    };
    std::thread::Builder::new().name("stop".to_owned()).spawn(wait).context("starting the thread stop")?;
    Ok(stop)
}

/// A socket for the agent's user alone, in place of one that nobody listens at any more.
fn bind(path: &Path, user: u32) -> anyhow::Result<UnixListener> {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        if UnixStream::connect(path).is_ok() {
            bail!("another executor listens at {}; stop it, or name another path", path.display());
        }
        std::fs::remove_file(path).with_context(|| format!("removing the dead socket {}", path.display()))?;
    }
    let listener = listen(path).with_context(|| format!("listening at {}", path.display()))?;
    if user != rustix::process::geteuid().as_raw() {
        lchown(path, Some(user), None).with_context(|| {
            let path = path.display();
            format!("giving {path} to user {user}, who could not connect otherwise; root can, or name your own user with --agent-user")
        })?;
    }
    Ok(listener)
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // The file of a socket gets the mode that the socket has when it is bound: unix(7) knows no other way without a gap.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

fn user(name: &str) -> anyhow::Result<u32> {
    let users = std::fs::read_to_string(USERS).with_context(|| format!("reading {USERS}"))?;
    user_id(name, &users).with_context(|| {
        format!("there is no user {name:?} in {USERS}; make it, or name the agent's user or its number with --agent-user")
    })
}

/// `passwd(5)`: name, password, number, and more that is not needed.
pub(crate) fn user_id(name: &str, users: &str) -> Option<u32> {
    let named = |line: &str| {
        let mut fields = line.split(':');
        if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None }
    };
    name.parse().ok().or_else(|| users.lines().find_map(named))
}

fn state_directory() -> anyhow::Result<PathBuf> {
    let directory = std::env::var_os("STATE_DIRECTORY").map_or_else(|| STATE_DIRECTORY.into(), PathBuf::from);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("making {}; set STATE_DIRECTORY to another", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n\nhostmend:x:987:985::/:/usr/sbin/nologin\nodd:x:many:1::/:\n";
        for (name, id) in [
            ("hostmend", Some(987)),
            ("root", Some(0)),
            ("1000", Some(1000)),
            ("host", None),
            ("odd", None),
            ("", None),
        ] {
            assert_eq!(user_id(name, users), id, "{name}");
        }
    }

    #[test]
    fn a_socket_is_for_its_owner_alone_and_is_not_taken_from_a_living_executor() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let me = rustix::process::geteuid().as_raw();
        let first = bind(&path, me).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(bind(&path, me).unwrap_err().to_string().contains("another executor listens at"));
        drop(first);
        let other = me + 1;
        match bind(&path, other) {
            Ok(_) => assert_eq!(path.metadata().unwrap().uid(), other),
            // Only root can give it away.
            Err(error) => assert!(error.to_string().contains(&format!("to user {other}, who could not"))),
        }
    }

    #[test]
    fn the_unit_waits_for_the_restart_of_another_unit() {
        let unit = include_str!("../../../packaging/systemd/hostmend-executor.service");
        let waits = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
        assert!(telemetry::parse_duration(waits).unwrap() > UNFINISHED.within);
    }
}
