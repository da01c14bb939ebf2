//! What must hold whatever arrives as a request; for tests and for fuzzing.
//!
//! Whoever has taken over the agent chooses every byte of it.

use telemetry::Timestamp;

use crate::{Action, Executor, Policy, frame};

/// Reads bytes as a request. One that is an action is the same after a crossing, stands on one line of the journal, and is not
/// done where no policy allows it.
///
/// # Panics
///
/// One of these does not hold.
pub fn request(bytes: &[u8]) {
    let Ok(action) = frame::read::<Action>(bytes) else { return };
    let line = serde_json::to_vec(&action).expect("an action that was read can be written");
    let again = serde_json::from_slice::<Action>(&line).expect("what was written can be read");
    assert_eq!(again, action, "an action changes on its way");
    let printed = action.to_string();
    assert!(!printed.contains('\n'), "{printed:?} is more than one line");
    let done = Executor::new(Policy::default(), None).perform(&action, Timestamp::from_secs(1_700_000_000));
    assert!(done.is_err(), "{printed}: {done:?}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUESTS: [&str; 6] = [
        r#"{"action":"set_sysctl","name":"vm.swappiness","value":-1}"#,
        r#"{"action":"remove_files","selection":{"under":"/tmp\n","older_than":{"secs":1,"nanos":0},"at_most":9}}"#,
        r#"{"action":"limit_unit","unit":"web.service","limits":{"memory_max":18446744073709551615}}"#,
        r#"{"action":"signal_process","process":{"pid":1,"start_ticks":0},"signal":"KILL"}"#,
        r#"{"action":"run_command","command":"x","arguments":["\n","$(reboot)"]}"#,
        r#"{"action":"undo","change":"1-1"}"#,
    ];

    #[test]
    fn the_requests_that_are_changed_below_are_actions() {
        for line in REQUESTS {
            let read = serde_json::from_str::<Action>(line);
            assert!(read.is_ok(), "{line}: {read:?}");
            request(format!("{line}\n").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_request_is_done_without_a_policy(
            line in proptest::sample::select(&REQUESTS),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = line.as_bytes().to_vec();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.push(b'\n');
            request(&bytes);
        }
    }
}
