//! Speaks with systemd: started, alive, stopping.
//!
//! The watchdog is answered only while no stage is overdue, so that systemd restarts an agent of which a stage hangs. A
//! stage that is late and comes back in time is forgiven. All of it happens on a thread of its own, because systemd may
//! be slow to read: nobody else waits for it. Without systemd there is no such thread.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use sd_notify::NotifyState;

use crate::agent::heartbeat::Heartbeats;
use crate::clock;

/// How long the goodbye may take to be sent. Without it systemd sees the end itself.
const GOODBYE_WITHIN: Duration = Duration::from_millis(100);

/// News that may wait; what comes beyond while systemd is slow is not said.
const WAITING: usize = 4;

/// How often the thread looks about when systemd asks for no watchdog.
const WITHOUT_WATCHDOG: Duration = Duration::from_mins(1);

/// The thread that speaks with systemd, if the agent was started by it.
#[derive(Debug)]
pub(crate) struct Supervision {
    news: Option<Sender<News>>,
}

/// What systemd is to be told beyond that the agent lives.
#[derive(Debug)]
enum News {
    /// For people, in `systemctl status`.
    Status(String),
    /// The agent begins to stop; answered when that is said.
    Stopping(Sender<()>),
}

impl Supervision {
    /// Says that the agent is ready, with a `status` for people, and goes on saying that it lives.
    pub(crate) fn start(heartbeats: Arc<Heartbeats>, status: String) -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self { news: None };
        }
        let (news, incoming) = bounded(WAITING);
        let speak = move || {
            say(&[NotifyState::Ready, NotifyState::Status(&status)]);
            supervise(&heartbeats, &incoming, sd_notify::watchdog_enabled());
        };
        let thread = std::thread::Builder::new().name("supervision".to_owned()).spawn(speak);
        if let Err(error) = thread {
            // systemd gives up waiting for the start and tries again, which is right: a host without a thread to spare.
            tracing::error!(%error, "starting the thread supervision");
        }
        Self { news: Some(news) }
    }

    /// Says what the agent does now, if systemd listens fast enough.
    pub(crate) fn status(&self, status: String) {
        if let Some(news) = &self.news {
            let _ = news.try_send(News::Status(status));
        }
    }

    /// Says that the agent begins to stop.
    pub(crate) fn stopping(&self) {
        let Some(news) = &self.news else { return };
        let (done, said) = bounded(1);
        if news.try_send(News::Stopping(done)).is_ok() {
            let _ = said.recv_timeout(GOODBYE_WITHIN);
        }
    }
}

/// Runs as long as the program. `watchdog` is how long systemd waits for a sign of life.
fn supervise(heartbeats: &Heartbeats, incoming: &Receiver<News>, watchdog: Option<Duration>) {
    let every = watchdog.map_or(WITHOUT_WATCHDOG, |watchdog| watchdog / 2);
    let mut judge = Judge::default();
    loop {
        if watchdog.is_some() {
            match judge.judge(heartbeats.overdue(clock::monotonic())) {
                Verdict::Lives => say(&[NotifyState::Watchdog]),
                Verdict::LivesAgain(stage) => {
                    tracing::info!(stage, "the stage lives after all");
                    say(&[NotifyState::Watchdog]);
                }
                Verdict::Overdue(stage) => {
                    // First to systemd: standard error may be what everything hangs on.
                    say(&[NotifyState::Status(&format!("{stage} hangs; waiting to be restarted"))]);
                    tracing::error!(
                        stage,
                        "the stage hangs; the watchdog is not answered until it lives again"
                    );
                }
                Verdict::StillOverdue => {}
            }
        }
        match incoming.recv_timeout(every) {
            Ok(News::Status(status)) => say(&[NotifyState::Status(&status)]),
            Ok(News::Stopping(done)) => {
                say(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
                let _ = done.try_send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "telling systemd");
    }
}

/// What a look at the heartbeats means.
#[derive(Debug, PartialEq)]
enum Verdict {
    Lives,
    LivesAgain(&'static str),
    Overdue(&'static str),
    StillOverdue,
}

/// Remembers what was said, so that it is said once.
#[derive(Debug, Default)]
struct Judge {
    overdue: Option<&'static str>,
}

impl Judge {
    fn judge(&mut self, overdue: Option<&'static str>) -> Verdict {
        let before = std::mem::replace(&mut self.overdue, overdue);
        match (before, overdue) {
            (None, None) => Verdict::Lives,
            (Some(stage), None) => Verdict::LivesAgain(stage),
            (before, Some(stage)) if before != Some(stage) => Verdict::Overdue(stage),
            (_, Some(_)) => Verdict::StillOverdue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overdue_stage_is_named_once_and_forgiven_when_it_comes_back() {
        let mut judge = Judge::default();
        for (overdue, verdict) in [
            (None, Verdict::Lives),
            (Some("rules"), Verdict::Overdue("rules")),
            (Some("rules"), Verdict::StillOverdue),
            (Some("collect"), Verdict::Overdue("collect")),
            (None, Verdict::LivesAgain("collect")),
            (None, Verdict::Lives),
        ] {
            assert_eq!(judge.judge(overdue), verdict, "{overdue:?}");
        }
    }
}
