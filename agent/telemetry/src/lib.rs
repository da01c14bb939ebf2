//! The nouns that cross a boundary: what was measured, which alert is firing, what a run did.
//!
//! Plain values only. Nothing here does I/O, reads the clock or waits, so everything may depend on it.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod alert;
mod attribute;
mod batch;
mod causes;
mod departed;
mod family;
mod labels;
mod log;
mod metric;
mod one_line;
mod origin;
mod run;
mod sample;
mod spelling;
mod time;

pub use alert::{Alert, AlertSource, AlertState, MatchedLine};
pub use attribute::{AttributeValue, Attributes};
pub use batch::{Batch, Signal};
pub use causes::with_causes;
pub use departed::{mark_departed, mark_departed_beside};
pub use family::{Family, FamilyKind, FamilySample};
pub use labels::{Labels, LabelsBuilder, METRIC_NAME};
pub use log::{LogBuffer, LogFields, LogGroup, LogScalar, LogValue, LogView, LogWriter, Open};
pub use metric::{Aspect, EntitySpec, HOST, Instrument, MetricSpec, Resource, Scope, Shows, ValueType};
pub use one_line::OneLine;
pub use origin::{Origin, Origins};
pub use run::{RunEvent, RunId, RunOutcome, RunStep, Stage};
pub use sample::{EntityView, LeftOut, Number, PointView, SampleBuffer, Value};
pub use spelling::{AttributeSpelling, Spelling};
pub use time::{DurationError, Timestamp, format_duration, parse_duration};
