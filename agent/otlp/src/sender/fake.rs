//! Destinations that are functions.

use telemetry::Batch;

use crate::sender::exporter::{Accepted, BoxFuture, ExportError, Exporter};

/// What a request is answered with.
pub(crate) type Answer = Result<Accepted, ExportError>;

pub(crate) struct Fake {
    name: String,
    answer: Box<dyn Fn(&Batch) -> Answer + Send + Sync>,
}

impl Fake {
    pub(crate) fn new(name: &str, answer: impl Fn(&Batch) -> Answer + Send + Sync + 'static) -> Self {
        Self { name: name.to_owned(), answer: Box::new(answer) }
    }
}

impl Exporter for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Accepted, ExportError>> {
        Box::pin(async move { (self.answer)(batch) })
    }
}

pub(crate) fn later(retry_after: Option<std::time::Duration>) -> ExportError {
    ExportError::TryLater { destination: "fake".to_owned(), retry_after, source: "busy".into() }
}

pub(crate) fn refused() -> ExportError {
    ExportError::Refused { destination: "fake".to_owned(), reason: "no".to_owned() }
}

pub(crate) fn too_large() -> ExportError {
    ExportError::TooLarge { destination: "fake".to_owned(), reason: "too large".to_owned() }
}
