//! One unit or container: its files, what they said last, and how that is told.
//!
//! Most units of a host sleep most of the time. While nothing of one has run, only its CPU time is read; the rest follows
//! when something has, and every half minute, since the kernel may take memory from those that sleep.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use telemetry::{SampleBuffer, Timestamp, Value};

use super::figures::{DeviceIo, EVENTS, Figures, Stalls};
use super::sources::{Source, When};
use super::tree::{Found, Owner, lower};
use crate::descriptors::{Descriptors, KeptDescriptor};
use crate::error::{CollectError, Found as FoundText};
use crate::host::display;
use crate::names::CgroupMetrics;

/// What sleeps is read in full this often.
const SLEEPER_READ_EVERY: Duration = Duration::from_secs(30);

/// The longest file of a cgroup that is read to its end: `io.stat` of some hundred devices.
const BUFFER_BYTES: usize = 32 << 10;

/// What is needed to read files of cgroups: a buffer, a path, and the share of descriptors.
pub(super) struct Reader {
    buffer: Vec<u8>,
    path: String,
    descriptors: Descriptors,
}

impl Reader {
    pub(super) fn new(descriptors: Descriptors) -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], path: String::new(), descriptors }
    }

    fn open(&mut self, base: &Path, path: &str, file: &str) -> Result<OwnedFd, Errno> {
        self.path.clear();
        write!(self.path, "{}/{path}/{file}", base.display()).expect("a String takes any text");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        openat(CWD, self.path.as_str(), flags, Mode::empty())
    }
}

/// One file of one cgroup.
#[derive(Debug, Default)]
enum MemberFile {
    /// Is opened for each reading, or not yet.
    #[default]
    Closed,
    /// Stays open.
    Kept(KeptDescriptor),
    /// This cgroup does not have it; tried again after the next listing.
    Missing,
}

/// A unit or a container.
pub(super) struct Member {
    pub(super) found: Found,
    /// When its counters began.
    pub(super) start: Timestamp,
    files: Vec<MemberFile>,
    figures: Figures,
    read_at: Option<Timestamp>,
    read_in_full_at: Option<Timestamp>,
    limits_are_known: bool,
}

/// How a member fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    /// Its cgroup is gone, or is another one by now.
    Gone,
}

impl Member {
    pub(super) fn new(found: Found, start: Timestamp, sources: &[Source]) -> Self {
        Self {
            found,
            start,
            files: sources.iter().map(|_| MemberFile::Closed).collect(),
            figures: Figures::default(),
            read_at: None,
            read_in_full_at: None,
            limits_are_known: false,
        }
    }

    /// The cgroups were listed, and this one is there still: what it did not have it may have got since.
    pub(super) fn listed_again(&mut self, inherited_memory_limit: Option<u64>) {
        self.found.inherited_memory_limit = inherited_memory_limit;
        self.limits_are_known = false;
        for file in &mut self.files {
            if matches!(file, MemberFile::Missing) {
                *file = MemberFile::Closed;
            }
        }
    }

    /// Reads the time on CPUs, once for each collection.
    pub(super) fn read_first(
        &mut self,
        at: Timestamp,
        sources: &[Source],
        reader: &mut Reader,
    ) -> Result<Fate, CollectError> {
        if self.read_at == Some(at) {
            return Ok(Fate::Lives);
        }
        self.read_at = Some(at);
        let before = self.figures.cpu_micros();
        let (mut is_gone, mut is_known) = (false, false);
        for (number, source) in sources.iter().enumerate().filter(|(_, source)| source.when == When::First) {
            // Version 1 is asked only where version 2 says nothing.
            if is_known {
                continue;
            }
            match self.read(number, source, reader)? {
                Ok(()) => is_known = true,
                Err(error) => is_gone |= error == Errno::NODEV || (error == Errno::NOENT && number == 0),
            }
        }
        let now = self.figures.cpu_micros();
        let fell = before.zip(now).is_some_and(|(before, now)| now < before);
        if fell || (is_gone && !is_known) {
            return Ok(Fate::Gone);
        }
        if now.is_none() || now != before {
            self.read_in_full_at = None;
        }
        Ok(Fate::Lives)
    }

    /// Reads what else is wanted, if it may have changed.
    pub(super) fn read_rest(
        &mut self,
        at: Timestamp,
        sources: &[Source],
        wanted: &[bool],
        reader: &mut Reader,
    ) -> Result<(), CollectError> {
        let sleeps = self.read_in_full_at.is_some_and(|last| at.since(last) < SLEEPER_READ_EVERY);
        let limits_are_known = std::mem::replace(&mut self.limits_are_known, true);
        if sleeps && limits_are_known {
            return Ok(());
        }
        if !sleeps {
            self.read_in_full_at = Some(at);
            self.figures.forget_what_is_read_anew();
        }
        let mut result = Ok(());
        for ((number, source), is_wanted) in sources.iter().enumerate().zip(wanted) {
            let is_due = match source.when {
                When::First => false,
                When::Active => !sleeps,
                When::Listed => !limits_are_known,
            };
            if is_due && *is_wanted {
                // Whether it is gone, its CPU time tells.
                result = result.and(self.read(number, source, reader).map(drop));
            }
        }
        result
    }

    fn read(
        &mut self,
        number: usize,
        source: &Source,
        reader: &mut Reader,
    ) -> Result<Result<(), Errno>, CollectError> {
        let Some(file) = self.files.get_mut(number) else { return Ok(Err(Errno::NOENT)) };
        let length = match read_file(file, &self.found.path, source, reader) {
            Ok(length) => length,
            Err(error) => {
                *file = if error == Errno::NODEV { MemberFile::Closed } else { MemberFile::Missing };
                return Ok(Err(error));
            }
        };
        let bytes = reader.buffer.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        (source.parse)(text, &mut self.figures).ok_or_else(|| CollectError::Malformed {
            path: format!("{}/*/{}", display(&source.base), source.file),
            expected: "what the kernel writes there",
            found: FoundText::new(text),
        })?;
        Ok(Ok(()))
    }
}

fn read_file(
    file: &mut MemberFile,
    path: &str,
    source: &Source,
    reader: &mut Reader,
) -> Result<usize, Errno> {
    match file {
        MemberFile::Missing => Err(Errno::ACCESS),
        MemberFile::Kept(descriptor) => rustix::io::pread(&*descriptor, &mut *reader.buffer, 0),
        MemberFile::Closed => {
            let descriptor = reader.open(&source.base, path, source.file)?;
            let length = rustix::io::pread(&descriptor, &mut *reader.buffer, 0)?;
            // Read every half minute or so, the others need not stay open.
            if source.when != When::Listed
                && let Some(kept) = reader.descriptors.keep(descriptor)
            {
                *file = MemberFile::Kept(kept);
            }
            Ok(length)
        }
    }
}

/// Names of block devices by their numbers.
pub(super) type DeviceNames = std::collections::BTreeMap<(u32, u32), String>;

impl Member {
    /// Tells of it.
    pub(super) fn report(
        &self,
        metrics: &'static CgroupMetrics,
        devices: &DeviceNames,
        out: &mut SampleBuffer,
    ) {
        match &self.found.owner {
            Owner::Unit { name, user } => {
                out.entity(metrics.entity, self.start, &[Value::Str(name), text_of(user.as_deref())]);
            }
            Owner::Container { id, runtime } => {
                out.entity(metrics.entity, self.start, &[Value::Str(id), text_of(*runtime)]);
            }
        }
        self.report_cpu(metrics, out);
        self.report_memory(metrics, out);
        let figures = &self.figures;
        for io in &figures.io {
            report_io(metrics, *io, devices, out);
        }
        stalls(metrics.io_pressure, figures.io_stalls, out);
        count(metrics.thread_count, &[], figures.threads, out);
        count(metrics.thread_limit, &[], figures.thread_limit, out);
        out.double(metrics.uptime, &[], out.at().since(self.start).as_secs_f64());
    }

    fn report_cpu(&self, metrics: &'static CgroupMetrics, out: &mut SampleBuffer) {
        let figures = &self.figures;
        seconds(metrics.cpu_time, &[Value::Str("user")], figures.user_micros, out);
        seconds(metrics.cpu_time, &[Value::Str("system")], figures.system_micros, out);
        count(metrics.cpu_periods, &[], figures.periods, out);
        count(metrics.cpu_throttled_periods, &[], figures.throttled_periods, out);
        seconds(metrics.cpu_throttled_time, &[], figures.throttled_micros, out);
        stalls(metrics.cpu_pressure, figures.cpu_stalls, out);
    }

    fn report_memory(&self, metrics: &'static CgroupMetrics, out: &mut SampleBuffer) {
        let figures = &self.figures;
        let working_set = figures
            .memory_bytes
            .zip(figures.inactive_file_bytes)
            .map(|(usage, inactive)| usage.saturating_sub(inactive));
        let limit = lower(figures.memory_limit_bytes, self.found.inherited_memory_limit);
        let available = limit.zip(working_set).map(|(limit, used)| limit.saturating_sub(used));
        count(metrics.memory_usage, &[], figures.memory_bytes, out);
        count(metrics.memory_peak, &[], figures.memory_peak_bytes, out);
        count(metrics.memory_working_set, &[], working_set, out);
        count(metrics.memory_rss, &[], figures.anonymous_bytes, out);
        count(metrics.memory_available, &[], available, out);
        count(metrics.memory_limit, &[], limit, out);
        for (event, times) in EVENTS.into_iter().zip(figures.events) {
            count(metrics.memory_events, &[Value::Str(event)], times, out);
        }
        stalls(metrics.memory_pressure, figures.memory_stalls, out);
        let minor = figures.faults.zip(figures.major_faults).map(|(all, major)| all.saturating_sub(major));
        count(metrics.paging_faults, &[Value::Str("major")], figures.major_faults, out);
        count(metrics.paging_faults, &[Value::Str("minor")], minor, out);
    }
}

type Metric = &'static telemetry::MetricSpec;

fn report_io(metrics: &'static CgroupMetrics, io: DeviceIo, devices: &DeviceNames, out: &mut SampleBuffer) {
    // A device that this kernel lists nowhere else, such as one that was taken out.
    let numbers;
    let name = if let Some(name) = devices.get(&io.device) {
        name
    } else {
        numbers = format!("{}:{}", io.device.0, io.device.1);
        &numbers
    };
    count(metrics.disk_io, &[Value::Str("read"), Value::Str(name)], Some(io.read_bytes), out);
    count(metrics.disk_io, &[Value::Str("write"), Value::Str(name)], Some(io.written_bytes), out);
}

fn count(metric: Metric, attributes: &[Value<'_>], value: Option<u64>, out: &mut SampleBuffer) {
    if let Some(value) = value {
        out.int(metric, attributes, i64::try_from(value).unwrap_or(i64::MAX));
    }
}

fn seconds(metric: Metric, attributes: &[Value<'_>], micros: Option<u64>, out: &mut SampleBuffer) {
    if let Some(micros) = micros {
        out.double(metric, attributes, micros as f64 / 1e6);
    }
}

fn stalls(metric: Metric, stalls: Stalls, out: &mut SampleBuffer) {
    seconds(metric, &[Value::Str("some")], stalls.some_micros, out);
    seconds(metric, &[Value::Str("full")], stalls.full_micros, out);
}

fn text_of(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Absent, Value::Str)
}
