//! Follows the kernel's log.
//!
//! `/dev/kmsg` gives one record with each read, and remembers for its reader which one comes next. Records are numbered from
//! the boot on, so the place is the boot and the number. What the kernel tells of faults are events, by a table:
//! [`KERNEL_EVENTS`]. What programs wrote into the kernel's log is read as well, and is never an event.

mod events;
mod record;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use telemetry::{Attributes, LogBuffer, LogGroup, LogScalar, Timestamp};

use crate::journal::SEVERITIES;
use crate::{LogSource, LogSourceError, Positions, Ready, SourceFigures};

pub use events::{KERNEL_EVENTS, KernelEvent};

pub(crate) use events::{OomSummary, tell};

use record::KernelRecord;

/// The kernel's `CONSOLE_EXT_LOG_MAX`, 8 KiB, and more: it refuses to give a record that does not fit.
const MAX_RECORD_BYTES: usize = 16 << 10;

/// A line that goes on and on ends here.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Overwritten records show by their numbers, and the read that finds out fails; more than so many failures in one call are
/// left for the next one.
const MAX_FAILURES: u32 = 16;

/// Where the kernel's log is.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// The source's name in the configuration.
    pub name: Arc<str>,
    /// `/dev/kmsg`.
    pub path: PathBuf,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id_path: PathBuf,
    /// Reads the monotonic clock, by which the kernel dates its records.
    pub monotonic: fn() -> Duration,
}

/// What is remembered: the record of this boot that was read last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    boot: String,
    seqnum: u64,
}

/// Follows the kernel's log of this boot, from its beginning on the very first start.
#[derive(Debug)]
pub struct KernelSource {
    options: KernelOptions,
    log: File,
    boot: String,
    /// The record that was read last.
    last: Option<u64>,
    group: LogGroup,
    /// A line that may go on.
    pending: Option<KernelRecord>,
    oom: Option<OomSummary>,
    overwritten: u64,
    figures: SourceFigures,
    buffer: Vec<u8>,
}

impl KernelSource {
    /// Goes on after what `positions` remember of it.
    ///
    /// # Errors
    ///
    /// The log or the boot's id cannot be read.
    pub fn open(options: KernelOptions, positions: &Positions) -> Result<Self, LogSourceError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let log = rustix::fs::open(&options.path, flags, Mode::empty());
        let log = log.map_err(|error| failed("opening", &options.path, error.into()))?;
        let boot = std::fs::read_to_string(&options.boot_id_path);
        let boot = boot.map_err(|error| failed("reading", &options.boot_id_path, error))?.trim().to_owned();
        let place: Option<Place> = positions.get(&key(&options.name));
        let resource: Attributes = vec![("service.name".to_owned(), "kernel".into())];
        let group = LogGroup {
            source: Arc::clone(&options.name),
            resource: Arc::new(resource),
            shared: Arc::default(),
        };
        Ok(Self {
            last: place.filter(|place| place.boot == boot).map(|place| place.seqnum),
            options,
            log: File::from(log),
            boot,
            group,
            pending: None,
            oom: None,
            overwritten: 0,
            figures: SourceFigures { files: 1, ..SourceFigures::default() },
            buffer: vec![0; MAX_RECORD_BYTES],
        })
    }

    /// Takes one record as the kernel gives it.
    fn take(&mut self, bytes: &[u8], now: Timestamp, out: &mut LogBuffer) {
        self.figures.bytes += bytes.len() as u64;
        let Some(record) = KernelRecord::parse(bytes) else {
            self.figures.unparsed += 1;
            return;
        };
        // What was read before a restart.
        if self.last.is_some_and(|last| record.seqnum <= last) {
            return;
        }
        let missing = self.last.map_or(0, |last| record.seqnum - last - 1);
        self.overwritten = self.overwritten.saturating_add(missing);
        self.last = Some(record.seqnum);
        match &mut self.pending {
            Some(before) if record.continues(before) && before.text.len() < MAX_LINE_BYTES => {
                before.seqnum = record.seqnum;
                before.text.extend_from_slice(&record.text);
                before.properties.extend(record.properties);
            }
            _ => {
                self.flush(now, out);
                self.pending = Some(record);
            }
        }
    }

    /// Appends the line that might have gone on.
    fn flush(&mut self, now: Timestamp, out: &mut LogBuffer) {
        let Some(record) = self.pending.take() else { return };
        out.set_group(&self.group);
        let mut writer = out.push(now);
        let ago = (self.options.monotonic)().saturating_sub(Duration::from_micros(record.stamp));
        writer.set_time(now.minus(ago));
        if let Some((number, text)) = SEVERITIES.get(usize::from(record.level)) {
            writer.set_severity(*number, text.as_bytes());
        }
        writer.set_body(LogScalar::Text(&record.text));
        for (key, value) in &record.properties {
            writer.attribute(key, LogScalar::Text(value));
        }
        if let Some(caller) = &record.caller {
            writer.attribute(b"kernel.caller", LogScalar::Text(caller.as_bytes()));
        }
        let text = std::str::from_utf8(&record.text);
        self.figures.invalid_utf8 += u64::from(text.is_err());
        if record.facility == 0 {
            tell(text.unwrap_or_default(), &mut self.oom, &mut writer);
        } else {
            writer.attribute(b"syslog.facility", LogScalar::Int(i64::from(record.facility)));
        }
        self.figures.records += 1;
    }

    /// Reads records as long as there are any and `out` has room.
    fn read(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut failures = 0;
        let result = loop {
            if out.size_bytes() >= max_bytes {
                break Ok(Ready::More);
            }
            match self.log.read(&mut buffer) {
                Ok(0) => break Ok(Ready::CaughtUp),
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default(), now, out),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(Ready::CaughtUp),
                Err(_) if failures >= MAX_FAILURES => break Ok(Ready::More),
                // The next record was overwritten: the one after the gap is given next, and its number tells the rest.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {
                    failures += 1;
                }
                Err(error) => break Err(failed("reading", &self.options.path, error)),
            }
        };
        self.buffer = buffer;
        result
    }
}

fn failed(operation: &'static str, path: &Path, source: std::io::Error) -> LogSourceError {
    LogSourceError::File { operation, path: path.to_owned(), source }
}

fn key(name: &str) -> String {
    format!("kernel/{name}")
}

impl LogSource for KernelSource {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn wakes(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.log.as_fd()]
    }

    fn next_look(&self, _now: Timestamp) -> Option<Duration> {
        None
    }

    fn read_ready(
        &mut self,
        now: Timestamp,
        out: &mut LogBuffer,
        max_bytes: usize,
    ) -> Result<Ready, LogSourceError> {
        let ready = self.read(now, out, max_bytes);
        self.flush(now, out);
        ready
    }

    fn settle(&mut self, positions: &mut Positions) {
        if let Some(seqnum) = self.last {
            positions.set(&key(&self.options.name), &Place { boot: self.boot.clone(), seqnum });
        }
    }

    fn figures(&self) -> SourceFigures {
        SourceFigures { lost: vec![("overwritten", self.overwritten)], ..self.figures.clone() }
    }
}

#[cfg(test)]
mod tests;
