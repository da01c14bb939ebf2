//! Attributes of a resource: who telemetry is from.

/// The value of an attribute of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Texts, in no order that means anything.
    Texts(Vec<String>),
}

/// Attributes of a resource with their keys, each of which is there once.
pub type Attributes = Vec<(String, AttributeValue)>;

impl AttributeValue {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Int(_) | Self::Texts(_) => None,
        }
    }

    /// Whether it says nothing: such a value is never sent.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Int(_) => false,
            Self::Texts(texts) => texts.is_empty(),
        }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
