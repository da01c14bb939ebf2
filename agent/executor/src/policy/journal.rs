//! `journal` of the policy: how far the host's journal may be shortened.

use documents::{Review, Spanned};
use serde::Deserialize;

use crate::{Budget, ByteCount};

/// What may be done with the journal: beginning new files, and deleting archived ones.
#[derive(Clone, Debug)]
pub struct JournalRule {
    /// So much of the archived files always stays.
    pub keep_at_least: ByteCount,
    /// How often, both together.
    pub at_most: Budget,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalEntry {
    keep_at_least: Spanned<String>,
    at_most: Spanned<String>,
}

impl JournalEntry {
    pub(super) fn read(&self, review: &mut Review) -> Option<JournalRule> {
        let keep_at_least = review.read(&self.keep_at_least, str::parse);
        let at_most = review.read(&self.at_most, str::parse);
        Some(JournalRule { keep_at_least: keep_at_least?, at_most: at_most? })
    }
}
