//! All series at once, for whoever tries out rules on what has been.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use series::{Snapshot, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Facts;
use super::prometheus::Question;
use super::routes::Reply;

/// The most that is answered: 20,000 series of two hours at 10 s take half of it. It is in memory until it is sent.
const MAX_SNAPSHOT: usize = 32 << 20;

/// The one snapshot that may be in memory at a time.
#[derive(Debug)]
pub(crate) struct TakenAlong(Arc<Semaphore>);

impl Default for TakenAlong {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl TakenAlong {
    /// The leave to write one, unless another is written or sent.
    fn begin(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// A snapshot that is sent; when it has gone, another may be written.
struct Sent {
    body: Vec<u8>,
    _leave: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// What is written while others wait: a few milliseconds' work.
const SLICE: usize = 128 << 10;

pub(super) fn reply(facts: &Facts, question: &Question) -> Reply {
    let Some(leave) = facts.taken_along.begin() else {
        return Reply::error(503, "another is taking all series along; ask again when that is done");
    };
    let store = &facts.shared.store;
    let mut snapshot = Snapshot::new();
    let written = written(|out| {
        let store: &Store = &store.read().unwrap_or_else(PoisonError::into_inner);
        snapshot.write(store, out, SLICE) && !question.nobody_waits.load(Ordering::Relaxed)
    });
    let Some(body) = written else {
        let most = MAX_SNAPSHOT >> 20;
        let why = format!(
            "the series take more than {most} MiB; stop the agent and name its state directory with --data"
        );
        return Reply::error(507, &why);
    };
    Reply { status: 200, content_type: "application/octet-stream", body: in_turn(body, leave) }
}

fn in_turn(body: Vec<u8>, leave: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Sent { body, _leave: leave })
}

/// What `write` writes until it says that there is no more; `None` if that is too much.
fn written(mut write: impl FnMut(&mut Vec<u8>) -> bool) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while write(&mut out) {
        if out.len() > MAX_SNAPSHOT {
            return None;
        }
    }
    (out.len() <= MAX_SNAPSHOT).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::{Labels, Origin, Timestamp};

    #[test]
    fn a_store_that_was_taken_along_in_slices_is_whole() {
        let mut store = Store::default();
        let at = Timestamp::from_secs(1_800_000_000);
        for number in 0..500 {
            let labels: Labels = [("__name__", "x"), ("number", &number.to_string())].into_iter().collect();
            store.append_sample(&labels, &Origin::Rule, at, f64::from(number)).unwrap();
        }
        let (mut snapshot, mut slices) = (Snapshot::new(), 0);
        let body = written(|out| {
            slices += 1;
            snapshot.write(&store, out, 1_024)
        });
        let mut restored = Store::default();
        let found = restored.restore(body.unwrap().as_slice(), at).unwrap();
        assert_eq!((found.series, found.left_out), (500, 0));
        assert!(slices > 2, "{slices}");
    }

    #[test]
    fn while_a_snapshot_is_sent_there_is_no_other() {
        let one = TakenAlong::default();
        let body = in_turn(vec![1, 2, 3], one.begin().unwrap());
        assert!(one.begin().is_none());
        assert_eq!(&*body, [1, 2, 3]);
        drop(body);
        assert!(one.begin().is_some());
    }

    #[test]
    fn a_snapshot_that_would_be_too_large_is_none() {
        assert_eq!(
            written(|out| {
                out.extend(vec![0; 1 << 20]);
                true
            }),
            None
        );
    }
}
