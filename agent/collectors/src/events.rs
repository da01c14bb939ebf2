//! What of the host need not wait for the next collection: pressure beyond a threshold, the end of a watched process, and
//! another state of a service.
//!
//! The kernel tells of the first two by descriptors that become ready, systemd of the third by a socket that does. They are
//! opened in this crate, because here is known what may be opened and what lacks; [`Events`] waits for them, on whatever
//! thread. It knows neither what time it is nor what an event
//! leads to. What would surprise: a process that ended before it could be waited for is an event, too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::Lack;
use crate::host::HostRoot;
use crate::processes::files::ProcFiles;
use crate::unit_states::UnitSignals;

/// Processes that are waited for at most, a descriptor each. That others have ended is seen at the next collection.
const MOST_WATCHED: usize = 256;

/// The kernel takes no longer windows, and from those without privileges only multiples of the step.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(10);

/// See [`LONGEST_WINDOW`].
pub const WINDOW_STEP: Duration = Duration::from_secs(2);

static TRIGGERS: Lack = Lack {
    what: "pressure between two collections (triggers on /proc/pressure)",
    remedy: "Linux 6.5 or newer with pressure stall information (psi=1), or CAP_SYS_RESOURCE",
};

static EXITS: Lack = Lack {
    what: "the end of a watched process between two collections (pidfd_open)",
    remedy: "Linux 5.3 or newer, and a sandbox that allows the call",
};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventSource {
    /// Tasks waited for a CPU longer than the threshold.
    CpuPressure,
    /// The same for memory.
    MemoryPressure,
    /// The same for I/O.
    IoPressure,
    /// A process that a watch matched has ended.
    Exit,
    /// A service of systemd is in another state.
    UnitState,
}

impl EventSource {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::CpuPressure, Self::MemoryPressure, Self::IoPressure, Self::Exit, Self::UnitState];

    /// The value of `hostmend.event.source`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpuPressure => "cpu_pressure",
            Self::MemoryPressure => "memory_pressure",
            Self::IoPressure => "io_pressure",
            Self::Exit => "exit",
            Self::UnitState => "unit_state",
        }
    }

    /// The name of the collector that sees what happened.
    pub fn collector(self) -> &'static str {
        match self {
            Self::CpuPressure | Self::MemoryPressure | Self::IoPressure => crate::pressure::SPEC.name,
            Self::Exit => crate::watch::SPEC.name,
            Self::UnitState => crate::unit_states::SPEC.name,
        }
    }
}

/// How long some task must have waited within a window for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PressureThresholds {
    /// A multiple of [`WINDOW_STEP`], at most [`LONGEST_WINDOW`]. There is at most one event per window and source.
    pub window: Duration,
    /// By source; none for one that is not waited for.
    pub stalls: Vec<(EventSource, Duration)>,
}

/// Half of the time without a CPU or waiting for I/O, a tenth waiting for memory, which hurts sooner; in two seconds.
impl Default for PressureThresholds {
    fn default() -> Self {
        let millis = Duration::from_millis;
        let stalls = vec![
            (EventSource::CpuPressure, millis(1_000)),
            (EventSource::MemoryPressure, millis(200)),
            (EventSource::IoPressure, millis(1_000)),
        ];
        Self { window: WINDOW_STEP, stalls }
    }
}

/// A process that a watch counted. Number and start together are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchedProcess {
    /// Its number.
    pub pid: u32,
    /// Ticks since boot at its start.
    pub start_ticks: u64,
}

/// Becomes ready when there was pressure.
#[derive(Debug)]
pub struct PressureTrigger {
    source: EventSource,
    descriptor: OwnedFd,
}

/// Opens the triggers that the kernel lets this user have; what it does not is noted as lacking.
pub(crate) fn pressure_triggers(host: &HostRoot, thresholds: &PressureThresholds) -> Vec<PressureTrigger> {
    if host.is_captured() {
        return Vec::new();
    }
    let opened = thresholds.stalls.iter().filter_map(|(source, stall)| {
        let file = match source {
            EventSource::CpuPressure => "proc/pressure/cpu",
            EventSource::MemoryPressure => "proc/pressure/memory",
            EventSource::IoPressure => "proc/pressure/io",
            EventSource::Exit | EventSource::UnitState => return None,
        };
        let text = format!("some {} {}\0", stall.as_micros(), thresholds.window.as_micros());
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = openat(CWD, host.path(file), flags, Mode::empty())
            .and_then(|descriptor| rustix::io::write(&descriptor, text.as_bytes()).map(|_| descriptor));
        let Ok(descriptor) = descriptor else {
            host.lacks(&TRIGGERS);
            return None;
        };
        Some(PressureTrigger { source: *source, descriptor })
    });
    opened.collect()
}

/// The watched processes whose end is waited for, since they last changed.
#[derive(Debug)]
pub struct WatchedExits {
    /// All of them.
    watched: BTreeSet<WatchedProcess>,
    /// Those that were not waited for until now.
    opened: Vec<(WatchedProcess, OwnedFd)>,
    /// Whether one had ended already.
    ended: bool,
}

/// Opens what tells of the end of watched processes, once for each.
#[derive(Debug, Default)]
pub(crate) struct Exits {
    known: BTreeSet<WatchedProcess>,
}

impl Exits {
    /// What changed when from now on `watched` are those to wait for.
    pub(crate) fn change(
        &mut self,
        host: &HostRoot,
        watched: impl Iterator<Item = WatchedProcess>,
    ) -> Option<WatchedExits> {
        let watched: BTreeSet<WatchedProcess> = watched.take(MOST_WATCHED).collect();
        if watched == self.known || host.is_captured() {
            return None;
        }
        let mut files = ProcFiles::open(host).ok()?;
        let mut exits = WatchedExits { watched: watched.clone(), opened: Vec::new(), ended: false };
        self.known.retain(|known| watched.contains(known));
        for process in watched {
            if self.known.contains(&process) {
                continue;
            }
            match exit_of(process, &mut files) {
                Ok(Some(descriptor)) => exits.opened.push((process, descriptor)),
                Ok(None) => exits.ended = true,
                // Tried again at the next collection.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => continue,
                Err(_) => host.lacks(&EXITS),
            }
            self.known.insert(process);
        }
        Some(exits)
    }
}

/// A descriptor of the process; none if it has ended, be its number used again or not.
fn exit_of(process: WatchedProcess, files: &mut ProcFiles) -> Result<Option<OwnedFd>, Errno> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(None),
        other => other?,
    };
    let is_same = files
        .live(process.pid)
        .is_ok_and(|stat| stat.is_some_and(|stat| stat.start_ticks == process.start_ticks));
    Ok(is_same.then_some(descriptor))
}

/// Ends a wait of [`Events`] before its time.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Wakes.
    pub fn wake(&self) {
        // It fails only when it was woken 2^64 times without waking.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// Waits for events.
#[derive(Debug)]
pub struct Events {
    wake: Arc<OwnedFd>,
    triggers: Vec<PressureTrigger>,
    exits: Vec<(WatchedProcess, OwnedFd)>,
    units: Option<UnitSignals>,
}

impl Events {
    /// Waits for nothing but the [`Waker`].
    ///
    /// # Errors
    ///
    /// There is no descriptor left.
    pub fn new() -> Result<Self, Errno> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        Ok(Self { wake, triggers: Vec::new(), exits: Vec::new(), units: None })
    }

    /// By which others wake it.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.wake))
    }

    /// Waits for these, instead of those before.
    pub fn set_triggers(&mut self, triggers: Vec<PressureTrigger>) {
        self.triggers = triggers;
    }

    /// Waits for these as well, and no longer for processes that are not watched. Says whether one has ended already.
    pub fn set_exits(&mut self, exits: WatchedExits) -> bool {
        let WatchedExits { watched, opened, .. } = &exits;
        self.exits.retain(|(it, _)| watched.contains(it) && opened.iter().all(|(other, _)| other != it));
        self.exits.extend(exits.opened);
        exits.ended
    }

    /// Waits for this instead of the one before. One that ends is dropped.
    pub fn set_units(&mut self, units: Option<UnitSignals>) {
        self.units = units;
    }

    /// What happened within at most `within`, each source once; nothing also if it was woken.
    ///
    /// # Errors
    ///
    /// The kernel does not let it wait.
    pub fn wait(&mut self, within: Duration) -> Result<BTreeSet<EventSource>, Errno> {
        let mut descriptors = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        descriptors
            .extend(self.triggers.iter().map(|trigger| PollFd::new(&trigger.descriptor, PollFlags::PRI)));
        descriptors.extend(self.exits.iter().map(|(_, process)| PollFd::new(process, PollFlags::IN)));
        descriptors.extend(self.units.iter().map(|units| PollFd::new(units, PollFlags::IN)));
        let within = Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
        match poll(&mut descriptors, Some(&within)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let ready: Vec<PollFlags> = descriptors.iter().map(PollFd::revents).collect();
        // The count goes back to zero; empty means that nobody woke it.
        let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
        let mut ready = ready.into_iter().skip(1);
        let mut happened = BTreeSet::new();
        self.triggers.retain(|trigger| {
            let ready = ready.next().unwrap_or(PollFlags::empty());
            if ready.contains(PollFlags::PRI) {
                happened.insert(trigger.source);
            }
            !ready.intersects(PollFlags::ERR | PollFlags::NVAL)
        });
        self.exits.retain(|_| {
            let has_ended = !ready.next().unwrap_or(PollFlags::empty()).is_empty();
            if has_ended {
                happened.insert(EventSource::Exit);
            }
            !has_ended
        });
        if ready.next().is_some_and(|ready| !ready.is_empty()) {
            match self.units.as_mut().map(UnitSignals::read) {
                Some(Ok(true)) => drop(happened.insert(EventSource::UnitState)),
                Some(Ok(false)) | None => {}
                Some(Err(_)) => self.units = None,
            }
        }
        Ok(happened)
    }
}

#[cfg(test)]
mod tests;
