//! Follows files, the journal and the kernel log, and remembers the place.
//!
//! A [`LogSource`] turns what it reads into records and appends them to a [`LogBuffer`](telemetry::LogBuffer); who calls it
//! makes them durable and tells it so, and only then its place moves in [`Positions`]. So a crash may repeat lines, at
//! most those of one call, and skips none. Knows nothing of OTLP, of queues and of rules.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod files;
mod journal;
mod kernel;
mod lines;
mod positions;
mod source;

pub use files::{FileState, FilesOptions, FilesSource, FollowedFile, ResourceTemplate};
pub use journal::{
    Id128, JOURNAL_FIELDS, JournalEntry, JournalField, JournalOptions, JournalPlace, JournalReader,
    JournalSource, JournalTarget,
};
pub use kernel::{KERNEL_EVENTS, KernelEvent, KernelOptions, KernelSource};
pub use lines::{
    FieldNames, LineFormat, Multiline, RecordFigures, RecordOptions, RecordOptionsError, RecordSetting,
    RecordSettings, Recorder,
};
pub use positions::{Positions, PositionsError};
pub use source::{LogSource, LogSourceError, Ready, SourceFigures, StartAt};
