//! SIGTERM and SIGINT as a message; for the agent, SIGHUP as a request to reload and SIGUSR1 as one to freeze repairs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded};
use executor::Freeze;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::agent::kill_switch::KillSwitch;
use crate::agent::phase::STOP_WITHIN;
use crate::agent::reload::Reloads;
use crate::exit::Exit;

/// What a stop may take beyond the deadline that its phases share, before the program ends without them.
const GRACE: Duration = Duration::from_millis(500);

/// What becomes of a program that was asked to stop and has not ended by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished {
    /// How long it may take.
    pub(crate) within: Duration,
    /// As what it then ends.
    pub(crate) exit: Exit,
}

impl Unfinished {
    /// The agent has failed to stop in phases.
    pub(crate) const AGENT: Self = Self { within: STOP_WITHIN.saturating_add(GRACE), exit: Exit::Failed };
}

/// Asks for a reload at each SIGHUP, and freezes repairs at SIGUSR1.
///
/// # Errors
///
/// The system gives no thread, or no way to listen.
pub(crate) fn heed(reloads: Reloads, kill_switch: Arc<KillSwitch>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGUSR1]).context("listening to signals")?;
    let listen = move || {
        for signal in signals.forever() {
            if signal == SIGUSR1 { freeze(&kill_switch) } else { reloads.ask() }
        }
    };
    std::thread::Builder::new()
        .name("hangups".to_owned())
        .spawn(listen)
        .context("starting the thread hangups")?;
    Ok(())
}

fn freeze(kill_switch: &KillSwitch) {
    let freeze = Freeze { reason: "SIGUSR1".to_owned(), ..Freeze::default() };
    if let Err(error) = kill_switch.freeze(&freeze) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "repairs are frozen until the agent ends only"
        );
    }
}

/// Gets a message when the program is asked to stop. Asking twice ends it at once.
pub(crate) fn stop_requests(unfinished: Unfinished) -> anyhow::Result<Receiver<&'static str>> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("listening to signals")?;
    let (to, from) = bounded(1);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in &mut signals {
                if asked {
                    std::process::exit(130);
                }
                asked = true;
                end_anyway(unfinished);
                // Nobody listens yet, or any more: the second request is heeded all the same.
                let _ = to.try_send(if signal == SIGINT { "Ctrl-C" } else { "SIGTERM" });
            }
        })
        .context("starting the thread signals")?;
    Ok(from)
}

/// Ends the program when it has not ended by itself in time: standard error may be a pipe that nobody reads, and
/// whoever logs then waits for ever.
fn end_anyway(unfinished: Unfinished) {
    // Without the thread there is only the second signal.
    let _ = std::thread::Builder::new().name("deadline".to_owned()).spawn(move || {
        std::thread::park_timeout(unfinished.within);
        std::process::exit(unfinished.exit.code().into());
    });
}
