//! Who this host is to those that alerts are sent to.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use telemetry::Labels;

use crate::notice::Notice;

/// What stands as it is in the query of a URL.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is added to what is told of alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Externals {
    /// Labels that every alert gets, unless it has them.
    pub labels: Labels,
    /// Where people reach the agent, for links. Without it, there are none.
    pub url: String,
}

impl Externals {
    /// The labels that an alert leaves with.
    pub(crate) fn labels_of<'a>(&'a self, notice: &'a Notice) -> BTreeMap<&'a str, &'a str> {
        self.labels.iter().chain(notice.labels.iter()).collect()
    }

    /// Where the expression of an alert can be looked at, as Prometheus links to it.
    pub(crate) fn link(&self, notice: &Notice) -> Option<String> {
        if self.url.is_empty() || notice.expression.is_empty() {
            return None;
        }
        let expression = utf8_percent_encode(&notice.expression, IN_QUERY).to_string().replace("%20", "+");
        Some(format!("{}/graph?g0.expr={expression}&g0.tab=1", self.url.trim_end_matches('/')))
    }
}
