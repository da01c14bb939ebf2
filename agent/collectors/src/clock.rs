//! How far off the clock is and whether anything keeps it right, from `adjtimex(2)`, which is only read here.
//!
//! The kernel knows what a time service told it: without one the clock counts as not synchronised, and its largest error
//! grows until it stands at 16 s. The service's own view (chrony's, for one) may be finer.

pub(crate) use rtime_clock::adjtime::Timex;
use rtime_clock::adjtime::adjtimex;
use rustix::io::Errno;
use telemetry::SampleBuffer;

use crate::collector::{Collector, CollectorSpec};
use crate::error::{CollectError, Lack};
use crate::host::{HostFile, HostRoot};
use crate::names;

pub(crate) const SPEC: CollectorSpec = CollectorSpec {
    name: "clock",
    summary: "Whether the clock is synchronised, and how far off it is.",
    metrics: &[&names::CLOCK_OFFSET, &names::CLOCK_MAX_ERROR, &names::CLOCK_SYNCHRONIZED],
    interval: None,
    open: |_, _| Ok(Box::new(Clock)),
};

static LACK: Lack = Lack {
    what: "the clock's offset and synchronisation (adjtimex)",
    remedy: "ProtectClock=no and SystemCallFilter=adjtimex clock_adjtime in a drop-in of the unit; without CAP_SYS_TIME \
             the agent still cannot set the clock",
};

/// The kernel's state of a clock that nobody synchronises.
pub(crate) const TIME_ERROR: i32 = 5;
/// The same, as a bit of the status.
const STA_UNSYNC: i32 = 0x40;
/// The bit of the status that says that offsets are nanoseconds, not microseconds.
pub(crate) const STA_NANO: i32 = 0x2000;

struct Clock;

impl Collector for Clock {
    fn collect(&mut self, host: &HostRoot, out: &mut SampleBuffer) -> Result<(), CollectError> {
        let state = if host.is_captured() {
            let file = host.read_optional("adjtimex")?;
            parse(&file.ok_or(CollectError::Absent { what: "captured adjtimex" })?)?
        } else {
            ask(host)?
        };
        out.double(&names::CLOCK_OFFSET, &[], state.offset_seconds());
        out.double(&names::CLOCK_MAX_ERROR, &[], state.max_error_micros as f64 / 1e6);
        out.int(&names::CLOCK_SYNCHRONIZED, &[], i64::from(state.is_synchronized()));
        Ok(())
    }
}

/// What `adjtimex(2)` says.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    returned: i32,
    status: i32,
    offset: i64,
    max_error_micros: i64,
}

impl State {
    fn offset_seconds(&self) -> f64 {
        let per_second = if self.status & STA_NANO != 0 { 1e9 } else { 1e6 };
        self.offset as f64 / per_second
    }

    fn is_synchronized(&self) -> bool {
        self.returned != TIME_ERROR && self.status & STA_UNSYNC == 0
    }
}

fn ask(host: &HostRoot) -> Result<State, CollectError> {
    let (returned, Timex(timex)) = adjust_nothing(host)?;
    Ok(State { returned, status: timex.status, offset: timex.offset, max_error_micros: timex.maxerror })
}

/// The state that `adjtimex(2)` returns, and all that it says.
pub(crate) fn adjust_nothing(host: &HostRoot) -> Result<(i32, Timex), CollectError> {
    let mut timex = Timex::new();
    let returned = adjtimex(&mut timex).map_err(|error| {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            // A filter of system calls, as the agent's unit has one.
            Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS) | None => {
                host.lacks(&LACK);
                CollectError::Absent { what: "clock whose state may be read" }
            }
            Some(source) => CollectError::Read { path: "adjtimex(2)".to_owned(), source },
        }
    })?;
    Ok((returned, timex))
}

/// Parses a captured `adjtimex` file: the state, the bits of the status, the offset and the largest error.
pub(crate) fn parse(file: &HostFile<'_>) -> Result<State, CollectError> {
    let expected = "state, status, offset and largest error";
    let mut fields = file.text().split_ascii_whitespace();
    Ok(State {
        returned: file.number(&mut fields, expected, file.text())?,
        status: file.number(&mut fields, expected, file.text())?,
        offset: file.number(&mut fields, expected, file.text())?,
        max_error_micros: file.number(&mut fields, expected, file.text())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_in_the_unit_that_the_status_says_and_a_clock_is_synchronised_when_nothing_speaks_against_it()
     {
        for (text, offset, is_synchronized) in [
            ("0 8193 -1500000 3500\n", -0.0015, true),
            ("0 1 -1500 3500\n", -0.0015, true),
            ("5 64 0 16000000\n", 0.0, false),
            ("0 64 0 16000000\n", 0.0, false),
            ("5 8193 0 500\n", 0.0, false),
            ("1 8193 2000000000 500\n", 2.0, true),
        ] {
            let state = parse(&HostFile::new("/adjtimex", text)).unwrap();
            assert_eq!(
                (state.offset_seconds(), state.is_synchronized()),
                (offset, is_synchronized),
                "{text}"
            );
        }
        assert!(parse(&HostFile::new("/adjtimex", "0 1 2")).is_err());
    }

    #[test]
    fn this_kernel_says_how_its_clock_is_or_refuses() {
        let host = HostRoot::at("/");
        match ask(&host) {
            Ok(state) => {
                assert!(
                    (0..=TIME_ERROR).contains(&state.returned) && state.max_error_micros >= 0,
                    "{state:?}"
                );
            }
            Err(error) => {
                assert!(matches!(error, CollectError::Absent { .. }), "{error}");
                assert_eq!(host.lacking(), [&LACK]);
            }
        }
    }
}
