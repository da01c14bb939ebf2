//! The service that the demo breaks: answers `GET` with `200 ok` and nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::cli::VictimArgs;
use crate::exit::Exit;

/// A client that sends nothing is hung up on after this long.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until it is killed, its parent dies, or its time is over.
pub(crate) fn serve(args: &VictimArgs) -> anyhow::Result<Exit> {
    // SIGKILL, because a stopped process does not hear anything else.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .context("asking to be killed with the parent")?;
    // A parent that was gone before that is never heard of again.
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(args.parent) {
        bail!("process {} started the victim and is gone", args.parent);
    }
    let listener = TcpListener::bind(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    let pid = rustix::process::getpid();
    std::fs::write(&args.pid_file, format!("{}\n", pid.as_raw_nonzero()))
        .with_context(|| format!("writing {}", args.pid_file.display()))?;
    let until = crate::clock::monotonic() + args.live_at_most;
    std::thread::Builder::new()
        .name("lifetime".to_owned())
        .spawn(move || {
            std::thread::park_timeout(crate::clock::left(until));
            std::process::exit(0);
        })
        .context("starting the thread that ends this process")?;
    for stream in listener.incoming() {
        let mut stream = stream.context("accepting a connection")?;
        let mut request = [0; 1024];
        let answered = stream
            .set_read_timeout(Some(CLIENT_TIMEOUT))
            .and_then(|()| stream.read(&mut request))
            .and_then(|_| {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n")
            });
        if let Err(error) = answered {
            tracing::debug!(%error, "a client went away");
        }
    }
    Ok(Exit::Done)
}
