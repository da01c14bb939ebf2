//! Tells others of alerts: those who are to be told as long as an alert fires, and the destinations when it changes.

use std::sync::Arc;
use std::time::Duration;

use alerting::Departed;
use anyhow::Context;
use notify::Notifier;
use otlp::Sender;
use telemetry::{Alert, AlertState, AttributeValue, Timestamp};

use super::groups::Groups;
use super::heartbeat::{ATTENTION, Pulse};
use super::hold_back::HoldBack;
use crate::clock;
use crate::config;
use crate::self_telemetry::AlertEvents;

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

    /// An alert began to fire or is over.
    pub(super) fn changed(&self, alert: &Alert) {
        self.events.tell(alert, clock::now());
        if alert.state == AlertState::Firing
            && let Some(silence) = self.notifier.silencing(&alert.labels)
        {
            tracing::info!(alert = %alert.labels, silence = silence.id, "silenced: nobody is told");
        }
    }

    /// Rules were evaluated, which happens each `interval`. Never waits for whoever is told.
    pub(super) fn publish(&self, groups: &Groups, departed: &[Departed], interval: Duration, now: Timestamp) {
        let notices = groups.read(|groups| {
            let reported = groups.iter().flat_map(|judged| {
                let every = judged.group.interval();
                judged.group.reported().map(move |alert| (alert, every))
            });
            let gone =
                departed.iter().flat_map(|departed| departed.reported().map(|alert| (alert, interval)));
            let hold_back = |alert: &Alert| self.hold_back.of(alert);
            self.notifier.notices(reported.chain(gone), hold_back, now)
        });
        self.notifier.publish(notices, interval, now);
    }
}
