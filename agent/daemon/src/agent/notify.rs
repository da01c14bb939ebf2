//! Tells others of alerts: those who are to be told as long as an alert fires, and the destinations when it changes.

use std::sync::Arc;
use std::time::Duration;

use alerting::Departed;
use anyhow::Context;
use notify::Notifier;
use otlp::Sender;
use telemetry::{Alert, AlertState, AttributeValue, MatchedLine, OneLine, Timestamp};

use super::MOST_WITH_LINES;
use super::groups::Groups;
use super::heartbeat::{ATTENTION, Pulse};
use super::hold_back::HoldBack;
use crate::clock;
use crate::config;
use crate::self_telemetry::AlertEvents;

/// The annotation that holds the last lines which log rules matched.
const LINES: &str = "hostmend_lines";

/// Of the lines of each alert, the last: people look at them on a telephone.
const LINES_TOLD: usize = 3;

/// Who is told, and what is silenced.
pub(crate) struct Notify {
    pub(crate) notifier: Notifier,
    pub(crate) events: AlertEvents,
    /// What runbooks are to repair before people are told.
    pub(crate) hold_back: HoldBack,
}

impl Notify {
    /// Starts the thread `notify`, which remembers in `state` who was told.
    pub(super) fn start(
        options: config::Notify,
        state: &std::path::Path,
        resource: &[(String, AttributeValue)],
        sender: &Arc<Sender>,
        pulse: Pulse,
    ) -> anyhow::Result<Self> {
        let events = AlertEvents::new(resource, sender).context("preparing the records of alerts")?;
        events.want(options.otlp_events);
        let beat = move || pulse.beat(ATTENTION);
        let notifier = Notifier::start(options.options, state, clock::now, ATTENTION, beat)?;
        Ok(Self { notifier, events, hold_back: HoldBack::default() })
    }

    /// Tells as `options` say from now on.
    pub(super) fn put_in_force(&self, options: config::Notify) {
        self.events.want(options.otlp_events);
        self.notifier.reconfigure(options.options);
    }

    /// An alert began to fire or is over; these lines matched what it is about.
    pub(super) fn changed(&self, alert: &Alert, lines: &[MatchedLine]) {
        self.events.tell(alert, lines, clock::now());
        if alert.state == AlertState::Firing
            && let Some(silence) = self.notifier.silencing(&alert.labels)
        {
            tracing::info!(alert = %alert.labels, silence = silence.id, "silenced: nobody is told");
        }
    }

    /// Rules were evaluated, which happens each `interval`. Never waits for whoever is told. `lines_of` knows what log rules
    /// matched that an alert reads, by its name.
    pub(super) fn publish(
        &self,
        groups: &Groups,
        departed: &[Departed],
        lines_of: impl Fn(&str) -> Vec<MatchedLine>,
        interval: Duration,
        now: Timestamp,
    ) {
        let mut notices = groups.read(|groups| {
            let reported = groups.iter().flat_map(|judged| {
                let every = judged.group.interval();
                judged.group.reported().map(move |alert| (alert, every))
            });
            let gone =
                departed.iter().flat_map(|departed| departed.reported().map(|alert| (alert, interval)));
            let hold_back = |alert: &Alert| self.hold_back.of(alert);
            self.notifier.notices(reported.chain(gone), hold_back, now)
        });
        for notice in notices.iter_mut().filter(|notice| notice.fires()).take(MOST_WITH_LINES) {
            let lines = lines_of(notice.name());
            if !lines.is_empty() {
                notice.annotations.entry(LINES.to_owned()).or_insert_with(|| shown(&lines));
            }
        }
        self.notifier.publish(notices, interval, now);
    }
}

fn shown(lines: &[MatchedLine]) -> String {
    let last = lines.iter().skip(lines.len().saturating_sub(LINES_TOLD));
    let line = |MatchedLine { origin, text, .. }: &MatchedLine| format!("{origin}: {}", OneLine(text));
    last.map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_the_last_lines_each_on_its_own() {
        let line = |text: &str| MatchedLine {
            at: Timestamp::EPOCH,
            origin: "log:app".to_owned(),
            text: text.to_owned(),
        };
        let lines = ["a", "b", "c\nd", "e"].map(line);
        assert_eq!(shown(&lines), "log:app: b\nlog:app: c\\nd\nlog:app: e");
    }
}
