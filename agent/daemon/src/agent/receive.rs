//! Where received telemetry goes: to the destinations and to the taps, and whoever sent it is answered once it is on disk.
//!
//! Runs on the thread `receive`, and waits for nobody. The taps look on the thread that says what is on disk, after the
//! answer.

use std::sync::Arc;

use otlp::{Answer, Masking, NotAccepted, Received, Refusal, Reply, Sender, Sink};
use telemetry::Batch;

use crate::clock;
use crate::config::{Identity, ReceiveConfig};
use crate::taps::Taps;
use collectors::HostRoot;

/// What the receiver calls with each request.
pub(crate) fn sink(sender: Arc<Sender>, taps: Arc<Taps>) -> Sink {
    Arc::new(move |received: Received, reply: Reply| {
        let Received { origin, signal, payload, items } = received;
        let batch = Batch { signal, payload: payload.clone(), items };
        let taps = Arc::clone(&taps);
        sender.accept(batch, clock::now(), move |outcome| {
            let durable = outcome.is_ok();
            reply.send(outcome.map(|()| Answer::default()).map_err(|error| refusal(&error)));
            if durable {
                taps.see(&origin.name, signal, &payload, clock::now());
            }
        });
    })
}

fn refusal(error: &NotAccepted) -> Refusal {
    match error {
        NotAccepted::TooLarge { .. } => Refusal::Invalid(error.to_string()),
        NotAccepted::Busy(_) | NotAccepted::Stopping => Refusal::Overloaded { retry_after: None },
        NotAccepted::Storage(_) | NotAccepted::NoQueue => Refusal::NotDurable(error.to_string()),
    }
}

/// The listeners of the configuration; what they receive is masked, and gets the host's attributes where it has none.
pub(crate) fn listeners(
    receive: Option<ReceiveConfig>,
    masking: Masking,
    identity: &Identity,
    host: &HostRoot,
) -> ReceiveConfig {
    let mut receive = receive.unwrap_or_default();
    if !receive.listeners.is_empty() {
        let missing = identity.of_received(host);
        let masking = Arc::new(masking);
        for listener in &mut receive.listeners {
            listener.missing_attributes.clone_from(&missing);
            listener.masking = Arc::clone(&masking);
        }
    }
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_told_to_come_again_unless_that_is_of_no_use() {
        let too_large = NotAccepted::TooLarge { bytes: 9, limit: 8 };
        assert!(matches!(refusal(&too_large), Refusal::Invalid(text) if text.contains('9')));
        for error in [NotAccepted::NoQueue, NotAccepted::Stopping] {
            assert!(error.is_retryable() && !matches!(refusal(&error), Refusal::Invalid(_)), "{error}");
        }
    }
}
