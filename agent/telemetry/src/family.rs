//! Metrics as a text of Prometheus tells them: names that nobody here knows beforehand.

/// What the values of a family are, in the words of the text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows until it is reset.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Not said.
    #[default]
    Untyped,
}

impl FamilyKind {
    /// The word after `# TYPE name`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// What may follow the name of a family in those of its samples.
    pub const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Counter | Self::Gauge | Self::Untyped => &[""],
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count"],
        }
    }
}

/// A metric with its samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// One sentence, or nothing.
    pub help: String,
    /// What its values are.
    pub kind: FamilyKind,
    /// Its values.
    pub samples: Vec<FamilySample>,
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FamilySample {
    /// The name of the family, with an ending where it is a histogram or a summary.
    pub name: String,
    /// The labels, in order of their names, each once.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}
