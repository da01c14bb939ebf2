//! Lines to records.
//!
//! A line goes through up to five steps: the envelope of a container is taken off and its parts are joined; lines of one
//! record are joined; the format is read; repetitions are counted; samples are taken. A line that is not of its format is
//! a record all the same, whole and counted.

use std::sync::Arc;
use std::time::Duration;

use telemetry::{LogBuffer, LogGroup, LogScalar, Timestamp};

use draft::Draft;
use join::{About, Held, Stream};
use json::Scratch;
use options::{Envelope, Reader};
use repeats::{Again, Repeats};

mod access;
mod draft;
mod envelope;
mod error_log;
mod join;
mod json;
mod logfmt;
mod options;
mod pattern;
mod repeats;
mod roles;
mod severity;
mod syslog;
mod time;

pub use options::{
    FieldNames, LineFormat, Multiline, RecordOptions, RecordOptionsError, RecordSetting, RecordSettings,
};

/// How long a part of a container's line waits for the next one. A runtime writes the rest when the program does.
const PART_PATIENCE: Duration = Duration::from_secs(5);

/// How much memory is kept for texts with escapes, in bytes.
const SCRATCH_BYTES: usize = 1 << 16;

/// What became of the lines since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordFigures {
    /// Records that were appended.
    pub records: u64,
    /// Lines that are not of the format; they are records all the same.
    pub unparsed: u64,
    /// Records that were left out by sampling or as repetitions.
    pub left_out: u64,
    /// Records with texts that are no UTF-8.
    pub invalid_utf8: u64,
    /// Records of many lines that reached a limit: they were ended there, and what followed began another one.
    pub split: u64,
}

/// Turns the lines of one stream, a file or a unit, into records.
///
/// Holds what a record is not complete without: the lines of a stack trace so far, parts of a container's line. What it
/// holds has not been read as far as a restart is concerned: see [`Recorder::holds_from`].
#[derive(Debug)]
pub struct Recorder {
    options: Arc<RecordOptions>,
    group: LogGroup,
    figures: RecordFigures,
    /// Parts of a line of a container: of stdout, or of no stream, and of stderr.
    parts: [Held; 2],
    /// Lines of a record, likewise.
    lines: [Held; 2],
    repeats: Option<Repeats>,
    /// Which part of a record has been earned since the last one that was kept.
    sampled: f64,
    scratch: Scratch,
    event: Vec<u8>,
    log: Vec<u8>,
}

impl Recorder {
    /// A recorder for the stream that `group` describes.
    pub fn new(options: &Arc<RecordOptions>, group: LogGroup) -> Self {
        let settings = options.settings();
        Self {
            group,
            figures: RecordFigures::default(),
            parts: Default::default(),
            lines: Default::default(),
            repeats: settings.dedup.map(Repeats::new),
            // The first one is kept.
            sampled: 1.0 - settings.sample.unwrap_or(1.0),
            scratch: Scratch::default(),
            event: Vec::new(),
            log: Vec::new(),
            options: options.clone(),
        }
    }

    /// Takes one line, without its end, that begins at byte `begins_at` of the stream. `is_cut` says that it went on.
    pub fn line(&mut self, line: &[u8], begins_at: u64, is_cut: bool, now: Timestamp, out: &mut LogBuffer) {
        // A byte-order mark says nothing that would matter here.
        let line = if begins_at == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        let about = About { begins_at, is_cut, stream: None, time: None };
        match self.options.envelope {
            None => self.whole(line, about, now, out),
            Some(kind) => self.wrapped(kind, line, about, now, out),
        }
    }

    fn wrapped(&mut self, kind: Envelope, line: &[u8], about: About, now: Timestamp, out: &mut LogBuffer) {
        let mut log = std::mem::take(&mut self.log);
        let wrapped = match kind {
            Envelope::Cri => envelope::cri(line),
            Envelope::Docker => envelope::docker(line, &mut log),
        };
        if let Some(wrapped) = wrapped {
            let time = wrapped.time.and_then(|time| self.options.time.moment(time, now));
            let about = About { stream: wrapped.stream, time, ..about };
            self.part(wrapped.text, wrapped.is_partial, about, now, out);
        } else {
            self.figures.unparsed += 1;
            self.record(line, about, false, now, out);
        }
        log.clear();
        log.shrink_to(SCRATCH_BYTES);
        self.log = log;
    }

    fn part(&mut self, text: &[u8], is_partial: bool, about: About, now: Timestamp, out: &mut LogBuffer) {
        let [stdout, stderr] = &mut self.parts;
        let held = if about.stream == Some(Stream::Stderr) { stderr } else { stdout };
        if held.is_empty() {
            if is_partial {
                held.begin(text, about, now);
            } else {
                self.whole(text, about, now, out);
            }
            return;
        }
        if held.takes(text, join::LINE_BYTES) {
            held.append(b"", text, about.is_cut, now);
            if !is_partial {
                self.end_parts(about.stream, now, out);
            }
            return;
        }
        held.about.is_cut = true;
        self.figures.split += 1;
        self.end_parts(about.stream, now, out);
        self.part(text, is_partial, about, now, out);
    }

    fn end_parts(&mut self, stream: Option<Stream>, now: Timestamp, out: &mut LogBuffer) {
        let mut held = std::mem::take(slot(&mut self.parts, stream));
        if !held.is_empty() {
            self.whole(&held.text, held.about, now, out);
        }
        held.clear();
        *slot(&mut self.parts, stream) = held;
    }

    /// Takes a whole line of the program that wrote it.
    fn whole(&mut self, line: &[u8], about: About, now: Timestamp, out: &mut LogBuffer) {
        let Some(joining) = &self.options.joining else {
            return self.record(line, about, true, now, out);
        };
        let held = slot(&mut self.lines, about.stream);
        if !held.is_empty() && held.goes_on(joining, line) {
            if held.takes(line, join::RECORD_BYTES) {
                return held.append(b"\n", line, about.is_cut, now);
            }
            held.about.is_cut = true;
            self.figures.split += 1;
        }
        self.end_lines(about.stream, now, out);
        slot(&mut self.lines, about.stream).begin(line, about, now);
    }

    fn end_lines(&mut self, stream: Option<Stream>, now: Timestamp, out: &mut LogBuffer) {
        let mut held = std::mem::take(slot(&mut self.lines, stream));
        if !held.is_empty() {
            self.record(&held.text, held.about, true, now, out);
        }
        held.clear();
        *slot(&mut self.lines, stream) = held;
    }

    /// Appends the record of a text, unless it is to be left out. `is_wrapped` says that its envelope was right.
    fn record(&mut self, text: &[u8], about: About, is_wrapped: bool, now: Timestamp, out: &mut LogBuffer) {
        self.end_repeats(now, false, out);
        let before = out.len();
        let is_grave = self.append(text, 0, about, is_wrapped, &mut Target { now, buffer: out });
        let is_again = self.repeats.as_mut().is_some_and(|repeats| {
            out.records().next_back().is_some_and(|record| repeats.count(&record, text, about, now))
        });
        if is_again || !(self.is_sample() || is_grave) {
            out.truncate(before);
            self.figures.records -= 1;
            self.figures.left_out += 1;
        }
    }

    fn is_sample(&mut self) -> bool {
        let Some(part) = self.options.settings().sample else { return true };
        self.sampled += part;
        // What many small parts are short of one by rounding must not count.
        let is_sample = self.sampled >= 1.0 - 1e-9;
        if is_sample {
            self.sampled -= 1.0;
        }
        is_sample
    }

    /// Appends the record of a text; whether it tells of an error.
    fn append(
        &mut self,
        text: &[u8],
        again: u64,
        about: About,
        is_wrapped: bool,
        out: &mut Target<'_>,
    ) -> bool {
        let Self { group, figures, options, scratch, event, .. } = self;
        let before = out.buffer.len();
        out.buffer.set_group(group);
        figures.records += 1;
        let (text, is_utf8) = checked(text, about.is_cut);
        figures.invalid_utf8 += u64::from(!is_utf8);
        if again == 0 && matches!(options.reader, Reader::Plain) && about.says_nothing() {
            out.buffer.push(out.now).promise_utf8(is_utf8).set_body(LogScalar::Text(text));
            return false;
        }
        for (attempt, (reader, within)) in options.readers(is_wrapped).into_iter().flatten().enumerate() {
            figures.unparsed += u64::from(attempt == 1);
            let mut writer = out.buffer.push(out.now);
            // A pattern may cut a character in two.
            writer.promise_utf8(is_utf8 && !matches!(reader, Reader::Pattern(_)));
            let mut draft = Draft::new(writer, options, event, again, out.now);
            if read(reader, within, text, scratch, &mut draft).is_some() {
                return finish(&mut draft, text, about);
            }
            out.buffer.truncate(before);
        }
        false
    }

    /// Says how often records came again whose window is over, or of `all`.
    fn end_repeats(&mut self, now: Timestamp, all: bool, out: &mut LogBuffer) {
        let Some(repeats) = &mut self.repeats else { return };
        for again in repeats.end(now, all) {
            self.repeated(&again, now, out);
        }
    }

    fn repeated(&mut self, again: &Again, now: Timestamp, out: &mut LogBuffer) {
        let figures = self.figures;
        self.append(&again.text, again.times, again.about, true, &mut Target { now, buffer: out });
        // The lines themselves have been counted when they came.
        self.figures = RecordFigures { records: figures.records + 1, ..figures };
    }

    /// Ends what has waited long enough for more.
    pub fn flush(&mut self, now: Timestamp, out: &mut LogBuffer) {
        let patience = self.options.flush();
        for stream in [None, Some(Stream::Stderr)] {
            if slot(&mut self.parts, stream).due(PART_PATIENCE).is_some_and(|due| due <= now) {
                self.end_parts(stream, now, out);
            }
            if slot(&mut self.lines, stream).due(patience).is_some_and(|due| due <= now) {
                self.end_lines(stream, now, out);
            }
        }
        self.end_repeats(now, false, out);
    }

    /// Ends all that it holds: nothing more comes.
    pub fn finish(&mut self, now: Timestamp, out: &mut LogBuffer) {
        for stream in [None, Some(Stream::Stderr)] {
            self.end_parts(stream, now, out);
            self.end_lines(stream, now, out);
        }
        self.end_repeats(now, true, out);
    }

    /// Where what it holds begins in the stream; `None` when it holds nothing.
    pub fn holds_from(&self) -> Option<u64> {
        let held = self.parts.iter().chain(&self.lines).filter(|held| !held.is_empty());
        held.map(|held| held.about.begins_at).min()
    }

    /// How long after `now` something that it holds has waited long enough.
    pub fn next_flush(&self, now: Timestamp) -> Option<Duration> {
        let patience = self.options.flush();
        let parts = self.parts.iter().filter_map(|held| held.due(PART_PATIENCE));
        let lines = self.lines.iter().filter_map(|held| held.due(patience));
        let repeats = self.repeats.as_ref().and_then(Repeats::due);
        parts.chain(lines).chain(repeats).min().map(|due| due.since(now))
    }

    /// What became of the lines since this was last called.
    pub fn take_figures(&mut self) -> RecordFigures {
        std::mem::take(&mut self.figures)
    }
}

/// Where records go.
struct Target<'a> {
    now: Timestamp,
    buffer: &'a mut LogBuffer,
}

fn slot(held: &mut [Held; 2], stream: Option<Stream>) -> &mut Held {
    let [stdout, stderr] = held;
    if stream == Some(Stream::Stderr) { stderr } else { stdout }
}

/// A text, and whether it is UTF-8. A limit that cut a character in two does not spoil the rest.
fn checked(text: &[u8], is_cut: bool) -> (&[u8], bool) {
    match std::str::from_utf8(text) {
        Ok(_) => (text, true),
        Err(error) if is_cut && error.error_len().is_none() => {
            (text.get(..error.valid_up_to()).unwrap_or(text), true)
        }
        Err(_) => (text, false),
    }
}

/// Reads a text into a record; `None` where it is not of the format. `within` reads the message of syslog.
fn read(
    reader: &Reader,
    within: &Reader,
    text: &[u8],
    scratch: &mut Scratch,
    draft: &mut Draft<'_>,
) -> Option<()> {
    match reader {
        Reader::Plain => Some(()),
        Reader::Json => json::read(text, scratch, draft),
        Reader::Logfmt => logfmt::read(text, &mut scratch.value, draft),
        Reader::Access => access::read(text, draft),
        Reader::ErrorLog => error_log::read(text, draft),
        Reader::Pattern(pattern) => pattern::read(pattern, text, draft),
        Reader::Syslog => {
            let message = syslog::read(text, &mut scratch.value, draft)?;
            // What programs put before JSON for rsyslog.
            let inner = message.strip_prefix(b"@cee:").unwrap_or(message);
            read(within, &Reader::Plain, inner, scratch, draft)?;
            draft.end_message(message);
            Some(())
        }
    }
}

/// Ends a record; whether it tells of an error.
fn finish(draft: &mut Draft<'_>, text: &[u8], about: About) -> bool {
    draft.end(text);
    if let Some(time) = about.time.filter(|_| !draft.has_time) {
        draft.moment(time);
    }
    if let Some(stream) = about.stream {
        draft.writer.attribute(b"log.iostream", LogScalar::Text(stream.name().as_bytes()));
    }
    if about.is_cut {
        draft.writer.attribute(b"hostmend.log.truncated", LogScalar::Bool(true));
    }
    draft.severity >= severity::ERROR || draft.is_failure
}

#[cfg(test)]
mod tests;
