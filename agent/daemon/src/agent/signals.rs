//! SIGTERM and SIGINT as a message.

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Gets a message when the program is asked to stop. Asking twice ends it at once.
pub(crate) fn stop_requests() -> anyhow::Result<Receiver<&'static str>> {
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
                // Nobody listens yet, or any more: the second request is heeded all the same.
                let _ = to.try_send(if signal == SIGINT { "Ctrl-C" } else { "SIGTERM" });
            }
        })
        .context("starting the thread signals")?;
    Ok(from)
}
