//! What is going on on the host, whatever a run would be about: processes by name, packages, people.
//!
//! Looking costs some milliseconds, and a storm of alerts asks a hundred times over; so what was seen counts for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use collectors::{CollectError, FoundProcess, HostRoot, LockWatch};
use remediation::{Hold, HoldKind};
use telemetry::with_causes;

use crate::clock;

/// For so long what was seen counts: for guards of the next run, and for the evidence of this one.
const COUNTS_FOR: Duration = Duration::from_millis(500);

/// What was seen.
#[derive(Debug)]
pub(crate) struct Work {
    /// All that live, their units apart.
    pub(crate) processes: Vec<FoundProcess>,
    /// What people and programs in their stead are doing.
    pub(super) holds: Vec<Hold>,
}

/// Looks, and remembers for a moment.
#[derive(Debug, Default)]
pub(crate) struct WorkWatch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, Arc<Work>)>,
    locks: LockWatch,
}

impl WorkWatch {
    /// What is going on now, or was a moment ago.
    pub(crate) fn look(&self, host: &HostRoot) -> Arc<Work> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::monotonic();
        let Seen { last, locks } = &mut *seen;
        match last {
            Some((at, work)) if now.duration_since(*at) < COUNTS_FOR => Arc::clone(work),
            _ => Arc::clone(&last.insert((now, Arc::new(see(host, locks)))).1),
        }
    }

    /// Lets go of what does not count any more.
    pub(crate) fn forget(&self) {
        let now = clock::monotonic();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last.take_if(|(at, _)| now.duration_since(*at) >= COUNTS_FOR);
    }

    /// Does, while nothing is to be repaired, what takes the next look its time.
    pub(crate) fn prepare(&self, host: &HostRoot) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What cannot be read is told by the look that needs it.
        drop(seen.locks.locks(host, clock::since_boot()));
    }
}

fn see(host: &HostRoot, locks: &mut LockWatch) -> Work {
    let processes = collectors::live_processes(host).unwrap_or_default();
    let locks = locks.locks(host, clock::since_boot());
    let told = |kind, whether: &str, seen: Result<Vec<String>, CollectError>| {
        let unknown = |error| vec![format!("it is not known whether {whether}: {}", with_causes(&error))];
        let seen = seen.unwrap_or_else(unknown);
        seen.into_iter().map(move |what| Hold { kind, what })
    };
    let packages = locks.map(|locks| collectors::package_work(host, &locks, &processes));
    let logins = collectors::sessions(host);
    let packages = told(HoldKind::Packages, "packages are being installed", packages);
    let holds = packages.chain(told(HoldKind::Login, "somebody is logged in", logins)).collect();
    Work { processes, holds }
}
